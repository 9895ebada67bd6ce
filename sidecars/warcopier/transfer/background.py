"""Work in a second thread beside a copy: flushing written bytes to the disk, and reading for a digest or a check.

zlib, hashlib and the kernel release the interpreter's lock while they work, so two threads use two cores. Where no
thread can be started (RLIMIT_NPROC, `pids.max` of the container), the same work is done in turn by the only thread.
"""

from __future__ import annotations

import os
import threading

from sidecars.chassis.runtime import signals
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, Generic, T
from sidecars.warcopier.transfer.progress import Stopped, no_progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from sidecars.warcopier.io_errors import ReadAt
    from sidecars.warcopier.transfer.progress import OnProgress

_POLL_INTERVAL = 0.1  # seconds between two reports of a task's progress


def _start(thread: threading.Thread) -> bool:
    """Start the thread with signals blocked. Return False if no thread can be started.

    The kernel delivers a signal to any thread that does not block it. If this one did not, `signals.block_stop` of the
    main thread would have no effect. Even a thread that was joined may still exist for a moment.
    """
    try:
        with signals.block_stop():  # a new thread inherits the blocked signals
            thread.start()
    except RuntimeError:  # "can't start new thread" has no class of its own
        return False
    return True


class BackgroundFlush:
    """Flushes a file, or many, in a second thread each time `interval` more bytes have been written.

    So the disk works during the copy and not only after it. Unwritten pages stay few: they count against the memory
    limit of the container. The caller still flushes at the end. Without a second thread, each flush comes before the
    next write.
    """

    def __init__(self, flush: Callable[[], None], interval: int, on_progress: OnProgress = no_progress) -> None:
        """`flush` brings all that is written to the disk, and may raise OSError. `interval` is a number of bytes."""
        self._flush = flush
        self._interval = interval
        self._on_progress = on_progress
        self._flushed_at = 0  # bytes written when the last flush was requested
        self._wake = threading.Event()
        self._ended = False
        self._has_thread = False
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def wrote(self, done: int) -> None:
        """Note that `done` bytes are written in all. Raises OSError if an earlier flush failed."""
        self._on_progress(done)
        if done - self._flushed_at < self._interval:
            return
        if self._error is not None:
            raise self._error
        if not self._flushed_at:
            self._has_thread = _start(self._thread)
        self._flushed_at = done
        if self._has_thread:
            self._wake.set()
        else:
            self._flush()

    def _run(self) -> None:
        while self._wake.wait() and not self._ended:
            self._wake.clear()
            try:
                self._flush()
            except OSError as error:  # the kernel reports it only once: the flush at the end would succeed
                self._error = error
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._has_thread:
            self._ended = True
            self._wake.set()
            self._thread.join()
        if self._error is not None and error is None:
            raise self._error


class BackgroundTask(Generic[T]):
    """A function that reads an open file in a second thread. Leaving the context before its end stops it.

    Without a second thread, the function runs when its result is requested.
    """

    def __init__(self, descriptor: int, work: Callable[[ReadAt], T]) -> None:
        """`work` gets a function that reads ranges of the file, and raises Stopped once the context is left."""
        self._position = 0  # offset of the last read
        self._stop = False
        self._has_thread = False
        self._on_progress: OnProgress = no_progress
        self._descriptor = descriptor
        self._work = work
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _read(self, offset: int, length: int) -> bytes:
        if self._stop:
            raise Stopped
        self._position = offset
        self._on_progress(offset)
        return os.pread(self._descriptor, length, offset)

    def _run(self) -> None:
        try:
            self._result.append(self._work(self._read))
        except BaseException as error:  # noqa: BLE001 - raised again by `result`
            self._error = error

    def __enter__(self) -> BackgroundTask[T]:
        self._has_thread = _start(self._thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop = True
        if self._has_thread:
            self._thread.join()

    def result(self, on_progress: OnProgress = no_progress) -> T:
        """Wait for the result. `on_progress` gets the offset of the last read. Raises the error of the work."""
        if not self._has_thread:
            self._on_progress = on_progress
            return self._work(self._read)
        while self._thread.is_alive():
            self._thread.join(_POLL_INTERVAL)
            on_progress(self._position)
        if self._error is not None:
            raise self._error
        return self._result[0]
