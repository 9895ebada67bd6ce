"""Which log files are there: the globs, looked up, with what `stat` says of each; and opening them.

A file that cannot be opened for now is told once, kept in `unreadable`, and tried again whenever it is found again.
"""

from __future__ import annotations

import errno
import fnmatch
import glob
import os
import stat
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
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


def look(inputs: Mapping[str, Input]) -> dict[Key, Found]:
    """The regular files that match, each once whatever its names (symlinks, hard links), oldest first."""
    found: dict[Key, Found] = {}
    for name, tailed in inputs.items():
        for path in _matches(tailed):
            entry = _entry(path, name)
            if entry is not None:
                found.setdefault(entry.key, entry)
    return dict(sorted(found.items(), key=lambda item: (item[1].modified, item[1].path)))


def neighbours(path: str) -> Iterator[Found]:
    """The regular files in the same directory, whatever their names: where a rotated file is looked for."""
    folder = os.path.dirname(os.path.realpath(path))  # noqa: PTH120 - paths are text: globs give it, records need it
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - as above
    except OSError:
        return
    for name in names:
        entry = _entry(f"{folder}/{name}", "")
        if entry is not None:
            yield entry


def may_be_a_copy(name: str, path: str) -> bool:
    """Whether a file's name could be one that rotation gives to a copy of the other: `app-1.log` of `app.log`."""
    return os.path.basename(name).startswith(os.path.basename(path).partition(".")[0])  # noqa: PTH119 - as above


def _matches(tailed: Input) -> Iterator[str]:
    excluded = _excluder(tailed.exclude or ())
    for pattern in tailed.paths:
        for path in sorted(glob.iglob(pattern, recursive=True)):  # noqa: PTH207 - as above
            if not excluded(path):
                yield path


def _excluder(patterns: Iterable[str]) -> Callable[[str], bool]:
    patterns = tuple(patterns)
    return lambda path: any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def _entry(path: str, name: str) -> Found | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - as above
    except OSError:
        return None  # it vanished between listing and looking, or cannot be reached for now
    if not stat.S_ISREG(status.st_mode):
        return None
    return Found(path, name, (status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns)


# -- opening -----------------------------------------------------------------------------------------------------------


class Access:
    """Opens what was found, and knows what could not be opened."""

    def __init__(self) -> None:
        self.unreadable: dict[str, str] = {}  # path -> why

    def open(self, found: Found) -> int | None:
        """A descriptor of the found file; None, and noted, when it cannot be read for now or is another by now."""
        try:
            descriptor = os.open(found.path, _FLAGS)
        except OSError as error:
            if error.errno != errno.ENOENT and found.path not in self.unreadable:
                self.unreadable[found.path] = error.strerror or str(error)
                log.warning("a file cannot be read; it is tried again", file=found.path, reason=error.strerror)
            return None
        self.unreadable.pop(found.path, None)
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) != found.key or not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            return None
        return descriptor

    def open_if(self, found: Found, test: Callable[[Sample], bool]) -> int | None:
        """As `open`; None also when the file's content does not pass the test."""
        descriptor = self.open(found)
        if descriptor is None or test(sampler(descriptor)):
            return descriptor
        os.close(descriptor)
        return None

    def forget_all_but(self, paths: Container[str]) -> None:
        self.unreadable = {path: why for path, why in self.unreadable.items() if path in paths}


def sampler(descriptor: int) -> Sample:
    return lambda offset, length: os.pread(descriptor, length, offset)
