"""Judging an app's metrics by the rules: what each rule finds, and why. No I/O; the time is passed in.

evaluator = Evaluator(rules.parse(text))           # keeps what `rate` and its like need of the past
findings = evaluator.judge(exposition, time.time())
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sidecars.adapter.exposition import Exposition, Sample
from sidecars.adapter.rules import Rule, Severity

State = Literal["ok", "warn", "fail", "no-data"]
"""ok: the rule holds. warn, fail: it does not, and that is its severity. no-data: it cannot be judged, which is never
healthy: no series is there, too little of the past is known yet, a value is NaN, or the app did not answer."""

Verdict = Literal["pass", "warn", "fail"]

VERDICTS: Mapping[State, Verdict] = {"ok": "pass", "warn": "warn", "fail": "fail", "no-data": "fail"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule finds in one exposition.

    value      the left side's value that decided: the worst offender's; where all is well, the one nearest to the
               threshold; None where there is none
    threshold  the right side's value in that comparison; None where the rule compares nothing
    series     the offending series (or the decisive one where all is well) as `name{label="value"}`; "" without data
    offending  how many series break the rule
    total      how many were judged
    reason     a sentence: what was found, beside what is wanted; never more than 300 characters
    """

    rule: Rule
    state: State
    value: float | None
    threshold: float | None
    series: str
    offending: int
    total: int
    reason: str

    @property
    def name(self) -> str:
        return self.rule.name

    @property
    def severity(self) -> Severity:
        return self.rule.severity

    @property
    def verdict(self) -> Verdict:
        """What it does to the app's verdict: no data is a failure, whatever the rule's severity."""
        return VERDICTS[self.state]


class Evaluator:
    """The rules, and the part of the past that they need. One for each app; feed it every exposition that is fetched.

    `judge` may be called at any interval. A range such as `[1m]` knows what was judged in the last minute, so that
    `rate` says "no-data" until it has two samples.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)

    def judge(self, exposition: Exposition, now: float) -> tuple[Finding, ...]:
        """One finding for each rule, in their order. `now` is in Unix seconds."""
        self._judged = now
        return tuple(_judge(rule, exposition) for rule in self._rules)

    def unavailable(self, reason: str) -> tuple[Finding, ...]:
        """One finding for each rule when there is no exposition: no-data, and the reason (the app is down, …)."""
        return tuple(Finding(rule, "no-data", None, None, "", 0, 0, reason) for rule in self._rules)


def _judge(rule: Rule, exposition: Exposition) -> Finding:
    metric, comparison, threshold = rule.text.split()
    wanted = float(threshold)
    samples = exposition.select(metric)
    if not samples:
        return Finding(rule, "no-data", None, wanted, "", 0, 0, f"there is no series {metric}")

    def holds(sample: Sample) -> bool:
        compared = {"<": sample.value < wanted, ">": sample.value > wanted, "==": sample.value == wanted}
        return compared[comparison]

    bad = [sample for sample in samples if not holds(sample)]
    shown = (bad or samples)[0]
    labels = ",".join(f'{name}="{value}"' for name, value in shown.labels)
    series = f"{shown.name}{{{labels}}}" if labels else shown.name
    reason = f"{series} is {shown.value:g}, wanted {comparison} {wanted:g}"
    return Finding(rule, rule.severity if bad else "ok", shown.value, wanted, series, len(bad), len(samples), reason)
