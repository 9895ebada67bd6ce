"""The limit of open files: which of the followed files are open, where there are more than descriptors.

A file is held open from the moment it is found, so that renaming or deleting it takes nothing away. If there are too
many, the file that was used least recently is parked (closed for a time). The rules:

- Only a file that can be opened again is parked: one that is where it was last seen, or stands beside that place under
  another name. A deleted file is never parked before its end, because nothing could open it again.
- A file that is settled for every sink is parked before a file that some sink still needs.
"""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from sidecars.chassis.runtime import logs
from sidecars.logshipper.input import discovery
from sidecars.logshipper.input.tail import Tail
from sidecars.logshipper.volumes.log_volumes import LogVolumes

log = logs.get("openfiles")

_BLOCK = 512  # bytes of `st_blocks` (stat(2))
_LOOKED_AT = 64  # least recently used files among which a settled one is searched
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
    """The open files of the follower: at most `limit`, or a few more while none can be closed."""

    def __init__(self, volumes: LogVolumes) -> None:
        self.limit = UNLIMITED
        self._volumes = volumes
        self._order: OrderedDict[str, Tail] = OrderedDict()  # by generation, least recently used first
        self._is_logged = False

    def set_limit(self, limit: int) -> None:
        """Set the limit. It is never lower than MIN_OPEN."""
        self.limit = max(MIN_OPEN, limit)

    def __len__(self) -> int:
        return len(self._order)

    def use(self, tail: Tail) -> None:
        """Note that the open file was used now."""
        self._order[tail.state.generation] = tail
        self._order.move_to_end(tail.state.generation)

    def forget(self, tail: Tail) -> None:
        """Note that the file was closed."""
        self._order.pop(tail.state.generation, None)

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

    def status(self, tails: Iterable[Tail]) -> dict[str, int]:
        """Return the numbers for `/status`: the limit, the open files, and the parked files without and with pending
        bytes.
        """
        parked = [tail for tail in tails if tail.parked]
        waiting = sum(not tail.settled() for tail in parked)
        return {"most": self.limit, "open": len(self._order), "closed": len(parked), "closed_with_pending": waiting}

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
                tail.park()
                self.forget(tail)
                return True
            self._order.move_to_end(tail.state.generation)  # it is not looked at again soon
        return False

    def _candidates(self) -> Iterator[Tail]:
        oldest = list(islice(self._order.values(), _LOOKED_AT))
        yield from (tail for tail in oldest if tail.settled())
        for _ in range(len(self._order)):
            yield next(iter(self._order.values()))


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
