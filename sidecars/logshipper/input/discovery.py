"""Discovery: lists the log files that the globs match, with their status.

A neighbour can make names without end. One process follows MAX_FILES files, and at most MAX_FILES_OF_OWNER of one
user. Of more new files the ones with content and the latest change are followed first; the others are counted.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import os
import stat
import time
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import Protocol

from sidecars.chassis.runtime import descriptors
from sidecars.chassis.runtime.file_io import not_regular
from sidecars.logshipper.config.input_settings import InputSettings
from sidecars.logshipper.config.limits import MAX_FILES
from sidecars.logshipper.input import rotated_file_gaps
from sidecars.logshipper.model import steps
from sidecars.logshipper.model.file_key import FileKey, file_key
from sidecars.logshipper.volumes import globs, path_matching
from sidecars.logshipper.volumes.log_volumes import LogVolumes

MAX_FILES_OF_OWNER = 20_000  # of one user: the files of another container always find room
_MOST_NAMES = 20_000  # of one directory in which a rotated file is searched
_STEP = 100  # files between two steps of a listing
_CHOSEN_AT_ONCE = 2000  # files: some milliseconds

Version = tuple[int, int]  # size and time of modification of a file


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file that was found at a path, at the time of a `stat`."""

    path: str
    input: str  # name of the input whose glob matches it; "" if it was found beside a log
    key: FileKey
    size: int
    modified: int  # nanoseconds
    owner: int = 0  # user id

    @property
    def version(self) -> Version:
        return self.size, self.modified


class Followed(Protocol):
    """A file that is followed: a `Tail`."""

    @property
    def key(self) -> FileKey: ...

    def is_at(self, path: str, size: int, modified: int) -> bool: ...

    def as_found(self) -> FoundFile: ...


# -- listing -----------------------------------------------------------------------------------------------------------


class ListedFiles(Mapping[FileKey, FoundFile]):
    """The files of a listing. The entry of one that is where and as it was seen last is its tail: it takes no memory.

    If such a tail has continued in another file since, what is left at the key is not listed.
    """

    def __init__(self) -> None:
        self._files: dict[FileKey, FoundFile | Followed] = {}

    def __getitem__(self, key: FileKey) -> FoundFile:
        one = self._files[key]
        if isinstance(one, FoundFile):
            return one
        if one.key != key:
            raise KeyError(key)
        return one.as_found()

    def __contains__(self, key: object) -> bool:
        one = self._files.get(key)  # type: ignore[call-overload] # of any type, as a mapping allows
        return one is not None and bool(one.key == key)

    def __iter__(self) -> Iterator[FileKey]:
        return (key for key, one in self._files.items() if one.key == key)

    def __len__(self) -> int:
        return len(self._files)

    def add(self, one: FoundFile | Followed) -> None:
        """Add a file, or the tail of one that is where and as it was seen last."""
        self._files[one.key] = one

    def has_unchanged(self, tail: Followed) -> bool:
        """Return True if the tail's file is listed, and was where and as it was seen last."""
        return self._files.get(tail.key) is tail

    def changed(self) -> Iterator[FoundFile | None]:
        """Yield the files that are new, or are not where or as they were seen last, and None for each other one."""
        return (one if isinstance(one, FoundFile) else None for one in self._files.values())


