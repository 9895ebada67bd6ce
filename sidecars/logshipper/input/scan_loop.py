"""The scan loop: decides when to scan and when to poll, and notices the end of the input.

- A *scan* goes through the globs: every SCAN_INTERVAL, and when the kernel reports that names have changed.
- A *poll* looks at the followed files only: when the kernel reports that something was written.

A scan of very many files is done in slices; between them lines are shipped and probes are answered. Directories are
watched before they are scanned, and scanned again when more of them are watched: so no file can be missed in between.

The end of the input, after which the final scan is made:

| event | setting |
|---|---|
| SIGTERM, and nothing was written for a time: a plain container gets SIGTERM together with the app | DRAIN_QUIET |
| a file exists: a Job without native sidecars | DONE_FILE |
| something was written, and then nothing for a time: a Job without native sidecars | EXIT_WHEN_IDLE |
"""

from __future__ import annotations

import asyncio
import gc
import stat
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
from sidecars.logshipper.volumes.configured_paths import ConfiguredDirectory

log = logs.get("logshipper")

_HEARTBEAT = 30.0  # seconds; reading one large directory takes some
_SLICE = 0.005  # seconds of a scan without a pause
_PAUSE = 0.0025  # seconds for other tasks after a slice
_WAKE = 0.25  # seconds between two wake-ups of the shippers during a scan
_FROZEN_AT_ONCE = 1000  # files
# At the start a file that was missed is searched again if a batch in flight has lines of it: then the batch can be sent
# as it was.
_SEARCHES, _PAUSE_OF_SEARCH = 10, 0.05  # seconds between two of them

T = TypeVar("T")


