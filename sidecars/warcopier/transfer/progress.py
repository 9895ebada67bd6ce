"""How far a run is: said only when it takes longer than two seconds, and as whoever reads it can bear it.

On a terminal that is a bar, drawn over itself several times a second; elsewhere a log line every few seconds. A byte
counts twice, once when it is copied and once when the copy is proven.
"""

from __future__ import annotations

import time

from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier.transfer.copying import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    Clock = Callable[[], float]

log = logs.get("warcopier")

PATIENCE = 2.0  # seconds that nothing is said
_LINE_EVERY, _BAR_EVERY = 5.0, 0.2
_WIDTH = 30
_MEGA = 1_000_000


def never() -> bool:
    """A run that nobody stops but by a signal."""
    return False


class Progress:
    """One run's way through its bytes. It is also where a run that is to end early is told so."""

    def __init__(self, total: int, stop: Callable[[], bool] = never, clock: Clock = time.monotonic) -> None:
        self._total = max(total, 1)
        self._stop = stop
        self._clock = clock
        self._begun = clock()
        self._next = self._begun + PATIENCE
        self._before = 0  # bytes of the steps that are complete
        self._most = 0
        self._drawn = False

    def tick(self, done: int) -> None:
        """So many bytes of the present step are done. Raises Stopped when the run is to end."""
        if self._stop():
            raise Stopped
        if self._clock() >= self._next:
            self._most = max(self._most, min(self._before + done, self._total))  # two things are done at a time
            self._say(self._most)

    def step(self, size: int) -> None:
        """A step of that many bytes is complete."""
        self._before += size
        self.tick(0)

    def end(self) -> None:
        """Leave the terminal as it was."""
        if self._drawn:
            logs.show_progress("")

    def _say(self, done: int) -> None:
        now = self._clock()
        share = done / self._total
        rate = done / (now - self._begun) / _MEGA
        self._drawn = logs.show_progress(bar(share, rate))
        if not self._drawn:
            log.info("working", percent=int(share * 100), megabytes_per_second=round(rate, 1))
        self._next = now + (_BAR_EVERY if self._drawn else _LINE_EVERY)


def bar(share: float, rate: float) -> str:
    """The share (0 to 1) that is done, as a bar, and the rate in MB/s."""
    full = int(share * _WIDTH)
    return f"[{'#' * full}{'.' * (_WIDTH - full)}] {int(share * 100):3}%  {rate:.0f} MB/s"