class Listing:
    """The regular files that the globs match now. Made for one scan.

    Each file is listed once, under any number of names (links, hard links). `followed` has the files that are followed:
    they are listed in any case, and come first. The oldest of the new files follows them. `dormant`: files that are
    looked for. They may be very many, so their paths and keys are not made a second time.

    `refused(path, error, input)` is called for a file or directory that may not be looked at. Without the call it would
    seem to be empty. `input` is "" for a path that does not make the input unreadable: a directory that only `**` has
    reached, or a name that is no log file.
    """

    def __init__(
        self,
        inputs: Mapping[str, InputSettings],
        volumes: LogVolumes,
        refused: Callable[[str, OSError, str], None],
        followed: Mapping[FileKey, Followed] | None = None,
        dormant: Mapping[FileKey, Followed] | None = None,
    ) -> None:
        self._inputs = inputs
        self._volumes = volumes
        self._refused = refused
        self._followed = followed or {}
        self._dormant = dormant or {}
        self._owners: Counter[int] = Counter()  # of the listed files that are followed, by user id
        self._new: dict[FileKey, FoundFile] = {}  # files that are not followed yet
        self.files = ListedFiles()
        self.matched: set[str] = set()  # the inputs of which a glob matches a file
        self.folders: set[str] = set()  # the directories in which names were looked for
        self.left_out = 0  # files for which there is no room
        self.left_out_with_content = 0

    def steps(self) -> Generator[None, None, None]:
        """List the files. Yields after each directory and after _STEP files, so that the caller can do other work."""
        for name, one in self._inputs.items():
            excluded = _excluder(one.exclude or ())
            refused = partial(self._refused_path, name, excluded)
            for pattern in one.paths:
                for count, match in enumerate(globs.find(pattern, self._volumes, refused, self.folders)):
                    if match is None or count % _STEP == 0:
                        yield
                    if len(self._new) > 2 * MAX_FILES:
                        yield from self._choose_new(MAX_FILES)
                    if match is not None and not excluded(match.path):
                        self._add(match, name)
        yield from self._choose_new(max(0, MAX_FILES - len(self._followed)))
        new = yield from steps.sort(self._new.values(), attrgetter("modified", "path"))
        self._new = {}
        for count, found in enumerate(new):
            if count % _CHOSEN_AT_ONCE == 0:
                yield
            self.files.add(found)

    def missing(self, inputs: Collection[str]) -> Generator[None, None, dict[str, str]]:
        """Return, for each log of these inputs, the path of a rotated file that is missing."""
        folders: dict[str, dict[str, int]] = {}
        for count, found in enumerate(self.files.values()):
            if count % _STEP == 0:
                yield
            if found.input in inputs:
                folder, name = os.path.split(found.path)
                folders.setdefault(folder, {})[name] = found.modified
        paths: dict[str, str] = {}
        for folder, modified in folders.items():
            yield
            if rotated_file_gaps.any_numbered(modified):
                with contextlib.suppress(OSError), descriptors.reserved():
                    names = [entry.name for entry in islice(self._volumes.scan(folder), _MOST_NAMES)]
                    gaps = rotated_file_gaps.missing(names, modified)
                    paths |= {f"{folder}/{log}": f"{folder}/{name}" for log, name in gaps.items()}
        return paths

    def _refused_path(
        self,
        name: str,
        excluded: Callable[[str], bool],
        path: str,
        error: OSError,
        named: bool,  # noqa: FBT001 - as globs calls
    ) -> None:
        if not excluded(path):
            self._refused(path, error, name if named else "")

    def _add(self, match: globs.Match, name: str) -> None:
        path, status = match
        if not stat.S_ISREG(status.st_mode):
            self._refused(path, OSError(errno.EINVAL, not_regular(status.st_mode), path), "")
            return
        self.matched.add(name)
        key, owner = file_key(status), status.st_uid
        tail = self._followed.get(key)
        known = self._new.get(key) if tail is None else self.files.get(key)
        if known is not None and not (path < known.path and os.path.dirname(path) == os.path.dirname(known.path)):  # noqa: PTH120 - paths are text
            return
        if tail is not None:
            self._owners[owner] += known is None
            if tail.is_at(path, status.st_size, status.st_mtime_ns):
                self.files.add(tail)
                return
        if (lost := self._dormant.get(key)) is not None:
            was = lost.as_found()
            key, path = was.key, was.path if was.path == path else path
        found = FoundFile(path, known.input if known else name, key, status.st_size, status.st_mtime_ns, owner)
        if tail is None:
            self._new[key] = found
        else:
            self.files.add(found)

    def _choose_new(self, room: int) -> Generator[None, None, None]:
        """Keep as many new files as there is room for: first those with content, and of these the newest."""
        owners = self._owners.copy()
        chosen: dict[FileKey, FoundFile] = {}
        new = yield from steps.sort(self._new.values(), _rank, reverse=True)
        for count, found in enumerate(new):
            if count % _CHOSEN_AT_ONCE == 0:
                yield
            if len(chosen) < room and owners[found.owner] < MAX_FILES_OF_OWNER:
                owners[found.owner] += 1
                chosen[found.key] = found
            else:
                self.left_out += 1
                self.left_out_with_content += found.size > 0
        self._new = chosen


def _rank(found: FoundFile) -> int:
    """Return a number that is larger for files with content, and of these for a later change: one integer, not two."""
    return found.modified + ((found.size > 0) << 70)


def _excluder(patterns: Iterable[str]) -> Callable[[str], bool]:
    patterns = tuple(patterns)
    return lambda path: any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


# -- paths and directories ---------------------------------------------------------------------------------------------


