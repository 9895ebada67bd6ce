"""Which log files are there: the globs, looked up, with what `stat` says of each; and opening them.

A file that cannot be opened for now is told once, kept in `unreadable`, and tried again whenever it is found again.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from sidecars.chassis.runtime import descriptors, logs
from sidecars.logshipper.config.input_settings import InputSettings
from sidecars.logshipper.input import globs, permissions, rotated_file_gaps
from sidecars.logshipper.model.fingerprint import ReadAt

log = logs.get("discover")

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

_STEP = 100  # files between two steps of a look

FileKey = tuple[int, int]
"""Device and inode."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    path: str
    input: str
    key: FileKey
    size: int
    modified: int  # nanoseconds


class Listing:
    """The regular files that match now, each once whatever its names (symlinks, hard links), oldest first.

    `refused` is called for a file or directory that we may not look at: it would otherwise just seem to be empty. Its
    last argument is the input. A directory that only `**` met is told with the input "": nobody asked for it by name.
    """

    def __init__(self, inputs: Mapping[str, InputSettings], refused: Callable[[str, OSError, str], None]) -> None:
        self._inputs = inputs
        self._refused = refused
        self.found: dict[FileKey, FoundFile] = {}
        self.folders: set[str] = set()  # the directories that names were looked for in

    def steps(self) -> Iterator[None]:
        """Look. Yields after each directory and after some files: the caller may let others work there."""
        for name, tailed in self._inputs.items():
            excluded = _excluder(tailed.exclude or ())
            for pattern in tailed.paths:
                for count, path in enumerate(globs.find(pattern, partial(self._no_directory, name), self.folders)):
                    if path is None or count % _STEP == 0:
                        yield
                    if path is not None and not excluded(path):
                        self._take(path, name)
        self.found = dict(sorted(self.found.items(), key=lambda item: (item[1].modified, item[1].path)))

    def missing(self, inputs: Collection[str]) -> dict[str, str]:
        """Return, for each log of these inputs, the path of a rotated file that is missing."""
        folders: dict[str, dict[str, int]] = {}
        for found in self.found.values():
            if found.input in inputs:
                folder, name = os.path.split(found.path)
                folders.setdefault(folder, {})[name] = found.modified
        paths: dict[str, str] = {}
        for folder, modified in folders.items():
            with contextlib.suppress(OSError), descriptors.reserved():
                gone = rotated_file_gaps.missing(os.listdir(folder), modified)  # noqa: PTH208 - as above
                paths |= {f"{folder}/{log}": f"{folder}/{name}" for log, name in gone.items()}
        return paths

    def _no_directory(self, name: str, folder: str, error: OSError, named: bool) -> None:  # noqa: FBT001 - as globs calls
        self._refused(folder, error, name if named else "")

    def _take(self, path: str, name: str) -> None:
        try:
            entry = _entry(path, name)
        except PermissionError as error:
            self._refused(path, error, name)
            return
        if entry is not None:
            self.found.setdefault(entry.key, entry)


def file_key(path: str) -> FileKey | None:
    """Return which file is at the path; None where there is none, or it may not be looked at."""
    try:
        status = os.stat(path)  # noqa: PTH116 - as above
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


def folder_of(path: str) -> str:
    """The directory that a file is really in."""
    return os.path.dirname(os.path.realpath(path))  # noqa: PTH120 - paths are text: globs give it, records need it


def can_look_into(folder: str) -> bool:
    """Return True if the directory is there and we may list it: what is not found in it then is not there."""
    return os.path.isdir(folder) and os.access(folder, os.R_OK | os.X_OK)  # noqa: PTH112 - as above


def files_in(folder: str) -> dict[str, FoundFile]:
    """The regular files in a directory by their names, whatever these are: where a rotated file is looked for."""
    entries: dict[str, FoundFile] = {}
    with contextlib.suppress(OSError), descriptors.reserved():
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 - as above
            with contextlib.suppress(PermissionError):
                entry = _entry(f"{folder}/{name}", "")
                if entry is not None:
                    entries[name] = entry
    return entries


def may_be_a_copy(name: str, path: str) -> bool:
    """Whether a file's name could be one that rotation gives to a copy of the other: `app-1.log` of `app.log`."""
    return os.path.basename(name).startswith(stem(path))  # noqa: PTH119 - as above


def stem(path: str) -> str:
    """Return the beginning of a file's name that rotation keeps."""
    return os.path.basename(path).partition(".")[0]  # noqa: PTH119 - as above


def watch_roots(inputs: Mapping[str, InputSettings]) -> set[str]:
    """The directories that the globs begin with, or above them the first that is there: to be told when they come."""
    return {_existing(globs.base(pattern)) for tailed in inputs.values() for pattern in tailed.paths}


def _existing(folder: str) -> str:
    while len(folder) > 1 and not os.path.lexists(folder):
        folder = os.path.dirname(folder)  # noqa: PTH120 - as above
    return folder


