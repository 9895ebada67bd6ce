"""The release notes of a version, from CHANGELOG.md: `python -m tools.release notes 0.1.0`.

A section begins with `## 0.1.0 (2026-11-29)` or `## 0.1.0 (unreleased)`. The notes are its text, and how to verify the
images. It exits with 1 if there is no such section, or if the section is empty.

With `--tag v0.1.0`, as the release workflow calls it, the version is that of the tag. It exits with 1, too, if the
section has no date, or if pyproject.toml has another version.
"""

from __future__ import annotations

import argparse
import re
import sys

from tools.names import ROOT, VERSION

HEADING = re.compile(r"^## (?P<version>\d\S*) \((?P<date>unreleased|\d{4}-\d\d-\d\d)\)$", re.MULTILINE)


def section(changelog: str, version: str, *, released: bool = False) -> str:
    """Return the text of a version's section, without its heading. Raises ValueError with a sentence."""
    headings = list(HEADING.finditer(changelog))
    found = next((heading for heading in headings if heading["version"] == version), None)
    if found is None:
        known = ", ".join(heading["version"] for heading in headings)
        raise ValueError(f"CHANGELOG.md has no section of {version}; it has {known or 'none'}")
    if released and found["date"] == "unreleased":
        raise ValueError(f"CHANGELOG.md calls {version} unreleased: write the date of the release")
    following = next((heading.start() for heading in headings if heading.start() > found.end()), len(changelog))
    text = changelog[found.end() : following].strip()
    if not text:
        raise ValueError(f"CHANGELOG.md says nothing about {version}")
    return text


def notes(changelog: str, version: str, *, released: bool = False) -> str:
    """Return the notes as Markdown: the version's changes one heading higher, and the way to verify its images."""
    changes = re.sub(r"^#(#+ )", r"\1", section(changelog, version, released=released), flags=re.MULTILINE)
    return f"{changes}\n\n## Verify\n\ndocs/how-to/verify-an-image.md of this version has the command.\n"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.release notes", description=__doc__.partition("\n")[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("version", nargs="?", default=VERSION)
    what.add_argument("--tag", help="the tag of a release: refuse a version without a date, and another one than ours")
    arguments = parser.parse_args(argv)
    version = arguments.tag.removeprefix("v") if arguments.tag else arguments.version
    if arguments.tag and arguments.tag != f"v{VERSION}":
        print(f"the tag is {arguments.tag}, and the version in pyproject.toml is {VERSION}", file=sys.stderr)
        return 1
    try:
        print(notes((ROOT / "CHANGELOG.md").read_text(), version, released=bool(arguments.tag)), end="")
    except ValueError as refused:
        print(refused, file=sys.stderr)
        return 1
    return 0
