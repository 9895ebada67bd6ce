"""The supervisor: it starts several workers behind one port, restarts them, and serves the admin port for all.

It binds every address once and keeps the sockets. All workers inherit the same ones and accept from them in turns
(`shares`), so no other process can join them (SO_REUSEPORT would let each one of the same user do so). The connections
that wait while a worker is restarted are accepted by the others. The admin port's pages come from the reports that each
worker sends twice a second. The supervisor carries no traffic. Each worker balances, ejects, limits and resolves for
itself.

States of a worker:

    from       event                                     to
    starting   its first report                          running: the ambassador is ready
    starting   no process can be started                 pausing
    starting   it ends with a failure, and no worker     ended, and the ambassador with it: the same sentence and exit
               has started well before                   code as with one worker
    running    no report for 5 s                         running, but the ambassador is not alive
    any        its process ends                          pausing: the ambassador is not ready
    pausing    the pause is over (0 s, then 0.1 to 10 s) starting
    any        SIGTERM                                   draining, then ended
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecars.ambassador.settings import Settings
from sidecars.ambassador.workers import pages, reports
from sidecars.ambassador.workers.plan import WorkerPlan
from sidecars.ambassador.workers.reports import Family, Report
from sidecars.ambassador.workers.shares import Shares
from sidecars.chassis import admin_server
from sidecars.chassis.accept.listen import bind
from sidecars.chassis.config.settings import variable
from sidecars.chassis.runtime import descriptors, logs
from sidecars.chassis.runtime.lifecycle import Failure, ServiceContext

if TYPE_CHECKING:
    from sidecars.chassis.page.picture import Picture

log = logs.get("ambassador")

_STUCK_AFTER = 5.0  # seconds without a report
_FIRST_PAUSE = 0.1  # seconds
_LONGEST_PAUSE = 10.0  # seconds
_STEADY = 10.0  # seconds; a worker that ran longer is restarted without a pause
_LONGEST_FAREWELL = 65536  # bytes, as many as a pipe takes
_KILL_AFTER = 0.5  # seconds from the last signal to the kill

Listeners = dict[str, list[socket.socket]]


class Worker:
    """One worker: its process, while there is one, and its last report. The fleet owns it."""

    def __init__(self, number: int, context: ServiceContext) -> None:
        self.number = number
        self.report = Report()
        self.process: asyncio.subprocess.Process | None = None
        self.restarts = 0
        self._latch = context.health.hold(f"worker {number}", "it has not started yet")
        self._heartbeat = context.health.heartbeat(f"worker {number}", _STUCK_AFTER)

    def accept_report(self, report: Report) -> None:
        self.report = report
        self._latch.hold("; ".join(report.not_ready))
        if not report.not_alive:
            self._heartbeat.beat()

    def note_end(self) -> Report:
        """Note that the process has ended; return its last report."""
        self.process = None
        self._latch.hold("it has ended and is started again")
        self._heartbeat.idle()
        last, self.report = self.report, Report()
        return last

    def send_signal(self, number: int) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    def status(self) -> dict[str, Any]:
        pid = self.process.pid if self.process else None
        return {"worker": self.number, "pid": pid, "restarts": self.restarts, **pages.summary(self.report.status)}


class Fleet(Collector):
    """All workers, their sockets, and the Prometheus collector of their merged metrics. `supervise` owns it."""

    def __init__(self, settings: Settings, context: ServiceContext) -> None:
        self.workers = [Worker(number, context) for number in range(1, settings.workers + 1)]
        self._listeners: Listeners = {}
        self._shares = Shares.create(settings.workers)
        self._own = admin_server.registry()
        self._has_started = False  # True once a worker has started well
        self.is_ending = False  # True once a worker's end is asked for, and nothing to tell
        self._ended: dict[str, Family] = {}  # the counters and histograms of workers that have ended
        self._context = context

    def status(self) -> dict[str, Any]:
        together = pages.together([worker.report.status for worker in self.workers])
        return {**together, "workers": [worker.status() for worker in self.workers]}

    def collect(self) -> Iterator[Metric]:
        own = reports.decode(reports.encode((), (), {}, self._own)).families
        yield from reports.merge_metrics([self._ended, *(worker.report.families for worker in self.workers), own])
        running = sum(worker.process is not None for worker in self.workers)
        yield GaugeMetricFamily("ambassador_workers", "Worker processes that run.", running)
        restarts = sum(worker.restarts for worker in self.workers)
        yield CounterMetricFamily("ambassador_worker_restarts", "Workers that ended and were started again.", restarts)

    def bind(self, settings: Settings) -> None:
        for name, group in settings.ports.items():
            self._listeners[name] = bind(group[0].listen, variable(Settings, "listen", group[0].name))

    def close(self) -> None:
        """Close the listening sockets. The workers that still run keep theirs."""
        for sockets in self._listeners.values():
            for each in sockets:
                each.close()

    async def keep_running(self, worker: Worker) -> None:
        """Run the worker, again and again, until the context stops and the worker has ended.

        Raises the Failure of its first start.
        """
        pause = 0.0
        while True:
            began = time.monotonic()
            code, failure = await self._run_if_possible(worker)
            reports.add_up(self._ended, worker.note_end().families.values())
            self._shares.leave(worker.number)
            if self._context.stopping.is_set() or self.is_ending:
                return
            if failure is not None and not self._has_started:
                raise failure  # it is in the settings, the files or the system: the next worker would have it, too
            lived = time.monotonic() - began
            pause = 0.0 if lived > _STEADY else min(_LONGEST_PAUSE, max(_FIRST_PAUSE, 2 * pause))
            log.error(
                "a worker has ended; it is started again",
                code="worker-ended",
                worker=worker.number,
                exit_code=code,
                after=f"{pause:g}s",
                **({"reason": failure.reason} if failure is not None else {}),
            )
            worker.restarts += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._context.stopping.wait(), pause)
                return

    async def _run_if_possible(self, worker: Worker) -> tuple[int | None, Failure | None]:
        """Run the worker and return its exit code, or None if no process can be started at present; and its failure."""
        try:
            return await self._run(worker)
        except OSError as error:
            log.error(
                "a worker cannot be started", code="worker-not-started", worker=worker.number, reason=error.strerror
            )
            descriptors.count_exhaustion(error)
            return None, None

    async def _run(self, worker: Worker) -> tuple[int, Failure | None]:
        """Start the worker, read its reports, and return its exit code (or, negative, the signal that ended it).

        The second result is the failure that it has ended with, if it has said one.
        """
        ours, theirs = socket.socketpair()
        said, farewell = os.pipe()
        os.set_blocking(said, False)
        listening = {name: [each.fileno() for each in sockets] for name, sockets in self._listeners.items()}
        counts = self._shares.descriptor
        plan = WorkerPlan(worker.number, theirs.fileno(), farewell, counts, listening)
        isolated = ["-I"] if sys.flags.isolated else []
        inherited = (theirs.fileno(), farewell, counts, *(each for numbers in listening.values() for each in numbers))
        with os.fdopen(said, "rb", 0) as last_words:
            with theirs, os.fdopen(farewell, "wb", 0), contextlib.ExitStack() as stack:
                stack.callback(ours.close)
                worker.process = await asyncio.create_subprocess_exec(
                    *(sys.executable, *isolated, "-m", "sidecars.ambassador.workers.worker", str(plan)),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=inherited,
                )
                stack.pop_all()  # from here on it is the stream's
            log.info("a worker runs", worker=worker.number, pid=worker.process.pid)
            if self._context.stopping.is_set():
                worker.send_signal(signal.SIGTERM)  # it was started after the other workers got their signal
            await self._read_reports(worker, ours)
            code = await worker.process.wait()
            return code, reports.decode_failure(last_words.read(_LONGEST_FAREWELL) or b"")

    async def _read_reports(self, worker: Worker, ours: socket.socket) -> None:
        """Take the reports of a worker until its connection ends."""
        reader, writer = await asyncio.open_connection(sock=ours, limit=reports.MAX_SIZE)
        try:
            while line := await reader.readline():
                if line.endswith(b"\n"):
                    worker.accept_report(reports.decode(line))
                    self._has_started = self._has_started or worker.report.is_listening
        except ConnectionError:
            pass  # it was killed with something of ours unread
        finally:
            writer.close()


async def supervise(settings: Settings, context: ServiceContext, picture: Callable[[], Picture]) -> None:
    """Run the workers until the context stops, and then until each has drained. `picture` is for the page."""
    fleet = Fleet(settings, context)
    registry = CollectorRegistry()
    registry.register(fleet)
    async with admin_server.serve(settings, context.health, registry, fleet.status, picture=picture):
        fleet.bind(settings)
        keeping = [asyncio.create_task(fleet.keep_running(worker)) for worker in fleet.workers]
        try:
            await _first_failure_or(keeping, context.stopping)
            for worker in fleet.workers:
                worker.send_signal(signal.SIGTERM)
            await asyncio.gather(*keeping)
        finally:
            await _end(fleet, keeping)


async def _first_failure_or(keeping: list[asyncio.Task[None]], stopping: asyncio.Event) -> None:
    """Wait until the context stops. Raises the error of a task that keeps a worker running."""
    stop = asyncio.create_task(stopping.wait())
    try:
        done, _ = await asyncio.wait({stop, *keeping}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        stop.cancel()


async def _end(fleet: Fleet, keeping: list[asyncio.Task[None]]) -> None:
    """End all workers: a second signal ends a drain early, and a worker that does not end then is killed."""
    fleet.is_ending = True
    for worker in fleet.workers:
        worker.send_signal(signal.SIGTERM)
    if any(not task.done() for task in keeping):
        await asyncio.wait(keeping, timeout=_KILL_AFTER)
    for worker in fleet.workers:
        if worker.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.process.pid, signal.SIGKILL)
    fleet.close()
    for task in keeping:
        if task.done() and not task.cancelled():
            task.exception()  # that of another worker, with the same sentence, is not told again
        task.cancel()
