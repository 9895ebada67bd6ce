"""A quantile of the response times of the last minute, in bounded memory. No I/O; time is passed in.

The times are counted in a histogram whose bounds grow by a twentieth. So the estimate is never below the exact quantile
of the same times, and less than 5 % above it. The counts decay (time constant 30 s): a change of the times shows within
seconds under traffic, and old times are forgotten. There is no estimate before enough times were counted.
"""

from __future__ import annotations

from math import ceil, exp, log
from typing import Final

GROWTH: Final = 1.05  # from one bound to the next
FIRST: Final = 0.0001  # seconds; all shorter times count as this
LAST: Final = 120.0  # seconds; all longer times count as this
LEAST: Final = 50.0  # times that an estimate needs, after their decay

_PER_FACTOR_E: Final = 1.0 / log(GROWTH)
_INTERVALS: Final = ceil(log(LAST / FIRST) * _PER_FACTOR_E) + 1
_DECAY: Final = 30.0  # seconds in which a count decays to a third (1/e)


class LatencyQuantile:
    """The estimate of one quantile. Its owner records each time, and calls `update` a few times a second."""

    def __init__(self, share: float, now: float) -> None:
        """`share`: of the times that are no longer than the quantile, such as 0.95."""
        self._share = share
        self._counts = [0.0] * _INTERVALS  # the times up to FIRST, and then those of each interval
        self._total = 0.0
        self._updated_at = now
        self.seconds = 0.0  # the estimate; 0: too few times are known

    def record(self, seconds: float) -> None:
        """Count a time."""
        place = 0 if seconds <= FIRST else ceil(log(seconds / FIRST) * _PER_FACTOR_E)
        self._counts[min(place, _INTERVALS - 1)] += 1.0
        self._total += 1.0

    def update(self, now: float) -> None:
        """Let the counts decay, and estimate anew."""
        passed, self._updated_at = now - self._updated_at, now
        if passed > 0.0:
            kept = exp(-passed / _DECAY)
            self._counts = [count * kept for count in self._counts]
            self._total = sum(self._counts)
        self.seconds = self._estimate() if self._total >= LEAST else 0.0

    def _estimate(self) -> float:
        """Return the upper bound of the interval that has the quantile."""
        longer = self._total * (1.0 - self._share) * (1.0 + 1e-9)  # 5 % of 100 times are not one less for a rounding
        seen = 0.0
        for place in range(_INTERVALS - 1, 0, -1):
            seen += self._counts[place]
            if seen > longer:
                return FIRST * GROWTH**place
        return FIRST
