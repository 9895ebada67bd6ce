"""Discovery: lists the log files that the globs match, with the result of `stat`, and opens them.

A file that cannot be opened is logged once, kept in `FileAccess.unreadable`, and opened again by each scan that finds
it.
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

_STEP = 100  # files between two steps of a listing

FileKey = tuple[int, int]
"""Device and inode of a file."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file that was found at a path, at the time of a `stat`."""

    path: str
    input: str  # name of the input whose glob matches it; "" if it was found beside a log
    key: FileKey
    size: int
    modified: int  # nanoseconds


# -- listing -----------------------------------------------------------------------------------------------------------


class Listing:
    """The regular files that the globs match now. Made for one scan.

    Each file is listed once, whatever its names (symlinks, hard links). The oldest file comes first.

    `refused(path, error, input)` is called for a file or directory that may not be looked at. Without the call it would
    seem to be empty. `input` is "" for a directory that only `**` has reached: no glob names it.
    """

    def __init__(self, inputs: Mapping[str, InputSettings], refused: Callable[[str, OSError, str], None]) -> None:
        self._inputs = inputs
        self._refused = refused
        self.files: dict[FileKey, FoundFile] = {}
        self.folders: set[str] = set()  # the directories in which names were looked for

    def steps(self) -> Iterator[None]:
        """List the files. Yields after each directory and after _STEP files, so that the caller can do other work."""
        for name, one in self._inputs.items():
            excluded = _excluder(one.exclude or ())
            for pattern in one.paths:
                for count, path in enumerate(globs.find(pattern, partial(self._refused_folder, name), self.folders)):
                    if path is None or count % _STEP == 0:
                        yield
                    if path is not None and not excluded(path):
                        self._add(path, name)
        self.files = dict(sorted(self.files.items(), key=lambda item: (item[1].modified, item[1].path)))

    def missing(self, inputs: Collection[str]) -> dict[str, str]:
        """Return, for each log of these inputs, the path of a rotated file that is missing."""
        folders: dict[str, dict[str, int]] = {}
        for found in self.files.values():
            if found.input in inputs:
                folder, name = os.path.split(found.path)
                folders.setdefault(folder, {})[name] = found.modified
        paths: dict[str, str] = {}
        for folder, modified in folders.items():
            with contextlib.suppress(OSError), descriptors.reserved():
                gaps = rotated_file_gaps.missing(os.listdir(folder), modified)  # noqa: PTH208 - paths are text
                paths |= {f"{folder}/{log}": f"{folder}/{name}" for log, name in gaps.items()}
        return paths

    def _refused_folder(self, name: str, folder: str, error: OSError, named: bool) -> None:  # noqa: FBT001 - as globs calls
        self._refused(folder, error, name if named else "")

    def _add(self, path: str, name: str) -> None:
        try:
            found = _stat(path, name)
        except PermissionError as error:
            self._refused(path, error, name)
            return
        if found is not None:
            self.files.setdefault(found.key, found)


