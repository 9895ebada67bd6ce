"""When to look at the files: as soon as the kernel tells that something happened, and in any case from time to time.

inotify only makes it quick. It says nothing about what other machines write to a network volume, its queue is bounded,
and the system may have no instance left; so what it says is never relied on. Directories are watched, not files: one
watch each tells of all that happens in it, and no file has to be watched again after its rotation.

A writer that writes line by line causes thousands of events a second. So after each look there is a pause in which
nothing is heard, and whatever came in it is taken at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

from inotify_simple import INotify, flags

from sidecars.chassis.runtime import logs

log = logs.get("watch")

_PAUSE = 0.04  # seconds between the beginnings of two looks, at least
_LONGEST_PAUSE = 1.0  # seconds
_NAMES = flags.CREATE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE | flags.DELETE_SELF | flags.MOVE_SELF
_LOOKS = _NAMES | flags.ATTRIB  # a file that gets another mode may become readable
_MASK = _LOOKS | flags.MODIFY | flags.ONLYDIR
_MANY = flags.Q_OVERFLOW | flags.IGNORED


class Watcher:
    """Wakes whoever waits in `wait`. Without inotify it only waits."""

    def __init__(self) -> None:
        self._watches: dict[str, int] = {}  # by directory
        self._awake = asyncio.Event()
        self._listening = False
        self._taken = 0.0  # when `take` was called last
        self._inotify: INotify | None = None
        try:
            self._inotify = INotify(nonblocking=True)
        except OSError as error:
            log.warning("no inotify: files are only looked at every SCAN_INTERVAL", reason=error.strerror)

    def watch(self, folders: Iterable[str]) -> bool:
        """Watch these directories and no others. One that cannot be watched is left to polling.

        Return True if one is watched from now on that was not before: what happened in it until now was not heard.
        """
        wanted, more = set(folders), False
        if self._inotify is None or wanted == self._watches.keys():
            return False
        for folder in self._watches.keys() - wanted:
            with contextlib.suppress(OSError):  # it was removed
                self._inotify.rm_watch(self._watches[folder])
            del self._watches[folder]
        for folder in wanted - self._watches.keys():
            with contextlib.suppress(OSError):
                self._watches[folder] = self._inotify.add_watch(folder, _MASK)
                more = True
        return more

    def wake(self) -> None:
        """End the waiting that goes on, or the next one."""
        self._awake.set()

    async def wait(self, timeout: float, took: float = 0.0) -> None:  # noqa: ASYNC109 - that it has passed is no failure
        """Until something happened in a directory, or `wake` was called, or the time has passed.

        `took`: seconds that the last look took. The pause is that long, at least, so that looking at very many files
        takes half of a core at most.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._awake.wait()
        pause = max(self._taken + _PAUSE - asyncio.get_running_loop().time(), min(took, _LONGEST_PAUSE))
        if pause > 0:
            await asyncio.sleep(pause)

    def take(self) -> bool:
        """Take what was heard, and listen again. True when files came, went or were renamed since the last time."""
        loop = asyncio.get_running_loop()
        self._awake.clear()
        self._taken = loop.time()
        if self._inotify is None:
            return False
        changed = False
        for event in self._inotify.read(timeout=0):
            changed = changed or bool(event.mask & (_LOOKS | _MANY))
            if event.mask & flags.IGNORED:  # the directory is gone
                self._watches = {folder: watch for folder, watch in self._watches.items() if watch != event.wd}
        if not self._listening:
            loop.add_reader(self._inotify.fileno(), self._hear)
            self._listening = True
        return changed

    def _hear(self) -> None:
        """Something happened: that is enough until it is looked at."""
        self._stop_listening()
        self._awake.set()

    def _stop_listening(self) -> None:
        if self._inotify is not None and self._listening:
            asyncio.get_running_loop().remove_reader(self._inotify.fileno())
            self._listening = False

    def close(self) -> None:
        self._stop_listening()
        if self._inotify is not None:
            self._inotify.close()
