"""The inotify watcher: wakes the scan loop when the kernel reports a change, or after a time-out.

inotify only makes the loop quick, and polling makes it right. inotify does not report the writes of other machines to a
network volume, its queue is bounded, and the system may have no instance left.

Directories are watched and not files: one watch reports all events in a directory, and a rotation needs no new watch. A
directory is watched by its descriptor, since inotify_add_watch(2) would follow a link on the way.

A writer that writes line by line causes thousands of events a second. So after each look there is a pause without
listening, and the events of the pause are taken together.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import struct
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice

import inotify_simple
from inotify_simple import INotify, flags

from sidecars.chassis.isolation.beneath import Root
from sidecars.chassis.runtime import logs
from sidecars.logshipper.model import steps
from sidecars.logshipper.volumes import configured_paths

log = logs.get("watch")

_PAUSE = 0.04  # seconds between the beginnings of two looks, at least
_LONGEST_PAUSE = 1.0  # seconds
_MOST_WATCHED = 1000  # directories
_NAMES = flags.CREATE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE | flags.DELETE_SELF | flags.MOVE_SELF
_LOOKS = _NAMES | flags.ATTRIB  # a file that gets another mode may become readable
_MASK = _LOOKS | flags.MODIFY | flags.ONLYDIR
_HEADER = struct.Struct("iIII")  # of an event: watch, mask, cookie, length of the name
_MOST_READ = 64 * 1024  # bytes of events: about 2,000 of them, a millisecond
_MANY = flags.Q_OVERFLOW | flags.IGNORED


class Watcher:
    """One inotify instance. Owned by the scan loop, which waits in `wait`. Without an instance it only waits."""

    def __init__(self, open_directory: Callable[[str], Root] = configured_paths.open_directory) -> None:
        self._open_directory = open_directory
        self._watches: dict[str, int] = {}  # by directory
        self._written: set[tuple[int, bytes]] = set()  # watch and name of files that were written
        self._awake = asyncio.Event()
        self._listening = False
        self._taken = 0.0  # when `take` was called last
        self._inotify: INotify | None = None
        try:
            self._inotify = _instance()
        except OSError as error:
            log.warning(
                "no inotify: files are only looked at every SCAN_INTERVAL",
                code="inotify-missing",
                reason=error.strerror,
            )

    def watch(self, folders: Iterable[str]) -> bool:
        """Watch these directories and no others. One that cannot be watched is only polled.

        Return True if one was not watched before: events in it may have been missed.
        """
        return steps.run(self.watch_steps(folders))

    def watch_steps(self, folders: Iterable[str]) -> Generator[None, None, bool]:
        """Do as `watch`, in steps."""
        wanted, more = set(folders), False
        if len(wanted) > _MOST_WATCHED:  # of the others no event is needed: each scan looks at them
            kept = wanted & self._watches.keys()
            wanted = kept | set(islice(wanted - kept, _MOST_WATCHED - len(kept)))
        if self._inotify is None or wanted == self._watches.keys():
            return False
        for folder in self._watches.keys() - wanted:
            with contextlib.suppress(OSError):  # it was removed
                self._inotify.rm_watch(self._watches[folder])
            del self._watches[folder]
        for folder in wanted - self._watches.keys():
            with contextlib.suppress(OSError), self._open_directory(folder) as opened:
                self._watches[folder] = self._inotify.add_watch(f"/proc/self/fd/{opened.descriptor}", _MASK)
                more = True
            yield
        return more

    def wake(self) -> None:
        """End the current `wait`, or the next one."""
        self._awake.set()

    async def wait(self, timeout: float, took: float = 0.0) -> None:  # noqa: ASYNC109 - its end is no failure
        """Wait until there is an event in a directory, `wake` is called, or the time-out is over.

        `took`: seconds that the last look took. The pause is at least as long, so that very many files use half of a
        core at most.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._awake.wait()
        pause = max(self._taken + _PAUSE - asyncio.get_running_loop().time(), min(took, _LONGEST_PAUSE))
        if pause > 0:
            await asyncio.sleep(pause)

    def take(self) -> bool:
        """Take events, and listen again. Return True if a file was created, deleted or renamed.

        Of very many events some are taken, and the others end the next `wait` at once.
        """
        loop = asyncio.get_running_loop()
        self._awake.clear()
        self._taken = loop.time()
        if self._inotify is None:
            return False
        changed = False
        for watch, mask, name in _events(self._inotify.fileno()):
            changed = changed or bool(mask & (_LOOKS | _MANY))
            if mask & flags.MODIFY:
                self._written.add((watch, name))
            if mask & flags.IGNORED:  # the directory is gone
                self._watches = {folder: own for folder, own in self._watches.items() if own != watch}
        if not self._listening:
            loop.add_reader(self._inotify.fileno(), self._on_event)
            self._listening = True
        return changed

    def take_written(self) -> list[tuple[str, str]]:
        """Return the directory and the name of each file that was written, of the events that were taken."""
        folders = {watch: folder for folder, watch in self._watches.items()} if self._written else {}
        written, self._written = self._written, set()
        return [(folders[watch], os.fsdecode(name)) for watch, name in written if watch in folders]

    def _on_event(self) -> None:
        """Stop listening at the first event: the loop looks at everything anyway."""
        self._stop_listening()
        self._awake.set()

    def _stop_listening(self) -> None:
        if self._inotify is not None and self._listening:
            asyncio.get_running_loop().remove_reader(self._inotify.fileno())
            self._listening = False

    def close(self) -> None:
        """Close the instance."""
        self._stop_listening()
        if self._inotify is not None:
            self._inotify.close()


def _events(descriptor: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield watch, mask and name of the events that have come (inotify(7)), of up to _MOST_READ bytes of them.

    The library would read all 16,384 of a full queue at once.
    """
    try:
        data = os.read(descriptor, _MOST_READ)
    except BlockingIOError:
        return
    at = 0
    while at < len(data):
        watch, mask, _, length = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        yield watch, mask, data[at : at + length].rstrip(b"\0")
        at += length


def _instance() -> INotify:
    """Return a new instance. Raises OSError.

    The library would search libc by running ldconfig and a compiler, which the confinement forbids. This program has
    libc loaded.
    """
    if inotify_simple._libc is None:  # noqa: SLF001 - the library has no other way to be given it
        inotify_simple._libc = ctypes.CDLL(None, use_errno=True)  # noqa: SLF001 - nor is there one to set it
    return INotify(nonblocking=True)
