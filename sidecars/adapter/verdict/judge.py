"""From what an app has answered to a verdict: its rules, or its own word, and then the damping.

    no answer, or one that is not understood    fail, each rule without data
    metrics, and rules                          as the rules find
    metrics, no rules                           pass: the app answers, and whole
    a health document, and rules                as the rules find in its translation to metrics
    a health document, no rules                 as the app says of itself; what it does not know is a failure
    selected numbers                            as the rules find; a value that is not understood is a failure

The HTTP status counts besides: where it is none of ADAPTER_VALID_STATUS_CODES, an app that says it is well, or only
tells numbers, fails.

Each outcome is judged once, however many probers share it: the rates of the rules and the counts of the damping are
about the app and not about who asks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from weakref import WeakKeyDictionary

from sidecars.adapter.app_client.interpretation import Interpretation, InterpretationOptions, UnusableResponse, read
from sidecars.adapter.app_client.outcome import AppRequest, Outcome
from sidecars.adapter.exposition.unknown_values import UnknownValue, UnknownValues
from sidecars.adapter.health.documents import Health
from sidecars.adapter.health.status_words import BUILT_IN, Condition, StatusWords
from sidecars.adapter.rules.results import RuleResult
from sidecars.adapter.settings import App
from sidecars.adapter.verdict.hysteresis import Hysteresis
from sidecars.adapter.verdict.rule_file import ReloadingRules
from sidecars.adapter.verdict.verdict import NO_ANSWER, Check, Status, Verdict, verdict_of

Clock = Callable[[], float]

_STATUS: dict[Condition, Status] = {"pass": "pass", "warn": "warn", "fail": "fail", "unknown": "fail"}


def options_of(app: App) -> InterpretationOptions:
    """How much is taken of the app's answers."""
    words = StatusWords(app.status_values) if app.status_values else BUILT_IN
    return InterpretationOptions(
        app.max_body, app.max_series, app.select or (), words, app.valid_status_codes, app.source_format
    )


class Judge:
    """The judge of one question. It remembers, so there is one for each."""

    def __init__(
        self,
        app: App,
        app_request: AppRequest,
        rulebook: ReloadingRules | None,
        wall: Clock = time.time,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self._app_request = app_request
        self._rulebook = rulebook
        self._limits = options_of(app)
        self._hysteresis = Hysteresis(app.fail_after, app.pass_after, app.grace, monotonic())
        self._wall = wall
        self._monotonic = monotonic
        self.verdict: Verdict | None = None
        """The latest one."""
        # Weak, so that a large page is let go once nobody is told of it any more.
        self._judged: WeakKeyDictionary[Outcome, Verdict] = WeakKeyDictionary()

    def judge(self, outcome: Outcome) -> Verdict:
        """Return the verdict on this outcome; the same one when it is asked again, also after a later one."""
        known = self._judged.get(outcome)
        if known is None:
            known = self._hysteresis.apply(verdict_of(self._checks(outcome)), self._monotonic())
            self.verdict = self._judged[outcome] = known
        return known

    def _checks(self, outcome: Outcome) -> Iterator[Check]:
        try:
            reading = read(outcome, self._limits)
        except UnusableResponse as error:
            reason = f"{self._app_request.url} {error.phrase}"
            yield Check("app", "fail", reason)
            if self._rulebook:
                yield from map(_of_finding, self._rulebook.evaluator().no_data_results(NO_ANSWER))
            return
        if self._rulebook:
            if reading.problem:
                yield Check("app", "fail", f"{self._app_request.url} {reading.problem}")
            results = self._rulebook.evaluator().evaluate(reading.exposition, self._wall(), reading.unknown)
            yield from map(_of_finding, results)
        else:
            yield from self._own_word(reading)

    def _own_word(self, reading: Interpretation) -> Iterator[Check]:
        """Yield the checks where there are no rules."""
        health = reading.health
        if health:
            yield Check("app", _STATUS[health.condition], health.problem or _says(health.condition), words=health.words)
            for part in health.components:
                status = _STATUS[part.condition]
                words = "" if status == "pass" else part.reason
                yield Check(part.name, _capped(status, health), _says(part.condition), words=words)
            return
        if reading.problem:
            yield Check("app", "fail", f"{self._app_request.url} {reading.problem}")
        yield from (Check(each.name, "fail", each.reason, words=each.words) for each in _first_of_each(reading.unknown))
        if not reading.problem and not reading.unknown:
            yield Check("metrics", "pass")


def _first_of_each(unknown: UnknownValues) -> Iterator[UnknownValue]:
    return (one for name in unknown.names() if (one := unknown.find(name, ())))


def _of_finding(result: RuleResult) -> Check:
    reason = "" if result.status == "pass" else result.reason
    return Check(
        result.name,
        result.status,
        reason,
        result.value,
        result.threshold,
        is_rule=True,
        comparison=result.rule.comparison,
        severity=result.severity,
        words=result.words,
    )


def _says(condition: Condition) -> str:
    return "" if condition == "pass" else f"the app says {condition}"


def _capped(status: Status, health: Health) -> Status:
    """A failed component of an app that is well for all that (or only warns) is a warning: the app's word counts."""
    return "warn" if status == "fail" and health.up else status
