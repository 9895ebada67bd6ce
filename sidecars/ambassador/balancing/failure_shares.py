"""Ejection by an endpoint's share of failures, beside that by failures in a row. No I/O; time is passed in.

An endpoint that fails every third attempt seldom fails five times in a row. So once a second the last ten seconds of
each endpoint are compared with those of all others together. It is due for ejection if all of this holds:

- It has had EJECT_VOLUME outcomes, and so have the others together. A single endpoint is never ejected like this.
- Its share of failures is EJECT_FAILURE_RATE or more.
- It is twice as bad as the others, or halfway between them and complete failure: if all fail, none is the cause.
- The difference is six standard deviations or more (test of two proportions). By chance alone that happens to one of a
  billion windows. Envoy compares with the deviation between endpoints instead, which needs five of them, and always
  finds an outlier among many.

The counts are those that the endpoint keeps anyway, so an attempt costs nothing. A failure is one that counts for
EJECT_AFTER: 5xx but 501 and 505, a reset, a time-out. The ejection lasts at least ten seconds, since it takes as long
to see whether it was too short. The outcomes before an ejection are forgotten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import sqrt
from typing import Final

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.balancing.outlier_ejection import READY

WINDOW: Final = 10.0  # seconds
_EVERY: Final = 1.0  # seconds between two looks
_DEVIATIONS: Final = 6.0


class _Window:
    """The outcomes of one endpoint in the last seconds."""

    __slots__ = ("_marks", "failures", "outcomes")

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int, int]] = deque()  # times, and the counts then
        self.outcomes = 0
        self.failures = 0

    def look(self, endpoint: Endpoint, now: float) -> None:
        """Take up the counts of the endpoint."""
        marks = self._marks
        ended, failures = endpoint.attempts - endpoint.pending, endpoint.failures
        marks.append((now, ended, failures))
        while marks[0][0] < now - WINDOW:
            marks.popleft()
        _, first_ended, first_failures = marks[0]
        self.failures = failures - first_failures
        self.outcomes = max(ended - first_ended, self.failures)


class FailureShares:
    """The shares of failures of all endpoints of one upstream. Its balancer owns it."""

    __slots__ = ("_looked_at", "_rate", "_volume", "_windows")

    def __init__(self, rate: float, volume: int) -> None:
        """`rate` is a share, EJECT_FAILURE_RATE; `volume` is EJECT_VOLUME."""
        self._rate = rate
        self._volume = volume
        self._windows: dict[Endpoint, _Window] = {}
        self._looked_at = 0.0

    def due(self, endpoints: Sequence[Endpoint], now: float) -> list[Endpoint]:
        """Return the endpoints that are due for ejection, the worst one first. Call it a few times a second."""
        if now - self._looked_at < _EVERY:
            return []
        self._looked_at = now
        known, self._windows = self._windows, {}
        outcomes = failures = 0
        for endpoint in endpoints:
            if endpoint.ejection.state is READY:
                window = known.get(endpoint) or _Window()
                window.look(endpoint, now)
                self._windows[endpoint] = window
                outcomes += window.outcomes
                failures += window.failures
        found = [
            (window.failures / window.outcomes, number, endpoint)
            for number, (endpoint, window) in enumerate(self._windows.items())
            if self._is_outlier(window.failures, window.outcomes, failures, outcomes)
        ]
        found.sort(reverse=True)
        return [endpoint for _, _, endpoint in found]

    def _is_outlier(self, failures: int, outcomes: int, all_failures: int, all_outcomes: int) -> bool:
        others = all_outcomes - outcomes
        if outcomes < max(1, self._volume) or others < max(1, self._volume) or failures < self._rate * outcomes:
            return False
        share, of_others = failures / outcomes, (all_failures - failures) / others
        if share < min(2.0 * of_others, (1.0 + of_others) / 2.0):
            return False
        together = all_failures / all_outcomes
        deviation = sqrt(together * (1.0 - together) * (1.0 / outcomes + 1.0 / others))
        return share - of_others >= _DEVIATIONS * deviation > 0.0
