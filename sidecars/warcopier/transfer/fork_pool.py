"""A row of tasks, shared by two processes: ours and a child of it.

What a copier does to very many small files is a long row of very short steps, half of them the kernel's. Threads cannot
share those: each of them would wait for the interpreter. So a child takes its share. It is a fork: it has all that the
tasks need, begins at once, and shares our memory.

Both take the next task from one pipe, which was filled with all their numbers before, until there is none left; so
neither waits for the other, however long a task is. When one fails at a task it takes all the rest out of the pipe, so
that the other one ends with the task that it has; of two failures the one of the earlier task counts, and so it is the
same one that a single process would have met.

Whatever happens to one of the two, the other one notices. A child whose parent is gone ends at its next step, and
until then it holds the lock of the run (see `target`). When the child is gone before its last word, the run fails.
"""

from __future__ import annotations

import marshal
import mmap
import os
import sys
from contextlib import suppress
from itertools import chain

from sidecars.chassis.runtime import signals
from sidecars.chassis.runtime.lifecycle import BadData, IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Any, NoReturn, Self

    OnWritten = Callable[[int], None]
    """To be told how many more bytes are done; may raise to stop the work."""
    Work = Callable[[int, OnWritten], Any]
    """`work(number, wrote)` does that task. What it returns must be something that `marshal` knows."""
    Failed = tuple[int, Exception]

MAX_TASKS = 1000  # tasks: the smallest pipe that Linux makes holds the numbers of so many
_NUMBER = 4  # bytes
_PIPE = 1 << 12  # bytes, the size of that pipe
_OURS, _THEIRS = 0, 1  # places of the bytes that are done
_MUCH = 1 << 16  # bytes
_KILL = 9  # SIGKILL
_FAILURES = (BadData, IOFailed, OSError)


class ForkPool:
    """The tasks 0 to `count` - 1, which a child works on from the start of the context, and we in `run`.

    `alone`: there is no child; nor is there one where there may be no more processes. Needs to begin while there are no
    other threads.
    """

    def __init__(self, count: int, work: Work, *, alone: bool) -> None:
        if count > MAX_TASKS:
            raise ValueError(f"{count} tasks; at most {MAX_TASKS} can be shared")
        self._count = count
        self._work = work
        self._alone = alone
        self._parent = os.getpid()
        self._child = 0
        self._tasks = self._told = -1  # the ends of the pipes that we read from
        self._done = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")  # each process writes its own place only

    def __enter__(self) -> Self:
        if not self._alone:
            with suppress(OSError), signals.block_stop():
                self._fork()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with signals.block_stop():
            for end in (self._tasks, self._told):
                if end >= 0:
                    os.close(end)
            if self._child:
                os.kill(self._child, _KILL)  # it may be in the middle of something long
                os.waitpid(self._child, 0)

    def run(self, tick: Callable[[int], None]) -> list[Any]:
        """Do what the child does not. The results of all tasks, in their order.

        `tick` is told now and then how many bytes both have done. Raises BadData, IOFailed or OSError of a task, and
        IOFailed when the child is killed.
        """

        def wrote(more: int) -> None:
            if self._is_much(_OURS, more):
                tick(self._done[_OURS] + self._done[_THEIRS])

        if not self._child:
            return [self._work(number, wrote) for number in range(self._count)]
        results, failed = self._take(wrote)
        more, failed_there = self._hear()
        first = min(filter(None, (failed, failed_there)), key=lambda one: one[0], default=None)
        if first:
            raise first[1]
        return [result for _, result in sorted(chain(results, more))]

    # -- both ---------------------------------------------------------------------------------------------------

    def _take(self, wrote: OnWritten) -> tuple[list[tuple[int, Any]], Failed | None]:
        """Take tasks and do them until there are no more: the numbers and results, and the task that failed and why."""
        results = []
        for number in self._numbers():
            try:
                results.append((number, self._work(number, wrote)))
            except _FAILURES as error:
                while os.read(self._tasks, _PIPE):
                    pass
                return results, (number, error)
        return results, None

    def _is_much(self, place: int, more: int) -> bool:
        """Count more bytes as done. Whether that is enough to look around for anything."""
        before = self._done[place]
        self._done[place] = before + more
        return before // _MUCH != (before + more) // _MUCH

    def _numbers(self) -> Iterator[int]:
        while data := os.read(self._tasks, _NUMBER):
            if not self._child:
                self._end_as_orphan()
            yield int.from_bytes(data, "little")

    # -- the child ----------------------------------------------------------------------------------------------

    def _fork(self) -> None:
        """Start the child. Raises OSError when there may be none."""
        self._tasks, source = os.pipe()
        os.write(source, b"".join(number.to_bytes(_NUMBER, "little") for number in range(self._count)))
        os.close(source)
        self._told, ear = os.pipe()
        try:
            self._child = os.fork()
            if not self._child:
                self._live(ear)
        finally:
            os.close(ear)

    def _live(self, ear: int) -> NoReturn:
        """All that the child does. It never returns to what its parent was about to do."""
        try:
            signals.default_stop()
            os.close(self._told)
            results, failed = self._take(self._wrote_there)
            with open(ear, "wb", closefd=False) as out:
                marshal.dump((results, failed and (failed[0], _kind(failed[1]), failed[1].args)), out)
            os._exit(0)
        except BrokenPipeError:
            pass  # nobody wants to know any more
        except BaseException:  # noqa: BLE001 - whatever it is, nobody else can tell it
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)

    def _wrote_there(self, more: int) -> None:
        if self._is_much(_THEIRS, more):
            self._end_as_orphan()

    def _end_as_orphan(self) -> None:
        if os.getppid() != self._parent:
            os._exit(1)

    def _hear(self) -> tuple[list[tuple[int, Any]], Failed | None]:
        """What the child has to say in the end."""
        with open(self._told, "rb", closefd=False) as told:
            data = told.read()
        try:
            results, failed = marshal.loads(data)  # noqa: S302 - from our own child
        except (EOFError, ValueError, TypeError):  # it has not come to an end; what has failed here says more
            died = IOFailed("the process that shares the work has died: give the container more memory, or try again")
            return [], (self._count, died)
        return results, failed and (failed[0], _FAILURES[failed[1]](*failed[2]))


def _kind(error: Exception) -> int:
    """Which of the failures it is."""
    return next(number for number, kind in enumerate(_FAILURES) if isinstance(error, kind))
