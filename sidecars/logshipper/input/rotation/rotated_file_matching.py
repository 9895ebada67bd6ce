"""Matching of rotated files: decide whether a file that was found is a generation that is known already.

A file that is renamed while it is open needs no matching: its descriptor is held, and its inode is known. There are
three other cases. All are decided by content, because names and inodes are not reliable:

| case | question | function |
|---|---|---|
| after a restart | Where is the file of a generation in the saved state? | `candidates`, `is_same_generation` |
| after a truncation | Did `copytruncate` leave a copy that continues the generation? | `find_copy` |
| a new file | Is it a copy that is still being written? | `HeadIndex`, `UnfinishedCopies` |

- *After a restart*: the candidates are the file with the same device and inode, the file at the same path, and the
  files in the same directory whose names a rotation could have made: they begin like the first name. The first that
  matches all fingerprints is the one. A file that has the inode, and by its handle is a later one, is none. A file that
  was empty when it was last looked at has no fingerprint: there the device and inode decide, and the generation gets a
  new id, since it may be another file. The saved state is a hint, so all candidates are in a directory of the globs.
  A file with the inode and the handle, but another content, was truncated meanwhile: a new generation begins in it,
  whatever its name is, as it does in a running process.
- *After a truncation*: the copy may end before the end of what was read, if lines were written after the copying.
- *A new file* that equals the beginning of a followed one may be a copy whose original is about to be truncated. It is
  held back until the original is truncated, or until it has not grown for _COPY_QUIET seconds.
"""

from __future__ import annotations

import errno
import os
import sys
from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Container, Generator, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice, takewhile

from sidecars.chassis.isolation import file_handles
from sidecars.logshipper.input import discovery
from sidecars.logshipper.input.discovery import FoundFile
from sidecars.logshipper.input.file_access import FileAccess
from sidecars.logshipper.input.tail import HEAD, Tail, head_of
from sidecars.logshipper.model import fingerprint, steps
from sidecars.logshipper.model.file_key import FileKey
from sidecars.logshipper.model.fingerprint import PREFIX_LENGTH
from sidecars.logshipper.state.file_state import FileState
from sidecars.logshipper.volumes.log_volumes import LogVolumes

_MOST_COMPARED = 256  # files of a directory that are compared with a truncated one
_LISTINGS = 3  # of the directory of a truncated file
_COPY_QUIET = 10.0  # seconds after which a file that looks like an unfinished copy is a file of its own


class DirectoryFiles:
    """The files in one directory at one time, indexed by key and by name."""

    def __init__(self, files: Mapping[str, FoundFile]) -> None:
        self._files = files
        self._names = sorted(files)
        self._by_key = {found.key: found for found in files.values()}

    def candidates(self, key: FileKey, name: str, stem: str) -> Iterator[FoundFile]:
        """Yield the files whose names begin with the stem: first the one with the key, then the one with the name."""
        for found in (self._by_key.get(key), self._files.get(name)):
            if found is not None and os.path.basename(found.path).startswith(stem):  # noqa: PTH119 - paths are text
                yield found
        yield from islice(self.starting_with(stem), _MOST_COMPARED)

    def with_key(self, key: FileKey, stem: str) -> FoundFile | None:
        """Return the file with the key if its name begins with the stem."""
        found = self._by_key.get(key)
        return found if found is not None and os.path.basename(found.path).startswith(stem) else None  # noqa: PTH119 - paths are text

    def starting_with(self, stem: str) -> Iterator[FoundFile]:
        """Yield the files whose names begin with the stem."""
        start = bisect_left(self._names, stem)
        following = (self._names[at] for at in range(start, len(self._names)))
        yield from (self._files[one] for one in takewhile(lambda one: one.startswith(stem), following))


def list_directory(volumes: LogVolumes, folder: str) -> DirectoryFiles:
    """Return the files that are in the directory now. Raises OSError as `discovery.files_in` does."""
    return DirectoryFiles(discovery.files_in(volumes, folder))


_list_anew = list_directory

ListDirectory = Callable[[LogVolumes, str], DirectoryFiles]
"""`list_directory`, or the same with a cache."""


def candidates(
    state: FileState, listing: Mapping[FileKey, FoundFile], volumes: LogVolumes, list_directory: ListDirectory
) -> Iterator[FoundFile]:
    """Yield the files that may be the one of the state, the likeliest first. Raises OSError as `list_directory`."""
    key = state.key
    if key in listing:
        yield listing[key]
    if not _is_in_reach(state.path, listing, volumes):
        return
    name = os.path.basename(state.path)  # noqa: PTH119 - paths are text: globs give it, records need it
    directory = list_directory(volumes, volumes.real_folder(state.path))
    yield from directory.candidates(key, name, discovery.stem(state.first_path))


def may_be_beside(state: FileState, path: str) -> bool:
    """Return True if the path is in the directory of the state's file, and a rotation could have made its name."""
    folder, name = os.path.split(path)
    return folder == os.path.dirname(state.path) and name.startswith(discovery.stem(state.first_path))  # noqa: PTH120 - paths are text


