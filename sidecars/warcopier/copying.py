"""Moving bytes at the machine's limit with flat memory: copy, digest, and doing two things at a time.

The kernel copies where it can: `copy_file_range` shares the blocks on a file system with reflinks and lets NFS copy on
its server; `sendfile` at least spares the way through our memory. Between the file systems of an image layer and a
volume they may refuse, and then bytes are read and written. Digests and archive checks run in a thread of their own
beside that: zlib and hashlib let go of the interpreter while they work.
"""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Generic, TypeVar

from sidecars.warcopier.archive import Read

T = TypeVar("T")
Move = Callable[[int, int, int, int], int]
"""`move(reader, writer, offset, count)`: how many bytes it moved, at most `count`; 0 when there is no more."""

_SIGNALS = {signal.SIGTERM, signal.SIGINT}
_STRIDE = 8 << 20  # bytes that the kernel copies at a time: the longest that a signal to stop has to wait
_PIECE = 1 << 18  # bytes that are in our memory at a time
_REFUSED = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF, errno.ETXTBSY)


class Stopped(Exception):
    """The work beside was told to stop, since nobody wants its result any more."""


def copy(reader: int, writer: int, size: int) -> int:
    """Copy the first `size` bytes from one open file into another. The number copied: fewer when it became shorter."""
    moves: list[Move] = [_copy_file_range, _sendfile, _read_write]
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
    return done


def _copy_file_range(reader: int, writer: int, offset: int, count: int) -> int:
    return os.copy_file_range(reader, writer, min(count, _STRIDE), offset, offset)


def _sendfile(reader: int, writer: int, offset: int, count: int) -> int:
    os.lseek(writer, offset, os.SEEK_SET)
    return os.sendfile(writer, reader, offset, min(count, _STRIDE))


def _read_write(reader: int, writer: int, offset: int, count: int) -> int:
    return os.pwrite(writer, os.pread(reader, min(count, _PIECE), offset), offset)


def reader_of(file: int, stop: threading.Event | None = None) -> Read:
    """A function that reads ranges of an open file; it raises Stopped once `stop` is set."""

    def read(offset: int, length: int) -> bytes:
        if stop is not None and stop.is_set():
            raise Stopped
        return os.pread(file, length, offset)

    return read


def sha256_of(read: Read) -> str:
    """The hexadecimal digest of all that there is to read."""
    digest = hashlib.sha256()
    offset = 0
    while piece := read(offset, _PIECE):
        digest.update(piece)
        offset += len(piece)
    return digest.hexdigest()


@contextmanager
def signals_waiting() -> Iterator[None]:
    """Let a signal to stop wait until the context is left: for the few steps that belong together."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Beside(Generic[T]):
    """Work in a thread of its own for as long as the context is open; leaving it early stops the work.

    The thread takes no signal: a signal goes to any thread that lets it in, and `signals_waiting` of the main thread
    would be in vain. Even a thread that has been joined may still be there for an instant.
    """

    def __init__(self, file: int, work: Callable[[Read], T]) -> None:
        self._stop = threading.Event()
        self._read = reader_of(file, self._stop)
        self._work = work
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self._result.append(self._work(self._read))
        except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
            self._error = error

    def __enter__(self) -> Beside[T]:
        with signals_waiting():  # a thread inherits that
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def result(self) -> T:
        """Wait for the result. Raises what the work raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result[0]
