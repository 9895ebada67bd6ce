"""The limit of open files: which of the followed files are open, where there are more than descriptors.

A file is held open from the moment it is found, so that renaming or deleting it takes nothing away. If there are too
many, the file that was used least recently is parked (closed for a time). The rules:

- Only a file that can be opened again is parked: one that is where it was last seen, or stands beside that place under
  another name. A deleted file is never parked before its end, because nothing could open it again: it is *pinned*.
- A file that is settled for every sink is parked before a file that some sink still needs.
- A file that is settled for every sink and was quiet for CLOSE_INACTIVE is parked in any case.

Changes of a parked file are seen by the events of its directory, by each scan, and by a look at some parked files
between two scans.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections import OrderedDict
from collections.abc import Generator, Iterator
from itertools import islice
from typing import NamedTuple

from sidecars.chassis.isolation import c_library
from sidecars.chassis.runtime import logs
from sidecars.logshipper.input import discovery
from sidecars.logshipper.input.tail import Tail
from sidecars.logshipper.model import steps
from sidecars.logshipper.volumes.log_volumes import LogVolumes

log = logs.get("openfiles")

_BLOCK = 512  # bytes of `st_blocks` (stat(2))
_LOOKED_AT = 64  # least recently used files among which a settled one is searched
_CLOSED_AT_ONCE, _CLOSED_IN_A_STEP = 200, 25  # files: a step takes a few milliseconds
_LOOKED_AT_CLOSED = 500  # parked files that are looked at between two scans
_GIVE_BACK = 10.0  # seconds between two times at which freed memory is given back to the kernel, at least
MIN_OPEN = 1  # open files, however low the limit is
UNLIMITED = 1 << 20  # open files, until `limit` is set


class DiskUse(NamedTuple):
    """The bytes of disk that an open file occupies. A deleted one frees them when it is closed."""

    size: int
    is_deleted: bool


def disk_use(tail: Tail) -> DiskUse | None:
    """Return the disk space of the file; None if it is not open."""
    if tail.descriptor is None:
        return None
    status = os.fstat(tail.descriptor)
    return DiskUse(status.st_blocks * _BLOCK, not status.st_nlink)


class OpenFiles:
    """The open files of the follower: at most `limit`, or a few more while none can be closed; and the parked ones."""

    def __init__(self, volumes: LogVolumes, close_inactive: float = math.inf) -> None:
        self.limit = UNLIMITED
        self.pinned = 0  # open files that have lost their names, at the last scan
        self._volumes = volumes
        self._close_inactive = close_inactive  # seconds
        self._order: OrderedDict[str, Tail] = OrderedDict()  # by generation, least recently used first
        self._parked: dict[str, Tail] = {}  # by generation
        self._next = 0  # the place in `_parked` of the file that is looked at next
        self._is_logged = False
        self._has_closed = False  # True if idle files were closed since freed memory was given back
        self._give_back_at = -math.inf  # when it may be given back again

    def set_limit(self, limit: int) -> None:
        """Set the limit. It is never lower than MIN_OPEN."""
        self.limit = max(MIN_OPEN, limit)

    def __len__(self) -> int:
        return len(self._order)

    @property
    def is_short(self) -> bool:
        """True if there are more files than may be open, so that they are read in turns."""
        return len(self._order) >= self.limit

    def opened(self) -> list[Tail]:
        """Return the open files."""
        return list(self._order.values())

    def use(self, tail: Tail) -> None:
        """Note that the open file was used now."""
        self._parked.pop(tail.state.generation, None)
        self._order[tail.state.generation] = tail
        self._order.move_to_end(tail.state.generation)

    def forget(self, tail: Tail) -> None:
        """Note that the file was closed."""
        self._order.pop(tail.state.generation, None)
        self._parked.pop(tail.state.generation, None)

    def trim(self) -> None:
        """Park files until no more than `limit` are open, as far as they can be opened again."""
        if len(self._order) > self.limit and not self._is_logged:
            self._is_logged = True
            log.warning(
                "there are more log files than may be open; they are read in turns: raise the limit of open files",
                code="files-read-in-turns",
                most=self.limit,
            )
        while len(self._order) > self.limit and self.close_one():
            pass

    # -- parked files --------------------------------------------------------------------------------------------------

    def close_inactive(self, now: float) -> Iterator[None]:
        """Park files that every sink has and that were quiet for CLOSE_INACTIVE: some, the oldest first, in steps."""
        closed = 0
        if self._has_closed and now >= self._give_back_at:
            self._has_closed, self._give_back_at = False, now + _GIVE_BACK
            give_back_memory()
        for tail in self.opened():
            if tail.quiet_since + self._close_inactive > now or closed >= _CLOSED_AT_ONCE:
                return
            with contextlib.suppress(OSError):  # the next poll tells it
                if tail.settled() and tail.looks_unchanged(tail.status()) and _can_be_opened_again(tail, self._volumes):
                    tail.forget_earlier_ends()
                    self.park(tail)
                    self._has_closed = True
                    closed += 1
                    if closed % _CLOSED_IN_A_STEP == 0:
                        yield

    def some_parked(self, *, many: bool = True) -> list[Tail]:
        """Return the parked files that are looked at next, many or a few: each has its turn."""
        first = self._next if self._next < len(self._parked) else 0
        self._next = first + (_LOOKED_AT_CLOSED if many else _LOOKED_AT)
        return list(islice(self._parked.values(), first, self._next))

    def parked(self) -> list[Tail]:
        """Return all parked files."""
        return list(self._parked.values())

    def parked_at(self, names: set[tuple[str, str]]) -> Generator[None, None, list[Tail]]:
        """Return the parked files with these directories and names. Those of open files are removed from the set."""
        names -= {(tail.folder, tail.name) for tail in self._order.values()} if names else set()
        parked = self.parked() if names else []
        return (yield from steps.select(parked, lambda tail: (tail.folder, tail.name) in names))

    def park(self, tail: Tail) -> None:
        """Close a file that can be opened again."""
        tail.park()
        self.forget(tail)
        self._parked[tail.state.generation] = tail

    def count(self) -> None:
        """Count the pinned files anew. A scan calls it."""
        self.pinned = sum(tail.is_pinned for tail in self._order.values())

    def problem(self) -> str:
        """Return a sentence if files without names take all descriptors; "" if not."""
        if self.pinned < self.limit:
            return ""
        return (
            f"{self.pinned} deleted files that some sink does not have yet take all {self.limit} descriptors for log "
            "files: a file that is deleted now is lost; raise the limit of open files (ulimit -n)"
        )

    def status(self) -> dict[str, int]:
        """Return the numbers for `/status`: the limit, and the files by state.

        `open` with a name, `pinned` without one, closed and `idle`, closed and `waiting` to be read.
        """
        waiting = sum(not tail.settled() for tail in self._parked.values())
        pinned = min(self.pinned, len(self._order))
        closed = {"idle": len(self._parked) - waiting, "waiting": waiting}
        return {"most": self.limit, "open": len(self._order) - pinned, **closed, "pinned": pinned}

    def held_beyond(self, most: int) -> list[Tail]:
        """Return the oldest of the deleted files that are open: without them the rest takes `most` bytes of disk."""
        held = [(tail, use.size) for tail in self.opened() if (use := disk_use(tail)) and use.is_deleted]
        more = sum(size for _, size in held) - most
        beyond = []
        for tail, size in sorted(held, key=lambda one: one[0].number):
            if more <= 0:
                break
            more -= size
            beyond.append(tail)
        return beyond

    def held_deleted(self) -> int:
        """Return the bytes of disk that open files without a name occupy: they are free once the files are closed."""
        held = 0
        for tail in self._order.values():
            found = disk_use(tail)
            if found is not None and found.is_deleted:
                held += found.size
        return held

    def close_one(self) -> bool:
        """Park a file, to free a descriptor. Return False if none can be closed."""
        for tail in self._candidates():
            if _can_be_opened_again(tail, self._volumes):
                self.park(tail)
                return True
            self._order.move_to_end(tail.state.generation)  # it is not looked at again soon
        return False

    def _candidates(self) -> Iterator[Tail]:
        oldest = list(islice(self._order.values(), _LOOKED_AT))
        yield from (tail for tail in oldest if tail.settled())
        for _ in range(len(self._order)):
            yield next(iter(self._order.values()))


def give_back_memory() -> None:
    """Give freed memory back to the kernel (malloc_trim(3)), also that between blocks in use. Call it at rest.

    It takes about a millisecond. Python's small objects are in arenas of their own, which are given back when empty.
    """
    with contextlib.suppress(OSError):  # other libraries than glibc do not have it
        c_library.function("malloc_trim")(c_library.Long(0))


def _can_be_opened_again(tail: Tail, volumes: LogVolumes) -> bool:
    """Return True if the file can be opened again. Notes its path if it was renamed."""
    if volumes.file_key(tail.state.path) == tail.key:
        return True
    if tail.descriptor is not None and not os.fstat(tail.descriptor).st_nlink:
        return False
    folder = tail.folder or volumes.real_folder(tail.state.path)
    with contextlib.suppress(OSError):
        for found in discovery.files_in(volumes, folder).values():
            if found.key == tail.key:
                tail.move(found.path, found.key, folder)
                return True
    return False
