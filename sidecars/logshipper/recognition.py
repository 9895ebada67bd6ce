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

from collections.abc import Callable, Container, Iterator, Mapping
from functools import partial

from sidecars.logshipper import discover, identity
from sidecars.logshipper.checkpoint import FileState
from sidecars.logshipper.discover import Access, Found, Key
from sidecars.logshipper.tail import Tail

_COPY_QUIET = 10.0  # seconds after which what looks like a copy in the making is a file of its own


def places(state: FileState, listing: Mapping[Key, Found]) -> Iterator[Found]:
    """Where the file of the state may be, the likeliest first."""
    key = (state.device, state.inode)
    if key in listing:
        yield listing[key]
    beside = list(discover.neighbours(state.path))
    yield from (found for found in beside if found.key == key or found.path == state.path)
    others = (found for found in beside if found.key != key and found.path != state.path)
    yield from (found for found in others if discover.may_be_a_copy(found.path, state.name))


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
    for found in discover.neighbours(tail.state.path):
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
        self._held_back: dict[Key, tuple[int, float]] = {}

    def hold_back(self, found: Found) -> bool:
        """Whether to hold back the file, which equals the beginning of another now."""
        now = self._clock()
        size, since = self._held_back.get(found.key, (-1, now))
        if size != found.size:
            since = now
        self._held_back[found.key] = (found.size, since)
        return now - since < _COPY_QUIET

    def forget_all_but(self, keys: Container[Key]) -> None:
        self._held_back = {key: entry for key, entry in self._held_back.items() if key in keys}
