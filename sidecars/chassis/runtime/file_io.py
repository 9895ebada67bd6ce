"""Steps of file I/O that a `pathlib` call does not give: whole writes, names on the disk, texts of bounded size."""

from __future__ import annotations

import errno
import os
import stat

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_TEXT = 1 << 20  # bytes that `read_text` accepts


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of the data: write(2) may take less than it is given. Raises OSError."""
    done = os.write(descriptor, data)
    while done < len(data):
        done += os.write(descriptor, memoryview(data)[done:])


def fsync_directory(folder: Path) -> None:
    """Bring the names in the folder to the disk, as a rename or a removal needs (fsync(2)). Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_text(filename: str) -> str:
    """Return the text of a regular file of at most LARGEST_TEXT bytes. Raises OSError or UnicodeDecodeError.

    A pipe or a device is refused at once, without waiting for data: a secret is read again at every use.
    """
    descriptor = os.open(filename, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        if status.st_size > LARGEST_TEXT:
            raise OSError(errno.EFBIG, f"it has more than {LARGEST_TEXT} bytes")
        with open(descriptor, encoding="utf-8", closefd=False) as text:
            return text.read(LARGEST_TEXT)
    finally:
        os.close(descriptor)
