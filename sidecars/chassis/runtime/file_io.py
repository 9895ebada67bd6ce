"""Steps of file I/O that a `pathlib` call does not give: whole writes, names on the disk, reads of bounded size.

The operator's small files (a setting by file, a certificate, a token, rules, `resolv.conf`) are all read through
`open_small`. So a pipe or a device in the place of one blocks nothing, and a huge file costs no memory.
"""

from __future__ import annotations

import errno
import os
import stat

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_TEXT = 1 << 20  # bytes that `read_text` accepts
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


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


def open_small(filename: str, largest: int = LARGEST_TEXT) -> int:
    """Open a regular file of at most `largest` bytes for reading, and return its descriptor. Raises OSError.

    A pipe or a device is refused at once, without waiting for data, and so is a file whose writer holds a lease.
    """
    try:
        descriptor = os.open(filename, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a device without a driver
            raise OSError(errno.EINVAL, not_regular(os.stat(filename).st_mode)) from None  # noqa: PTH116 - paths are text
        raise
    status = os.fstat(descriptor)
    is_regular = stat.S_ISREG(status.st_mode)
    if is_regular and status.st_size <= largest:
        return descriptor
    os.close(descriptor)
    raise _too_large(largest) if is_regular else OSError(errno.EINVAL, not_regular(status.st_mode))


def not_regular(mode: int) -> str:
    """Return the reason why a file of this mode is no regular one: `it is a directory`."""
    kind = next((words for is_kind, words in _KINDS if is_kind(mode)), "no regular file")
    return f"it is {kind}"


def read_small(filename: str, largest: int = LARGEST_TEXT) -> bytes:
    """Return the bytes of a regular file of at most `largest` bytes, however it grows meanwhile. Raises OSError."""
    descriptor = open_small(filename, largest)
    try:
        parts: list[bytes] = []
        left = largest + 1
        while left and (part := os.read(descriptor, left)):
            parts.append(part)
            left -= len(part)
    finally:
        os.close(descriptor)
    if not left:
        raise _too_large(largest)
    return b"".join(parts)


def read_text(filename: str) -> str:
    """Return the text of a regular file of at most LARGEST_TEXT bytes. Raises OSError or UnicodeDecodeError.

    Line ends are those of Unix in the result, as in a file that `open` reads as text.
    """
    text = read_small(filename).decode()
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _too_large(largest: int) -> OSError:
    return OSError(errno.EFBIG, f"it has more than {largest} bytes")
