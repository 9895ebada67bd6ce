"""The times of one sink's deliveries: when it last accepted something, and how long its lines had waited. No I/O."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable

BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)  # seconds


class DeliveryTimes:
    """The delivery times of one sink. Its queue writes them; `/metrics` reads them.

    last_success   Unix time at which the sink last accepted a line; 0 before the first
    counts         batches by the time that their oldest line had waited, in the intervals of BOUNDS
    seconds        the sum of these times
    """

    __slots__ = ("_clock", "counts", "last_success", "seconds")

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.last_success = 0.0
        self.counts = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def last_success_age(self) -> float | None:
        """Return the seconds since the sink last accepted a line; None before the first."""
        return max(0.0, self._clock() - self.last_success) if self.last_success else None

    def record(self, waited: float) -> None:
        """Record a batch of which the sink accepted a line, and whose oldest line had waited for so many seconds."""
        self.last_success = self._clock()
        self.counts[bisect_left(BOUNDS, waited)] += 1
        self.seconds += waited
