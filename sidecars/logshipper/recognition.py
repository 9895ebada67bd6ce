"""Whether a file that was found is one that we know already.

There are three occasions to ask, and all answers are by content, since names and inodes lie:

- *After a restart* (`places`, `is_generation`): where is the file that the state tells of? By device and inode, by
  path, or among the files beside it with a name that rotation could have given to it. The first that agrees with
  everything that is remembered is it.
- *After a cut* (`copy_of`): did `copytruncate` leave a copy in which the generation goes on? It may end before what
  we have read, when lines were written after the copying.
- *Before a new file is followed* (`CopiesInTheMaking`): does it equal the beginning of one that we follow? Then it may
  be a copy whose original is about to be cut. It is held back until that one is cut, or until it was quiet for a while.
"""

from __future__ import annotations

import os
from bisect import bisect_left, insort
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from functools import partial
from itertools import takewhile

from sidecars.logshipper import discover, identity
from sidecars.logshipper.checkpoint import FileState
from sidecars.logshipper.discover import Access, Found, Key
from sidecars.logshipper.tail import Tail

_COPY_QUIET = 10.0  # seconds after which what looks like a copy in the making is a file of its own


def places(
    state: FileState, listing: Mapping[Key, Found], beside: Callable[[str], Mapping[str, Found]]
) -> Iterator[Found]:
    """Where the file of the state may be, the likeliest first. `beside` tells what is in a directory."""
    key = (state.device, state.inode)
    if key in listing:
        yield listing[key]
    near = beside(discover.folder_of(state.path))
    yield from (found for found in near.values() if found.key == key)
    name = os.path.basename(state.path)  # noqa: PTH119 - paths are text throughout
    if name in near:
        yield near[name]
    yield from (found for found in near.values() if discover.may_be_a_copy(found.path, state.name))


def is_generation(state: FileState, found: Found, sample: identity.Sample) -> bool:
    """Whether the found file is the one of the state, or a full copy."""
    marks = [state.prefix, *state.positions.values()]
    if state.seen.offset <= found.size:
        marks.append(state.seen)
    if not any(mark.length for mark in marks):  # nothing was shipped: the inode is all there is to go by
        return found.key == (state.device, state.inode) and found.size >= state.size
    return identity.same_content(marks, found.size, sample)


def copy_of(tail: Tail, original: Key, known: Container[Key], access: Access) -> tuple[Found, int] | None:
    """The copy, opened, in which the generation of a file that was cut goes on."""
    marks = tail.marks()
    whole = max(tail.state.size, *(mark.offset for mark in tail.state.positions.values()), 0)
    for found in discover.neighbours(discover.folder_of(tail.state.path)).values():
        if found.key == original or found.key in known or not found.size:
            continue
        if not discover.may_be_a_copy(found.path, tail.state.name):
            continue
        same = identity.same_content if found.size >= whole else identity.short_copy
        descriptor = access.open_if(found, partial(same, marks, found.size))
        if descriptor is not None:
            return found, descriptor
    return None


class CopiesInTheMaking:
    """Files that are held back, since they equal the beginning of another; and for how long they have not grown."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._quiet = _COPY_QUIET
        self._held_back: dict[Key, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._held_back)

    def hold_back(self, found: Found) -> bool:
        """Whether to hold back the file, which equals the beginning of another now."""
        now = self._clock()
        size, since = self._held_back.get(found.key, (-1, now))
        if size != found.size:
            since = now
        self._held_back[found.key] = (found.size, since)
        return now - since < self._quiet

    def finish(self) -> None:
        """Nobody writes any more: rather than lose the lines of two files that are equal so far, ship a copy, too."""
        self._quiet = 0.0

    def forget_all_but(self, keys: Container[Key]) -> None:
        self._held_back = {key: entry for key, entry in self._held_back.items() if key in keys}


class Heads:
    """The followed files in the order of their first bytes: those that begin like another need not be searched."""

    def __init__(self, tails: Iterable[Tail]) -> None:
        self._order: list[tuple[str, bytes, str]] = []
        for tail in tails:
            self.add(tail)

    def add(self, tail: Tail) -> None:
        folder = os.path.dirname(tail.state.path)  # noqa: PTH120 - as above
        insort(self._order, (folder, tail.head, tail.state.id))

    def like(self, path: str, head: bytes) -> list[str]:
        """The generations in the same directory that begin with these bytes."""
        folder = os.path.dirname(path)  # noqa: PTH120 - as above
        start = bisect_left(self._order, (folder, head, ""))
        following = (self._order[at] for at in range(start, len(self._order)))
        return [
            name for _, _, name in takewhile(lambda item: item[0] == folder and item[1].startswith(head), following)
        ]