def with_key(
    state: FileState,
    key: FileKey,
    listing: Mapping[FileKey, FoundFile],
    volumes: LogVolumes,
    list_directory: ListDirectory,
) -> FoundFile | None:
    """Return the file with the key in the directory of the state's file, if a rotation could have made its name.

    Raises OSError as `list_directory`.
    """
    if not _is_in_reach(state.path, listing, volumes):
        return None
    return list_directory(volumes, volumes.real_folder(state.path)).with_key(key, discovery.stem(state.first_path))


def _is_in_reach(path: str, listing: Mapping[FileKey, FoundFile], volumes: LogVolumes) -> bool:
    """Return True if a listed file is in the directory of a path below a root of links, or if it is below none.

    Of many directories there, the globs reach a few.
    """
    if not volumes.is_below_a_link_root(path):
        return True
    folder = volumes.real_folder(path)
    return any(volumes.real_folder(found.path) == folder for found in listing.values())


def find(
    state: FileState, candidates: Iterable[FoundFile], is_out: Callable[[FoundFile], bool], access: FileAccess
) -> tuple[FoundFile, int] | None:
    """Return the first candidate that is the file of the state, and its descriptor; None if there is none.

    `is_out` says which candidates are none. Raises OSError if a directory, or the likeliest file, cannot be read now.
    """
    for found in candidates:
        if is_out(found):
            continue
        descriptor = access.open_if(found, partial(is_same_generation, state, found))
        if descriptor is not None and is_later_file(state, found, descriptor):
            os.close(descriptor)
            continue
        if descriptor is not None:
            return found, descriptor
        if found.key == state.key and access.is_refused(found.path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), found.path)
    return None


def open_truncated(state: FileState, identity: str, found: FoundFile, access: FileAccess) -> int | None:
    """Return a descriptor of the found file if it has this identity of the state's file, and another content.

    Then it was truncated while it was not followed.
    """
    descriptor = access.open_if(found, lambda read_at: not is_same_generation(state, found, read_at))
    if descriptor is None or file_handles.identity(descriptor, found.key[0]) == identity:
        return descriptor
    os.close(descriptor)
    return None


def is_later_file(state: FileState, found: FoundFile, descriptor: int) -> bool:
    """Return True if the open file is a later one with the same inode number."""
    same = found.key == state.key
    return same and file_handles.differ(state.identity, file_handles.identity(descriptor, state.device))


def is_same_generation(state: FileState, found: FoundFile, read_at: fingerprint.ReadAt) -> bool:
    """Return True if the found file is the one of the state, or a complete copy of it."""
    known = [state.prefix, *state.positions.values()]
    if state.seen.offset <= found.size:
        known.append(state.seen)
    if not any(one.length for one in known):  # nothing was shipped, so there is no content to compare
        is_text = not fingerprint.is_compressed(read_at(0, 8))
        # Without a handle its inode may be another file's by now, unless the name is its own or that of a rotated one.
        is_told = bool(state.identity) or found.path.startswith(state.path)
        return found.key == state.key and found.size >= state.size and is_text and is_told
    return fingerprint.same_content(known, found.size, read_at)


def find_copy(
    tail: Tail,
    original: FileKey,
    known: Container[FileKey],
    access: FileAccess,
    volumes: LogVolumes,
    list_directory: ListDirectory = list_directory,
) -> tuple[FoundFile, int] | None:
    """Return the copy that continues the generation of a truncated file, and its descriptor; None if there is none.

    The files with the most similar names are tried first. `list_directory` must read the directory after the truncation
    was noticed: the copy is older than the truncation. It is read again if a name turns out to be another file's by
    then, because files are renamed in it all the time.
    """
    for attempt in range(_LISTINGS):
        listed = _list_anew if attempt else list_directory
        try:
            directory = listed(volumes, volumes.real_folder(tail.state.path))
        except OSError:  # if there is a copy, the next scans find it as a new file
            return None
        is_outdated = False
        for found in _likeliest_copies(tail.state.first_path, directory):
            if found.key == original or found.key in known or not found.size:
                continue
            descriptor = access.open_if(found, partial(_is_copy, tail, found))
            if descriptor is not None:
                return found, descriptor
            is_outdated = is_outdated or volumes.file_key(found.path) != found.key
        if not is_outdated:
            return None
    return None


def _likeliest_copies(first_path: str, directory: DirectoryFiles) -> list[FoundFile]:
    """Return the files that may be copies of a truncated file: those with the most similar names first."""
    name = os.path.basename(first_path)  # noqa: PTH119 - paths are text: globs give it, records need it

    def similarity(found: FoundFile) -> int:
        other = os.path.basename(found.path)  # noqa: PTH119 - paths are text: globs give it, records need it
        return next((at for at, (one, two) in enumerate(zip(name, other, strict=False)) if one != two), len(name))

    near = directory.starting_with(discovery.stem(first_path))
    return sorted(near, key=similarity, reverse=True)[:_MOST_COMPARED]


