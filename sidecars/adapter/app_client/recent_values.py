"""The values of the last five minutes, for a sparkline: a ring of fixed size, written when a value comes. No I/O.

Time is cut into slots of SLOT seconds. A slot keeps the last value that came in it. There is no timer: slots in which
nothing came are gaps, and are filled in when the next value comes or the ring is read.
"""

from __future__ import annotations

from array import array
from math import isfinite, nan

SLOT = 5  # seconds
SLOTS = 60
SIZE = 1024  # bytes of a ring, at most

_EMPTY = array("d", [nan]) * SLOTS


class RecentValues:
    """A ring of values. Times are in seconds, of any one clock."""

    __slots__ = ("_slot", "_values")

    def __init__(self) -> None:
        self._values = _EMPTY[:]
        self._slot = 0  # number of the slot of the last value

    def add(self, value: float, now: float) -> None:
        """Add a value. One that is not finite leaves a gap."""
        slot = int(now // SLOT)
        if slot > self._slot:  # a clock that was set back does not empty the ring
            self._begin(slot)
        self._values[self._slot % SLOTS] = value

    def values(self, now: float) -> list[float | None]:
        """Return the values of the slots up to the present one, oldest first; None for a gap. The first is a value."""
        last = max(int(now // SLOT), self._slot)
        found: list[float | None] = []
        for slot in range(last - SLOTS + 1, last + 1):
            value = self._values[slot % SLOTS] if slot <= self._slot else nan
            if isfinite(value):
                found.append(float(f"{value:.6g}"))
            elif found:
                found.append(None)
        return found

    def _begin(self, slot: int) -> None:
        """Begin a slot. Those between the last value and it are gaps."""
        for gap in range(max(self._slot + 1, slot - SLOTS + 1), slot + 1):
            self._values[gap % SLOTS] = nan
        self._slot = slot