def _excluder(patterns: Iterable[str]) -> Callable[[str], bool]:
    patterns = tuple(patterns)
    return lambda path: any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def _stat(path: str, name: str) -> FoundFile | None:
    """Return the file at the path; None if there is no regular file. Raises PermissionError."""
    try:
        status = os.stat(path)  # noqa: PTH116 - paths are text
    except PermissionError:
        raise
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return FoundFile(path, name, (status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns)


# -- paths and directories ---------------------------------------------------------------------------------------------


def file_key(path: str) -> FileKey | None:
    """Return the key of the file at the path; None if there is none, or if `stat` is refused."""
    try:
        status = os.stat(path)  # noqa: PTH116 - paths are text
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


def real_folder(path: str) -> str:
    """Return the directory that a file is in once all symlinks are resolved."""
    return os.path.dirname(os.path.realpath(path))  # noqa: PTH120 - paths are text


def is_readable(folder: str) -> bool:
    """Return True if the directory exists and can be listed: a file that is not found in it does not exist."""
    return os.path.isdir(folder) and os.access(folder, os.R_OK | os.X_OK)  # noqa: PTH112 - paths are text


def files_in(folder: str) -> dict[str, FoundFile]:
    """Return the regular files in a directory by their names, matched by a glob or not: one may be a rotated file."""
    files: dict[str, FoundFile] = {}
    with contextlib.suppress(OSError), descriptors.reserved():
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 - paths are text
            with contextlib.suppress(PermissionError):
                found = _stat(f"{folder}/{name}", "")
                if found is not None:
                    files[name] = found
    return files


def stem(path: str) -> str:
    """Return the beginning of a file's name that rotation keeps: `app` of `app.log`, which may become `app-1.log`."""
    return os.path.basename(path).partition(".")[0]  # noqa: PTH119 - paths are text


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
    do that, their clocks may be coarse, and a clock may be set. So the times save most scans and never all of them.
    """

    _UNSURE = 2_000_000_000  # nanoseconds in which a further change may leave the same time
    _LOOKS = 10  # calls of which one returns True in any case

    def __init__(self, inputs: Mapping[str, InputSettings]) -> None:
        patterns = [pattern for one in inputs.values() for pattern in one.paths]
        self._folders = sorted({globs.base(pattern) for pattern in patterns})
        self._flat = not any(globs.has_magic(os.path.dirname(pattern)) for pattern in patterns)  # noqa: PTH120 - paths are text
        self._seen: list[tuple[int, int, int]] = []
        self._looks = 0

    def may_have_changed(self) -> bool:
        """Return False only if nothing can have changed since the last call that returned True. Call before a scan."""
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
        status = os.stat(folder)  # noqa: PTH116 - paths are text
    except OSError:
        return (0, 0, 0)
    return (status.st_dev, status.st_ino, status.st_mtime_ns)


# -- opening -----------------------------------------------------------------------------------------------------------


class FileAccess:
    """Opens files, and keeps those that cannot be read. Owned by `FollowedFiles`."""

    def __init__(self, make_room: Callable[[], bool]) -> None:
        self.unreadable: dict[str, str] = {}  # path -> reason
        self._make_room = make_room  # closes a file to free a descriptor; returns False if none can be closed
        self._errors: dict[str, dict[str, OSError]] = {}  # input -> path -> error, of the paths that its globs name
        self._refused: set[str] = set()  # the paths that were refused since the scan began

    def begin_scan(self) -> None:
        """Note that a scan begins: it will find again what is still unreadable."""
        self._refused = set()

    def end_scan(self) -> None:
        """Forget the paths that were unreadable before this scan and not in it."""
        self.unreadable = {path: reason for path, reason in self.unreadable.items() if path in self._refused}
        for errors in self._errors.values():
            for path in errors.keys() - self._refused:
                del errors[path]

    def refused(self, path: str, error: OSError, name: str = "") -> None:
        """Note that a file or directory cannot be read. `name` is the input whose globs name the path."""
        reason = error.strerror or str(error)
        if descriptors.exhausted_resource(error):
            name = ""  # not the file's fault; `descriptors` logs it, and it passes
        elif self.unreadable.get(path) != reason:
            log.warning("a file cannot be read; it is tried again", file=path, reason=permissions.why(path, error))
        self.unreadable[path] = reason
        self._refused.add(path)
        if name:
            self._errors.setdefault(name, {})[path] = error

    def is_refused(self, path: str) -> bool:
        """Return True if the path was refused since the scan began."""
        return path in self._refused

    def refusals(self, name: str) -> Mapping[str, OSError]:
        """Return the unreadable files and directories that an input's globs name, with their errors."""
        return self._errors.get(name, {})

    def open_if(self, found: FoundFile, test: Callable[[ReadAt], bool]) -> int | None:
        """Return a descriptor of the file if its content passes the test.

        Return None, too, if the file cannot be read now (which is noted), was deleted, or is another one by now.
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
        """Open a file for reading. If no descriptor is free, another file is closed for it. Raises OSError."""
        try:
            return os.open(path, _FLAGS)
        except OSError as error:
            if descriptors.count_exhaustion(error) is None or not self._make_room():
                raise
        return os.open(path, _FLAGS)


def reader_at(descriptor: int) -> ReadAt:
    return lambda offset, length: os.pread(descriptor, length, offset)
