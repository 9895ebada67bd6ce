"""The snapshot's file: written beside the old one, flushed, and renamed. All calls block.

| killed | on the disk |
|---|---|
| before `finish` has renamed it | the old snapshot, and a part of the new one under another name |
| after that | the new snapshot, and perhaps older journals |
"""

from __future__ import annotations

import contextlib
import errno
import os
import re

from sidecars.chassis.isolation.beneath import Root
from sidecars.chassis.runtime import descriptors
from sidecars.chassis.runtime.file_io import write_all
from sidecars.logshipper.volumes.own_files import removal

SNAPSHOT = "positions.json"
_TEMPORARY = "positions.json.new"
_JOURNAL = re.compile(r"journal-([0-9]{1,15})")


class SnapshotFile:
    """One snapshot that is being written to the state directory. Made by the `Store`, one at a time."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._descriptor: int | None = None

    def begin(self) -> None:
        """Create the file under another name. Raises OSError, as all methods do."""
        with descriptors.reserved():
            self._descriptor = create(self._root, _TEMPORARY, os.O_WRONLY)

    def write(self, offset: int, piece: bytes) -> None:
        """Write a piece at its offset."""
        if self._descriptor is not None:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            write_all(self._descriptor, piece)

    def finish(self, journal: int) -> None:
        """Flush the file, give it its name, and close it. Journals before this number are removed."""
        if self._descriptor is None:
            return
        os.fsync(self._descriptor)
        with descriptors.reserved():
            with removal(self._root, SNAPSHOT):
                self._root.rename(_TEMPORARY, SNAPSHOT)
            self._root.sync()
        if not os.path.samestat(os.fstat(self._descriptor), self._root.status(SNAPSHOT)):
            raise OSError(errno.EBUSY, "another program changes the files there")
        self.close()
        for number in journals(self._root):
            if number < journal:
                name = f"journal-{number}"
                with contextlib.suppress(OSError), descriptors.reserved(), removal(self._root, name):
                    self._root.remove(name)

    def close(self) -> None:
        """Close the file, if it is open."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def create(root: Root, name: str, flags: int) -> int:
    """Return a new, empty file of the name. What had the name is removed."""
    with contextlib.suppress(FileNotFoundError):
        root.remove(name)
    return root.create(name, 0o600, flags)


def journals(root: Root) -> list[int]:
    """Return the numbers of the journals in the state directory, in order."""
    with descriptors.reserved():
        names = [entry.name for entry in root.scan()]
    return sorted(int(found[1]) for name in names if (found := _JOURNAL.fullmatch(name)))
