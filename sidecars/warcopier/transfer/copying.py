"""Moving bytes at the machine's limit with flat memory: copy, digest, and doing two things at a time.

The kernel copies where it can: a reflink shares all blocks at once, `copy_file_range` shares them on a file system that
can or lets NFS copy on its server; `sendfile` at least spares the way through our memory. Between the file systems of
an image layer and a volume they may refuse, and then bytes are read and written. Digests and archive checks run in a
thread of their own beside that: zlib and hashlib let go of the interpreter while they work.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import threading

from sidecars.chassis.runtime import signals
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, Generic, T

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from sidecars.warcopier.archive.zip_directory import ReadAt

    Move = Callable[[int, int, int, int], int]
    """`move(reader, writer, offset, count)`: how many bytes it moved, at most `count`; 0 when there is no more."""
    OnProgress = Callable[[int], None]
    """Told now and then how many bytes are done; raises to stop the work."""

_STRIDE = 8 << 20  # bytes that the kernel copies at a time: the longest that a signal to stop has to wait
_PIECE = 1 << 18  # bytes that are in our memory at a time
_FICLONE = 0x40049409  # ioctl_ficlonerange(2)
_GLANCE = 0.1  # seconds between two looks at how far the work beside is
_REFUSED = (
    *(errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY),
    *(errno.EPERM, errno.EBADF, errno.ETXTBSY, errno.EACCES),
    errno.ENOTSOCK,  # BSD and macOS: `sendfile` writes to sockets alone
)


class Stopped(Exception):
    """The work was told to stop, since nobody wants its result any more."""


def no_progress(_done: int) -> None:
    """For work that nobody waits for."""


def copy(reader: int, writer: int, size: int, tick: OnProgress = no_progress) -> int:
    """Copy the first `size` bytes from one open file into another. The number copied: fewer when it became shorter."""
    if size > _STRIDE and _reflink(reader, writer):
        return min(size, os.fstat(writer).st_size)
    moves: list[Move] = [_sendfile, _read_write]
    if hasattr(os, "copy_file_range"):  # Linux
        moves.insert(0, _copy_file_range)
    done = 0
    while done < size:
        try:
            moved = moves[0](reader, writer, done, size - done)
        except OSError as error:
            if error.errno not in _REFUSED or len(moves) == 1:
                raise
            moved = 0
        if not moved:
            if len(moves) == 1:
                break
            del moves[0]  # some file systems say "refused", some just move nothing
        done += moved
        tick(done)
    return done


def _reflink(reader: int, writer: int) -> bool:
    """Let the new file share all blocks of the old one; False where the file system cannot."""
    try:
        fcntl.ioctl(writer, _FICLONE, reader)
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        return False
    return True


def _copy_file_range(reader: int, writer: int, offset: int, count: int) -> int:
    return os.copy_file_range(reader, writer, min(count, _STRIDE), offset, offset)


def _sendfile(reader: int, writer: int, offset: int, count: int) -> int:
    os.lseek(writer, offset, os.SEEK_SET)
    return os.sendfile(writer, reader, offset, min(count, _STRIDE))


def _read_write(reader: int, writer: int, offset: int, count: int) -> int:
    return os.pwrite(writer, os.pread(reader, min(count, _PIECE), offset), offset)


def flush_data(writer: int) -> None:
    """Bring a file's content to the disk: `fdatasync` where the system has it, else `fsync`. Raises OSError."""
    getattr(os, "fdatasync", os.fsync)(writer)


def reader_of(file: int) -> ReadAt:
    """A function that reads ranges of an open file."""
    return lambda offset, length: os.pread(file, length, offset)


def sha256_of(read: ReadAt) -> str:
    """The hexadecimal digest of all that there is to read."""
    digest = hashlib.sha256()
    offset = 0
    while piece := read(offset, _PIECE):
        digest.update(piece)
        offset += len(piece)
    return digest.hexdigest()


def sha256_of_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def are_alike(one: ReadAt, other: ReadAt) -> bool:
    """Whether both hold the same bytes."""
    offset = 0
    while piece := one(offset, _PIECE):
        if piece != other(offset, len(piece)):
            return False
        offset += len(piece)
    return not other(offset, 1)


def holds(file: int, data: bytes) -> bool:
    """Whether an open file has exactly these bytes."""
    return os.pread(file, len(data) + 1, 0) == data


def _started(thread: threading.Thread) -> bool:
    """Start the thread; False where there may be no more of them (RLIMIT_NPROC, or `pids.max` of the container).

    The thread takes no signal: a signal goes to any thread that lets it in, and `signals.block_stop` of the main thread
    would be in vain. Even a thread that has been joined may still be there for an instant.
    """
    try:
        with signals.block_stop():  # a thread inherits that
            thread.start()
    except RuntimeError:  # "can't start new thread" has no class of its own
        return False
    return True


class BackgroundFlush:
    """Brings what is written to the disk stretch by stretch while more is written, in a thread of its own.

    So the disk works during the copy and not only after it, and there is never much that waits in memory: it counts
    against the container's limit. The caller still flushes at the end. Where there may be no more threads, each stretch
    is brought to the disk before the next one is written.
    """

    def __init__(self, flush: Callable[[], None], stretch: int, tick: OnProgress = no_progress) -> None:
        """`flush` is called whenever `stretch` more bytes are written; it may raise OSError."""
        self._flush = flush
        self._stretch = stretch
        self._tick = tick
        self._asked = 0
        self._wake = threading.Event()
        self._over = False
        self._runs = False
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def wrote(self, done: int) -> None:
        """So many bytes are written. Raises OSError where an earlier stretch could not be brought to the disk."""
        self._tick(done)
        if done - self._asked < self._stretch:
            return
        if self._error is not None:
            raise self._error
        if not self._asked:
            self._runs = _started(self._thread)
        self._asked = done
        if self._runs:
            self._wake.set()
        else:
            self._flush()

    def _run(self) -> None:
        while self._wake.wait() and not self._over:
            self._wake.clear()
            try:
                self._flush()
            except OSError as error:  # the kernel tells it once: a flush at the end would succeed
                self._error = error
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._runs:
            self._over = True
            self._wake.set()
            self._thread.join()
        if self._error is not None and error is None:
            raise self._error


class BackgroundTask(Generic[T]):
    """Work in a thread of its own for as long as the context is open; leaving it early stops the work.

    Where there may be no more threads, the work is done when its result is asked for.
    """

    def __init__(self, file: int, work: Callable[[ReadAt], T]) -> None:
        self.done = 0  # how far into the file it has read
        self._stop = False
        self._runs = False
        self._tick: OnProgress = no_progress
        self._file = file
        self._work = work
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _read(self, offset: int, length: int) -> bytes:
        if self._stop:
            raise Stopped
        self.done = offset
        self._tick(offset)
        return os.pread(self._file, length, offset)

    def _run(self) -> None:
        try:
            self._result.append(self._work(self._read))
        except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
            self._error = error

    def __enter__(self) -> BackgroundTask[T]:
        self._runs = _started(self._thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop = True
        if self._runs:
            self._thread.join()

    def result(self, tick: OnProgress = no_progress) -> T:
        """Wait for the result. Raises what the work raised."""
        if not self._runs:
            self._tick = tick
            return self._work(self._read)
        while self._thread.is_alive():
            self._thread.join(_GLANCE)
            tick(self.done)
        if self._error is not None:
            raise self._error
        return self._result[0]
