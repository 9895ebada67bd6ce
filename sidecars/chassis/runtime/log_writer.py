"""Writing log lines to stderr so that nothing waits for their reader.

stderr of a container is a pipe of 64 KiB to the container runtime. When the runtime's reader stalls, a write to a full
pipe blocks, and with it the whole process. So:

1. A line is written at once, by whoever logs it, through a descriptor that never blocks. There is no thread then.
2. What does not fit is kept in a queue of at most QUEUE bytes. A thread writes it when there is room again, and ends.
3. A line that does not fit into the queue is dropped and counted. The next line that is taken says how many were.

O_NONBLOCK belongs to the open file description, and that of stderr is shared with other processes: the shell on the
same terminal, our own children. Setting it there would make *their* writes fail. So stderr is opened a second time, by
`/proc/self/fd/2`, which gives a description of our own. Where that cannot be done (a socket; a pipe of another user's;
no /proc), the thread makes all writes, and is the only one that they block. A regular file is written to directly: it
is always ready, and a second description of it would have a position of its own.

A forked child starts with an empty queue and no thread: the lines that wait are its parent's.
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
URGENT = 16 * 1024  # bytes beyond it, for lines such as the reason of the end
LAST_CHANCE = 0.5  # seconds that a process which ends gives its reader
_NO_ROOM_YET = 0.05  # seconds, where the system says that there is room, but not for so much


class _Line:
    """A line on its way. `told` is the number of dropped lines that it tells of."""

    __slots__ = ("data", "lost", "told")

    def __init__(self, data: bytes, told: int) -> None:
        self.data = data  # what is left to be written
        self.told = told
        self.lost = False


class LogWriter:
    """Writes lines to one descriptor. A process has one writer, which any thread may use.

    `notice` makes the line that tells how many lines were dropped.
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
        self._changed = (
            threading.Condition()
        )  # its lock is reentrant: a signal's handler may log in the middle of a line
        self._queue: deque[_Line] = deque()
        self._queued = 0  # bytes
        self._writing = False
        self._untold = 0  # dropped lines of which no line tells yet
        self._thread: threading.Thread | None = None

    def write(self, data: bytes, *, urgent: bool = False) -> None:
        """Write the line, keep it for later, or drop it. Never blocks and never raises."""
        with self._changed:
            line = _Line(self.notice(self._untold) + data if self._untold else data, self._untold)
            self._untold = 0
            if self._blocks or self._queue or self._writing:
                self._keep(line, QUEUE + URGENT if urgent else QUEUE)
            else:
                self._writing = True
                try:
                    self._put(line)
                finally:  # a signal's handler may raise anywhere
                    self._writing = False
                    if not self._is_settled(line):
                        self._queue.appendleft(line)  # before what a signal's handler has logged meanwhile
                        self._queued += len(line.data)
            if self._queue and self._thread is None:
                self._start()
            elif self._blocks:
                self._changed.notify_all()

    def draw(self, text: bytes) -> None:
        """Write what may be left out, such as a progress bar, if nothing waits."""
        with self._changed:
            if not (self._blocks or self._queue or self._writing):
                self._put(_Line(text, 0))

    def finish(self, seconds: float = LAST_CHANCE) -> None:
        """Wait until everything is written, for so many seconds at most."""
        with self._changed:
            if self._queue and self._thread is None:
                self._start()
            self._changed.wait_for(lambda: not self._queue, seconds)

    # -- with the lock --------------------------------------------------------------------------------------------

    def _keep(self, line: _Line, most: int) -> None:
        if self._queued + len(line.data) > most:
            line.lost = True
            self._is_settled(line)
        else:
            self._queue.append(line)
            self._queued += len(line.data)

    def _is_settled(self, line: _Line) -> bool:
        """Return True if nothing is to be done about the line any more; count it if it is lost."""
        if line.lost:
            self.dropped += 1
            self._untold += 1 + line.told
        return line.lost or not line.data

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._drain, name="log writer", daemon=True)
        with signals.block_stop():  # they are the main thread's
            try:
                self._thread.start()
            except RuntimeError:  # no more threads are allowed: the next line tries again
                self._thread = None

    # -- without the lock -----------------------------------------------------------------------------------------

    def _put(self, line: _Line) -> None:
        """Write as much of the line as there is room for."""
        try:
            line.data = line.data[os.write(self._number, line.data) :]
        except BlockingIOError:
            pass
        except OSError:  # nobody will ever read it, or the disk is full
            line.lost = True

    def _drain(self) -> None:
        """Write what is queued. The thread's work; it ends when nothing is left, unless all writes are its own."""
        while True:
            with self._changed:
                while self._blocks and not self._queue:
                    self._changed.wait()
                if not self._queue:
                    self._thread = None
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
                self._queued += len(line.data)
            self._wait_for_room(is_stuck=len(line.data) == before)

    def _wait_for_room(self, *, is_stuck: bool) -> None:
        import select  # noqa: PLC0415 - as good as never needed

        room = select.poll()
        room.register(self._number, select.POLLOUT)
        room.poll()
        if is_stuck:
            select.select([], [], [], _NO_ROOM_YET)


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
