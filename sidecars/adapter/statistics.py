"""What has happened so far: the counts behind `/metrics` and the last results behind `/status`. No I/O.

Plain numbers, changed by the hot path and read at scrape time. Every label comes from the settings, but for the status
codes, which are the app's.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sidecars.adapter.app_client.outcome import NoResponse, Outcome, Reason
from sidecars.adapter.exposition.page_faults import FaultKind
from sidecars.adapter.server.routes import OTHER, Route
from sidecars.adapter.verdict.probe_response import ProbeResponse
from sidecars.adapter.verdict.verdict import Check, Verdict, worst_first

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.8, 1.0, 2.5, 5.0, 10.0)  # seconds

MOST_CHECKS = 500  # of an app's own checks that `/status` tells

Clock = Callable[[], float]


class DurationHistogram:
    """A histogram: how many took at most so long, bucket by bucket, and the sum."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds


@dataclass(frozen=True, slots=True)
class LastResponse:
    """What is kept of an answer: all but its bytes."""

    status: int
    why: str
    good: bool


class CheckHistory:
    """One check of a verdict: how it is, since when, and what was last wrong with it."""

    __slots__ = ("_last_error", "_last_error_at", "_since", "check")

    def __init__(self, check: Check, now: float) -> None:
        self.check = check
        self._since = now
        self._last_error = ""
        self._last_error_at = 0.0
        self._note_error(now)

    def judged(self, check: Check, now: float) -> None:
        if check.status != self.check.status:
            self._since = now
        self.check = check
        self._note_error(now)

    def _note_error(self, now: float) -> None:
        if self.check.status != "pass":
            self._last_error, self._last_error_at = self.check.reason, now

    def page(self) -> dict[str, Any]:
        error = {"reason": self._last_error, "at": _stamp(self._last_error_at)} if self._last_error_at else None
        return {
            "status": self.check.status,
            "value": _finite(self.check.value),
            "threshold": _finite(self.check.threshold),
            "wanted": self.check.wanted or None,
            "since": _stamp(self._since),
            "last_error": error,
        }


def _kept(verdict: Verdict) -> Sequence[Check]:
    """All rules, and of the app's own checks as many as there is room for, the worst first."""
    if len(verdict.checks) <= MOST_CHECKS:
        return verdict.checks
    rules = [check for check in verdict.checks if check.is_rule]
    return rules + worst_first(check for check in verdict.checks if not check.is_rule)[:MOST_CHECKS]


class RouteStatistics:
    """One route: how often it gave which answer, how long that took, and how it is now."""

    def __init__(self, path: str, clock: Clock) -> None:
        self.path = path
        self.codes: Counter[int] = Counter()
        self.durations = DurationHistogram()
        self.last: LastResponse | None = None
        self.last_error = ""
        self.verdict: Verdict | None = None
        self.checks: dict[str, CheckHistory] = {}
        self._left_out = 0
        self._clock = clock
        self._last_at = self._since = self._last_error_at = self._verdict_since = 0.0

    def answered(self, answer: ProbeResponse, seconds: float) -> bool:
        """Note an answer; True when the route has turned from good to bad or back."""
        self.codes[answer.status] += 1
        self.durations.observe(seconds)
        before, self._last_at = self.last, self._clock()
        if before is None or (before.status, before.why) != (answer.status, answer.why):
            self._since = self._last_at
            self.last = LastResponse(answer.status, answer.why, answer.good)
        if not answer.good:
            self.last_error = answer.why or f"the app answered {answer.status}"
            self._last_error_at = self._last_at
        return answer.good != (before.good if before else True)

    def refused(self, answer: ProbeResponse) -> None:
        """Note an answer that says nothing about the app, such as 405."""
        self.codes[answer.status] += 1

    def judged(self, verdict: Verdict) -> None:
        """Note a new verdict. Checks that it does not have any more are forgotten.

        Of an app's own checks, of which there may be thousands, the worst `MOST_CHECKS` are kept.
        """
        now = self._clock()
        if self.verdict is None or self.verdict.status != verdict.status:
            self._verdict_since = now
        self.verdict = verdict
        before, self.checks = self.checks, {}
        kept = _kept(verdict)
        self._left_out = len(verdict.checks) - len(kept)
        for check in kept:
            known = before.get(check.label)
            if known:
                known.judged(check, now)
            self.checks[check.label] = known or CheckHistory(check, now)

    def page(self) -> dict[str, Any]:
        """The route's last result, for people."""
        page: dict[str, Any] = {"last": None, "since": None, "last_error": None}
        if self.last:
            page["last"] = {"status": self.last.status, "good": self.last.good, "at": _stamp(self._last_at)}
            page["since"] = _stamp(self._since)
        if self.last_error:
            page["last_error"] = {"reason": self.last_error, "at": _stamp(self._last_error_at)}
        if self.verdict:
            page["verdict"] = {
                "status": self.verdict.status,
                "since": _stamp(self._verdict_since),
                "holding": self.verdict.holding or None,
                "reason": self.verdict.own_reason or None,
                "checks": {label: check.page() for label, check in self.checks.items()},
            }
            if self._left_out:
                page["verdict"]["checks_left_out"] = self._left_out
        return page


