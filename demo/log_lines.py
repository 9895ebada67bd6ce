"""The lines in the log files of the app so far: counted as they grow, through rotation, for the picture."""

from __future__ import annotations

import os
from pathlib import Path


class LogLines:
    """Counts the line ends in the files of a folder. Each call of `count` reads what is new; a file is its inode."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[int, int] = {}  # inode -> bytes
        self._lines = 0

    def count(self) -> int:
        for path in self._folder.iterdir():
            with path.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                file.seek(self._read.get(inode, 0))
                new = file.read()
            self._read[inode] = self._read.get(inode, 0) + len(new)
            self._lines += new.count(b"\n")
        return self._lines
