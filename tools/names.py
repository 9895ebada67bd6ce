"""The names of this repository's images and labels, and its version: `python -m tools.names`.

    REGISTRY       registry.invalid/sidecars      what bake builds and the manifests name
    EXAMPLES       registry.invalid/example       what the examples build for themselves
    LABEL_PREFIX   sidecars.invalid/              labels and annotations
    VERSION        pyproject.toml                 the only place where a release changes it
    OFFICIAL       tools/official/Dockerfile      the images of others, each once

A name without a host is a name on a public registry, where anybody can own it. `.invalid` never resolves (RFC 6761,
section 6.4): a Pod whose registry was not replaced fails to pull, and an image built under the name is found locally.

`--write` puts the version and the references of OFFICIAL into every file that has them. `--check` fails if one differs.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REGISTRY = "registry.invalid/sidecars"
EXAMPLES = "registry.invalid/example"
LABEL_PREFIX = "sidecars.invalid/"
VERSION = str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])
SIDECARS = sorted(path.parent.name for path in (ROOT / "sidecars").glob("*/__main__.py"))

_FROM = re.compile(r"^FROM (?P<image>\S+) AS \S+$", re.MULTILINE)
_TAG = r"[\w.][\w.-]*(?:@sha256:[0-9a-f]{64})?"
OFFICIAL: list[str] = _FROM.findall((ROOT / "tools/official/Dockerfile").read_text())

# The files with a version that is not a part of an image reference, and how it stands there.
_VERSIONS = {
    "sidecars/chassis/__init__.py": '__version__ = "{}"',
    "docker-bake.hcl": 'variable "VERSION" {{ default = "{}" }}',
}
_UNCHANGED = ("CHANGELOG.md", "locks/", "tests/", "tools/")  # history, hashes, and texts about other versions


def image(name: str, version: str = VERSION) -> str:
    """Return the reference of one of our images: `image("adapter")`, `image("infra")`."""
    return f"{REGISTRY}/{name}:{version}"


def label(name: str) -> str:
    """Return the key of a label or annotation: `label("adapter")`."""
    return f"{LABEL_PREFIX}{name}"


def repository(reference: str) -> str:
    """Return an image reference without its tag and digest: `registry:5000/a/b:1@sha256:…` is `registry:5000/a/b`."""
    name = reference.partition("@")[0]
    return name[: name.rindex(":")] if ":" in name.rpartition("/")[2] else name


def official(name: str) -> str:
    """Return the reference of an official image by its repository: `official("tomcat")`. Raises KeyError."""
    return {repository(reference): reference for reference in OFFICIAL}[name]


def rewritten(file: str, text: str, version: str = VERSION, references: list[str] = OFFICIAL) -> str:
    """Return the text of a file with this version in our references, and these references of official images."""
    if file.startswith(_UNCHANGED):
        return text
    if place := _VERSIONS.get(file):
        text = re.sub(re.escape(place.format("@")).replace("@", r"[\w.+-]+"), place.format(version), text)
    text = re.sub(rf"(\b{re.escape(REGISTRY)}\}}?/[a-z]+:){_TAG}", rf"\g<1>{version}", text)
    for reference in references:
        name = re.escape(repository(reference))
        text = re.sub(rf"(?<![\w./-]){name}:(?=[\w.]*[\d-]){_TAG}", reference, text)
    return text


def files() -> list[str]:
    """Return the names of the files in git, and of new ones that git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()  # noqa: S603 - git, no input
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def stale() -> dict[str, str]:
    """Return the new text of each file that has another version or reference."""
    found = {}
    for name in files():
        try:
            text = (ROOT / name).read_text()
        except UnicodeDecodeError:
            continue
        if (new := rewritten(name, text)) != text:
            found[name] = new
    return found


def main(argv: list[str]) -> int:
    if argv not in (["--write"], ["--check"]):
        print("usage: python -m tools.names --check | --write", file=sys.stderr)
        return 64
    for name, text in (found := stale()).items():
        if argv == ["--write"]:
            (ROOT / name).write_text(text)
        else:
            print(f"{name} has another version or image: run make docs", file=sys.stderr)
    return 1 if found and argv == ["--check"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
