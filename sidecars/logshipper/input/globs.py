"""Globs: find the files that match a pattern, in one walk over the directories.

Patterns have the rules of Python's `glob`. `*`, `?` and `[…]` match within a name, and match a leading dot only if the
pattern has one. `**` matches any number of directories whose names have no leading dot.

Theory of operation. The walk has a list of directories that are still to be read, each with the part of the pattern
that its names are matched against.

- A directory is read once for each part of the pattern.
- Links to directories are followed: logs are often linked to other volumes.
- Below `**` a directory that was read before (the same device and inode, at the same part) is not read again, so that a
  circle of links ends.
- Links are followed last, so that a file is found under a path without links, if it has one.
- Nothing recurses, and `**` goes down MAX_DEPTH directories at most.

The generator yields None after each directory, so that the caller can do other work.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache

from sidecars.chassis.runtime import descriptors

MAX_DEPTH = 64  # directories below the fixed part of a pattern
_MAGIC = re.compile(r"[*?[]")

Refused = Callable[[str, OSError, bool], None]
"""Called with a directory that cannot be read, the error, and True if the pattern names it (False: `**` reached it)."""


def has_magic(text: str) -> bool:
    """Return True if the text is a pattern and no plain name."""
    return _MAGIC.search(text) is not None


def base(pattern: str) -> str:
    """Return the directory that the pattern begins with: its fixed part."""
    folder = os.path.dirname(pattern)  # noqa: PTH120 - paths are text: globs give it, records need it
    while has_magic(folder):
        folder = os.path.dirname(folder)  # noqa: PTH120 - paths are text
    return folder


def find(pattern: str, refused: Refused, folders: set[str]) -> Iterator[str | None]:
    """Yield the paths that match, and None after each directory. The directories that were read are added to
    `folders`.
    """
    return _Walk(pattern, refused, folders).paths()


class _Walk:
    """One walk for one pattern."""

    def __init__(self, pattern: str, refused: Refused, folders: set[str]) -> None:
        start = base(pattern)
        rest = pattern.removeprefix(start).strip("/")
        self._parts = [part for part in rest.split("/") if part]
        self._last = len(self._parts) - 1
        self._refused = refused
        self._folders = folders
        self._base = start.rstrip("/")
        self._todo: deque[tuple[str, int, int]] = deque([(self._base, 0, 0)])  # directory, part, depth
        self._links: deque[tuple[str, int, int]] = deque()  # the same, by way of a link below `**`
        self._seen: set[tuple[int, int, int]] = set()  # device, inode, part

    def paths(self) -> Iterator[str | None]:
        while self._todo or self._links:
            folder, part, depth = self._todo.popleft() if self._todo else self._links.popleft()
            if not has_magic(self._parts[part]):
                yield from self._named(folder, part, depth)
                continue
            entries = self._read(folder, part)
            while self._parts[part] == "**" and part < self._last:  # `**` also matches no directory
                self._descend(entries, part, depth)
                part += 1
            if has_magic(self._parts[part]):
                yield from self._matching(entries, part, depth)
            else:
                yield from self._named(folder, part, depth)
            yield None

    def _named(self, folder: str, part: int, depth: int) -> Iterator[str]:
        """Follow a part of the pattern that is a plain name: no directory has to be read for it."""
        self._folders.add(folder or "/")
        path = f"{folder}/{self._parts[part]}"
        if part == self._last:
            yield path
        else:
            self._todo.append((path, part + 1, depth))

    def _matching(self, entries: list[os.DirEntry[str]], part: int, depth: int) -> Iterator[str]:
        pattern = self._parts[part]
        if pattern == "**":  # the last part: every file in and below the directory
            self._descend(entries, part, depth)
        matches = _matcher(pattern)
        found = [entry for entry in entries if matches(entry.name)]
        if part == self._last:
            yield from (entry.path for entry in found)
        else:
            self._todo.extend((entry.path, part + 1, depth) for entry in found if _is_directory(entry))

    def _descend(self, entries: list[os.DirEntry[str]], part: int, depth: int) -> None:
        if depth < MAX_DEPTH:
            for entry in entries:
                if not entry.name.startswith(".") and _is_directory(entry):
                    (self._links if entry.is_symlink() else self._todo).append((entry.path, part, depth + 1))

    def _read(self, folder: str, part: int) -> list[os.DirEntry[str]]:
        """Return the sorted entries of a directory; none if it was read before, does not exist or cannot be read."""
        try:
            if "**" in self._parts[: part + 1]:
                status = os.stat(folder or "/")  # noqa: PTH116 - paths are text
                key = (status.st_dev, status.st_ino, part)
                if key in self._seen:
                    return []
                self._seen.add(key)
            entries = _entries(folder or "/")
        except PermissionError as error:
            named = folder == self._base or "**" not in self._parts[: part + 1]
            self._refused(folder or "/", error, named)
            return []
        except OSError:
            return []  # it is not there (yet), or is no directory
        self._folders.add(folder or "/")
        return entries


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """Return the sorted entries of a directory. If no descriptor is free, one of the reserve is used."""
    try:
        listing = os.scandir(folder)
    except OSError as error:
        if descriptors.count_exhaustion(error) is None:
            raise
        with descriptors.reserved():
            listing = os.scandir(folder)
    with listing:
        return sorted(listing, key=lambda entry: entry.name)


@lru_cache(maxsize=256)
def _matcher(pattern: str) -> Callable[[str], object]:
    """Return a function that is true for a name that matches. A leading dot is matched only by a pattern with one."""
    if pattern == "**":
        pattern = "*"
    match = re.compile(fnmatch.translate(pattern)).match
    if pattern.startswith("."):
        return match
    return lambda name: not name.startswith(".") and match(name)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself
