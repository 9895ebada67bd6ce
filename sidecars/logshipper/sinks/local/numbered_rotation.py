"""The rotated files of the file sink: `shop.ndjson` becomes `shop.000001.ndjson`, the next one `shop.000002.ndjson`.

The numbers only rise, and no file is renamed twice: a reader never finds a file that it has read under a new name.
"""

from __future__ import annotations

import re
import stat
from pathlib import PurePath

from sidecars.chassis.isolation.beneath import Root
from sidecars.logshipper.volumes.own_files import removal


class NumberedRotation:
    """The rotated files of one file, by their names in its directory. Owned by its `FileSink`.

    `size`: the bytes that the file may have; None for no limit. `keep`: the number of rotated files; None for all.
    """

    def __init__(self, name: str, size: int | None, keep: int | None) -> None:
        self._name = name
        self._stem, self._suffix = PurePath(name).stem, PurePath(name).suffix
        self._size = size
        self._keep = keep

    def is_due(self, length: int, more: int) -> bool:
        """True if a file of `length` bytes is to be rotated before `more` bytes. An empty file takes any batch."""
        return self._size is not None and length > 0 and length + more > self._size

    def rotated_files(self, folder: Root) -> list[str]:
        """Return the rotated files, oldest first."""
        return [name for _, name in self._numbered(folder)]

    def _numbered(self, folder: Root) -> list[tuple[int, str]]:
        own = re.compile(rf"{re.escape(self._stem)}\.([0-9]{{6,15}}){re.escape(self._suffix)}")
        found = ((own.fullmatch(entry.name), entry.name) for entry in folder.scan())
        return sorted((int(match[1]), name) for match, name in found if match)

    def rotate(self, folder: Root) -> None:
        """Rename the file to the next free number, and delete the oldest rotated files if there are too many."""
        files = self._numbered(folder)
        number = files[-1][0] + 1 if files else 1
        while _exists(folder, self._numbered_name(number)):
            number += 1
        folder.rename(self._name, self._numbered_name(number))
        if self._keep is not None:
            for name in self.rotated_files(folder)[: -self._keep]:
                with removal(folder, name):
                    folder.remove(name)
        folder.sync()

    def _numbered_name(self, number: int) -> str:
        return f"{self._stem}.{number:06}{self._suffix}"

    def find(self, folder: Root, inode: int) -> tuple[str, list[str]] | None:
        """Return the rotated file with that inode, and those that came after it; None if there is none."""
        files = self.rotated_files(folder)
        for index, name in enumerate(files):
            status = folder.status(name)
            if status.st_ino == inode and stat.S_ISREG(status.st_mode):
                return name, files[index + 1 :]
        return None


def _exists(folder: Root, name: str) -> bool:
    try:
        folder.status(name)
    except FileNotFoundError:
        return False
    return True
