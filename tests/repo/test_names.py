"""No image reference can be pulled from a stranger, and the version and the names agree everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sidecars import chassis
from tests.repo.test_examples import DEFAULT, documents
from tests.repo.test_texts import tracked
from tests.support import ROOT
from tools import names
from tools.names import EXAMPLES, LABEL_PREFIX, OFFICIAL, REGISTRY, VERSION, repository

YAML = re.compile(
    r"(?<![\w.\"])(?P<key>image|reference|newName): *[\"']?"
    r"(?P<reference>[^\s\"',{}]*\$\{[^}]*\}[^\s\"',]*|[^\s\"',{}]+)"
)
FROM = re.compile(r"^\W*FROM +(?:--\S+ +)*(?P<reference>\S+)(?: +AS +(?P<stage>\S+))?", re.MULTILINE)
ARGUMENT = re.compile(r"^ARG (?P<name>\w+)=(?P<default>\S+)", re.MULTILINE)
COPY = re.compile(r"^COPY --from=(?P<reference>\S+)", re.MULTILINE)
CODE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(docker [^`]+|FROM [^`]+|image: [^`]+)`")
ENGINE = re.compile(
    r"(?:docker|podman|nerdctl|kind) (?:run|create|pull|push|tag|build|load|kubectl)\b.*|kubectl (?:run|set image)\b.*"
)
WORD = re.compile(
    r"(?:\w[\w-]*=)?(?P<reference>[a-z0-9][a-z0-9.-]*(?:/[a-z0-9._-]+)+(?::[\w.-]+)?|[a-z][a-z0-9-]*:[\w.-]*\d[\w.-]*)"
)
WORKLOADS = ("pod/", "job/", "deploy/", "deployment/", "statefulset/", "daemonset/")  # of kubectl
PLACEHOLDER = re.compile(r"\{\{|<\w+>|…|^variables\.annotations\[")  # of a template, or of a policy's CEL


def instructions(text: str) -> Iterator[str]:
    """Yield the images of a Dockerfile: of FROM, COPY --from and the defaults of the arguments that they name."""
    defaults = {found["name"]: found["default"] for found in ARGUMENT.finditer(text)}
    stages = {found["stage"] for found in FROM.finditer(text)} | {"scratch"}
    for found in (*FROM.finditer(text), *COPY.finditer(text)):
        reference = re.sub(r"\$\{?(\w+)\}?", lambda match: defaults.get(match[1], match[0]), found["reference"])
        if reference not in stages:
            yield reference


def commands(text: str) -> Iterator[str]:
    """Yield the words of commands that look like an image: a path with a host, or a name with a tag."""
    for command in ENGINE.findall(text.replace("\\\n", " ")):
        for word in re.split(r"[\s\"'`]+", command.partition(" #")[0].partition(";")[0].partition(" && ")[0]):
            if (found := WORD.fullmatch(word)) and not (ROOT / word).exists() and not word.startswith(WORKLOADS):
                yield found["reference"]


def in_yaml(text: str) -> Iterator[str]:
    for found in YAML.finditer(text):
        yield found["reference"] + (":newTag" if found["key"] == "newName" else "")
    yield from commands("\n".join(line.strip("# ") for line in text.splitlines() if line.lstrip().startswith("#")))


def references(path: Path) -> list[str]:
    """Return the image references of a file, without those that a template completes."""
    text = path.read_text()
    if path.suffix == ".md":
        code = "\n".join([*CODE.findall(text), *INLINE.findall(text)])
        found = [*in_yaml(code), *instructions(code), *commands(code)]
    elif path.suffix in (".yaml", ".yml", ".tpl"):
        found = list(in_yaml(text))
    elif path.suffix == ".hcl":
        found = re.findall(r'variable "BASE" \{ default = "([^"]+)"', text)
        found += [f"{text_of_variable(text, 'REGISTRY')}{tag}" for tag in re.findall(r'"\$\{REGISTRY\}([^"]+)"', text)]
    else:
        found = [
            *instructions(text),
            *commands("\n".join(line.strip("# ") for line in text.splitlines() if line[:1] == "#")),
        ]
    return [DEFAULT.sub(r"\1", reference) for reference in found if not PLACEHOLDER.search(reference)]


def text_of_variable(text: str, name: str) -> str:
    found = re.search(rf'variable "{name}" \{{ default = "([^"]+)" \}}', text)
    assert found is not None, name
    return found[1]


def fault(reference: str) -> str:
    """Return what is wrong with an image reference; "" if it is ours, of an example, or a listed official one."""
    name, tag = repository(reference), reference[len(repository(reference)) :]
    host = name.partition("/")[0]
    if reference in OFFICIAL:
        return ""
    if "." not in host and ":" not in host:
        return "has no host, and is not in tools/official/Dockerfile"
    if not tag or tag == ":latest":
        return "has no tag of its own"
    if name.startswith(f"{REGISTRY}/") and tag.partition("@")[0] not in (f":{VERSION}", ":${VERSION}"):
        return f"is not of version {VERSION}"
    if host.endswith((".invalid", ".example")):  # hosts that never resolve
        return ""
    return "is of a registry that is not ours"


PATTERNS = ("*.yaml", "*.yml", "*.tpl", "*.md", "*.hcl", "*Dockerfile*")
FILES = sorted({path for pattern in PATTERNS for path in tracked(pattern) if path.name != "CHANGELOG.md"})


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_image_can_be_pulled_from_a_stranger(path: Path) -> None:
    assert [f"{reference} {found}" for reference in references(path) if (found := fault(reference))] == []


def test_the_rule_sees_the_images_of_each_kind_of_file() -> None:
    for file, expected in {
        "Dockerfile": names.official("debian"),
        "docker-bake.hcl": f"{REGISTRY}/${{name}}:${{VERSION}}",
        "examples/tomcat/Dockerfile": names.image("warcopier"),
        "examples/tomcat/compose.yaml": names.image("adapter"),
        "examples/tomcat/pod.yaml": f"{EXAMPLES}/shop-war:1",
        "deploy/kustomize/logshipper/kustomization.yaml": names.image("logshipper"),
        "sidecars/warcopier/README.md": names.image("warcopier"),
    }.items():
        assert expected in references(ROOT / file), file


@pytest.mark.parametrize(
    "reference",
    ["adapter", "sidecars/adapter:0.1.0", f"{REGISTRY}/adapter", f"{REGISTRY}/adapter:latest", f"{REGISTRY}/adapter:9",
     "tomcat:9", "nginx:1.26", "images.somebody.net/adapter:1"],
)  # fmt: skip
def test_the_rule_refuses_a_name_without_our_registry_or_a_tag(reference: str) -> None:
    assert fault(reference)


def test_no_manifest_asks_for_the_tag_latest() -> None:
    found = [path for path in FILES if re.search(r"[\w}]:latest\b", path.read_text())]
    assert found == []


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.name == "compose.yaml"], ids=lambda path: path.parent.name
)
def test_compose_never_pulls_what_is_built_here(path: Path) -> None:
    for name, service in yaml.safe_load(path.read_text())["services"].items():
        built = DEFAULT.sub(r"\1", service["image"]).startswith((f"{REGISTRY}/", f"{EXAMPLES}/"))
        assert service.get("pull_policy") == ("never" if built else None), name


def test_each_example_has_image_names_of_its_own() -> None:
    """An image of one example under another's name would be taken by both: examples may refer to another's build."""
    builds: dict[str, set[str]] = {}
    for path in tracked("examples/*/compose.yaml"):
        for service in documents(path)[0]["services"].values():
            if "build" in service:
                build = service["build"] if isinstance(service["build"], dict) else {"context": service["build"]}
                place = (path.parent / build["context"]).resolve().name
                builds.setdefault(service["image"], set()).add(f"{place} {build.get('target')}")
    assert {image: places for image, places in builds.items() if len(places) > 1} == {}


# -- one place for the version, the label prefix and the official images ----------------------------------------------


def test_the_version_and_the_official_images_are_the_same_everywhere() -> None:
    assert sorted(names.stale()) == [], "run make docs"
    assert chassis.__version__ == VERSION


def test_a_new_version_gets_into_every_reference_and_a_digest_into_every_place_of_an_official_image() -> None:
    pinned = f"tomcat:11@sha256:{'a' * 64}"
    text = (ROOT / "examples/tomcat/compose.yaml").read_text()
    new = names.rewritten("examples/tomcat/compose.yaml", text, "2.0.0-rc.1", [pinned])
    assert new.count("}/adapter:2.0.0-rc.1\n") == 1
    assert VERSION not in new
    assert f"image: {pinned}\n" in new
    assert names.rewritten("a.yaml", new, VERSION, OFFICIAL) == text
    assert '"2.0.0"' in names.rewritten("docker-bake.hcl", (ROOT / "docker-bake.hcl").read_text(), "2.0.0")
    chassis_text = (ROOT / "sidecars/chassis/__init__.py").read_text()
    assert '__version__ = "2.0.0"' in names.rewritten("sidecars/chassis/__init__.py", chassis_text, "2.0.0")


def test_an_image_reference_is_split_as_the_engine_splits_it() -> None:
    assert repository("tomcat:10.1") == "tomcat"
    assert repository("registry:5000/a/b") == "registry:5000/a/b"
    assert repository(f"registry:5000/a/b:1@sha256:{'0' * 64}") == "registry:5000/a/b"


def test_every_label_and_annotation_of_ours_has_the_prefix_that_nobody_can_own() -> None:
    assert LABEL_PREFIX.endswith(".invalid/")
    bare = re.compile(rf"(?<![\w./-])sidecars/(?:{'|'.join(names.SIDECARS)})(?:=on|[\"']?: *[\"']on)")
    assert [str(path) for path in FILES if bare.search(path.read_text())] == []


def test_no_text_tells_a_reader_to_install_a_package_of_our_name_which_anybody_could_publish() -> None:
    """Inside an installation the name is ours already: the error message that names a missing extra is about that."""
    fetch = re.compile(r"(?:pip|pipx|uv|uvx)\b[^\n`]* ['\"]?sidecars(?:\[|==|['\"]|$)", re.MULTILINE)
    pages = [path for path in tracked("*.md") if path.name != "troubleshooting.md"]
    assert [str(path) for path in pages if fetch.search(path.read_text())] == []
