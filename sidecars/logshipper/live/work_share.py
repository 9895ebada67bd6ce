"""A share of the processor: how much of its time some work may take. Pure; the clocks are passed in.

The share fills up with earned time: a part of the processor time of the whole process, and a part of the time in which
it does little (`EarnedTime`). Work is done while some of the share is left. Its time is taken away, perhaps more than
there was: then nothing is done until the debt is paid. So on average the work never takes more than its share, and a
single piece of it may take as long as it takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

_PASSED = 0.5  # seconds that are earned in a second in which the process does nothing
_BUSY = (
    10.0  # seconds of passing time that count no more for each second of work: at a twentieth of a core none is left
)
_WINDOW = 0.1  # seconds over which work and passing time are compared


class EarnedTime:
    """The seconds of which a share may be taken: all processor time, and the time in which the process does little.

    On a busy machine time passes while the process waits for a processor. That time is none to give away: the share
    would be a large part of the work of a process that has much to ship.
    """

    def __init__(
        self, worked: Callable[[], float] = time.process_time, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._worked, self._now = worked, now
        self._worked_before, self._before = worked(), now()  # at the beginning of the window
        self._earned = 0.0  # up to there

    def __call__(self) -> float:
        worked, now = self._worked(), self._now()
        work, passed = worked - self._worked_before, now - self._before
        if passed < _WINDOW:
            return self._earned + work
        self._earned += work + max(0.0, _PASSED * passed - _BUSY * work)
        self._worked_before, self._before = worked, now
        return self._earned


class Clocks(NamedTuple):
    """Three clocks, in seconds: the time, the earned time, and the processor time of this thread."""

    now: Callable[[], float] = time.monotonic
    earned: Callable[[], float] = EarnedTime()
    worked: Callable[[], float] = time.thread_time


CLOCKS = Clocks()


class WorkShare:
    """The share of one kind of work.

    `share`: seconds of work for each second that is earned. `most`: seconds of work that may be done at once.
    """

    def __init__(self, share: float, most: float, clocks: Clocks) -> None:
        self._share = share
        self._most = self._left = most
        self._clocks = clocks
        self._filled_at = clocks.earned()
        self._began_at = 0.0

    def begin(self) -> bool:
        """Begin to work, and return True; False if nothing of the share is left."""
        now = self._clocks.earned()
        self._left = min(self._most, self._left + (now - self._filled_at) * self._share)
        self._filled_at = now
        self._began_at = self._clocks.worked()
        return self._left > 0

    def goes_on(self) -> bool:
        """Take away the work since `begin` or the last call. Return True if some of the share is left."""
        now = self._clocks.worked()
        self._left -= now - self._began_at
        self._began_at = now
        return self._left > 0
