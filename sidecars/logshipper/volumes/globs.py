"""Globs: find the files that match a pattern, in one walk over the directories.

Patterns have the rules of Python's `glob`. `*`, `?` and `[…]` match within a name, and match a leading dot only if the
pattern has one. `**` matches any number of directories whose names have no leading dot.

Theory of operation. The walk has a list of directories that are still to be read, each with the part of the pattern
that its names are matched against.

- A directory is read once for each part of the pattern, by a descriptor, and its names are streamed: a million names
  take time and no memory.
- A link is followed only below the directories of LOGSHIPPER_LINK_ROOTS (see `log_volumes`). Any other link that would
  match is reported as refused.
- Below `**` a directory that was read before (the same device and inode, at the same part) is not read again, so that a
  circle of links ends.
- Links are followed last, so that a file is found under a path without links, if it has one.
- Nothing recurses. `**` goes down MAX_DEPTH directories at most, and one walk reads MAX_FOLDERS directories at most.

The generator yields None after each directory and each _STEP names, so that the caller can do other work.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from sidecars.chassis.isolation.beneath import LeavesRoot
from sidecars.chassis.runtime import descriptors
from sidecars.logshipper.model.file_key import file_key
from sidecars.logshipper.volumes.log_volumes import NOT_FOLLOWED, LogVolumes

MAX_DEPTH = 32  # directories below the fixed part of a pattern
MAX_FOLDERS = 20_000  # directories that one walk reads
_STEP = 1000  # names between two steps of a walk
_MAGIC = re.compile(r"[*?[]")

Refused = Callable[[str, OSError, bool], None]
"""Called with a path that may not be looked at, the error, and True if the pattern names it (else `**` reached it)."""


class Match(NamedTuple):
    """A path that matches, and its status: of any kind of file, but of no link."""

    path: str
    status: os.stat_result


def has_magic(text: str) -> bool:
    """Return True if the text is a pattern and no plain name."""
    return _MAGIC.search(text) is not None


def base(pattern: str) -> str:
    """Return the directory that the pattern begins with: its fixed part."""
    folder = os.path.dirname(pattern)  # noqa: PTH120 - paths are text: globs give it, records need it
    while has_magic(folder):
        folder = os.path.dirname(folder)  # noqa: PTH120 - paths are text
    return folder


def find(pattern: str, volumes: LogVolumes, refused: Refused, folders: set[str]) -> Iterator[Match | None]:
    """Yield the paths that match, and None between steps. The directories that were read are added to `folders`."""
    return _Walk(pattern, volumes, refused, folders).matches()


class _Walk:
    """One walk for one pattern."""

    def __init__(self, pattern: str, volumes: LogVolumes, refused: Refused, folders: set[str]) -> None:
        start = base(pattern)
        rest = pattern.removeprefix(start).strip("/")
        self._parts = [part for part in rest.split("/") if part]
        self._last = len(self._parts) - 1
        self._volumes = volumes
        self._refused = refused
        self._folders = folders
        self._base = start.rstrip("/")
        self._todo: deque[tuple[str, int, int]] = deque([(self._base, 0, 0)])  # directory, part, depth
        self._links: deque[tuple[str, int, int]] = deque()  # the same, by way of a link
        self._seen: set[tuple[int, int, int]] = set()  # device, inode, part
        self._left = MAX_FOLDERS  # directories that may still be put on the list

    def matches(self) -> Iterator[Match | None]:
        while self._todo or self._links:
            folder, part, depth = self._todo.popleft() if self._todo else self._links.popleft()
            if has_magic(self._parts[part]):
                try:
                    yield from self._read(folder, part, depth)
                except OSError as error:  # the rest of the directory cannot be read
                    self._refused_folder(folder, part, error)
                yield None
            else:
                yield from self._named(folder, part, depth)

    def _named(self, folder: str, part: int, depth: int) -> Iterator[Match]:
        """Follow a part of the pattern that is a plain name: no directory has to be read for it."""
        self._folders.add(folder or "/")
        path = f"{folder}/{self._parts[part]}"
        if part < self._last:
            self._add(path, part + 1, depth, is_link=False)
            return
        try:
            status = self._volumes.status(path)
        except (PermissionError, LeavesRoot) as error:
            self._refused(path, error, True)
            return
        except OSError:
            return  # it is not there
        if stat.S_ISDIR(status.st_mode):
            self._refused(path, OSError(errno.EISDIR, os.strerror(errno.EISDIR), path), False)
        else:
            yield Match(path, status)

    def _read(self, folder: str, part: int, depth: int) -> Iterator[Match | None]:
        """Read a directory, and match its names against this part; behind `**`, against the next part as well."""
        entries = self._entries(folder, part)
        if entries is None:
            return
        descending = []
        while self._parts[part] == "**":  # `**` also matches no directory
            descending.append(part)
            if part == self._last:
                break
            part += 1
        matches = _matcher(self._parts[part]) if has_magic(self._parts[part]) else None
        for count, entry in enumerate(entries, 1):
            if count % _STEP == 0:
                yield None
            matched = part if matches is not None and matches(entry.name) else None
            if entry.is_file(follow_symlinks=False):
                if matched == self._last:
                    yield from self._file(entry, f"{folder}/{entry.name}")
                continue
            below = descending if depth < MAX_DEPTH and not entry.name.startswith(".") else []
            if matched is not None or below:
                yield from self._entry(entry, f"{folder}/{entry.name}", matched, below, depth)
        if matches is None:
            yield from self._named(folder, part, depth)

    def _entry(
        self, entry: os.DirEntry[str], path: str, part: int | None, descending: list[int], depth: int
    ) -> Iterator[Match]:
        """Take an entry that is no regular file. It matches the part, or only parts `**` reach it."""
        if entry.is_symlink():
            yield from self._linked(path, part, descending, depth)
        elif entry.is_dir(follow_symlinks=False):
            self._descend(path, part, descending, depth)
        elif part == self._last:
            yield from self._file(entry, path)

    def _file(self, entry: os.DirEntry[str], path: str) -> tuple[Match, ...]:
        try:
            status = _status(entry)
        except PermissionError as error:  # the directory may be read, and its files not looked at
            self._refused(path, OSError(error.errno, error.strerror, path), True)
            return ()
        return () if status is None else (Match(path, status),)

    def _descend(
        self, path: str, part: int | None, descending: list[int], depth: int, *, is_link: bool = False
    ) -> None:
        """Put a directory on the list: for the parts `**` that reach it, and for the part after the one it matches."""
        for one in descending:
            self._add(path, one, depth + 1, is_link=is_link)
        if part is not None and part < self._last:
            self._add(path, part + 1, depth, is_link=is_link)

    def _linked(self, path: str, part: int | None, descending: list[int], depth: int) -> Iterator[Match]:
        """Follow a link, as far as the declared roots allow."""
        named = part is not None
        if not self._volumes.follows_links:
            self._refused(path, LeavesRoot(path, NOT_FOLLOWED), named)
            return
        try:
            status = self._volumes.status(path)
        except (PermissionError, LeavesRoot) as error:
            self._refused(path, error, named)
        except OSError:
            pass  # it leads to nothing (yet)
        else:
            if stat.S_ISDIR(status.st_mode):
                self._descend(path, part, descending, depth, is_link=True)
            elif part == self._last:
                yield Match(path, status)

    def _add(self, folder: str, part: int, depth: int, *, is_link: bool) -> None:
        self._left -= 1
        if self._left >= 0:
            (self._links if is_link else self._todo).append((folder, part, depth))
        elif self._left == -1:
            reason = f"a glob reaches more than {MAX_FOLDERS} directories, and the others are not read"
            self._refused(self._base or "/", OSError(errno.EMLINK, reason), False)

    def _entries(self, folder: str, part: int) -> Iterator[os.DirEntry[str]] | None:
        """Begin to read a directory. Return None if it was read before, does not exist or cannot be read."""
        try:
            if "**" in self._parts[: part + 1]:
                key = (*file_key(self._volumes.status(folder or "/")), part)
                if key in self._seen:
                    return None
                self._seen.add(key)
            entries = _scan(self._volumes, folder or "/")
        except (FileNotFoundError, NotADirectoryError):
            return None  # it is not there (yet)
        except OSError as error:
            self._refused_folder(folder, part, error)
            return None
        self._folders.add(folder or "/")
        return entries

    def _refused_folder(self, folder: str, part: int, error: OSError) -> None:
        named = folder == self._base or "**" not in self._parts[: part + 1]
        self._refused(folder or "/", error, named)


def _scan(volumes: LogVolumes, folder: str) -> Iterator[os.DirEntry[str]]:
    """Begin to read a directory. If no descriptor is free, one of the reserve is used."""
    try:
        return volumes.scan(folder)
    except OSError as error:
        if descriptors.count_exhaustion(error) is None:
            raise
    with descriptors.reserved():
        return volumes.scan(folder)


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Return the status of an entry; None if it was removed since. Raises PermissionError."""
    try:
        return entry.stat(follow_symlinks=False)
    except PermissionError:
        raise
    except OSError:
        return None


@lru_cache(maxsize=256)
def _matcher(pattern: str) -> Callable[[str], object]:
    """Return a function that is true for a name that matches. A leading dot is matched only by a pattern with one."""
    if pattern == "**":
        pattern = "*"
    match = re.compile(fnmatch.translate(pattern)).match
    if pattern.startswith("."):
        return match
    return lambda name: not name.startswith(".") and match(name)
