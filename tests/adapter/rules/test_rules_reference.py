"""The examples of docs/reference/rules.md: each is evaluated, with the result that is printed there."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from sidecars.adapter.exposition.parser import parse_page
from sidecars.adapter.rules.lexer import BadRule
from sidecars.adapter.rules.rule import parse_rules
from sidecars.adapter.rules.rule_evaluator import RuleEvaluator
from tests.support import ROOT

TEXT = (ROOT / "docs/reference/rules.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def _examples() -> list[tuple[str, str, str]]:
    """Return each block of results, with the last metrics and the last rules before it."""
    found: list[tuple[str, str, str]] = []
    last: dict[str, str] = {}
    for kind, text in BLOCKS:
        last[kind] = text
        if kind == "results":
            found.append((last["metrics"], last["rules"], text))
    return found


def test_every_block_is_one_that_is_run() -> None:
    kinds = [kind for kind, _ in BLOCKS]

    assert set(kinds) == {"metrics", "rules", "results", "mistake", "output"}
    assert kinds.count("results") == len(_examples()) > 3
    assert kinds.count("mistake") == kinds.count("output") > 2


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "rules"])
def test_the_rules_of_the_reference_are_rules(text: str) -> None:
    assert parse_rules(text)


@pytest.mark.parametrize(("metrics", "text", "wanted"), _examples())
def test_the_findings_are_those_of_the_reference(metrics: str, text: str, wanted: str) -> None:
    results = RuleEvaluator(parse_rules(text)).evaluate(parse_page(metrics.encode(), "", 100), 1_700_000_000.0)

    seen = [f"{result.name} {result.state} {result.reason}" for result in results]
    assert seen == [" ".join(line.split()) for line in wanted.splitlines()]


def test_the_first_rules_of_the_reference_hold_for_an_app_that_is_well() -> None:
    metrics, text, wanted = _examples()[0]

    assert text == next(text for kind, text in BLOCKS if kind == "rules")
    assert {line.split()[1] for line in wanted.splitlines()} == {"ok"}
    assert 'status="5' not in metrics


@pytest.mark.parametrize(
    ("text", "output"),
    [(text, output) for (kind, text), (_, output) in pairwise(BLOCKS) if kind == "mistake"],
)
def test_the_mistakes_are_told_as_in_the_reference(text: str, output: str) -> None:
    with pytest.raises(BadRule) as refused:
        parse_rules(text)

    assert [line.rstrip() for line in str(refused.value).splitlines()] == output.splitlines()