class AppStatistics:
    """One app: how often it was asked, why it gave no answer, and what was wrong with its metrics."""

    def __init__(self, clock: Clock = time.time) -> None:
        self.requests = 0
        self.errors: Counter[Reason] = Counter()
        self.faults: Counter[FaultKind] = Counter()
        """Of all its pages."""
        self.left_out = 0
        """Families of its last page that contradict themselves."""
        self._clock = clock
        self._last_faults: Sequence[str] = ()
        self._last_faults_at = 0.0
        self.rule_files: list[Callable[[], str]] = []
        """Each says why the file of rules as it is now is not in force, "" when it is."""

    def rules_problem(self) -> str:
        """Why the rules in force are not those of the file; "" when they are."""
        return next(filter(None, (problem() for problem in self.rule_files)), "")

    def interpretation(self, faults: Mapping[FaultKind, int], told: Sequence[str], left_out: int) -> list[FaultKind]:
        """Note how a page of metrics was: its faults by kind, and as sentences. Returns the kinds that are new."""
        new = [kind for kind in faults if kind not in self.faults]
        self.faults.update(faults)
        self.left_out = left_out
        if faults:
            self._last_faults, self._last_faults_at = told, self._clock()
        return new

    def metrics_page(self) -> dict[str, Any] | None:
        """The faults of its pages of metrics, for people; None where there were none."""
        if not self.faults:
            return None
        return {
            "families_left_out": self.left_out,
            "last_faults": {"reasons": list(self._last_faults), "at": _stamp(self._last_faults_at)},
            "faults": dict(self.faults),
        }

    def outcome(self, outcome: Outcome) -> None:
        if isinstance(outcome, NoResponse):
            self.errors[outcome.reason] += 1


class Statistics:
    """Everything there is to tell."""

    def __init__(self, routes: Iterable[Route], clock: Clock = time.time) -> None:
        self._table = {route.path: route for route in routes}
        self.routes = {path: RouteStatistics(path, clock) for path in self._table}
        self.other = RouteStatistics(OTHER, clock)
        self.apps = {
            app_request.app: AppStatistics(clock)
            for route in self._table.values()
            for app_request in route.app_requests
        }

    def page(self) -> dict[str, Any]:
        """What `/status` says of the routes, and of rules that could not be read again."""
        page: dict[str, Any] = {
            "routes": {
                path: {
                    "asks": {app_request.app: app_request.url for app_request in route.app_requests},
                    "mode": route.mode,
                    **self.routes[path].page(),
                }
                for path, route in self._table.items()
            }
        }
        pages = {name: found for name, app in self.apps.items() if (found := app.metrics_page())}
        if pages:
            page["metrics_pages"] = pages
        problems = {name: app.rules_problem() for name, app in self.apps.items() if app.rule_files}
        if problems:
            page["rules"] = {name: problem or "in force as the file has them" for name, problem in problems.items()}
        return page


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _finite(value: float | None) -> float | str | None:
    """JSON has no NaN and no infinity."""
    return value if value is None or math.isfinite(value) else str(value)
