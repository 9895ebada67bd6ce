"""Our own files: the state, the files of file sinks, dead letters, certificates, keys and secrets. None is a log.

A neighbour that can write where one of them lies can give it a second name among the log files (link(2) works within
one mount). That name is no link to look through: it is the file itself. So a file is compared by device and inode.

| file | how it is known |
|---|---|
| one of a fixed path (a key, a secret) | by its status, at each scan that finds a new file |
| one of a directory of ours | the directory is listed, at each scan that finds a new file |
| one that we removed or replaced while it had a second name | `removal` remembers it for the life of the process |

State and sinks on mounts of their own need none of this: a hard link cannot cross a mount.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sidecars.chassis.isolation.beneath import Root
from sidecars.logshipper.model.file_key import FileKey, file_key

_MOST_REMEMBERED = 10_000  # removed files that are still linked

_linked: dict[FileKey, None] = {}  # removed by this process, and still there by another name; the oldest first


class OwnFolder(NamedTuple):
    """A directory that has files of ours: those whose whole name the pattern matches."""

    path: str
    names: re.Pattern[str]


class OwnFiles:
    """The keys of our own files. Owned by the app, asked by the follower."""

    def __init__(self, files: Iterable[str] = (), folders: Iterable[OwnFolder] = ()) -> None:
        self._files = tuple(files)
        self._folders = tuple(folders)
        self._keys: frozenset[FileKey] | None = None

    def refresh(self) -> None:
        """Look at the files again when the next question comes: a scan begins."""
        self._keys = None

    def is_ours(self, key: FileKey) -> bool:
        """Return True if the file with this key is one of ours."""
        return key in self.keys() or key in _linked

    def keys(self) -> frozenset[FileKey]:
        """Return the keys of the files that are ours by their paths."""
        if self._keys is None:
            self._keys = frozenset(self._find())
        return self._keys

    def _find(self) -> Iterator[FileKey]:
        for path in self._files:
            with contextlib.suppress(OSError):
                yield file_key(os.stat(path))  # noqa: PTH116 - a configured path; links in it are the operator's
        for folder in self._folders:
            with contextlib.suppress(OSError), Root.open(folder.path) as root:
                for entry in root.scan():
                    if folder.names.fullmatch(entry.name):
                        with contextlib.suppress(OSError):
                            yield file_key(entry.stat(follow_symlinks=False))


@contextlib.contextmanager
def removal(root: Root, name: str) -> Iterator[None]:
    """Remember a file of ours that is removed or replaced in this context, if a second name keeps it."""
    try:
        descriptor = root.open_file(name)
    except OSError:
        yield
        return
    try:
        key = file_key(os.fstat(descriptor))
        _linked[key] = None
        try:
            yield
        finally:
            if not os.fstat(descriptor).st_nlink:
                _linked.pop(key, None)
            while len(_linked) > _MOST_REMEMBERED:
                del _linked[next(iter(_linked))]
    finally:
        os.close(descriptor)
