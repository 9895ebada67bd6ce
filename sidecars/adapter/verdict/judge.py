"""The judge: from the outcome of a request to a verdict.

    outcome                            verdict before hysteresis
    no response, or not usable         fail; each rule is without data
    metrics, and rules                 as the rules decide
    metrics, no rules                  pass: the app answers with a complete page
    a health document, and rules       as the rules decide about its translation to metrics
    a health document, no rules        as the app reports; a status that is not understood is a failure
    numbers of ADAPTER_SELECT          as the rules decide; a value that is not understood is a failure

The HTTP status counts as well: if it is none of ADAPTER_VALID_STATUS_CODES, an app fails even if its document reports
that it is well, or if it only has numbers.

Each outcome is judged once, however many probers share it: rates of the rules and the counts of hysteresis are about
the app, and not about its probers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sidecars.adapter.app_client.background_threads import LARGE, BackgroundThreads
from sidecars.adapter.app_client.interpretation import (
    Interpretation,
    InterpretationOptions,
    UnusableResponse,
    interpret,
)
from sidecars.adapter.app_client.outcome import AppRequest, Outcome
from sidecars.adapter.exposition.cancellation import Checkpoint
from sidecars.adapter.exposition.unknown_values import UnknownValue, UnknownValues
from sidecars.adapter.health.documents import HealthDocument
from sidecars.adapter.health.status_words import BUILT_IN, HealthStatus, StatusWords
from sidecars.adapter.rules.results import RuleResult
from sidecars.adapter.rules.rule_evaluator import RuleEvaluator
from sidecars.adapter.settings import App
from sidecars.adapter.verdict.check_history import CheckHistories
from sidecars.adapter.verdict.hysteresis import Hysteresis
from sidecars.adapter.verdict.rule_file import ReloadingRules
from sidecars.adapter.verdict.verdict import NO_RESPONSE, Check, Status, Verdict, verdict_of

Clock = Callable[[], float]

_STATUS: dict[HealthStatus, Status] = {"pass": "pass", "warn": "warn", "fail": "fail", "unknown": "fail"}


def options_of(app: App) -> InterpretationOptions:
    """Return the settings for the interpretation of the app's responses."""
    words = StatusWords(app.status_values) if app.status_values else BUILT_IN
    return InterpretationOptions(
        app.max_body, app.max_series, app.select or (), words, app.valid_status_codes, app.source_format
    )


class Judge:
    """The judge of one app request. It owns the hysteresis and the rules' history, so each request has its own judge.

    verdict  the latest one; None before the first
    """

    def __init__(
        self,
        app: App,
        app_request: AppRequest,
        rules: ReloadingRules | None,
        wall: Clock = time.time,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self.verdict: Verdict | None = None
        self._app_request = app_request
        self._rules = rules
        self._options = options_of(app)
        self._hysteresis = Hysteresis(app.fail_after, app.pass_after, app.grace, monotonic())
        self._wall = wall
        self._monotonic = monotonic
        self._history = CheckHistories()
        # Weak keys, so that a large page is freed as soon as no prober needs it.
        self._judged: WeakKeyDictionary[Outcome, Verdict] = WeakKeyDictionary()
        self._in_progress: dict[Outcome, asyncio.Task[Verdict]] = {}
        self._turn = asyncio.Lock()

    def judge(self, outcome: Outcome) -> Verdict:
        """Return the verdict on this outcome. A second call with it returns the same verdict, even after later ones."""
        known = self._judged.get(outcome)
        return known or self._decide(outcome, tuple(self._checks(outcome, self._evaluator())))

    async def judge_in_turn(self, outcome: Outcome, background: BackgroundThreads) -> Verdict:
        """Return the verdict on this outcome. A large page is judged by the thread of its app.

        Outcomes are judged in the order of the calls, and each is judged to its end, even if no caller waits any more:
        a part of it would be in the rules' history.
        """
        known, task = self._judged.get(outcome), self._in_progress.get(outcome)
        if known:
            return known
        if task is None:
            if not self._in_progress and _work_on(outcome, self._evaluator()) < LARGE:
                return self.judge(outcome)
            task = self._in_progress[outcome] = asyncio.create_task(self._judge_behind_others(outcome, background))
            task.add_done_callback(lambda _: self._in_progress.pop(outcome))
        return await asyncio.shield(task)

    async def _judge_behind_others(self, outcome: Outcome, background: BackgroundThreads) -> Verdict:
        async with self._turn:
            evaluator = self._evaluator()

            def work(_checkpoint: Checkpoint) -> tuple[Check, ...]:
                return tuple(self._checks(outcome, evaluator))

            checks = await background.run(self._app_request.app, _work_on(outcome, evaluator), work)
            return self._decide(outcome, checks)

    def _decide(self, outcome: Outcome, checks: Sequence[Check]) -> Verdict:
        now = self._monotonic()
        verdict = self._hysteresis.apply(verdict_of(checks), now)
        self.verdict = self._judged[outcome] = verdict
        self._history.record(verdict, now)
        return verdict

    def status_page(self) -> dict[str, Any]:
        """Return the judge's part of `/status`: the verdict, the conditions for a change, and the checks."""
        now = self._monotonic()
        return {"hysteresis": self._hysteresis.missing(now), **self._history.status_page(now)}

    def _evaluator(self) -> RuleEvaluator | None:
        """Return the evaluator of the rules in force. Called on the event loop: `/status` reads the file there, too."""
        return self._rules.evaluator() if self._rules else None

    def _checks(self, outcome: Outcome, evaluator: RuleEvaluator | None) -> Iterator[Check]:
        try:
            interpretation = interpret(outcome, self._options)
        except UnusableResponse as error:
            yield Check("app", "fail", f"{self._app_request.url} {error.phrase}")
            if evaluator:
                yield from map(_check_of, evaluator.no_data_results(NO_RESPONSE))
            return
        if evaluator:
            if interpretation.problem:
                yield Check("app", "fail", f"{self._app_request.url} {interpretation.problem}")
            page, unknown = interpretation.exposition, interpretation.unknown
            yield from map(_check_of, evaluator.evaluate(page, self._wall(), unknown))
        elif interpretation.health:
            yield from _checks_of_document(interpretation.health)
        else:
            yield from self._checks_of_numbers(interpretation)

    def _checks_of_numbers(self, interpretation: Interpretation) -> Iterator[Check]:
        """Yield the checks of metrics, or of selected numbers, for which no rules are set."""
        if interpretation.problem:
            yield Check("app", "fail", f"{self._app_request.url} {interpretation.problem}")
        for value in _first_of_each(interpretation.unknown):
            yield Check(value.name, "fail", value.reason, detail=value.detail)
        if not interpretation.problem and not interpretation.unknown:
            yield Check("metrics", "pass")


def _work_on(outcome: Outcome, evaluator: RuleEvaluator | None) -> int:
    """Return the bytes of the page to go through: once for each rule."""
    found = getattr(outcome, "interpretation", None)
    size = len(found.exposition.page) if isinstance(found, Interpretation) else 0
    return size * (evaluator.count if evaluator else 1)


def _checks_of_document(document: HealthDocument) -> Iterator[Check]:
    """Yield the checks of a health document for which no rules are set.

    A component that fails while the whole document passes or warns is only a warning.
    """
    reason = document.problem or _reported(document.status)
    yield Check("app", _STATUS[document.status], reason, detail=document.detail)
    for component in document.components:
        status = _STATUS[component.status]
        detail = "" if status == "pass" else component.reason
        capped: Status = "warn" if status == "fail" and document.up else status
        yield Check(component.name, capped, _reported(component.status), detail=detail)


def _reported(status: HealthStatus) -> str:
    return "" if status == "pass" else f"the app reports {status}"


def _first_of_each(unknown: UnknownValues) -> Iterator[UnknownValue]:
    """Yield the first unknown value of each metric."""
    return (value for name in unknown.names() if (value := unknown.find(name, ())))


def _check_of(result: RuleResult) -> Check:
    """Return the result of a rule as a check."""
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
        detail=result.detail,
    )
