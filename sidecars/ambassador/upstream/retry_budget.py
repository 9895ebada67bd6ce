"""The retry budget of one upstream: retries are a bounded share of its traffic. No I/O; time is passed in.

If everything fails, retries must not multiply the load. A share of the requests (RETRY_BUDGET) may be retried, and ten
requests a second in any case. Unused retries are saved: at most as many as ten seconds of the present traffic earn, and
a hundred in any case. So a replica that breaks with a thousand requests under way costs none of them, and a lasting
failure adds no more than its share to the load.

Hedges are paid from the same savings, and leave half of them for retries.
"""

from __future__ import annotations

from math import exp
from typing import Final

_PER_SECOND: Final = 10.0  # retries that are always allowed
_MIN_SAVINGS: Final = 100.0  # retries that can always be saved
_SAVED_FOR: Final = 10.0  # seconds of traffic whose retries can be saved


class RetryBudget:
    """The retries that are left. Every exchange earns, every retry spends."""

    __slots__ = ("_max_savings", "_recent", "_refilled_at", "_requests", "_share", "saved")

    def __init__(self, now: float, share: float) -> None:
        """`share` is the number of retries that a request earns."""
        self._share = share
        self._refilled_at = now
        self._requests = 0  # since the last refill
        self._recent = 0.0  # requests of the last seconds; newer ones weigh more
        self._max_savings = self.saved = _MIN_SAVINGS

    @property
    def most(self) -> float:
        """The retries that can be saved at present."""
        return self._max_savings

    def earn(self) -> None:
        """Count a request that begins."""
        self._requests += 1
        if self.saved < self._max_savings:
            self.saved += self._share

    def spend(self) -> bool:
        """Take a retry and return True, or return False if none is left."""
        if self.saved < 1:
            return False
        self.saved -= 1
        return True

    def spend_on_hedge(self) -> bool:
        """Take a retry for a hedge and return True, or return False if no more than half of the savings are left."""
        if self.saved < 1 + self._max_savings / 2:
            return False
        self.saved -= 1
        return True

    def refill(self, now: float) -> None:
        """Add the retries that time earns. Call it a few times a second."""
        passed, self._refilled_at = now - self._refilled_at, now
        self._recent = self._recent * exp(-passed / _SAVED_FOR) + self._requests
        self._requests = 0
        self._max_savings = max(_MIN_SAVINGS, self._share * self._recent)
        self.saved = min(self._max_savings, self.saved + passed * _PER_SECOND)
