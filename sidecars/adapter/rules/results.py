"""What a rule has found, and the sentence that says so. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sidecars.adapter.exposition.sample import Sample
from sidecars.adapter.rules.ast import Call, Expression, Number
from sidecars.adapter.rules.rule import Rule, Severity
from sidecars.adapter.rules.vector_operations import COMPARE, shown
from sidecars.chassis.runtime.printable import truncate

RuleState = Literal["ok", "warn", "fail", "no-data"]
"""ok: the rule holds. warn, fail: it does not, and that is its severity. no-data: it cannot be judged, which is never
healthy: no series is there, too little of the past is known yet, a value is NaN, or the app did not answer."""

RuleStatus = Literal["pass", "warn", "fail"]

STATUS_OF_STATE: Mapping[RuleState, RuleStatus] = {"ok": "pass", "warn": "warn", "fail": "fail", "no-data": "fail"}

_LONGEST = 300  # characters of a reason
_LONGEST_SERIES = 120

Pair = tuple[Sample, float | None]
"""A judged series and what it is compared with; None where it has no partner on the right side."""


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What one rule finds in one exposition.

    value      the left side's value that decided: the worst offender's; where all is well, the one nearest to the
               threshold; None where there is none. Never NaN, but it can be infinite
    threshold  the right side's value in that comparison; None where the rule compares nothing
    series     the offending series (or the decisive one where all is well) as `name{label="value"}`; "" where a value
               has been calculated from several and has no labels left, and without data
    offending  how many series break the rule
    total      how many were judged
    reason     a sentence without a full stop: what was found, and what is wanted; never more than 300 characters
    words      the same with what the app has sent, where that may not be in a log; "" where there is nothing more
    """

    rule: Rule
    state: RuleState
    value: float | None
    threshold: float | None
    series: str
    offending: int
    total: int
    reason: str
    words: str = ""

    @property
    def name(self) -> str:
        return self.rule.name

    @property
    def severity(self) -> Severity:
        return self.rule.severity

    @property
    def status(self) -> RuleStatus:
        """What it does to the app's verdict: no data is a failure, whatever the rule's severity."""
        return STATUS_OF_STATE[self.state]


def no_data(rule: Rule, reason: str, words: str = "") -> RuleResult:
    """The finding where there is nothing to judge."""
    threshold = rule.right.value if isinstance(rule.right, Number) else None
    return RuleResult(rule, "no-data", None, threshold, "", 0, 0, truncate(reason, _LONGEST), truncate(words, _LONGEST))


def judged(rule: Rule, pairs: Sequence[Pair]) -> RuleResult:
    """The finding about series that are there, at least one: it breaks the rule that is farthest from it."""
    compare = COMPARE[rule.comparison or "!="]
    good: list[tuple[Sample, float]] = []
    bad: list[tuple[Sample, float]] = []
    lost: list[Pair] = []
    for sample, other in pairs:
        if other is None or math.isnan(sample.value) or math.isnan(other):
            lost.append((sample, other))
        else:
            (good if compare(sample.value, other) else bad).append((sample, other))
    if lost and not bad:
        sample, other = lost[0]
        return RuleResult(
            rule,
            "no-data",
            None,
            other,
            shown(sample),
            len(lost),
            len(pairs),
            truncate(_lost(rule, sample, other), _LONGEST),
        )
    argument = absent_argument(rule)
    if argument and not bad:
        return RuleResult(rule, "ok", 1.0, None, "", 0, 1, truncate(f"{rule.written(argument)} is absent", _LONGEST))
    sample, threshold = max(bad or good, key=lambda pair: _distance(rule.comparison, *pair))
    more = f" (and {len(bad) - 1} more of {len(pairs)})" if len(bad) > 1 else ""
    return RuleResult(
        rule,
        rule.severity if bad else "ok",
        sample.value,
        threshold if rule.comparison else None,
        shown(sample),
        len(bad),
        len(pairs),
        truncate(f"{_subject(rule, sample)} is {number(sample.value)}{_wanted(rule, threshold)}", _LONGEST - len(more))
        + more,
    )


def absent_argument(rule: Rule) -> Expression | None:
    """What must not be there, where the rule is `absent(…)` alone."""
    if isinstance(rule.left, Call) and rule.left.function == "absent" and not rule.comparison:
        return rule.left.argument
    return None


def _distance(comparison: str, sample: Sample, threshold: float) -> float:
    """How far it is on the wrong side; negative on the right one."""
    difference = sample.value - threshold
    if math.isnan(difference):  # infinity from infinity
        return 0.0
    if comparison in ("<", "<="):
        return difference
    if comparison in (">", ">="):
        return -difference
    return abs(difference) if comparison == "==" else -abs(difference)


def _subject(rule: Rule, sample: Sample) -> str:
    """The series; where it has no name any more, what it was calculated by."""
    if sample.name:
        return truncate(shown(sample), _LONGEST_SERIES)
    written = truncate(rule.written(rule.left), _LONGEST_SERIES)
    return f"{written} of {truncate(shown(sample), _LONGEST_SERIES)}" if sample.labels else written


def _wanted(rule: Rule, threshold: float) -> str:
    if not rule.comparison or rule.right is None:
        return ", wanted other than 0"
    if isinstance(rule.right, Number):
        return f", wanted {rule.comparison} {rule.written(rule.right)}"
    return f", wanted {rule.comparison} {truncate(rule.written(rule.right), 80)}, which is {number(threshold)}"


def _lost(rule: Rule, sample: Sample, other: float | None) -> str:
    if other is None:
        assert rule.right is not None  # noqa: S101 - there is a side to be alone on
        return f"{_subject(rule, sample)} has no partner in {rule.written(rule.right)}"
    if math.isnan(sample.value):
        return f"{_subject(rule, sample)} is not a number{_wanted(rule, other)}"
    return f"what {_subject(rule, sample)} is compared with is not a number"


def number(value: float) -> str:
    """A value for people: six digits, and whole numbers whole."""
    if value.is_integer() and abs(value) < 1e15:  # noqa: PLR2004 - as far as floats are whole numbers one by one
        return str(int(value))
    return f"{value:.6g}"
