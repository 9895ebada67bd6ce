"""Progress of a run: reports, if the run takes longer than two seconds; and Stopped, if a run must end.

On a terminal the report is a bar that is redrawn several times a second. Elsewhere it is a log line every few seconds.
A byte counts twice: when it is copied, and when the copy is verified.
"""

from __future__ import annotations

import time

from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Clock = Callable[[], float]
    OnProgress = Callable[[int], None]
    """Called now and then with the number of bytes that are done. It may raise, to stop the work."""

log = logs.get("warcopier")

PATIENCE = 2.0  # seconds before the first report
_LINE_INTERVAL, _BAR_INTERVAL = 5.0, 0.2  # seconds
_BAR_WIDTH = 30  # characters
_MEGA = 1_000_000


class Stopped(Exception):
    """The work was stopped, because its result is no longer wanted."""


def no_progress(_done: int) -> None:
    """Report nothing."""


def never() -> bool:
    """Return False: the run is stopped only by a signal."""
    return False


class Progress:
    """The progress of one run, in bytes of `total`. Each source is one step."""

    def __init__(self, total: int, stop: Callable[[], bool] = never, clock: Clock = time.monotonic) -> None:
        """`stop` returns True once the run must end; `clock` returns seconds."""
        self._total = max(total, 1)
        self._stop = stop
        self._clock = clock
        self._begun = clock()
        self._next_report = self._begun + PATIENCE
        self._completed = 0  # bytes of the completed steps
        self._step = 0  # bytes of the present step that are done
        self._step_begun = self._begun
        self._highest = 0  # bytes in the highest report
        self._has_bar = False

    def update(self, done: int) -> None:
        """Note how many bytes of the present step are done, and report if it is time. Raises Stopped."""
        self._step = done
        if self._stop():
            raise Stopped
        if self._clock() >= self._next_report:
            # Two threads work on one step, and the slower one must not move the bar back.
            self._highest = max(self._highest, min(self._completed + done, self._total))
            self._report(self._highest)

    def complete_step(self, size: int) -> None:
        """Note that a step of `size` bytes is complete. Raises Stopped."""
        self._completed += size
        self._step_begun = self._clock()
        self.update(0)

    def of_step(self) -> tuple[int, float]:
        """Return how many bytes of the present step are done, and the seconds that it has taken. Any thread may ask."""
        return self._step, max(0.0, self._clock() - self._step_begun)

    def end(self) -> None:
        """Remove the bar from the terminal."""
        if self._has_bar:
            logs.show_progress("")

    def _report(self, done: int) -> None:
        now = self._clock()
        share = done / self._total
        rate = done / (now - self._begun) / _MEGA
        self._has_bar = logs.show_progress(bar(share, rate))
        if not self._has_bar:
            log.info("working", percent=int(share * 100), megabytes_per_second=round(rate, 1))
        self._next_report = now + (_BAR_INTERVAL if self._has_bar else _LINE_INTERVAL)


def bar(share: float, rate: float) -> str:
    """Return a bar of constant width, for the share that is done (0 to 1) and the rate in MB/s."""
    full = int(share * _BAR_WIDTH)
    return f"[{'#' * full}{'.' * (_BAR_WIDTH - full)}] {int(share * 100):3}%  {rate:.0f} MB/s"
