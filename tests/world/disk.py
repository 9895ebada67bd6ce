"""The disk of the world: volumes with files and directories in memory, and what is left of them after a loss of power.

A call sees what earlier calls have done. The disk itself is behind: what was written since the last fsync(2) of a file,
and the names that changed since the last fsync of their directory, may be missing after `lose_power`, as POSIX allows:

| what was not synced | after a loss of power |
|---|---|
| writes to one file | the first some of them are there; the next one may be torn, or NULs in its place |
| names of one directory | the first some changes are there; a rename is there or not, never in half |

Files and directories are independent of each other: a name may be there without the content, and the reverse. A number
of an inode that is freed is given to the next file, as file systems do.
"""

from __future__ import annotations

import errno
import heapq
import os
import random
import stat
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.world.universe import Universe

Names = dict[str, "Inode"]
Destroyed = Callable[["Inode", bytes, str], None]


def failure(number: int, path: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), path)


class Inode:
    """A file or directory."""

    def __init__(self, volume: Volume, number: int, kind: int) -> None:
        self.volume = volume
        self.number = number
        self.serial = volume.created = volume.created + 1  # no other file ever has it
        self.kind = kind
        self.data = bytearray()
        self.names: Names = {}  # of a directory
        self.links = self.opens = 0
        self.modified = time.time_ns()
        self.created_at = self.written_at = time.monotonic()
        self.renamed_at = self.failed_at = -1.0  # when it was renamed, and a read failed, last
        self.durable = b""
        self.unsynced: list[tuple[int, bytes]] = []  # writes (offset, data); a truncation has no data
        self.durable_names: Names = {}
        self.unsynced_names: list[tuple[str | None, str | None, Inode]] = []  # old name, new name, of which inode
        self.watchers: list[Callable[[str, str], None]] = []  # get kind and name of each event in a directory

    @property
    def is_directory(self) -> bool:
        return self.kind == stat.S_IFDIR

    def status(self) -> os.stat_result:
        seconds = self.modified // 10**9
        uid, gid = os.geteuid(), os.getegid()
        mode = self.kind | (0o755 if self.is_directory else 0o644)
        shown = (mode, self.number, self.volume.device, self.links, uid, gid, len(self.data), seconds, seconds, seconds)
        return os.stat_result(shown, {"st_mtime_ns": self.modified, "st_ctime_ns": self.modified})

    def touch(self) -> None:
        self.modified = time.time_ns()

    # -- content ----------------------------------------------------------------------------------------------------

    def write(self, offset: int, data: bytes) -> None:
        self.unsynced.append((offset, data))
        _apply(self.data, offset, data)
        self.written_at = time.monotonic()
        self.touch()
        self.volume.tell(self, "modify")

    def truncate(self, size: int) -> None:
        cut = bytes(self.data[size:])
        self.unsynced.append((size, b""))
        _apply(self.data, size, b"")
        self.touch()
        self.volume.tell(self, "modify")
        if cut:
            self.volume.destroyed(self, cut, "truncated")

    def sync(self) -> None:
        self.durable, self.unsynced = bytes(self.data), []
        self.durable_names, self.unsynced_names = dict(self.names), []

    def lose_power(self, dice: random.Random) -> None:
        names = dict(self.durable_names)
        for old, new, which in self.unsynced_names[: dice.randint(0, len(self.unsynced_names))]:
            if old:
                names.pop(old, None)
            if new:
                names[new] = which
        data = bytearray(self.durable)
        kept = dice.randint(0, len(self.unsynced))
        for offset, new_data in self.unsynced[:kept]:
            _apply(data, offset, new_data)
        if kept < len(self.unsynced) and (torn := self.unsynced[kept])[1]:
            part = torn[1][: dice.randint(0, len(torn[1]))]
            if part:
                _apply(data, torn[0], part if dice.random() < self.volume.torn_share else bytes(len(part)))
        self.data, self.names, self.watchers = data, names, []
        self.sync()

    def close(self, cause: str) -> None:
        """Note that a descriptor is closed. `cause` says why, if nothing else has the file."""
        self.opens -= 1
        self.volume.free_if_unused(self, cause)

    # -- names ------------------------------------------------------------------------------------------------------

    def lookup(self, name: str) -> Inode:
        if not self.is_directory:
            raise failure(errno.ENOTDIR, name)
        if name not in self.names:
            raise failure(errno.ENOENT, name)
        return self.names[name]

    def add(self, name: str, inode: Inode) -> None:
        self._check_room_for(name)
        self._change(None, name, inode)

    def create(self, name: str, kind: int = stat.S_IFREG) -> Inode:
        self._check_room_for(name)
        inode = self.volume.new_inode(kind)
        self._change(None, name, inode)
        inode.links += inode.is_directory  # its own name for itself
        return inode

    def _check_room_for(self, name: str) -> None:
        if not self.is_directory:
            raise failure(errno.ENOTDIR, name)
        if name in self.names:
            raise failure(errno.EEXIST, name)
        if not self.links:  # another directory has taken its name
            raise failure(errno.ENOENT, name)

    def remove(self, name: str) -> None:
        self._change(name, None, self.lookup(name))

    def rename(self, old: str, new: str) -> None:
        inode, replaced = self.lookup(old), self.names.get(new)
        if replaced is inode:
            return
        if replaced is not None and replaced.is_directory != inode.is_directory:
            raise failure(errno.EISDIR if replaced.is_directory else errno.ENOTDIR, new)
        if replaced is not None and replaced.names:
            raise failure(errno.ENOTEMPTY, new)
        self._change(old, new, inode)
        inode.renamed_at = time.monotonic()

    def _change(self, old: str | None, new: str | None, inode: Inode) -> None:
        self.unsynced_names.append((old, new, inode))
        replaced = self.names.get(new) if new else None
        if old:
            del self.names[old]
            inode.links -= 1
            self.volume.emit(self, "moved" if new else "delete", old)
        if new:
            self.names.pop(new, None)
            self.names[new] = inode
            inode.links += 1
            self.volume.emit(self, "create", new)
        self.touch()
        if replaced is not None:
            replaced.links -= 2 if replaced.is_directory else 1
            self.volume.free_if_unused(replaced, "unlinked")
        self.volume.free_if_unused(inode, "unlinked")


