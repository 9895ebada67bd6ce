"""Bytes of open files: copying by the kernel, digests, and comparison, with flat memory.

The kernel copies where it can. A reflink shares all blocks at once. `copy_file_range` shares blocks on a file system
that can, and lets an NFS server copy. `sendfile` at least keeps the bytes out of our memory. Between the file system of
an image layer and that of a volume all three may be refused; then the bytes are read and written.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier.transfer.progress import no_progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecars.warcopier.io_errors import ReadAt
    from sidecars.warcopier.transfer.progress import OnProgress

    CopyCall = Callable[[int, int, int, int], int]
    """`call(reader, writer, offset, count)` returns how many bytes it copied, at most `count`; 0 at the end."""

_KERNEL_PIECE = 8 << 20  # bytes that the kernel copies in one call: a signal to stop waits at most for one call
_PIECE = 1 << 18  # bytes that are in our memory at a time
_FICLONE = 0x40049409  # ioctl_ficlonerange(2)
_REFUSED = (
    *(errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY),
    *(errno.EPERM, errno.EBADF, errno.ETXTBSY, errno.EACCES),
    errno.ENOTSOCK,  # BSD and macOS: `sendfile` writes to sockets alone
)


def copy(reader: int, writer: int, size: int, on_progress: OnProgress = no_progress) -> int:
    """Copy the first `size` bytes from one open file to another. Raises OSError, or the error of `on_progress`.

    Return the number of bytes copied: fewer than `size` if the file became shorter.
    """
    if size > _KERNEL_PIECE and _reflink(reader, writer):
        return min(size, os.fstat(writer).st_size)
    calls: list[CopyCall] = [_sendfile, _read_write]
    if hasattr(os, "copy_file_range"):  # Linux
        calls.insert(0, _copy_file_range)
    done = 0
    while done < size:
        try:
            copied = calls[0](reader, writer, done, size - done)
        except OSError as error:
            if error.errno not in _REFUSED or len(calls) == 1:
                raise
            copied = 0
        if not copied:
            if len(calls) == 1:
                break
            del calls[0]  # some file systems refuse with an error, some just copy nothing
        done += copied
        on_progress(done)
    return done


def _reflink(reader: int, writer: int) -> bool:
    """Make the new file share all blocks of the old one. Return False if the file system cannot. Raises OSError."""
    try:
        fcntl.ioctl(writer, _FICLONE, reader)
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        return False
    return True


def _copy_file_range(reader: int, writer: int, offset: int, count: int) -> int:
    return os.copy_file_range(reader, writer, min(count, _KERNEL_PIECE), offset, offset)


def _sendfile(reader: int, writer: int, offset: int, count: int) -> int:
    os.lseek(writer, offset, os.SEEK_SET)
    return os.sendfile(writer, reader, offset, min(count, _KERNEL_PIECE))


def _read_write(reader: int, writer: int, offset: int, count: int) -> int:
    return os.pwrite(writer, os.pread(reader, min(count, _PIECE), offset), offset)


def flush_data(writer: int) -> None:
    """Bring a file's content to the disk: `fdatasync` where the system has it, else `fsync`. Raises OSError."""
    getattr(os, "fdatasync", os.fsync)(writer)


def flush_file_system(directory: int) -> None:
    """Bring all of a file system to the disk (syncfs(2)): one call instead of one for each file. Raises OSError."""
    import ctypes  # noqa: PLC0415 - only for this call, and slow to load

    sync = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if sync is None:
        os.sync()
    elif sync(directory):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def sha256_of(read: ReadAt) -> str:
    """Return the hexadecimal SHA-256 of everything that `read` returns. Raises the error of `read`."""
    digest = hashlib.sha256()
    offset = 0
    while piece := read(offset, _PIECE):
        digest.update(piece)
        offset += len(piece)
    return digest.hexdigest()


def sha256_of_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def are_equal(one: ReadAt, other: ReadAt) -> bool:
    """True if both return the same bytes. Raises their errors."""
    offset = 0
    while piece := one(offset, _PIECE):
        if piece != other(offset, len(piece)):
            return False
        offset += len(piece)
    return not other(offset, 1)


def holds(descriptor: int, data: bytes) -> bool:
    """True if an open file has exactly these bytes. Raises OSError."""
    return os.pread(descriptor, len(data) + 1, 0) == data
