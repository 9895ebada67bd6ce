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
from itertools import islice, takewhile

from sidecars.logshipper.input import discovery
from sidecars.logshipper.input.discovery import FileAccess, FileKey, FoundFile
from sidecars.logshipper.input.tail import HEAD, Tail, first_bytes
from sidecars.logshipper.model import fingerprint
from sidecars.logshipper.model.fingerprint import PREFIX_LENGTH
from sidecars.logshipper.state.checkpoint import FileState

_COPY_QUIET = 10.0  # seconds after which what looks like a copy in the making is a file of its own


class DirectoryFiles:
    """The files in a directory, by what they are looked for."""

    def __init__(self, files: Mapping[str, FoundFile]) -> None:
        self._files = files
        self._names = sorted(files)
        self._by_key = {found.key: found for found in files.values()}

    def candidates(self, key: FileKey, name: str, stem: str) -> Iterator[FoundFile]:
        """The file with the key, then the one of that name, then those whose names begin with the stem."""
        for found in (self._by_key.get(key), self._files.get(name)):
            if found is not None:
                yield found
        yield from self.starting(stem)

    def starting(self, stem: str) -> Iterator[FoundFile]:
        """The files whose names begin with the stem."""
        start = bisect_left(self._names, stem)
        following = (self._names[at] for at in range(start, len(self._names)))
        yield from (self._files[one] for one in takewhile(lambda one: one.startswith(stem), following))


def look_into(folder: str) -> DirectoryFiles:
    """Return what is in the directory now."""
    return DirectoryFiles(discovery.files_in(folder))


Beside = Callable[[str], DirectoryFiles]


def candidates(state: FileState, listing: Mapping[FileKey, FoundFile], look_into: Beside) -> Iterator[FoundFile]:
    """Where the file of the state may be, the likeliest first. `beside` tells what is in a directory."""
    key = (state.device, state.inode)
    if key in listing:
        yield listing[key]
    name = os.path.basename(state.path)  # noqa: PTH119 - paths are text throughout
    yield from look_into(discovery.folder_of(state.path)).candidates(key, name, discovery.stem(state.first_path))


def is_same_generation(state: FileState, found: FoundFile, read_at: fingerprint.ReadAt) -> bool:
    """Whether the found file is the one of the state, or a full copy."""
    fingerprints = [state.prefix, *state.positions.values()]
    if state.seen.offset <= found.size:
        fingerprints.append(state.seen)
    if not any(mark.length for mark in fingerprints):  # nothing was shipped: the inode is all there is to go by
        return found.key == (state.device, state.inode) and found.size >= state.size
    return fingerprint.same_content(fingerprints, found.size, read_at)


def find_copy(
    tail: Tail, original: FileKey, known: Container[FileKey], access: FileAccess, look_into: Beside = look_into
) -> tuple[FoundFile, int] | None:
    """The copy, opened, in which the generation of a file that was cut goes on. The most similar names are tried first.

    `beside` must have looked after the cut was seen: the copy is older than the cut.
    """
    fingerprints = tail.fingerprints()
    whole = max(tail.state.size, *(mark.offset for mark in tail.state.positions.values()), 0)
    near = look_into(discovery.folder_of(tail.state.path)).starting(discovery.stem(tail.state.first_path))
    name = os.path.basename(tail.state.first_path)  # noqa: PTH119 - as above

    def similarity(found: FoundFile) -> int:
        other = os.path.basename(found.path)  # noqa: PTH119 - as above
        return next((at for at, (one, two) in enumerate(zip(name, other, strict=False)) if one != two), len(name))

    for found in sorted(near, key=similarity, reverse=True):
        if found.key == original or found.key in known or not found.size:
            continue
        same = fingerprint.same_content if found.size >= whole else fingerprint.short_copy
        descriptor = access.open_if(found, partial(same, fingerprints, found.size))
        if descriptor is not None:
            return found, descriptor
    return None


class UnfinishedCopies:
    """Files that are held back, since they equal the beginning of another; and for how long they have not grown."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._quiet = _COPY_QUIET
        self._held_back: dict[FileKey, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._held_back)

    def hold_back(self, found: FoundFile) -> bool:
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

    def forget_all_but(self, keys: Container[FileKey]) -> None:
        self._held_back = {key: entry for key, entry in self._held_back.items() if key in keys}


MOST_LIKE = 16  # files with the same beginning that are compared with a new one


class HeadIndex:
    """The followed files in the order of their first bytes: those that begin like another need not be searched.

    A *head* is the first 64 bytes, and tells most files apart. Where more than MOST_LIKE files of a directory have the
    same head (CSV files, say), their *beginnings* of a kilobyte are read and put in order, too. Of the files that are
    the same even so, those with the nearest names are compared: a copy has nearly the name of its original. So what a
    new file costs does not grow with the number of files.
    """

    def __init__(self, tails: Iterable[Tail]) -> None:
        self._order = sorted(self._item(tail) for tail in tails)
        self._same: dict[tuple[str, bytes], list[tuple[bytes, str, str]]] = {}  # (folder, head) -> beginnings, in order

    def _item(self, tail: Tail) -> tuple[str, bytes, str, str]:
        folder, name = os.path.split(tail.state.path)
        return (folder, tail.head, name, tail.state.generation)

    def add(self, tail: Tail) -> None:
        folder, head, name, generation = item = self._item(tail)
        insort(self._order, item)
        if (folder, head) in self._same:
            insort(self._same[folder, head], (tail.beginning or head, name, generation))

    def like(self, path: str, head: bytes) -> Iterator[str]:
        """The generations in the same directory that begin with these bytes."""
        folder = os.path.dirname(path)  # noqa: PTH120 - as above
        start = bisect_left(self._order, (folder, head, "", ""))
        following = (self._order[at] for at in range(start, len(self._order)))
        return (
            generation
            for _, _, _, generation in takewhile(lambda item: item[0] == folder and item[1].startswith(head), following)
        )

    def candidates(self, found: FoundFile, read_at: fingerprint.ReadAt, beginning: Callable[[str], bytes]) -> list[str]:
        """The generations that the found file may be a copy of; all but a few cannot be, and are left out.

        `beginning` gives the first bytes of a generation, PREFIX of them or all that it has.
        """
        head = first_bytes(read_at)[: found.size]
        if not head:
            return []
        alike = list(islice(self.like(found.path, head), MOST_LIKE + 1))
        if (
            len(alike) <= MOST_LIKE or len(head) < HEAD
        ):  # a file that short equals the first of them, if it was read whole
            return alike
        folder, name = os.path.split(found.path)
        group = self._same.get((folder, head))
        if group is None:
            first, after = (bisect_left(self._order, (folder, end, "", "")) for end in (head, head + b"\0"))
            same = self._order[first:after]
            group = sorted((beginning(generation) or head, name, generation) for _, _, name, generation in same)
            self._same[folder, head] = group
        mine = read_at(0, min(found.size, PREFIX_LENGTH))
        at = bisect_left(group, (mine, name, ""))
        near = group[max(0, at - MOST_LIKE // 2) : at + MOST_LIKE // 2]
        return [generation for theirs, _, generation in near if theirs.startswith(mine)]
