"""The rotated files of the file sink: `shop.ndjson` becomes `shop.000001.ndjson`, the next one `shop.000002.ndjson`.

The numbers only rise, and no file is renamed twice: a reader never finds a file that it has read under a new name.
"""

from __future__ import annotations

import re
from pathlib import Path

from sidecars.chassis.runtime.file_io import fsync_directory


class NumberedRotation:
    """The rotated files of one file. Owned by its `FileSink`.

    `size`: the bytes that the file may have; None for no limit. `keep`: the number of rotated files; None for all.
    """

    def __init__(self, path: Path, size: int | None, keep: int | None) -> None:
        self._path = path
        self._size = size
        self._keep = keep

    def is_due(self, length: int, more: int) -> bool:
        """True if a file of `length` bytes is to be rotated before `more` bytes. An empty file takes any batch."""
        return self._size is not None and length > 0 and length + more > self._size

    def rotated_files(self) -> list[Path]:
        """Return the rotated files, oldest first."""
        own = re.compile(rf"{re.escape(self._path.stem)}\.([0-9]{{6,}}){re.escape(self._path.suffix)}")
        found = ((own.fullmatch(path.name), path) for path in self._path.parent.iterdir())
        return [path for _, path in sorted((int(name[1]), path) for name, path in found if name)]

    def rotate(self) -> None:
        """Rename the file to the next number, and delete the oldest rotated files if there are too many."""
        files = self.rotated_files()
        last = int(files[-1].suffixes[-2][1:]) if files else 0
        self._path.rename(self._path.with_suffix(f".{last + 1:06}{self._path.suffix}"))
        if self._keep is not None:
            for path in self.rotated_files()[: -self._keep]:
                path.unlink()
        fsync_directory(self._path.parent)

    def find(self, inode: int) -> tuple[Path, list[Path]] | None:
        """Return the rotated file with that inode, and those that came after it; None if there is none."""
        files = self.rotated_files()
        for index, path in enumerate(files):
            if path.stat().st_ino == inode:
                return path, files[index + 1 :]
        return None
