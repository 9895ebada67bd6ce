"""Rules of the documents: each code has its help, and no link and no anchor is dead."""

from __future__ import annotations

from tests.repo.test_texts import tracked
from tests.support import ROOT
from tools.documents import codes, links, troubleshooting


def test_every_code_has_its_entry_and_every_entry_its_code() -> None:
    assert troubleshooting.faults(troubleshooting.PAGE.read_text(), codes.find()) == []


def test_no_link_and_no_anchor_is_dead() -> None:
    assert links.faults() == []


def test_no_text_has_the_marks_of_a_merge() -> None:
    marks = ("<<<<<<< ", ">>>>>>> ")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for pattern in ("*.md", "*.py", "*.yaml", "*.toml", "Makefile", ".ci/*")
        for path in tracked(pattern)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if line.startswith(marks)
    ]
    assert found == []
