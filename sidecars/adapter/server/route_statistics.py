"""Statistics of the routes: the counts for `/metrics`, and the last results for `/status`. No I/O.

The server writes these plain numbers for every request; they are read at scrape time. Every label comes from the
settings, except HTTP statuses, which are the app's.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sidecars.adapter.server.routes import OTHER, Route
from sidecars.adapter.verdict.check_history import finite, kept_checks
from sidecars.adapter.verdict.probe_response import ProbeResponse
from sidecars.adapter.verdict.verdict import Check, Verdict

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.8, 1.0, 2.5, 5.0, 10.0)  # seconds

Clock = Callable[[], float]


class DurationHistogram:
    """A histogram of durations in seconds: the number in each bucket, not cumulative, and the sum of all."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds


@dataclass(frozen=True, slots=True)
class LastResponse:
    """The last response of a route, without its body. `passing` is that of `ProbeResponse`."""

    status: int
    reason: str
    passing: bool


class CheckHistory:
    """One check of a verdict: its latest result, the time at which it got that status, and its last failure."""

    __slots__ = ("_last_error", "_last_error_at", "_since", "check")

    def __init__(self, check: Check, now: float) -> None:
        self.check = check
        self._since = now
        self._last_error = ""
        self._last_error_at = 0.0
        self._note_error(now)

    def update(self, check: Check, now: float) -> None:
        if check.status != self.check.status:
            self._since = now
        self.check = check
        self._note_error(now)

    def _note_error(self, now: float) -> None:
        if self.check.status != "pass":
            self._last_error, self._last_error_at = self.check.reason, now

    def status_page(self) -> dict[str, Any]:
        at = self._last_error_at
        return {
            "status": self.check.status,
            "value": finite(self.check.value),
            "threshold": finite(self.check.threshold),
            "wanted": self.check.wanted or None,
            "since": format_time(self._since),
            "last_error": {"reason": self._last_error, "at": format_time(at)} if at else None,
        }


class RouteStatistics:
    """The statistics of one route.

    codes      responses by HTTP status
    dialects   verdicts by the dialect in which they were sent
    durations  of the requests to the route
    last       the last response; None before the first
    verdict    the last verdict; None before the first, and in the other modes
    checks     the checks of that verdict, by label
    """

    def __init__(self, path: str, clock: Clock) -> None:
        self.path = path
        self.codes: Counter[int] = Counter()
        self.dialects: Counter[str] = Counter()
        self.durations = DurationHistogram()
        self.last: LastResponse | None = None
        self.verdict: Verdict | None = None
        self.checks: dict[str, CheckHistory] = {}
        self._left_out = 0
        self._last_error = ""
        self._clock = clock
        self._last_at = self._since = self._last_error_at = self._verdict_since = 0.0

    def record_response(self, response: ProbeResponse, seconds: float) -> bool:
        """Record a response. Return True if the route has turned from passing to failing or back."""
        self.codes[response.status] += 1
        self.durations.observe(seconds)
        before, self._last_at = self.last, self._clock()
        if before is None or (before.status, before.reason) != (response.status, response.reason):
            self._since = self._last_at
            self.last = LastResponse(response.status, response.reason, response.passing)
        if not response.passing:
            self._last_error = response.reason or f"the app answered {response.status}"
            self._last_error_at = self._last_at
        return response.passing != (before.passing if before else True)

    def record_refusal(self, response: ProbeResponse) -> None:
        """Record a response that has nothing to do with the app, such as 405."""
        self.codes[response.status] += 1

    def count_dialect(self, dialect: str) -> None:
        self.dialects[dialect] += 1

    def record_verdict(self, verdict: Verdict) -> None:
        """Record a new verdict. Checks that it does not have any more are forgotten.

        A health document may have thousands of components. The worst `MOST_CHECKS` of them are kept.
        """
        now = self._clock()
        if self.verdict is None or self.verdict.status != verdict.status:
            self._verdict_since = now
        self.verdict = verdict
        before, self.checks = self.checks, {}
        kept = kept_checks(verdict)
        self._left_out = len(verdict.checks) - len(kept)
        for check in kept:
            known = before.get(check.label)
            if known:
                known.update(check, now)
            self.checks[check.label] = known or CheckHistory(check, now)

    def status_page(self) -> dict[str, Any]:
        """Return the route's part of `/status`."""
        page: dict[str, Any] = {"last": None, "since": None, "last_error": None}
        if self.last:
            page["last"] = {"status": self.last.status, "good": self.last.passing, "at": format_time(self._last_at)}
            page["since"] = format_time(self._since)
        if self._last_error:
            page["last_error"] = {"reason": self._last_error, "at": format_time(self._last_error_at)}
        if self.dialects:
            page["dialects"] = dict(self.dialects)
        if self.verdict:
            page["verdict"] = {
                "status": self.verdict.status,
                "since": format_time(self._verdict_since),
                "holding": self.verdict.holding or None,
                "reason": self.verdict.log_reason or None,
                "checks": {label: check.status_page() for label, check in self.checks.items()},
            }
            if self._left_out:
                page["verdict"]["checks_left_out"] = self._left_out
        return page


class ServerStatistics:
    """The statistics of all routes, by path, and of the requests that no route answers."""

    def __init__(self, routes: Iterable[Route], clock: Clock = time.time) -> None:
        self.routes = {route.path: RouteStatistics(route.path, clock) for route in routes}
        self.other = RouteStatistics(OTHER, clock)

    def of(self, label: str) -> RouteStatistics:
        """Return the statistics of the route with this path; of all other requests if there is none."""
        return self.routes.get(label, self.other)


def format_time(seconds: float) -> str:
    """Return a Unix time in UTC with milliseconds (RFC 3339)."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
