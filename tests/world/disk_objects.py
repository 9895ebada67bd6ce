"""What the calls of `os` return for files of the world: entries of a directory, and a file object that is read."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

from tests.world.disk import Inode

_RENAMING = 0.05  # seconds after a rename in which a listing may leave the file out
_FOUND = 0.7  # the chance that it does not

Begin = Callable[[str, Inode], None]
"""Begins a call to the disk, which may fail."""


class Entry:
    """An entry of a directory, as os.scandir yields it."""

    def __init__(self, folder: Inode, name: str, begin: Begin) -> None:
        self._folder = folder
        self._begin = begin
        self.name = name
        self._is_directory = folder.names[name].is_directory
        self._number = folder.names[name].number

    def inode(self) -> int:
        return self._number

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:  # noqa: ARG002 - there are no links
        return self._is_directory

    def is_file(self, *, follow_symlinks: bool = True) -> bool:  # noqa: ARG002 - there are no links
        return not self._is_directory

    def is_symlink(self) -> bool:
        return False

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:  # noqa: ARG002 - there are no links
        self._begin("stat", self._folder)
        return self._folder.lookup(self.name).status()


class Entries:
    """The iterator of os.scandir. It may leave out a file that is renamed meanwhile."""

    def __init__(self, folder: Inode, begin: Begin) -> None:
        now, dice = time.monotonic(), folder.volume.universe.dice
        is_busy = {name for name, inode in folder.names.items() if now - inode.renamed_at < _RENAMING}
        names = [name for name in folder.names if name not in is_busy or dice.random() < _FOUND]
        folder.volume.universe.dice.shuffle(names)
        self._entries = iter([Entry(folder, name, begin) for name in names])

    def __iter__(self) -> Iterator[Entry]:
        return self._entries

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class RawFile(io.RawIOBase):
    """The object of os.fdopen for a file that is read. It owns the descriptor."""

    def __init__(self, number: int) -> None:
        self._number = number

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = os.read(self._number, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            os.close(self._number)
        super().close()
