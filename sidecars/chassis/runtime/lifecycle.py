"""The life of a process, from its start to its exit code: signals, the drain deadline, and the reason of its end.

There are two types of programs. A *job* (an init container) is a function that returns when its work is done. It needs
no event loop and loads none. A *service* is a coroutine that gets a `ServiceContext`:

    running ──SIGTERM or SIGINT──▶ draining ──coroutine returns──▶ ended: exit code 0
       │                              ├──`drain_timeout` passes──▶ cancelled: exit code 0
       │                              └──a second signal─────────▶ cancelled: exit code 0
       └──coroutine returns, or raises a Failure──▶ ended: exit code 0, or that of the Failure

The log says which of the three ended the drain.

Exit codes, after sysexits.h: 0 done or drained, 65 bad input data, 69 a needed service is unavailable, 70 a defect,
74 I/O failed, 78 bad settings.
"""

from __future__ import annotations

import contextlib
import os
import sys

from sidecars.chassis.runtime import logs, signals
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.chassis.runtime.printable import printable

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Iterable
    from types import FrameType
    from typing import Any, NoReturn

    Service = Callable[["ServiceContext"], Coroutine[Any, Any, None]]
    LoopFactory = Callable[[], asyncio.AbstractEventLoop]

log = logs.get("lifecycle")

TERMINATION_LOG = "/dev/termination-log"
# Bytes; https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
_TERMINATION_LIMIT = 4096
_STANDARD_STREAMS = 3  # in, out, error
_CANCEL_GRACE = 1.0  # seconds for a cancelled service to unwind


