"""A pool of two processes, the caller and a forked child, which share the tasks 0 to `count` - 1.

Unpacking very many small files is a long series of very short steps, half of them in the kernel. Threads cannot share
them, because each thread would wait for the interpreter's lock. A forked child has everything that the tasks need,
begins at once, and shares our memory.

    parent: fill the task pipe ─▶ fork ─▶ take a number, do the task, … ─▶ read the child's results ─▶ merge
    child:                          └───▶ take a number, do the task, … ─▶ write its results, exit

Both processes take the next task number from one pipe until it is empty. So neither waits for the other, however long a
task takes. A process whose task fails empties the pipe, so that the other one ends after its present task. Of two
failures the one of the earlier task is raised: it is the failure that a single process would have met.

Each process notices the end of the other. A child whose parent has died exits at its next step, and until then it holds
the lock of the run (see `target.staging_area`). If the child dies before it has written its results, the run fails.
"""

from __future__ import annotations

import marshal
import mmap
import os
import sys
from contextlib import suppress
from itertools import chain

from sidecars.chassis.runtime import signals
from sidecars.chassis.runtime.lifecycle import BadData, Failure, IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Any, NoReturn, Self

    OnWritten = Callable[[int], None]
    """Called with the number of further bytes that are written. It may raise, to stop the work."""
    Task = Callable[[int, OnWritten], Any]
    """`task(number, on_written)` does the task with that number. `marshal` must be able to write its result."""
    Results = list[tuple[int, Any]]
    """The numbers of tasks, each with its result."""
    TaskFailure = tuple[int, Exception]
    """The number of the task that failed, and its exception."""

MAX_TASKS = 1000  # the smallest pipe that Linux makes holds the numbers of so many
_NUMBER_SIZE = 4  # bytes
_PIPE_SIZE = 1 << 12  # bytes, of that pipe
_PARENT, _CHILD = 0, 1  # indexes of the counters of written bytes
_REPORT_INTERVAL = 1 << 16  # bytes
_SIGKILL = 9
_FAILURES = (BadData, IOFailed, OSError)


class ForkPool:
    """The tasks of one archive. The child runs from the start of the context, the parent works in `run`.

    The context must be entered while the process has no other thread.
    """

    def __init__(self, count: int, task: Task, *, single_process: bool) -> None:
        """`single_process` True means no child. There is none either if no process can be started.

        Raises ValueError for more than MAX_TASKS tasks.
        """
        if count > MAX_TASKS:
            raise ValueError(f"{count} tasks; at most {MAX_TASKS} can be shared")
        self._count = count
        self._task = task
        self._single_process = single_process
        self._parent = os.getpid()
        self._child = 0  # process id; 0 in the child itself, and if there is none
        self._task_pipe = self._result_pipe = -1  # descriptors of the ends for reading
        self._written = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")  # each process writes its own counter only

    def __enter__(self) -> Self:
        if not self._single_process:
            with suppress(OSError), signals.block_stop():
                self._fork()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with signals.block_stop():
            for descriptor in (self._task_pipe, self._result_pipe):
                if descriptor >= 0:
                    os.close(descriptor)
            if self._child:
                os.kill(self._child, _SIGKILL)  # it may be in the middle of a long task
                os.waitpid(self._child, 0)

    def run(self, on_progress: Callable[[int], None]) -> list[Any]:
        """Do the tasks that the child does not do. Return the results of all tasks, in the order of their numbers.

        `on_progress` is called now and then with the number of bytes that both processes have written. Raises BadData,
        IOFailed or OSError of a task, and IOFailed if the child was killed.
        """

        def on_written(more: int) -> None:
            if self._count_written(_PARENT, more):
                on_progress(self._written[_PARENT] + self._written[_CHILD])

        if not self._child:
            return [self._task(number, on_written) for number in range(self._count)]
        results, failure = self._run_tasks(on_written)
        child_results, child_failure = self._read_child_results()
        first = min(filter(None, (failure, child_failure)), key=lambda one: one[0], default=None)
        if first:
            raise first[1]
        return [result for _, result in sorted(chain(results, child_results))]

    # -- in both processes ---------------------------------------------------------------------------------------

    def _run_tasks(self, on_written: OnWritten) -> tuple[Results, TaskFailure | None]:
        """Take tasks and do them until the pipe is empty or one fails."""
        results = []
        for number in self._task_numbers():
            try:
                results.append((number, self._task(number, on_written)))
            except _FAILURES as error:
                while os.read(self._task_pipe, _PIPE_SIZE):
                    pass
                return results, (number, error)
        return results, None

    def _count_written(self, process: int, more: int) -> bool:
        """Add to the counter of a process. True each time _REPORT_INTERVAL more bytes are written."""
        before = self._written[process]
        self._written[process] = before + more
        return before // _REPORT_INTERVAL != (before + more) // _REPORT_INTERVAL

    def _task_numbers(self) -> Iterator[int]:
        while data := os.read(self._task_pipe, _NUMBER_SIZE):
            if not self._child:
                self._exit_if_orphaned()
            yield int.from_bytes(data, "little")

    # -- the child -----------------------------------------------------------------------------------------------

    def _fork(self) -> None:
        """Start the child. Raises OSError if no process can be started."""
        self._task_pipe, task_writer = os.pipe()
        os.write(task_writer, b"".join(number.to_bytes(_NUMBER_SIZE, "little") for number in range(self._count)))
        os.close(task_writer)
        self._result_pipe, result_writer = os.pipe()
        try:
            self._child = os.fork()
            if not self._child:
                self._run_child(result_writer)
        finally:
            os.close(result_writer)

    def _run_child(self, result_writer: int) -> NoReturn:
        """Do everything that the child does, then exit: it never returns to the code of its parent."""
        try:
            signals.default_stop()
            os.close(self._result_pipe)
            results, failure = self._run_tasks(self._on_child_written)
            with open(result_writer, "wb", closefd=False) as out:
                marshal.dump((results, failure and (failure[0], *_packed(failure[1]))), out)
            os._exit(0)
        except BrokenPipeError:
            pass  # the parent no longer wants the results
        except BaseException:  # noqa: BLE001 - a defect: no other process can report it
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)

    def _on_child_written(self, more: int) -> None:
        if self._count_written(_CHILD, more):
            self._exit_if_orphaned()

    def _exit_if_orphaned(self) -> None:
        if os.getppid() != self._parent:
            os._exit(1)

    def _read_child_results(self) -> tuple[Results, TaskFailure | None]:
        """Wait for the results of the child, or for its failure."""
        with open(self._result_pipe, "rb", closefd=False) as pipe:
            data = pipe.read()
        try:
            results, failure = marshal.loads(data)  # noqa: S302 - our own child has written it
        except (
            EOFError,
            ValueError,
            TypeError,
        ):  # it died; a failure of the parent, which has a lower number, goes first
            died = IOFailed(
                "the process that shares the work has died: give the container more memory, or try again",
                code="helper-process-died",
            )
            return [], (self._count, died)
        return results, failure and (failure[0], _unpacked(*failure[1:]))


def _packed(error: Exception) -> tuple[int, tuple[Any, ...], dict[str, str]]:
    """Return the index in _FAILURES of the error's class, and the arguments that make the error again."""
    index = next(index for index, kind in enumerate(_FAILURES) if isinstance(error, kind))
    return index, error.args, {"code": error.code} if isinstance(error, Failure) else {}


def _unpacked(index: int, arguments: tuple[Any, ...], named: dict[str, str]) -> Exception:
    return _FAILURES[index](*arguments, **named)
