"""Token buckets: how many events of a key may pass now. Pure: the time is passed in. All arithmetic is exact.

A bucket holds up to `burst` tokens and gets `rate` of them in a time; an event takes one. So for each key and any span
of t seconds at most `rate * t + burst` events pass.

The app chooses the keys, so their number is bounded: `most` of them have a bucket of their own, and all others share
one. The bucket that was used longest ago makes room for a new key, once it is full: a full bucket is as good as none,
so no key passes more by being forgotten. A new key begins with the tokens of the shared bucket: it may have
used that before.

A bucket is one number: when it will be full. Its unit is nanoseconds times the number of the rate, so that the time of
one token is a whole number, too.
"""

from __future__ import annotations

from collections import OrderedDict

from sidecars.chassis.config.rates import Rate

MOST_KEYS = 1000
OTHERS = ""
"""The name of the shared bucket. A key is never empty."""


class TokenBuckets:
    """The buckets of one rate. `now`: nanoseconds of a monotonic clock."""

    def __init__(self, rate: Rate, burst: int, most: int = MOST_KEYS) -> None:
        self._rate = rate
        self._capacity = burst * rate.period
        self._most = most
        self._full_at: OrderedDict[str, int] = OrderedDict()  # the key that was used last comes last
        self._others_full_at = 0

    def __len__(self) -> int:
        """Return the number of keys that have a bucket of their own."""
        return len(self._full_at)

    def place(self, key: str, now: int) -> str:
        """Return the name of the key's bucket: the key, or OTHERS. Make one if there is room for it."""
        if key in self._full_at:
            self._full_at.move_to_end(key)
            return key
        if len(self._full_at) >= self._most:
            oldest = next(iter(self._full_at))
            if self._full_at[oldest] > now * self._rate.events:
                return OTHERS
            del self._full_at[oldest]
        self._full_at[key] = self._others_full_at
        return key

    def tokens(self, place: str, now: int) -> int:
        """Return the tokens of a bucket; negative if it was charged with more than it had."""
        scaled = now * self._rate.events
        return (scaled + self._capacity - max(self._read(place), scaled)) // self._rate.period

    def take(self, place: str, wanted: int, now: int) -> int:
        """Take up to `wanted` tokens out of a bucket. Return how many it had."""
        taken = min(wanted, max(0, self.tokens(place, now)))
        if taken:
            self.charge(place, taken, now)
        return taken

    def charge(self, place: str, count: int, now: int) -> None:
        """Take so many tokens, whether the bucket has them or not; put them back if `count` is negative."""
        full_at = max(self._read(place), now * self._rate.events) + count * self._rate.period
        if place == OTHERS:
            self._others_full_at = full_at
        else:
            self._full_at[place] = full_at

    def ready_at(self, place: str, count: int, now: int) -> int:
        """Return when the bucket has `count` tokens, or is full."""
        needed = min(count * self._rate.period, self._capacity)
        return max(now, -(-(self._read(place) + needed - self._capacity) // self._rate.events))

    def _read(self, place: str) -> int:
        return self._others_full_at if place == OTHERS else self._full_at[place]
