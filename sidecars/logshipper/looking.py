"""The loop that looks at the files, and knows when it was the last time.

A *scan* goes through the globs, every SCAN_INTERVAL and when the kernel tells of names that changed; a *poll* looks at
the open files only, when something was written. The last look comes when

- we are told to stop, and nothing was written for `drain_quiet` (a plain container is told together with the app), or
- the done-file is there, or something was written and then nothing for `exit_when_idle`: the end of a Job that has no
  native sidecars.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

from chassis import logs
from chassis.lifecycle import Life
from sidecars.logshipper.follow import Follower
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.watch import Watcher

log = logs.get("logshipper")

_PULSE = 30.0  # seconds; a scan of very many files takes some


class Looking:
    def __init__(self, settings: Settings, life: Life, follower: Follower, wake: Callable[[], None]) -> None:
        self._settings = settings
        self._life = life
        self._follower = follower
        self._pulse = life.health.pulse("follow", _PULSE)
        self._wake = wake
        self._watcher = Watcher()
        self._left = 0.0  # seconds without news until it is over; 0: that does not decide

    async def run(self) -> None:
        """Look until the end; when this returns, nothing new will come."""
        next_scan = 0.0
        woken = asyncio.create_task(self._wake_when_told_to_stop())
        try:
            while not self._is_over():
                self._pulse.beat()
                names_changed, now = self._watcher.take(), time.monotonic()
                if names_changed or now >= next_scan:
                    news = self._follower.look(sure=names_changed)
                    self._watcher.watch(self._follower.folders)
                    next_scan = now + self._settings.scan_interval
                else:
                    news = self._follower.poll()
                if news:
                    self._wake()
                await self._watcher.wait(self._pause(next_scan))
        finally:
            woken.cancel()
            self._watcher.close()
        self._pulse.idle()
        self._follower.finish()

    async def _wake_when_told_to_stop(self) -> None:
        await self._life.stopping.wait()
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
        if self._life.stopping.is_set():
            to_ship = self._life.drain_timeout / 2  # whoever never stops writing must not take all the time
            to_read = self._life.drain_left(asyncio.get_running_loop().time()) - to_ship
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
