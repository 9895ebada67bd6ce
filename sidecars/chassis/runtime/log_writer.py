"""Write log lines to stderr without ever waiting for its reader.

stderr of a container is a pipe of 64 KiB to the container runtime. If the runtime's reader stalls, a write to the full
pipe blocks, and the whole process with it. So:

1. The thread that logs a line writes it at once, through a descriptor that never blocks. There is no other thread then.
2. Bytes that the pipe has no room for are kept in a queue of at most QUEUE bytes. A thread writes them when there is
   room, and ends when the queue is empty.
3. A line that the queue has no room for is dropped and counted. The next line reports the number of dropped lines.

O_NONBLOCK belongs to the open file description, which stderr shares with other processes: the shell on the same
terminal, our own children. Set there, it would make *their* writes fail. So stderr is opened a second time, as
`/proc/self/fd/2`, which gives a description of our own. If that is not possible (a socket, the pipe of another user, no
/proc), the thread makes all writes, and they block only that thread. A regular file is written to directly: it is
always ready, and a second description would have a position of its own.

Writes that do not come here can still block: a library in C that writes to descriptor 2 itself, and the interpreter's
last words when it aborts.

A forked child starts with an empty queue and no thread, because the lines that wait are those of its parent.
"""

from __future__ import annotations

import atexit
import os
import stat
import threading
from collections import deque

from sidecars.chassis.runtime import signals
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

QUEUE = 256 * 1024  # bytes of lines that wait for room
URGENT = 16 * 1024  # bytes beyond it, for urgent lines such as the reason of the end
LAST_CHANCE = 0.5  # seconds that a process waits for its reader at its end
_RETRY = 0.05  # seconds until the next try, if poll(2) reports room but write(2) takes nothing


class _Line:
    """A line that is not written yet. It reports `dropped_before` dropped lines."""

    __slots__ = ("data", "dropped_before", "lost")

    def __init__(self, data: bytes, dropped_before: int) -> None:
        self.data = data  # the bytes that are left to write
        self.dropped_before = dropped_before
        self.lost = False


class LogWriter:
    """Writes lines to one descriptor. A process has one writer, which any thread may use.

    `notice` makes the line that reports a number of dropped lines.
    """

    def __init__(self, number: int, notice: Callable[[int], bytes]) -> None:
        self.notice = notice
        self.dropped = 0  # lines, since the start
        self.is_terminal = os.isatty(number)
        self._number, self._blocks = _opened(number)
        self._reset()
        os.register_at_fork(after_in_child=self._reset)
        atexit.register(self.finish)

    def _reset(self) -> None:
        # The lock of a condition is reentrant, as a signal's handler may log in the middle of a line.
        self._changed = threading.Condition()
        self._queue: deque[_Line] = deque()
        self._queued = 0  # bytes
        self._unreported = 0  # dropped lines that no line has reported yet
        # These locks never wait. A signal's handler may run between a check and an assignment, but not in an acquire().
        self._direct_write = threading.Lock()  # held by the call that writes its line at once
        self._draining = threading.Lock()  # held while the thread runs

    def write(self, data: bytes, *, urgent: bool = False) -> None:
        """Write the line, keep it for later, or drop it. Never blocks and never raises."""
        with self._changed:
            unreported, self._unreported = self._unreported, 0
            line = _Line(self.notice(unreported) + data if unreported else data, unreported)
            most = QUEUE + URGENT if urgent else QUEUE
            if self._blocks or not self._direct_write.acquire(blocking=False):
                self._keep(line, most)
            else:
                try:
                    self._put_or_keep(line, most)
                finally:  # a signal's handler may raise anywhere
                    self._direct_write.release()
            if self._queue:
                self._start()
            if self._blocks:
                self._changed.notify_all()

    def draw(self, text: bytes) -> None:
        """Write text that may be left out, such as a progress bar, if no line waits."""
        with self._changed:
            if self._blocks or not self._direct_write.acquire(blocking=False):
                return
            try:
                if not self._queue:
                    self._put(_Line(text, 0))
            finally:
                self._direct_write.release()

    def finish(self, seconds: float = LAST_CHANCE) -> None:
        """Wait until every line is written, for at most so many seconds."""
        with self._changed:
            if self._queue:
                self._start()
            self._changed.wait_for(lambda: not self._queue, seconds)

    # The counters change by numbers that are known before: Python runs the handler of a signal at a call, so one in
    # `self._queued += len(…)` would lose what the handler adds.

    # -- with the lock --------------------------------------------------------------------------------------------

    def _put_or_keep(self, line: _Line, most: int) -> None:
        """Write the line, and keep the rest of it. The call that holds `_direct_write` does this."""
        if self._queue:
            self._keep(line, most)
            return
        try:
            self._put(line)
        finally:
            if not self._is_settled(line):
                size = len(line.data)
                self._queue.appendleft(line)  # before lines that a signal's handler has logged meanwhile
                self._queued += size

    def _keep(self, line: _Line, most: int) -> None:
        size = len(line.data)
        if self._queued + size > most:
            line.lost = True
            self._is_settled(line)
        else:
            self._queue.append(line)
            self._queued += size

    def _is_settled(self, line: _Line) -> bool:
        """Return True if the line is written or lost; count it if it is lost."""
        if line.lost:
            self.dropped += 1
            self._unreported += 1 + line.dropped_before
        return line.lost or not line.data

    def _start(self) -> None:
        """Start the thread if it does not run yet."""
        if not self._draining.acquire(blocking=False):
            return
        thread = threading.Thread(target=self._drain, name="log writer", daemon=True)
        with signals.block_stop():  # the main thread handles them
            try:
                thread.start()
            except RuntimeError:  # the limit of threads is reached: the next line tries again
                self._draining.release()

    # -- without the lock -----------------------------------------------------------------------------------------

    def _put(self, line: _Line) -> None:
        """Write as much of the line as the pipe has room for."""
        try:
            line.data = line.data[os.write(self._number, line.data) :]
        except BlockingIOError:
            pass
        except OSError:  # the reader has gone, or the disk is full
            line.lost = True

    def _drain(self) -> None:
        """Write the queued lines: the work of the thread. It ends with the queue, unless it makes all writes."""
        while True:
            with self._changed:
                while self._blocks and not self._queue:
                    self._changed.wait()
                if not self._queue:
                    self._draining.release()
                    return
                line = self._queue[0]
                before = len(line.data)
            self._put(line)
            with self._changed:
                self._queued -= before
                if self._is_settled(line):
                    self._queue.popleft()
                    self._changed.notify_all()
                    continue
                after = len(line.data)
                self._queued += after
            self._wait_for_room(is_stuck=after == before)

    def _wait_for_room(self, *, is_stuck: bool) -> None:
        import select  # noqa: PLC0415 - almost never needed

        room = select.poll()
        room.register(self._number, select.POLLOUT)
        room.poll()
        if is_stuck:
            select.select([], [], [], _RETRY)


def _opened(number: int) -> tuple[int, bool]:
    """Return a descriptor to write to, and True if writing to it may block."""
    try:
        kind = os.fstat(number).st_mode
        if stat.S_ISREG(kind):
            return number, False
        if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            return os.open(f"/proc/self/fd/{number}", flags), False
    except OSError:
        pass
    return number, True