class ScanLoop:
    """Calls the follower. Owned by the app, which calls `start` and then `run`.

    `ready` is set once lines that are written from then on cannot be missed.
    """

    def __init__(
        self, settings: Settings, context: ServiceContext, follower: Follower, wake: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._context = context
        self._follower = follower
        self._heartbeat = context.health.heartbeat("follow", _HEARTBEAT)
        self._readable = context.health.hold("files", "")
        self._wake = wake
        self._watcher = Watcher(follower.directory_to_watch)
        self._done: ConfiguredDirectory | None = None  # that of the done-file
        if settings.done_file is not None:
            self._done = ConfiguredDirectory(str(settings.done_file.parent))
        self._quiet_left = 0.0  # seconds without growth until the input has ended; 0: no such end is set
        self._first: Listing | None = None  # of the first scan, between its two halves
        self._frozen = 0  # files whose objects the garbage collector does not look at any more
        self.ready = asyncio.Event()

    async def start(self) -> None:
        """Make the first half of the first scan, which finds the files of the saved state.

        `run` makes the second half, which follows new files. With a fresh state and START_AT=end it is made here: the
        state may be saved only when all existing files are known. A restart would otherwise take the rest for new
        files, and ship them from their beginnings.
        """
        self._watcher.watch(discovery.watch_roots(self._settings.inputs))
        self._first = await self._in_slices(self._follower.scan_known())
        for _ in range(_SEARCHES):
            if not self._follower.misses_sent():
                break
            await asyncio.sleep(_PAUSE_OF_SEARCH)
            await self._in_slices(self._follower.find_missed())
        await self._in_slices(self._follower.warn_about_missing(self._first))
        if self._follower.is_fresh and any(one.start_at == "end" for one in self._settings.inputs.values()):
            await self._finish_first_scan()

    async def run(self) -> None:
        """Scan and poll until the input has ended, then make the final scan."""
        waking = asyncio.create_task(self._wake_on_stop())
        try:
            await self._finish_first_scan()
            next_scan = 0.0
            await self._watch()
            while not self._is_over():
                began = time.monotonic()
                next_scan = await self._look(next_scan)
                await self._watcher.wait(self._timeout(next_scan), time.monotonic() - began)
        finally:
            waking.cancel()
            self._watcher.close()
        self._heartbeat.idle()
        await self._in_slices(self._follower.final_scan_steps())
        self._update_readiness()

    async def _finish_first_scan(self) -> None:
        if self._first is not None:
            listing, self._first = self._first, None
            await self._in_slices(self._follower.scan_new(listing, first=self._follower.is_fresh))
            self._update_readiness()
            self._tell_inputs_without_files(listing)

    def _tell_inputs_without_files(self, listing: Listing) -> None:
        """Log the inputs of which the first scan found no file: the app is not there yet, or a path is misspelt."""
        for name, one in self._settings.inputs.items():
            if name not in listing.matched and not self._follower.access.refusals(name):
                setting = f"{variable(Settings, 'paths', name)}={','.join(one.paths)}"
                log.info("no file matches yet; each scan looks again", setting=setting)

    async def _look(self, next_scan: float) -> float:
        """Scan or poll. Return the time of the next scan."""
        self._heartbeat.beat()
        names_changed, now = self._watcher.take(), time.monotonic()
        self._follower.note_written(self._watcher.take_written())
        parked = self._follower.open_files.some_parked(many=now >= next_scan)
        if not names_changed and now < next_scan:
            await self._in_slices(self._follower.poll_steps(parked))
            await self._read_compressed()
            return now if self._follower.has_first_content else next_scan
        if names_changed or not self.ready.is_set() or self._follower.needs_scan():
            await self._in_slices(self._follower.scan_steps(first=False))
            self._update_readiness()
        else:
            await self._in_slices(self._follower.poll_steps(parked))
        await self._read_compressed()
        if await self._watch():
            return now
        self.ready.set()
        return now + self._settings.scan_interval

    async def _read_compressed(self) -> None:
        """Go on with compressed files for a while, and wake the shippers."""
        if self._follower.has_compressed_work():
            await self._in_slices(self._follower.compressed_steps())
        self._wake_shippers()

    async def _watch(self) -> bool:
        """Watch the directories of the follower. Return True if one is new: it must be scanned again."""
        return await self._in_slices(self._watcher.watch_steps(self._follower.folders))

    async def _in_slices(self, steps: Generator[None, None, T]) -> T:
        """Run the steps of a scan, with pauses for other tasks. Return the scan's result.

        Meanwhile no garbage is collected: a scan of 20,000 new files makes 100,000 objects and no cycles, and to
        look at them takes 50 ms.
        """
        gc.disable()
        try:
            return await self._with_pauses(steps)
        finally:
            self._freeze()
            gc.enable()

    async def _with_pauses(self, steps: Generator[None, None, T]) -> T:
        until = time.monotonic() + _SLICE
        woken = 0.0
        while True:
            try:
                next(steps)
            except StopIteration as end:
                result: T = end.value
                return result
            if (now := time.monotonic()) >= until:
                self._heartbeat.beat()
                if now >= woken + _WAKE:
                    woken = now
                    self._wake_shippers()
                await asyncio.sleep(_PAUSE)
                until = time.monotonic() + _SLICE

    def _freeze(self) -> None:
        """Let the garbage collector not look at the files that are followed: with 20,000 it would stop for 100 ms."""
        if len(self._follower.tails) >= self._frozen + _FROZEN_AT_ONCE:
            self._frozen = len(self._follower.tails)
            gc.freeze()

    def _wake_shippers(self) -> None:
        if self._follower.take_has_news():
            self._wake()

    def _update_readiness(self) -> None:
        """Be ready only if no input has files of which none can be read, and there are descriptors for new files."""
        problem = self._follower.open_files.problem()
        self._readable.hold("; ".join([*self.unreadable(), *([problem] if problem else [])]))

    def unreadable(self) -> list[str]:
        """Return a sentence for each input that has files of which none can be read."""
        return [
            f"nothing that {variable(Settings, 'paths', name)} asks for can be read: {why}"
            for name, why in self._follower.unreadable_inputs().items()
        ]

    def _is_done(self, name: str) -> bool:
        """Return True if the done-file is there. A link does not count: it would tell whether its target exists."""
        if self._done is None:
            return False
        try:
            return not stat.S_ISLNK(self._done.opened().status(name).st_mode)
        except OSError:
            return False

    async def _wake_on_stop(self) -> None:
        await self._context.stopping.wait()
        self._watcher.wake()

    def _timeout(self, next_scan: float) -> float:
        """Return the seconds until there is something to do without an event of the kernel."""
        now = time.monotonic()
        if self._follower.has_compressed_work():
            return 0.0
        due = [next_scan, self._follower.event_due() or next_scan, now + _HEARTBEAT / 3]
        if self._quiet_left:
            due.append(now + self._quiet_left)
        return max(0.0, min(due) - now)

    def _is_over(self) -> bool:
        """Return True if the input has ended."""
        settings, quiet = self._settings, time.monotonic() - self._follower.last_growth
        if self._context.stopping.is_set():
            to_ship = self._context.drain_timeout / 2  # an app that never stops writing must not use up the drain
            to_read = self._context.drain_time_left(asyncio.get_running_loop().time()) - to_ship
            self._quiet_left = min(settings.drain_quiet - quiet, to_read)
            return self._quiet_left <= 0
        if settings.done_file is not None and self._is_done(settings.done_file.name):
            log.info("the done-file is there: shipping what is left", file=str(settings.done_file))
            return True
        if settings.exit_when_idle is not None and self._follower.has_grown:
            self._quiet_left = settings.exit_when_idle - quiet
            if self._quiet_left <= 0:
                log.info("nothing was written for a while: shipping what is left", idle=f"{quiet:.1f}s")
                return True
        return False