def _is_copy(tail: Tail, found: FoundFile, read_at: fingerprint.ReadAt) -> bool:
    """Return True if the found file has the content of the truncated one."""
    whole = max(tail.state.size, *(position.offset for position in tail.state.positions.values()), 0)
    same = fingerprint.same_content if found.size >= whole else fingerprint.short_copy
    return same(tail.fingerprints(), found.size, read_at)


class UnfinishedCopies:
    """The files that are held back because each equals the beginning of a followed one. Owned by the `Follower`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._quiet = _COPY_QUIET
        self._held_back: dict[FileKey, tuple[int, float]] = {}  # size, and since when it has been that

    def __len__(self) -> int:
        return len(self._held_back)

    def __contains__(self, key: FileKey) -> bool:
        return key in self._held_back

    def hold_back(self, found: FoundFile) -> bool:
        """Return True if the file, which equals the beginning of another, is not to be followed yet."""
        now = self._clock()
        size, since = self._held_back.get(found.key, (-1, now))
        if size != found.size:
            since = now
        self._held_back[found.key] = (found.size, since)
        return now - since < self._quiet

    def finish(self) -> None:
        """Hold back nothing any more: at the end a repeated line is better than the lost lines of a similar file."""
        self._quiet = 0.0

    def keep_only(self, keys: Container[FileKey], is_decided_on: Callable[[FileKey], bool]) -> None:
        """Forget the files that are gone, and those that turned out to be copies, or files of their own."""
        held_back = self._held_back.items()
        self._held_back = {key: entry for key, entry in held_back if key in keys and not is_decided_on(key)}


_Head = tuple[str, bytes, str, str]
"""Directory, head, path and generation of a followed file."""

MAX_ALIKE = 16  # files with the same beginning that are compared with a new one


class HeadIndex:
    """An index of the followed files by directory and first bytes: which of them can a new file be a copy of?

    Made for one scan. A *head* is the first 64 bytes, and tells most files apart. Where more than MAX_ALIKE files of
    a directory have the same head (CSV files, for example), their *beginnings* of a kilobyte are read and sorted,
    too. Of the files whose beginnings are the same as well, those with the nearest names are compared: a copy has
    nearly the name of its original. So the cost of a new file does not grow with the number of files.
    """

    def __init__(self) -> None:
        self._order: list[_Head] = []  # sorted
        self._same: dict[tuple[str, bytes], list[tuple[bytes, str, str]]] = {}  # (folder, head) -> sorted beginnings

    @classmethod
    def of(cls, tails: Collection[Tail]) -> Generator[None, None, HeadIndex]:
        """Make the index of these files, some at a step."""
        index = cls()
        index._order = yield from steps.sort(map(index._item, tails), key=None)
        return index

    def _item(self, tail: Tail) -> _Head:
        path = tail.state.path  # the texts of the item are those of others: an index of very many files is small
        return (sys.intern(os.path.dirname(path)), tail.head, path, tail.state.generation)  # noqa: PTH120 - paths are text

    def add(self, tail: Tail) -> None:
        folder, head, path, generation = item = self._item(tail)
        insort(self._order, item)
        if (folder, head) in self._same:
            name = os.path.basename(path)  # noqa: PTH119 - paths are text
            insort(self._same[folder, head], (tail.beginning or head, name, generation))

    def alike(self, path: str, head: bytes) -> Iterator[str]:
        """Yield the generations in the directory of the path that begin with these bytes."""
        folder = os.path.dirname(path)  # noqa: PTH120 - paths are text: globs give it, records need it
        start = bisect_left(self._order, (folder, head, "", ""))
        following = (self._order[at] for at in range(start, len(self._order)))
        return (
            generation
            for _, _, _, generation in takewhile(lambda item: item[0] == folder and item[1].startswith(head), following)
        )

    def originals(
        self, found: FoundFile, read_at: fingerprint.ReadAt, beginning: Callable[[str], bytes], encoding: str = "utf-8"
    ) -> list[str]:
        """Return the few generations that the found file may be a copy of.

        `beginning` returns the first PREFIX_LENGTH bytes of a generation, or all that it has.
        """
        head = head_of(read_at, encoding)[: found.size]
        if not head:
            return []
        alike = list(islice(self.alike(found.path, head), MAX_ALIKE + 1))
        if (
            len(alike) <= MAX_ALIKE or len(head) < HEAD
        ):  # a shorter file is equal to the first one, if it was read whole
            return alike
        folder, name = os.path.split(found.path)
        group = self._same.get((folder, head))
        if group is None:
            first, after = (bisect_left(self._order, (folder, end, "", "")) for end in (head, head + b"\0"))
            same = self._order[first:after]
            group = sorted(
                (beginning(generation) or head, os.path.basename(path), generation)  # noqa: PTH119 - paths are text
                for _, _, path, generation in same
            )
            self._same[folder, head] = group
        mine = read_at(0, min(found.size, PREFIX_LENGTH))
        at = bisect_left(group, (mine, name, ""))
        near = group[max(0, at - MAX_ALIKE // 2) : at + MAX_ALIKE // 2]
        return [generation for theirs, _, generation in near if theirs.startswith(mine)]
