"""Rules of the repository's texts: links lead to files, exceptions have reasons, locks name no host."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
EXCEPTION = re.compile(r"#\s*(noqa(?!: [A-Z0-9, ]+ - \S)|type: ignore(?!\[[\w, -]+\]\s+# \S)).*")
NO_REASON = re.compile(r"#\s*(?:noqa|type: ignore).* [-#] (so, too|as above|likewise|the same|ours|its own|bound now)$")


def tracked(pattern: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def test_every_relative_link_of_a_markdown_file_leads_to_a_file() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {link}"
        for path in tracked("*.md")
        for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", FENCED.sub("", path.read_text()))
        if not (path.parent / link).exists()
    ]
    assert broken == []


def test_every_exception_from_lint_or_types_has_its_reason_beside_it() -> None:
    bare = []
    for path in tracked("*.py"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if path != Path(__file__) and EXCEPTION.search(line):
                bare.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert bare == []


def test_a_reason_can_be_read_without_its_neighbours() -> None:
    """Lines are moved and copied: `so, too` is no reason then."""
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if NO_REASON.search(line)
    ]
    assert found == []


def test_every_dependency_has_its_reason_beside_it() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    section = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    listed = re.findall(r'^    "(?!sidecars\[)([^"]+)",(.*)$', section, re.MULTILINE)
    assert len(listed) > 10
    assert [name for name, comment in listed if not re.match(r"\s*# \S+", comment)] == []


@pytest.mark.parametrize("lock", sorted((ROOT / "locks").glob("*.txt")), ids=lambda path: path.stem)
def test_a_lock_pins_with_hashes_and_names_no_host(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    pins = re.findall(r"^([\w.-]+)==\S+.*\\\n    --hash=sha256:", text, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE))
