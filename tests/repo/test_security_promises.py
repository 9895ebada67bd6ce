"""SECURITY.md promises only what a test proves, and the README only what SECURITY.md promises."""

from __future__ import annotations

import re

import pytest

from tests.repo.test_references import known_tests
from tests.support import ROOT

SECURITY = (ROOT / "SECURITY.md").read_text()
README = (ROOT / "README.md").read_text()
TABLE = SECURITY.partition("<!-- promises: checked")[2].partition("<!-- promises: end")[0]
ROWS = {
    int(cells[1]): [cell.strip() for cell in cells]
    for cells in (line.split("|") for line in TABLE.splitlines())
    if len(cells) > 1 and cells[1].strip().isdigit()
}
ATTACKERS = set(re.findall(r"^\| \*\*(\w)\*\* \|", SECURITY, re.MULTILINE))
CLAIM = re.compile(r"\b(hostile|compromised|attacker|secrets?|untrusted)\b", re.IGNORECASE)


def test_the_rows_are_numbered_and_each_is_a_sentence() -> None:
    assert list(ROWS) == list(range(1, 19))
    assert all(row[4].endswith(".") for row in ROWS.values())


@pytest.mark.parametrize("number", ROWS)
def test_a_row_names_its_attackers_and_its_tests_exist(number: int) -> None:
    _, _, attackers, _, _, tests, _ = ROWS[number]
    letters = set(re.findall(r"\b[A-Z]\b", attackers))
    assert letters <= ATTACKERS
    assert letters or attackers == "all"
    named = re.findall(r"`(test_\w+)`", tests)
    assert named
    assert set(named) <= known_tests()
    assert re.sub(r"`test_\w+`|[, ]", "", tests) == "", "a test's name and nothing else"


def test_the_criteria_speak_of_every_row_but_that_of_information() -> None:
    criteria = SECURITY.partition("## What is a vulnerability")[2].partition("\n## ")[0]
    assert {int(number) for number in re.findall(r"\b\d+\b", criteria)} | {10} == set(ROWS)


def test_the_readme_claims_nothing_about_security_that_has_no_row() -> None:
    """Each sentence of such a claim ends with the row that it comes from: `(row 3)`."""
    claims = [claim for claim in re.split(r"(?<=[.:)])\s+(?=[A-Z*#|-])", README) if CLAIM.search(claim)]
    assert claims
    for claim in claims:
        rows = [
            int(number)
            for listed in re.findall(r"\(rows? ([\d, to]+)\)", claim)
            for number in re.findall(r"\d+", listed)
        ]
        assert rows, claim
        assert set(rows) <= set(ROWS), claim
