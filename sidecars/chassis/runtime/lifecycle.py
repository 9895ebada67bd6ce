"""From the first instant to the exit code: signals, the drain deadline, and the one sentence that says why it ended.

There are two kinds of programs. A *job* (an init container) is a plain function that ends when its work is done; it
needs no event loop and pays for none. A *service* is a coroutine that is given its `ServiceContext`; it runs until
`stopping` is set by SIGTERM or SIGINT, then finishes what it has begun. It has `drain_timeout` seconds for that; a
second signal ends the drain at once. Which of the three ended it is logged.

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
_TERMINATION_LIMIT = (
    4096  # bytes; https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
)
_STANDARD = 3  # streams: in, out, err
_CANCEL_GRACE = 1.0  # seconds for a cancelled service to unwind


class Failure(Exception):
    """Why the process cannot go on: one sentence for people, and the exit code for machines."""

    exit_code = 70

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BadSettings(Failure):
    exit_code = 78


class BadData(Failure):
    exit_code = 65


class Unavailable(Failure):
    exit_code = 69


class IOFailed(Failure):
    exit_code = 74


class ServiceContext:
    """What a service is given: when to stop, how long it may take to, and where to say how it is."""

    def __init__(self, drain_timeout: float) -> None:
        import asyncio  # noqa: PLC0415 - a job must not pay for the event loop

        from sidecars.chassis.runtime.health import Health  # noqa: PLC0415 - as above

        self.health = Health()
        self.stopping = asyncio.Event()
        self.drain_timeout = drain_timeout
        self._drained_by: float | None = None

    def begin_drain(self, now: float) -> None:
        """Called once, by the first signal. `now` is the loop's time."""
        self._drained_by = now + self.drain_timeout
        self.health.hold("lifecycle", "draining after a signal to stop")
        self.stopping.set()

    def drain_time_left(self, now: float) -> float:
        """Seconds that the drain may still take at the loop's time `now`."""
        return self.drain_timeout if self._drained_by is None else max(0.0, self._drained_by - now)


def ensure_standard_streams() -> None:
    """Where a standard stream is closed, put /dev/null: no file or socket of ours may get its number."""
    for number in range(_STANDARD):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - lives as long as the process
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115 - as above


def exit_on_stop_signal() -> None:
    """Until a service has begun, a signal to stop simply ends it: as process 1 it would otherwise be ignored."""

    def leave(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(0)

    signals.on_stop_signal(leave)


# -- running ------------------------------------------------------------------------------------------------------


def run_job(job: Callable[[], None]) -> None:
    """Run the job to its end. A signal unwinds it, so that its clean-up runs, and then counts as a failure.

    Exit code 0 of an init container starts the app, so a job that was stopped must not end with it, however early that
    was. Once the job is done a signal changes nothing any more.
    """

    def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
        raise IOFailed(f"stopped by {signals.STOP_SIGNALS[number]} before the work was done")

    signals.on_stop_signal(interrupt)
    try:
        job()
    finally:
        signals.ignore_stop()


def run_service(service: Service, drain_timeout: float, loop_factory: LoopFactory | None = None) -> None:
    """Run the service until it ends or is told to stop and has drained. Raises what the service raises.

    The limit of open files is raised first, before the event loop or anything of the service opens one.

    The loop is not closed: that would wait, without a limit, for tasks that do not let themselves be cancelled and for
    threads that hang in a system call. `exit_now` ends the process, and them.
    """
    import asyncio  # noqa: PLC0415 - a job must not pay for the event loop

    from sidecars.chassis.runtime import descriptors  # noqa: PLC0415 - nor for this

    descriptors.raise_limit()
    asyncio.Runner(loop_factory=loop_factory).run(_supervise(service, drain_timeout))


async def _supervise(service: Service, drain_timeout: float) -> None:
    import asyncio  # noqa: PLC0415 - as above

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
            log.warning("the drain was cut short", by=cut_by)
            return await _cancelled(work)
        await work
        log.info("drained")
    finally:
        await _unwind(asyncio.all_tasks() - {asyncio.current_task()})


async def _first(work: asyncio.Future[None], event: Coroutine[Any, Any, Any]) -> bool:
    """Wait for either; True when the work has ended."""
    import asyncio  # noqa: PLC0415 - as above

    waiter = asyncio.ensure_future(event)
    try:
        await asyncio.wait({work, waiter}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
    return work.done()


async def _cancelled(work: asyncio.Future[None]) -> None:
    """Cancel the work and give it a moment to unwind. What it raises about itself then is still worth knowing."""
    await _unwind({work})
    if work.done() and not work.cancelled() and (error := work.exception()):
        raise error


async def _unwind(tasks: Iterable[asyncio.Future[Any] | None]) -> None:
    """Cancel the tasks, and wait a moment for their clean-up."""
    import asyncio  # noqa: PLC0415 - as above

    left = {task for task in tasks if task and not task.done()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=_CANCEL_GRACE)


def _log_stray(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An error in a callback that nobody awaits: a defect, but not one to die of."""
    error = context.get("exception")
    if isinstance(error, BaseException):
        log.defect(context["message"], error)
    else:
        log.error(context["message"])


# -- ending -------------------------------------------------------------------------------------------------------


def exit_code_of(work: Callable[[], object], termination_log: str = TERMINATION_LOG) -> int:
    """Do the work; turn however it ends into an exit code, the last log line and the termination message.

    The message of an earlier run is removed first: it would be shown as the reason of a later kill, which writes none.
    """
    write_termination_message("", termination_log)
    try:
        work()
    except Exception as error:  # noqa: BLE001 - the outermost edge: everything becomes an exit code here
        failure = failure_of(error)
        if failure is None:
            log.defect("a defect: please report the traceback", error)
            failure = Failure(f"a defect: {type(error).__name__}: {error}")
        log.error(failure.reason, exit_code=failure.exit_code)
        write_termination_message(failure.reason, termination_log)
        return failure.exit_code
    return 0


def exit_now(exit_code: int) -> NoReturn:
    """End the process now: no thread that hangs, and no further signal, can hold it up or change its exit code.

    Lines of the log that wait for a slow reader have half a second more.
    """
    logs.flush()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(exit_code)


def failure_of(error: BaseException) -> Failure | None:
    """The failure in an error, also in the groups that task groups raise; None where it is a defect."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, BaseExceptionGroup):
        parts = [failure_of(part) for part in error.exceptions]
        return None if None in parts else parts[0]
    return None


def write_termination_message(message: str, termination_log: str = TERMINATION_LOG) -> None:
    """Leave a message where `kubectl describe pod` shows it, in place of an earlier one; "" removes that.

    Nothing happens where there is no such place. No terminal obeys the message.
    """
    try:
        with open(termination_log, "r+b") as file:  # noqa: PTH123 - r+: never create it, only Kubernetes does
            text = printable(message, keep="\n\t").encode()[:_TERMINATION_LIMIT].decode(errors="ignore")
            file.write(text.encode())
            file.truncate()
    except OSError:
        pass  # not in Kubernetes
