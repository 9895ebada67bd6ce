"""What is counted of one upstream, in plain integers while requests pass. `sidecars.ambassador.metrics` shows it."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from sidecars.ambassador.balancing.endpoint import BOUNDS

_STATUSES: Final = 1000


class Counters:
    """The counts of one upstream."""

    __slots__ = (
        "_codes",
        "accepted",
        "delivered",
        "durations",
        "errors",
        "races",
        "received",
        "retries",
        "seconds",
        "sent",
    )

    def __init__(self) -> None:
        self._codes = [0] * _STATUSES
        self.durations = [0] * (len(BOUNDS) + 1)  # requests by how long they took, in the intervals of BOUNDS
        self.seconds = 0.0  # that they took together
        self.errors: dict[str, int] = {}  # by the error types of RFC 9209
        self.accepted = 0  # connections from the app
        self.retries = 0
        self.races = 0  # requests repeated because an idle connection closed under them
        self.sent = 0  # bytes to the upstream
        self.received = 0  # bytes from the upstream
        self.delivered = 0  # bytes to the app

    def observe(self, status: int, seconds: float) -> None:
        """A request has ended with this status, after this time."""
        self._codes[status] += 1
        self.durations[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def fail(self, error: str) -> None:
        """The ambassador answered itself, or broke off an answer, because of this."""
        self.errors[error] = self.errors.get(error, 0) + 1

    @property
    def codes(self) -> list[tuple[int, int]]:
        """The statuses that were delivered, and how often."""
        return [(code, count) for code, count in enumerate(self._codes) if count]

    @property
    def requests(self) -> int:
        return sum(self._codes)
