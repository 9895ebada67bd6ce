"""The followed files that are open, as many as the limit of descriptors allows; the others are closed for now.

A file is held open from the moment it is found, so that renaming or deleting it takes nothing away. Where there are
more files than descriptors, the one that was used least recently is closed for another, as long as it can be opened
again: it must still be where it was last seen, or stand beside that place under another name. Of those, one that every
sink has is closed before one that some sink still needs. A file that was deleted is never closed before its end: nobody
could open it again.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import islice

from sidecars.chassis.runtime import logs
from sidecars.logshipper.input import discovery
from sidecars.logshipper.input.tail import Tail

log = logs.get("openfiles")

_LOOKED_AT = 64  # files among which one that every sink has is looked for
FEWEST = 1  # open files, however low the limit is
MOST = 1 << 20  # open files, unless told otherwise


class OpenFiles:
    """At most `most` open files; a few more for as long as none can be closed."""

    def __init__(self) -> None:
        self.most = MOST
        self._order: OrderedDict[str, Tail] = OrderedDict()  # by generation, least recently used first
        self._told = False

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
        """Close files until no more are open than may be, as far as they can be opened again."""
        if len(self._order) > self.most and not self._told:
            self._told = True
            log.warning(
                "there are more log files than may be open; they are read in turns: raise the limit of open files",
                most=self.most,
            )
        while len(self._order) > self.most and self._close_one():
            pass

    def status(self, tails: Iterable[Tail]) -> dict[str, int]:
        """For `/status`: how many files may be open, are open, and are closed for now, with bytes that wait or not."""
        parked = [tail for tail in tails if tail.parked]
        waiting = sum(not tail.settled() for tail in parked)
        return {"most": self.most, "open": len(self._order), "closed": len(parked), "closed_with_pending": waiting}

    def close_one(self) -> bool:
        """Close a file, for something else that needs a descriptor now. Return False if none can be closed."""
        return self._close_one()

    def _close_one(self) -> bool:
        for tail in self._candidates():
            if _can_be_found(tail):
                tail.park()
                self.forget(tail)
                return True
            self._order.move_to_end(tail.state.generation)  # where it is not looked at again soon
        return False

    def _candidates(self) -> Iterator[Tail]:
        eldest = list(islice(self._order.values(), _LOOKED_AT))
        yield from (tail for tail in eldest if tail.settled())
        for _ in range(len(self._order)):
            yield next(iter(self._order.values()))


def _can_be_found(tail: Tail) -> bool:
    """Return True if the file could be opened again; its path is set to where it is now."""
    state = tail.state
    key = (state.device, state.inode)
    if discovery.file_key(state.path) == key:
        return True
    if tail.descriptor is not None and not os.fstat(tail.descriptor).st_nlink:
        return False
    for found in discovery.files_in(tail.folder or discovery.folder_of(state.path)).values():
        if found.key == key:
            state.path = found.path
            return True
    return False