def files_in(volumes: LogVolumes, folder: str) -> dict[str, FoundFile]:
    """Return the regular files in a directory by their names, matched by a glob or not: one may be a rotated file.

    In a directory with very many names only some of them are looked at. Raises OSError if a directory that is there
    cannot be read: that a file is not found in it says nothing.
    """
    files: dict[str, FoundFile] = {}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), descriptors.reserved():
        for entry in islice(volumes.scan(folder), _MOST_NAMES):
            found = found_beside(folder, entry)
            if found is not None:
                files[entry.name] = found
    return dict(sorted(files.items()))


def found_beside(folder: str, entry: os.DirEntry[str]) -> FoundFile | None:
    """Return the regular file that an entry of a directory names; None if it is none, or is there no more."""
    with contextlib.suppress(OSError):
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            return FoundFile(f"{folder}/{entry.name}", "", file_key(status), status.st_size, status.st_mtime_ns)
    return None


def inputs_of(path: str, inputs: Mapping[str, InputSettings]) -> list[str]:
    """Return the inputs of which a glob matches the path, as a text; else those that look into its directory.

    An input that excludes the path is neither.
    """
    takers = [one for one in inputs.values() if not _excluder(one.exclude or ())(path)]
    globs = [(one.name, glob) for one in takers for glob in one.paths]
    by_path = [name for name, glob in globs if path_matching.matches(glob, path)]
    return by_path or [name for name, glob in globs if path_matching.looks_beside(glob, path)]


def stem(path: str) -> str:
    """Return the beginning of a file's name that rotation keeps: `app` of `app.log`, which may become `app-1.log`."""
    name = os.path.basename(path)  # noqa: PTH119 - paths are text
    return name[:1] + name[1:].partition(".")[0]


def watch_roots(inputs: Mapping[str, InputSettings]) -> set[str]:
    """Return the directories that the globs begin with, or for each the nearest one above that exists.

    They are watched, to notice when a directory of log files is created.
    """
    return {_existing(globs.base(pattern)) for one in inputs.values() for pattern in one.paths}


def _existing(folder: str) -> str:
    while len(folder) > 1 and not os.path.lexists(folder):
        folder = os.path.dirname(folder)  # noqa: PTH120 - paths are text
    return folder


class DirectoryTimes:
    """The times of the globs' directories. They show if a scan may find other names than the last one.

    A directory's time changes when a name is created, deleted or given to another file. But some file systems may not
    do that, their clocks may be coarse, and a clock may be set. So the times save most scans and never all of them: the
    more files there are, the more.
    """

    _UNSURE = 2_000_000_000  # nanoseconds in which a further change may leave the same time
    _LOOKS = 10  # calls of which one returns True in any case, with up to _FILES_OF_A_LOOK files for each of them
    _FILES_OF_A_LOOK = 250  # files that a scan lists in about a hundredth of a second
    _MOST_FOLDERS = 1000  # of more directories the times are not read

    def __init__(self, inputs: Mapping[str, InputSettings]) -> None:
        patterns = [pattern for one in inputs.values() for pattern in one.paths]
        self._folders = sorted({globs.base(pattern) for pattern in patterns})
        self._knows_all = not any(globs.has_magic(os.path.dirname(pattern)) for pattern in patterns)  # noqa: PTH120 - paths are text
        self._seen: list[tuple[int, int, int]] = []
        self._looks = 0
        self._most = self._LOOKS

    def expect(self, folders: Collection[str], files: int) -> None:
        """Note the directories in which a scan has looked for names, and the number of files that it has listed."""
        self._knows_all = len(folders) <= self._MOST_FOLDERS
        if self._knows_all and folders != set(self._folders):
            self._folders = sorted(folders)
        self._most = max(self._LOOKS, files // self._FILES_OF_A_LOOK)

    def may_have_changed(self) -> bool:
        """Return False only if nothing can have changed since the last call that returned True. Call before a scan."""
        self._looks += 1
        now = time.time_ns()
        seen = [_times(folder) for folder in self._folders]
        fresh = any(now - self._UNSURE < modified for *_, modified in seen)
        if self._knows_all and not fresh and seen == self._seen and self._looks < self._most:
            return False
        self._looks, self._seen = 0, seen
        return True


def _times(folder: str) -> tuple[int, int, int]:
    try:
        status = os.stat(folder)  # noqa: PTH116 - paths are text
    except OSError:
        return (0, 0, 0)
    return (status.st_dev, status.st_ino, status.st_mtime_ns)