def _excluder(patterns: Iterable[str]) -> Callable[[str], bool]:
    patterns = tuple(patterns)
    return lambda path: any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def _entry(path: str, name: str) -> FoundFile | None:
    """What is there; None when it is no regular file or vanished. Raises PermissionError."""
    try:
        status = os.stat(path)  # noqa: PTH116 - as above
    except PermissionError:
        raise
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return FoundFile(path, name, (status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns)


class DirectoryTimes:
    """Whether it is worth while to go through the globs again.

    A name that comes, goes or is given to another file changes the directory's time. That is not known to be true of
    every file system, and its clock may be coarse, or be set; so it only saves most of the work, and never all.
    """

    _UNSURE = 2_000_000_000  # nanoseconds in which another change may leave the same time
    _LOOKS = 10  # of which one is made in any case

    def __init__(self, inputs: Mapping[str, InputSettings]) -> None:
        patterns = [pattern for tailed in inputs.values() for pattern in tailed.paths]
        self._folders = sorted({globs.base(pattern) for pattern in patterns})
        self._flat = not any(globs.has_magic(os.path.dirname(pattern)) for pattern in patterns)  # noqa: PTH120 - as above
        self._seen: list[tuple[int, int, int]] = []
        self._looks = 0

    def may_have_changed(self) -> bool:
        """Call it before looking. False only when nothing can have changed since the last time that it was True."""
        self._looks += 1
        now = time.time_ns()
        seen = [_times(folder) for folder in self._folders]
        fresh = any(now - self._UNSURE < modified for *_, modified in seen)
        if self._flat and not fresh and seen == self._seen and self._looks < self._LOOKS:
            return False
        self._looks, self._seen = 0, seen
        return True


def _times(folder: str) -> tuple[int, int, int]:
    try:
        status = os.stat(folder)  # noqa: PTH116 - as above
    except OSError:
        return (0, 0, 0)
    return (status.st_dev, status.st_ino, status.st_mtime_ns)


# -- opening -----------------------------------------------------------------------------------------------------------


class FileAccess:
    """Opens what was found, and knows what could not be read: told once, and tried again by each scan."""

    def __init__(self) -> None:
        self.unreadable: dict[str, str] = {}  # path -> why
        self._reasons: dict[str, dict[str, OSError]] = {}  # input -> path -> why, of the files that it asks for
        self._scanned: set[str] = set()  # what was refused since the scan began
        self.make_room: Callable[[], bool] = lambda: False  # closes a file that we can do without

    def begin_scan(self) -> None:
        """What is still refused will be noted again."""
        self._scanned = set()

    def end_scan(self) -> None:
        """Forget what was refused by earlier scans only."""
        self.unreadable = {path: why for path, why in self.unreadable.items() if path in self._scanned}
        for refused in self._reasons.values():
            for path in refused.keys() - self._scanned:
                del refused[path]

    def refused(self, path: str, error: OSError, name: str = "") -> None:
        """Note that a file or directory cannot be read, and that it is one that the input of that name asks for."""
        reason = error.strerror or str(error)
        if descriptors.exhausted_resource(error):
            name = ""  # that is our own affair, is told by `descriptors`, and passes
        elif self.unreadable.get(path) != reason:
            log.warning("a file cannot be read; it is tried again", file=path, reason=permissions.why(path, error))
        self.unreadable[path] = reason
        self._scanned.add(path)
        if name:
            self._reasons.setdefault(name, {})[path] = error

    def is_refused(self, path: str) -> bool:
        """Return True if the path was refused since the scan began."""
        return path in self._scanned

    def refusals(self, name: str) -> Mapping[str, OSError]:
        """Return what of the input's files and directories cannot be read, and why."""
        return self._reasons.get(name, {})

    def open_if(self, found: FoundFile, test: Callable[[ReadAt], bool]) -> int | None:
        """A descriptor of the found file, if its content passes the test.

        None also when it cannot be read for now, which is noted, or is another or gone by now.
        """
        descriptor, passed = None, False
        try:
            descriptor = self._open(found.path)
            status = os.fstat(descriptor)
            same = (status.st_dev, status.st_ino) == found.key and stat.S_ISREG(status.st_mode)
            passed = same and test(reader_at(descriptor))
        except FileNotFoundError:
            pass
        except OSError as error:
            self.refused(found.path, error, found.input)
        if descriptor is not None and not passed:
            os.close(descriptor)
        return descriptor if passed else None

    def _open(self, path: str) -> int:
        """Open a file for reading; where no descriptor is free, close another one for it. Raises OSError."""
        try:
            return os.open(path, _FLAGS)
        except OSError as error:
            if descriptors.count_exhaustion(error) is None or not self.make_room():
                raise
        return os.open(path, _FLAGS)


def reader_at(descriptor: int) -> ReadAt:
    return lambda offset, length: os.pread(descriptor, length, offset)
