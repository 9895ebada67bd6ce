"""The history of checks: status and since when, the values of each rule, and its bound."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sidecars.adapter.app_client.recent_values import SLOT
from sidecars.adapter.verdict import check_history
from sidecars.adapter.verdict.check_history import MOST_CHECKS, CheckHistories
from sidecars.adapter.verdict.verdict import Check, Status, verdict_of

START = 1_000_000_000.0


def rule(name: str, value: float | None, status: Status = "pass") -> Check:
    reason = "" if status == "pass" else f"{name} is {value}"
    return Check(name, status, reason, value, 10.0, is_rule=True, comparison="<")


def after(*verdicts: tuple[float, list[Check]], read: float = 0.0) -> dict[str, Any]:
    histories = CheckHistories()
    for at, checks in verdicts:
        histories.record(verdict_of(checks), START + at)
    return histories.status_page(START + max(read, *(at for at, _ in verdicts), 0.0))


def test_before_the_first_verdict_there_is_no_status() -> None:
    assert CheckHistories().status_page(START) == {"status": None, "checks": {}}


def test_a_rule_tells_its_value_its_threshold_its_last_minutes_and_since_when() -> None:
    page = after(
        (0, [rule("queue", 3)]),
        (SLOT, [rule("queue", 12, "warn")]),
        (3 * SLOT, [rule("queue", 14, "warn")]),
        read=3 * SLOT + 2,
    )
    assert page["checks"]["queue"] == {
        "status": "warn",
        "kind": "rule",
        "value": 14,
        "threshold": 10.0,
        "wanted": "< 10",
        "values": [3.0, 12.0, None, 14.0],
        "since_seconds": 2.0 * SLOT + 2,
        "reason": "queue is 14",
    }
    assert (page["status"], page["since_seconds"], page["judged_seconds"]) == ("warn", 2.0 * SLOT + 2, 2.0)
    assert page["statuses"] == [2.0, 1.0, None, 1.0]


@pytest.mark.parametrize(
    ("checks", "shown", "values"),
    [
        ([rule("a", None, "fail")], None, []),  # without data
        ([rule("a", math.inf, "fail")], "inf", []),
        ([rule("a", 1), rule("a", None, "fail")], None, [1.0]),
        ([Check("a", "pass")], None, []),  # a component of a health document
        ([Check("a", "fail", "the app reports fail", 5.0)], 5.0, []),
    ],
)
def test_only_values_of_rules_are_kept(checks: list[Check], shown: object, values: list[float]) -> None:
    found = after(*((at, [check]) for at, check in enumerate(checks)))["checks"]["a"]
    assert (found["value"], found["values"]) == (shown, values)


def test_a_check_that_is_gone_is_forgotten_and_begins_anew() -> None:
    page = after((0, [rule("a", 1), rule("b", 1)]), (60, [rule("b", 2)]), (120, [rule("a", 3), rule("b", 3)]))
    assert page["checks"]["a"]["values"] == [3.0]
    assert (page["checks"]["a"]["since_seconds"], page["checks"]["b"]["since_seconds"]) == (0.0, 120.0)


def test_of_thousands_of_components_the_worst_are_kept_and_all_rules() -> None:
    components = [Check(f"c{number}", "fail" if number == 1999 else "pass") for number in range(2000)]
    page = after((0, [*components, rule("queue", 1)]))
    assert set(page["checks"]) >= {"c1999", "queue"}
    assert len(page["checks"]) == MOST_CHECKS + 1
    assert page["checks_left_out"] == 2000 - MOST_CHECKS


def test_values_are_kept_of_a_limited_number_of_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_history, "MOST_VALUES", 2)
    rules = [rule(f"r{number}", number) for number in range(4)]
    page = after((0, rules), (SLOT, rules), (2 * SLOT, rules[1:]), (3 * SLOT, rules[1:]))
    lengths = {name: len(one["values"]) for name, one in page["checks"].items()}
    assert lengths == {"r1": 4, "r2": 1, "r3": 0}, "the place of a rule that is gone is free for the next one"
