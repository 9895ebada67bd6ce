"""The rotated files of the file sink: `shop.ndjson` becomes `shop.000001.ndjson`, the next one `shop.000002.ndjson`.

The numbers only rise, so that no file is ever renamed twice: whoever reads them need not look for what it has seen.
"""

from __future__ import annotations

import re
from pathlib import Path

from sidecars.chassis.runtime.file_io import fsync_directory


class NumberedRotation:
    """`size`: bytes that a file may have, None for any; `keep`: how many rotated ones stay, None for all."""

    def __init__(self, path: Path, size: int | None, keep: int | None) -> None:
        self._path = path
        self._size = size
        self._keep = keep

    def due(self, length: int, more: int) -> bool:
        """Whether the file has to make room for `more` bytes. One that is empty takes what comes."""
        return self._size is not None and length > 0 and length + more > self._size

    def files(self) -> list[Path]:
        """Those there are, the oldest first."""
        own = re.compile(rf"{re.escape(self._path.stem)}\.([0-9]{{6,}}){re.escape(self._path.suffix)}")
        found = ((own.fullmatch(path.name), path) for path in self._path.parent.iterdir())
        return [path for _, path in sorted((int(name[1]), path) for name, path in found if name)]

    def rotate(self) -> None:
        """Move the file out of the way, and let the oldest go where there are too many."""
        files = self.files()
        last = int(files[-1].suffixes[-2][1:]) if files else 0
        self._path.rename(self._path.with_suffix(f".{last + 1:06}{self._path.suffix}"))
        if self._keep is not None:
            for path in self.files()[: -self._keep]:
                path.unlink()
        fsync_directory(self._path.parent)

    def after(self, inode: int) -> tuple[Path, list[Path]] | None:
        """The rotated file with that inode, and those that came after it. None when it is not among them."""
        files = self.files()
        for index, path in enumerate(files):
            if path.stat().st_ino == inode:
                return path, files[index + 1 :]
        return None