class Failure(Exception):
    """The process cannot go on. `reason` is one sentence for people, `exit_code` and `code` are for machines.

    `code` is stable, and an anchor in docs/troubleshooting.md.
    """

    exit_code = 70

    def __init__(self, reason: str, *, code: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code

    @property
    def termination_message(self) -> str:
        return f"{self.code}: {self.reason}"


class BadSettings(Failure):
    """The settings, or files that they name, cannot be used."""

    exit_code = 78


class BadData(Failure):
    """The input data is malformed."""

    exit_code = 65


class Unavailable(Failure):
    """A service that the process needs is unavailable."""

    exit_code = 69


class IOFailed(Failure):
    """A read, a write or a socket operation failed."""

    exit_code = 74


class ServiceContext:
    """The stop event, the drain deadline and the health of a running service. `run_service` owns it."""

    def __init__(self, drain_timeout: float) -> None:
        import asyncio  # noqa: PLC0415 - a job does not load the event loop

        from sidecars.chassis.runtime.health import Health  # noqa: PLC0415 - a job does not load it

        self.health = Health()
        self.stopping = asyncio.Event()
        self.drain_timeout = drain_timeout
        self._drain_deadline: float | None = None

    def begin_drain(self, now: float) -> None:
        """Set `stopping` and start the drain deadline. `now` is the loop's time. The first stop signal calls this."""
        self._drain_deadline = now + self.drain_timeout
        self.health.hold("lifecycle", "draining after a signal to stop")
        self.stopping.set()

    def drain_time_left(self, now: float) -> float:
        """Return the seconds that are left of the drain at the loop's time `now`."""
        return self.drain_timeout if self._drain_deadline is None else max(0.0, self._drain_deadline - now)


def ensure_standard_streams() -> None:
    """Open /dev/null for each standard stream that is closed, so that no file or socket of ours gets its number."""
    for number in range(_STANDARD_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number, which is this one
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - lives as long as the process
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115 - lives as long as the process


def exit_on_stop_signal() -> None:
    """Exit with 0 at a stop signal that comes before the service runs: for process 1, the default is to ignore it.

    The process ends at once. An exception out of the handler could meet a module of another language while it is
    loaded, and some crash then.
    """

    def leave(_number: int, _frame: FrameType | None) -> NoReturn:
        os._exit(0)

    signals.on_stop_signal(leave)


# -- running ------------------------------------------------------------------------------------------------------


def run_job(job: Callable[[], None]) -> None:
    """Run the job to its end. A stop signal raises IOFailed in it, so that its clean-up runs.

    Exit code 0 of an init container starts the app, so a job that was stopped must end with another one, however early
    the signal came. After the job is done, stop signals are ignored.
    """

    def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
        raise IOFailed(f"stopped by {signals.STOP_SIGNALS[number]} before the work was done", code="stopped-early")

    signals.on_stop_signal(interrupt)
    try:
        job()
    finally:
        signals.ignore_stop()


def run_service(service: Service, drain_timeout: float, loop_factory: LoopFactory | None = None) -> None:
    """Run the service until it returns, or has drained after a stop signal. Raises the error of the service.

    The limit of open files is raised first, before the event loop or the service opens a file.

    The loop is not closed: that would wait, without a limit, for tasks that refuse to be cancelled and for threads that
    hang in a system call. `exit_now` ends the process with them.
    """
    import asyncio  # noqa: PLC0415 - a job does not load the event loop

    from sidecars.chassis.runtime import descriptors  # noqa: PLC0415 - nor this

    descriptors.raise_limit()
    asyncio.Runner(loop_factory=loop_factory).run(_supervise(service, drain_timeout))


async def _supervise(service: Service, drain_timeout: float) -> None:
    import asyncio  # noqa: PLC0415 - a job does not load it

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_stray)
    context = ServiceContext(drain_timeout)
    hurry = asyncio.Event()

    def on_signal(name: str) -> None:
        if context.stopping.is_set():
            hurry.set()
            return
        log.info("draining", signal=name, drain_timeout=f"{drain_timeout:g}s")
        context.begin_drain(loop.time())

    for number, name in signals.STOP_SIGNALS.items():
        loop.add_signal_handler(number, on_signal, name)
    work = asyncio.ensure_future(service(context))
    try:
        if await _first(work, context.stopping.wait()) and not context.stopping.is_set():
            return await work
        try:
            async with asyncio.timeout(drain_timeout):
                cut_by = "" if await _first(work, hurry.wait()) else "a second signal"
        except TimeoutError:
            cut_by = f"the drain deadline of {drain_timeout:g} s"
        if cut_by:
            log.warning("the drain was cut short", code="drain-cut-short", by=cut_by)
            return await _cancelled(work)
        await work
        log.info("drained")
    finally:
        await _unwind(asyncio.all_tasks() - {asyncio.current_task()})


async def _first(work: asyncio.Future[None], event: Coroutine[Any, Any, Any]) -> bool:
    """Wait for the work or the event. Return True if the work has ended."""
    import asyncio  # noqa: PLC0415 - a job does not load it

    waiter = asyncio.ensure_future(event)
    try:
        await asyncio.wait({work, waiter}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
    return work.done()


async def _cancelled(work: asyncio.Future[None]) -> None:
    """Cancel the work and give it a moment to unwind. Raises its error, if it ends with one."""
    await _unwind({work})
    if work.done() and not work.cancelled() and (error := work.exception()):
        raise error


async def _unwind(tasks: Iterable[asyncio.Future[Any] | None]) -> None:
    """Cancel the tasks, and wait at most _CANCEL_GRACE seconds for their clean-up."""
    import asyncio  # noqa: PLC0415 - a job does not load it

    left = {task for task in tasks if task and not task.done()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=_CANCEL_GRACE)


def _log_stray(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error of a callback or task that nobody awaits. It is a defect, and the process goes on."""
    error = context.get("exception")
    if isinstance(error, BaseException):
        log.defect(context["message"], error)
    else:
        log.error(context["message"], code="event-loop-error")


# -- ending -------------------------------------------------------------------------------------------------------


def exit_code_of(work: Callable[[], object], termination_log: str = TERMINATION_LOG) -> int:
    """Do the work and return the exit code of its end. A failure is the last log line and the termination message.

    The message of an earlier run is removed first: a later SIGKILL, which writes none, would be shown with it.
    """
    write_termination_message("", termination_log)
    failure = outcome_of(work)
    if failure is None:
        return 0
    log.error(failure.reason, code=failure.code, exit_code=failure.exit_code)
    write_termination_message(failure.termination_message, termination_log)
    return failure.exit_code


def outcome_of(work: Callable[[], object]) -> Failure | None:
    """Do the work and return the failure that it ended with, None if it is done. A defect is logged with its place."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - the outermost edge: every error becomes an exit code here
        failure = failure_of(error)
        if failure is None:
            log.defect("a defect: please report the traceback", error)
            failure = Failure(f"a defect: {type(error).__name__}: {error}", code="defect")
        return failure
    return None


def exit_now(exit_code: int) -> NoReturn:
    """End the process now. No thread that hangs and no further signal can delay it or change its exit code.

    Log lines that wait for a slow reader have half a second more.
    """
    logs.flush()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(exit_code)


def failure_of(error: BaseException) -> Failure | None:
    """Return the Failure in an error, also from the groups that task groups raise; None if the error is a defect."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, BaseExceptionGroup):
        parts = [failure_of(part) for part in error.exceptions]
        return None if None in parts else parts[0]
    return None


def write_termination_message(message: str, termination_log: str = TERMINATION_LOG) -> None:
    """Write the message that `kubectl describe pod` shows, in place of an earlier one; "" removes that one.

    Without a termination log (outside Kubernetes) nothing happens. Control characters are escaped.
    """
    try:
        with open(termination_log, "r+b") as file:  # noqa: PTH123 - r+ does not create the file: only Kubernetes does
            whole = printable(logs.scrubbed(message, "the termination message"), keep="\n\t").encode()
            text = whole[:_TERMINATION_LIMIT].decode(errors="ignore")
            file.write(text.encode())
            file.truncate()
    except OSError:
        pass  # not in Kubernetes
