"""The release notes of a version, from CHANGELOG.md: `python -m tools.release notes 0.1.0`.

A section begins with `## 0.1.0 (2026-11-29)` or `## 0.1.0 (unreleased)`. The notes are its text, and how to verify the
images. It exits with 1 if there is no such section, if the section is empty, or, with `--released`, if it has no date:
the release workflow makes no release of a version that is still written about.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
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
    parser.add_argument("version")
    parser.add_argument("--released", action="store_true", help="refuse a version without a date")
    arguments = parser.parse_args(argv)
    try:
        print(notes((ROOT / "CHANGELOG.md").read_text(), arguments.version, released=arguments.released), end="")
    except ValueError as refused:
        print(refused, file=sys.stderr)
        return 1
    return 0
