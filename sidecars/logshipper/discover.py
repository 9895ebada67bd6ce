"""Which log files are there: the globs, looked up, with what `stat` says of each."""

from __future__ import annotations

import fnmatch
import glob
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from sidecars.logshipper.settings import Input

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
