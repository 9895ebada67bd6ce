"""Rates such as `500/s`, and one exact token bucket. Pure: the time is passed in, and all arithmetic is of integers.

A bucket holds up to `burst` tokens and gets `rate` of them in a time; an event takes one. So in any span of t seconds
at most `rate * t + burst` events pass. A bucket is one number: when it will be full. Its unit is nanoseconds times the
number of the rate, so that the time of one token is a whole number, too.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_SECOND = 10**9  # nanoseconds
_UNITS = {"s": _SECOND, "m": 60 * _SECOND, "h": 3600 * _SECOND}
_RATE = re.compile(r"([1-9][0-9]{0,8})\s*/\s*([smh])")


class Rate(NamedTuple):
    """So many events in a period, in nanoseconds."""

    events: int
    period: int


def parse_rate(text: str) -> Rate:
    """Return the rate of a text such as `500/s`, `30/m` or `1000/h`. Raises ValueError."""
    match = _RATE.fullmatch(text.strip())
    if not match:
        raise ValueError("expected a number of events for a second, minute or hour, such as 500/s, 30/m, 1000/h")
    return Rate(int(match[1]), _UNITS[match[2]])


class TokenBucket:
    """One bucket, full at the beginning. `now`: nanoseconds of a monotonic clock."""

    __slots__ = ("_capacity", "_full_at", "_rate")

    def __init__(self, rate: Rate, burst: int) -> None:
        self._rate = rate
        self._capacity = burst * rate.period
        self._full_at = 0

    def take(self, now: int) -> bool:
        """Take a token and return True, or return False if there is none."""
        scaled = now * self._rate.events
        full_at = max(self._full_at, scaled) + self._rate.period
        if full_at - scaled > self._capacity:
            return False
        self._full_at = full_at
        return True

    def tokens(self, now: int) -> int:
        """Return the tokens that it has."""
        scaled = now * self._rate.events
        return (scaled + self._capacity - max(self._full_at, scaled)) // self._rate.period

    def ready_at(self, now: int) -> int:
        """Return when it has a token."""
        return max(now, -(-(self._full_at + self._rate.period - self._capacity) // self._rate.events))
