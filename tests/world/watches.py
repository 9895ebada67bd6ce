"""inotify of the world: events of directories. Some are lost, because the sidecars must not rely on them."""

from __future__ import annotations

import errno
import os
import struct
from typing import Any

from inotify_simple import flags

from sidecars.logshipper.input import inotify_watcher
from tests.world import kernel as kernels
from tests.world.disk import Inode, failure

_MASKS = {"create": flags.CREATE, "moved": flags.MOVED_FROM, "delete": flags.DELETE, "modify": flags.MODIFY}


class VirtualInotify:
    """One instance. It has the methods that the watcher calls, and those that the loop calls of a socket."""

    def __init__(self) -> None:
        self.kernel = kernels.kernel()
        self.inode = self.kernel.new_inode()
        self.on_readable: Any = None
        self.number = self.kernel.open(self)
        self._watched: list[tuple[Inode, Any]] = []
        self._events: list[tuple[int, int, bytes]] = []
        self._loses = self.kernel.universe.choose(0.0, 0.0, 0.3)  # share of events

    def fileno(self) -> int:
        return self.number

    def add_watch(self, path: str, mask: int) -> int:
        inode = self.kernel.files[int(path.rpartition("/")[2])].inode
        number = len(self._watched)

        def watcher(kind: str, name: str) -> None:
            if _MASKS[kind] & mask and not self.kernel.universe.chance(self._loses):
                self._events.append((number, _MASKS[kind], name.encode() + b"\0"))
                self.wake()

        inode.watchers.append(watcher)
        self._watched.append((inode, watcher))
        return number

    def rm_watch(self, number: int) -> None:
        inode, watcher = self._watched[number]
        if watcher not in inode.watchers:
            raise failure(errno.EINVAL)
        inode.watchers.remove(watcher)

    def recv(self, _size: int) -> bytes:
        """Return the events as inotify(7) has them, for os.read."""
        if not self._events:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        events, self._events = self._events, []
        return b"".join(struct.pack("iIII", number, mask, 0, len(name)) + name for number, mask, name in events)

    # -- for the loop -----------------------------------------------------------------------------------------------

    def wake(self) -> None:
        self.kernel.awake[self.inode] = self  # type: ignore[assignment] # it is looked at as a socket is

    def is_readable(self) -> bool:
        return bool(self._events)

    def run_reader(self) -> None:
        if self.on_readable is not None and self._events:
            self.on_readable()
            self.wake()

    def close(self) -> None:
        for inode, watcher in self._watched:
            if watcher in inode.watchers:
                inode.watchers.remove(watcher)
        if self.number in self.kernel.files:
            self.kernel.close(self.number)


def _instance() -> VirtualInotify:
    if kernels.kernel().universe.chance(0.2):
        raise failure(errno.EMFILE)
    return VirtualInotify()


def install() -> None:
    inotify_watcher._instance = _instance
