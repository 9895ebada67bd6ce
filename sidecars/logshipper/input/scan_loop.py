"""The loop that looks at the files, and knows when it was the last time.

A *scan* goes through the globs, every SCAN_INTERVAL and when the kernel tells of names that changed; a *poll* looks at
the open files only, when something was written. A scan of very many files is made in slices, between which lines are
shipped and probes are answered. Directories are watched before they are looked at, and looked at again when more are
watched: so nothing can come between. The last look comes when

- we are told to stop, and nothing was written for `drain_quiet` (a plain container is told together with the app), or
- the done-file is there, or something was written and then nothing for `exit_when_idle`: the end of a Job that has no
  native sidecars.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Generator
from typing import TypeVar

from sidecars.chassis.config.settings import variable
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.lifecycle import ServiceContext
from sidecars.logshipper.input import discovery
from sidecars.logshipper.input.discovery import Listing
from sidecars.logshipper.input.follower import Follower
from sidecars.logshipper.input.inotify_watcher import Watcher
from sidecars.logshipper.settings import Settings

log = logs.get("logshipper")

_PULSE = 30.0  # seconds; reading one large directory takes some
_SLICE = 0.05  # seconds that a scan takes at once
_OTHERS = 0.01  # seconds that others get then
_TELL = 0.25  # seconds between two wakings of the sinks in a scan

T = TypeVar("T")


class ScanLoop:
    """`start` it, then `run` it. `ready` is set once lines that are written from then on cannot be missed."""

    def __init__(
        self, settings: Settings, context: ServiceContext, follower: Follower, wake: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._context = context
        self._follower = follower
        self._pulse = context.health.heartbeat("follow", _PULSE)
        self._readable = context.health.hold("files", "")
        self._wake = wake
        self._watcher = Watcher()
        self._left = 0.0  # seconds without news until it is over; 0: that does not decide
        self._first: Listing | None = None
        self.ready = asyncio.Event()

    async def start(self) -> None:
        """Find what the state knows. What is new is found by `run`, or here where the state has to tell it apart.

        A fresh state with START_AT=end is saved only when all that is there is known: a restart would otherwise take
        the rest for new, and ship it from its beginning.
        """
        self._watcher.watch(discovery.watch_roots(self._settings.inputs))
        self._first = await self._in_slices(self._follower.scan_known())
        self._follower.warn_about_missing(self._first)
        if self._follower.is_fresh and any(one.start_at == "end" for one in self._settings.inputs.values()):
            await self._find_new()

    async def run(self) -> None:
        """Look until the end; when this returns, nothing new will come."""
        woken = asyncio.create_task(self._wake_when_told_to_stop())
        try:
            await self._find_new()
            next_scan = 0.0
            self._watch()
            while not self._is_over():
                began = time.monotonic()
                next_scan = await self._look(next_scan)
                await self._watcher.wait(self._pause(next_scan), time.monotonic() - began)
        finally:
            woken.cancel()
            self._watcher.close()
        self._pulse.idle()
        await self._in_slices(self._follower.final_scan_steps())
        self._tell_unreadable()

    async def _find_new(self) -> None:
        """Finish the first scan."""
        if self._first is not None:
            await self._in_slices(self._follower.scan_new(self._first, first=self._follower.is_fresh))
            self._first = None
            self._tell_unreadable()

    async def _look(self, next_scan: float) -> float:
        """Scan or poll; return when the next scan is due."""
        self._pulse.beat()
        names_changed, now = self._watcher.take(), time.monotonic()
        if not names_changed and now < next_scan:
            self._follower.poll()
            self._tell_news()
            return next_scan
        if names_changed or not self.ready.is_set() or self._follower.needs_scan():
            await self._in_slices(self._follower.steps(first=False))
            self._tell_unreadable()
        else:
            self._follower.poll()
        self._tell_news()
        if self._watch():
            return now
        self.ready.set()
        return now + self._settings.scan_interval

    def _watch(self) -> bool:
        """Watch where something may happen. Return True if that is more than before: look again."""
        return self._watcher.watch(self._follower.folders)

    async def _in_slices(self, steps: Generator[None, None, T]) -> T:
        """Go through the steps, and let others work from time to time."""
        until = time.monotonic() + _SLICE
        told = 0.0
        while True:
            try:
                next(steps)
            except StopIteration as end:
                result: T = end.value
                return result
            if (now := time.monotonic()) >= until:
                self._pulse.beat()
                if now >= told + _TELL:
                    told = now
                    self._tell_news()
                await asyncio.sleep(_OTHERS)
                until = time.monotonic() + _SLICE

    def _tell_news(self) -> None:
        if self._follower.take_has_news():
            self._wake()

    def _tell_unreadable(self) -> None:
        """Not ready while an input has files and none can be read; ready again when one can."""
        self._readable.hold("; ".join(self.unreadable()))

    def unreadable(self) -> list[str]:
        """Return a sentence for each input that has files of which none can be read."""
        return [
            f"nothing that {variable(Settings, 'paths', name)} asks for can be read: {why}"
            for name, why in self._follower.unreadable_inputs().items()
        ]

    async def _wake_when_told_to_stop(self) -> None:
        await self._context.stopping.wait()
        self._watcher.wake()

    def _pause(self, next_scan: float) -> float:
        """Until there is something to do though nothing happens."""
        now = time.monotonic()
        due = [next_scan, self._follower.event_due() or next_scan, now + _PULSE / 3]
        if self._left:
            due.append(now + self._left)
        return max(0.0, min(due) - now)

    def _is_over(self) -> bool:
        settings, quiet = self._settings, time.monotonic() - self._follower.last_news
        if self._context.stopping.is_set():
            to_ship = self._context.drain_timeout / 2  # whoever never stops writing must not take all the time
            to_read = self._context.drain_time_left(asyncio.get_running_loop().time()) - to_ship
            self._left = min(settings.drain_quiet - quiet, to_read)
            return self._left <= 0
        if settings.done_file is not None and os.path.exists(settings.done_file):  # noqa: PTH110 - cheaper, each time
            log.info("the done-file is there: shipping what is left", file=str(settings.done_file))
            return True
        if settings.exit_when_idle is not None and self._follower.has_news:
            self._left = settings.exit_when_idle - quiet
            if self._left <= 0:
                log.info("nothing was written for a while: shipping what is left", idle=f"{quiet:.1f}s")
                return True
        return False
