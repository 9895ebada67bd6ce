"""The result of a rule: its state, and the reason as a sentence. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sidecars.adapter.exposition.sample import Sample
from sidecars.adapter.rules.ast import Call, Expression, NumberLiteral
from sidecars.adapter.rules.rule import Rule, Severity
from sidecars.adapter.rules.vector_operations import COMPARE
from sidecars.chassis.runtime.printable import truncate

RuleState = Literal["ok", "warn", "fail", "no-data"]
"""The state of a rule.

    ok          the rule holds
    warn, fail  the rule is broken; this is its severity
    no-data     the rule cannot be judged, which is never healthy: a series does not exist, its history is too short, a
                value is NaN, or the app did not answer
"""

RuleStatus = Literal["pass", "warn", "fail"]
"""The effect of a rule on the app's verdict."""

_STATUS: Mapping[RuleState, RuleStatus] = {"ok": "pass", "warn": "warn", "fail": "fail", "no-data": "fail"}

_MAX_REASON = 300  # characters
_MAX_SERIES = 120  # characters of a series in a reason
_MAX_EXPRESSION = 80  # characters of the right side in a reason

ComparedPair = tuple[Sample, float | None]
"""A sample of the left side, and its threshold on the right side; None if it has no partner there."""


@dataclass(frozen=True, slots=True)
class RuleResult:
    """The result of one rule over one exposition.

    value      the value of the deciding series on the left side: of the series that breaks the rule by most; if none
               does, of the one that is nearest to the threshold. None if there is none. Never NaN, may be infinite
    threshold  the value of the right side in that comparison; None if the rule compares nothing
    series     the deciding series as `name{label="value"}`; "" if it has neither name nor labels, and without data
    offending  the number of series that break the rule
    total      the number of series that were judged
    reason     a sentence without a full stop: the value, and the wanted one; at most 300 characters
    detail     the reason with the app's own text, if that may not be in a log; else ""
    """

    rule: Rule
    state: RuleState
    value: float | None
    threshold: float | None
    series: str
    offending: int
    total: int
    reason: str
    detail: str = ""

    @property
    def name(self) -> str:
        return self.rule.name

    @property
    def severity(self) -> Severity:
        return self.rule.severity

    @property
    def status(self) -> RuleStatus:
        """The effect on the app's verdict. Without data it is a failure, at any severity of the rule."""
        return _STATUS[self.state]


def no_data_result(rule: Rule, reason: str, detail: str = "") -> RuleResult:
    """Return the result of a rule that has nothing to judge."""
    threshold = rule.right.value if isinstance(rule.right, NumberLiteral) else None
    short, short_detail = truncate(reason, _MAX_REASON), truncate(detail, _MAX_REASON)
    return RuleResult(rule, "no-data", None, threshold, "", 0, 0, short, short_detail)


def judge_rule(rule: Rule, pairs: Sequence[ComparedPair]) -> RuleResult:
    """Return the result of a rule over at least one pair. The series that breaks the rule by most decides."""
    compare = COMPARE[rule.comparison or "!="]
    holding: list[tuple[Sample, float]] = []
    breaking: list[tuple[Sample, float]] = []
    not_comparable: list[ComparedPair] = []
    for sample, threshold in pairs:
        if threshold is None or math.isnan(sample.value) or math.isnan(threshold):
            not_comparable.append((sample, threshold))
        else:
            (holding if compare(sample.value, threshold) else breaking).append((sample, threshold))
    if not_comparable and not breaking:
        return _not_comparable_result(rule, not_comparable, len(pairs))
    argument = absent_argument(rule)
    if argument and not breaking:
        reason = truncate(f"{rule.text_of(argument)} is absent", _MAX_REASON)
        return RuleResult(rule, "ok", 1.0, None, "", 0, 1, reason)
    sample, decisive = max(breaking or holding, key=lambda pair: _distance(rule.comparison, *pair))
    others = f" (and {len(breaking) - 1} more of {len(pairs)})" if len(breaking) > 1 else ""
    sentence = f"{_subject(rule, sample)} is {show_number(sample.value)}{_wanted(rule, decisive)}"
    return RuleResult(
        rule,
        rule.severity if breaking else "ok",
        sample.value,
        decisive if rule.comparison else None,
        sample.notation(),
        len(breaking),
        len(pairs),
        truncate(sentence, _MAX_REASON - len(others)) + others,
    )


def _not_comparable_result(rule: Rule, not_comparable: Sequence[ComparedPair], total: int) -> RuleResult:
    sample, threshold = not_comparable[0]
    reason = truncate(_explain_not_comparable(rule, sample, threshold), _MAX_REASON)
    return RuleResult(rule, "no-data", None, threshold, sample.notation(), len(not_comparable), total, reason)


def absent_argument(rule: Rule) -> Expression | None:
    """Return the argument of a rule that is `absent(…)` alone, else None."""
    if isinstance(rule.left, Call) and rule.left.function == "absent" and not rule.comparison:
        return rule.left.argument
    return None


def _distance(comparison: str, sample: Sample, threshold: float) -> float:
    """Return how far the sample is on the wrong side of the threshold; negative on the right side."""
    difference = sample.value - threshold
    if math.isnan(difference):  # infinity minus infinity
        return 0.0
    if comparison in ("<", "<="):
        return difference
    if comparison in (">", ">="):
        return -difference
    return abs(difference) if comparison == "==" else -abs(difference)


def _subject(rule: Rule, sample: Sample) -> str:
    """Return the series; if it has no name, the expression that has calculated it, and its labels."""
    if sample.name:
        return truncate(sample.notation(), _MAX_SERIES)
    expression = truncate(rule.text_of(rule.left), _MAX_SERIES)
    return f"{expression} of {truncate(sample.notation(), _MAX_SERIES)}" if sample.labels else expression


def _wanted(rule: Rule, threshold: float) -> str:
    if not rule.comparison or rule.right is None:
        return ", wanted other than 0"
    right = rule.text_of(rule.right)
    if isinstance(rule.right, NumberLiteral):
        return f", wanted {rule.comparison} {right}"
    return f", wanted {rule.comparison} {truncate(right, _MAX_EXPRESSION)}, which is {show_number(threshold)}"


def _explain_not_comparable(rule: Rule, sample: Sample, threshold: float | None) -> str:
    if threshold is None:
        assert rule.right is not None  # noqa: S101 - only a right side can lack a partner
        return f"{_subject(rule, sample)} has no partner in {rule.text_of(rule.right)}"
    if math.isnan(sample.value):
        return f"{_subject(rule, sample)} is not a number{_wanted(rule, threshold)}"
    return f"what {_subject(rule, sample)} is compared with is not a number"


def show_number(value: float) -> str:
    """Return the value for people: six digits, whole numbers without a point."""
    if value.is_integer() and abs(value) < 1e15:  # noqa: PLR2004 - below it each whole number has a float of its own
        return str(int(value))
    return f"{value:.6g}"