def _apply(data: bytearray, offset: int, new: bytes) -> None:
    if not new:
        if offset < len(data):
            del data[offset:]
        else:
            data.extend(bytes(offset - len(data)))
        return
    if offset > len(data):
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(new)] = new


class Volume:
    """One file system. `on_destroyed` is told of content that no file has any more, and why."""

    def __init__(self, universe: Universe, device: int) -> None:
        self.universe = universe
        self.device = device
        self.created = 0  # files and directories so far
        self.has_handles = True
        self.inodes: dict[int, Inode] = {}
        self.on_destroyed: Destroyed | None = None
        self.is_full = False
        self.torn_share = 1.0  # of the torn writes; the others leave NULs
        self.error_share = 0.0  # of the calls that fail with EIO
        self._free = list(range(2, 2000))
        self.root = self.new_inode(stat.S_IFDIR)
        self.root.links = 2

    def new_inode(self, kind: int) -> Inode:
        inode = Inode(self, heapq.heappop(self._free), kind)
        self.inodes[inode.number] = inode
        return inode

    def files(self) -> Iterator[Inode]:
        """Yield the files that have content, whether they have a name or are only open."""
        yield from (inode for inode in self.inodes.values() if not inode.is_directory and inode.data)

    def free_if_unused(self, inode: Inode, cause: str) -> None:
        if inode.links or inode.opens or inode.number not in self.inodes:
            return
        del self.inodes[inode.number]
        heapq.heappush(self._free, inode.number)
        if inode.data:
            self.destroyed(inode, bytes(inode.data), cause)

    def destroyed(self, inode: Inode, data: bytes, cause: str) -> None:
        if self.on_destroyed is not None:
            self.on_destroyed(inode, data, cause)

    # -- events -----------------------------------------------------------------------------------------------------

    def emit(self, folder: Inode, kind: str, name: str) -> None:
        for watcher in list(folder.watchers):
            watcher(kind, name)

    def tell(self, inode: Inode, kind: str) -> None:
        """Tell the watchers of the directories that have the file."""
        for folder in list(self.inodes.values()):
            for name, below in folder.names.items() if folder.watchers else ():
                if below is inode:
                    self.emit(folder, kind, name)

    # -- loss of power ----------------------------------------------------------------------------------------------

    def lose_power(self) -> None:
        """Go back to what the disk has. Every descriptor must be closed."""
        found: list[Inode] = []
        self._go_back(self.root, found)
        self.inodes, self._free = {}, list(range(2, 2000))
        for inode in found:
            inode.links = 2 if inode.is_directory else 0
            if inode.number in self._free:
                self._free.remove(inode.number)
            else:  # a file that was removed is back, and another one has its number
                inode.number = heapq.heappop(self._free)
            self.inodes[inode.number] = inode
        for folder in found:
            for inode in folder.names.values():
                inode.links += not inode.is_directory

    def _go_back(self, inode: Inode, found: list[Inode]) -> None:
        found.append(inode)
        inode.lose_power(self.universe.dice)
        for below in inode.names.values():
            if below not in found:
                self._go_back(below, found)


class Disk:
    """The volumes of one universe, by the directories that they are mounted at."""

    def __init__(self, universe: Universe, *mounts: str) -> None:
        self.image = Volume(universe, 1)
        self.volumes: dict[str, Volume] = {}
        for number, mount in enumerate(mounts):
            volume = self.volumes[mount] = Volume(universe, 20 + number)
            self.image.root.names[mount] = volume.root

    def has(self, path: Any) -> bool:
        """Return True if a path of a call is in the world."""
        return isinstance(path, str) and (path == "/" or path.split("/")[1:2] in [[name] for name in self.volumes])
