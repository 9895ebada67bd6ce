"""Which log files are there: the globs, looked up, with what `stat` says of each; and opening them.

A file that cannot be opened for now is told once, kept in `unreadable`, and tried again whenever it is found again.
"""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from chassis import logs
from sidecars.logshipper.identity import Sample
from sidecars.logshipper.settings import Input

log = logs.get("discover")

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

Key = tuple[int, int]
"""Device and inode."""


@dataclass(frozen=True, slots=True)
class Found:
    path: str
    input: str
    key: Key
    size: int
    modified: int  # nanoseconds


def look(inputs: Mapping[str, Input], refused: Callable[[str, OSError], None]) -> dict[Key, Found]:
    """The regular files that match, each once whatever its names (symlinks, hard links), oldest first.

    Calls `refused` for a file or directory that we may not look at: it would otherwise just seem to be empty.
    """
    found: dict[Key, Found] = {}
    for name, tailed in inputs.items():
        for path in _matches(tailed, refused):
            try:
                entry = _entry(path, name)
            except PermissionError as error:
                refused(path, error)
                continue
            if entry is not None:
                found.setdefault(entry.key, entry)
    return dict(sorted(found.items(), key=lambda item: (item[1].modified, item[1].path)))


def folder_of(path: str) -> str:
    """The directory that a file is really in."""
    return os.path.dirname(os.path.realpath(path))  # noqa: PTH120 - paths are text: globs give it, records need it


def neighbours(folder: str) -> dict[str, Found]:
    """The regular files in a directory by their names, whatever these are: where a rotated file is looked for."""
    entries: dict[str, Found] = {}
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 - as above
            with contextlib.suppress(PermissionError):
                entry = _entry(f"{folder}/{name}", "")
                if entry is not None:
                    entries[name] = entry
    return entries


def may_be_a_copy(name: str, path: str) -> bool:
    """Whether a file's name could be one that rotation gives to a copy of the other: `app-1.log` of `app.log`."""
    return os.path.basename(name).startswith(os.path.basename(path).partition(".")[0])  # noqa: PTH119 - as above


def _matches(tailed: Input, refused: Callable[[str, OSError], None]) -> Iterator[str]:
    excluded = _excluder(tailed.exclude or ())
    for pattern in tailed.paths:
        matches = sorted(glob.iglob(pattern, recursive=True))  # noqa: PTH207 - as above
        if not matches:
            _knock(pattern, refused)
        yield from (path for path in matches if not excluded(path))


def _knock(pattern: str, refused: Callable[[str, OSError], None]) -> None:
    """Tell when nothing matches since we may not look."""
    folder = _base(pattern)
    try:
        os.listdir(folder)  # noqa: PTH208 - as above
    except PermissionError as error:
        refused(folder, error)
    except OSError:
        pass  # it is not there (yet)


def bases(inputs: Mapping[str, Input]) -> set[str]:
    """The directories that the globs begin with."""
    return {_base(pattern) for tailed in inputs.values() for pattern in tailed.paths}


def _base(pattern: str) -> str:
    folder = os.path.dirname(pattern)  # noqa: PTH120 - as above
    while glob.has_magic(folder):
        folder = os.path.dirname(folder)  # noqa: PTH120 - as above
    return folder


def _excluder(patterns: Iterable[str]) -> Callable[[str], bool]:
    patterns = tuple(patterns)
    return lambda path: any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def _entry(path: str, name: str) -> Found | None:
    """What is there; None when it is no regular file or vanished. Raises PermissionError."""
    try:
        status = os.stat(path)  # noqa: PTH116 - as above
    except PermissionError:
        raise
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Found(path, name, (status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns)


class Directories:
    """Whether it is worth while to go through the globs again.

    A name that comes, goes or is given to another file changes the directory's time. That is not known to be true of
    every file system, and its clock may be coarse, or be set; so it only saves most of the work, and never all.
    """

    _UNSURE = 2_000_000_000  # nanoseconds in which another change may leave the same time
    _LOOKS = 10  # of which one is made in any case

    def __init__(self, inputs: Mapping[str, Input]) -> None:
        patterns = [pattern for tailed in inputs.values() for pattern in tailed.paths]
        self._folders = sorted(bases(inputs))
        self._flat = not any(glob.has_magic(os.path.dirname(pattern)) for pattern in patterns)  # noqa: PTH120 - as above
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


class Access:
    """Opens what was found, and knows what could not be read: told once, and tried again by each scan."""

    def __init__(self) -> None:
        self.unreadable: dict[str, str] = {}  # path -> why
        self._told: dict[str, str] = {}

    def begin_scan(self) -> None:
        """What is still refused will be noted again."""
        self._told, self.unreadable = self.unreadable, {}

    def refused(self, path: str, error: OSError) -> None:
        reason = error.strerror or str(error)
        if path not in self._told and path not in self.unreadable:
            log.warning("a file cannot be read; it is tried again", file=path, reason=reason)
        self.unreadable[path] = reason

    def open_if(self, found: Found, test: Callable[[Sample], bool]) -> int | None:
        """A descriptor of the found file, if its content passes the test.

        None also when it cannot be read for now, which is noted, or is another or gone by now.
        """
        descriptor, passed = None, False
        try:
            descriptor = os.open(found.path, _FLAGS)
            status = os.fstat(descriptor)
            same = (status.st_dev, status.st_ino) == found.key and stat.S_ISREG(status.st_mode)
            passed = same and test(sampler(descriptor))
        except FileNotFoundError:
            pass
        except OSError as error:
            self.refused(found.path, error)
        if descriptor is not None and not passed:
            os.close(descriptor)
        return descriptor if passed else None


def sampler(descriptor: int) -> Sample:
    return lambda offset, length: os.pread(descriptor, length, offset)
