"""Several data paths behind one port: the ambassador as the parent of its workers.

The parent binds every address, once for each worker, and keeps the sockets: the kernel spreads the connections over
them, and while a worker that died is started again its connections wait in their queue. (A unix socket cannot be bound
twice: all workers accept from the same one.) The parent answers on the admin port for all, from the reports that each
sends twice a second; it carries no traffic itself. What a worker balances, ejects, limits and resolves it does alone.

A worker that ends by itself is started again, at once and then with growing pauses; until it reports, the ambassador is
not ready, and one that reports no more makes it not alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecars.ambassador.settings import Settings
from sidecars.ambassador.workers import reports
from sidecars.ambassador.workers.plan import WorkerPlan
from sidecars.ambassador.workers.reports import Family, Report
from sidecars.chassis import admin_server
from sidecars.chassis.config.settings import variable
from sidecars.chassis.http.listen import bind_per_process
from sidecars.chassis.runtime import descriptors, logs
from sidecars.chassis.runtime.lifecycle import ServiceContext

log = logs.get("ambassador")

_LIVES = 5.0  # seconds without a report after which a worker counts as stuck
_FIRST_PAUSE = 0.1  # seconds
_LONGEST_PAUSE = 10.0  # seconds
_STEADY = 10.0  # seconds; a worker that lived longer is started again at once
_LAST_CHANCE = 0.5  # seconds from the last signal to the kill

Listeners = dict[str, list[socket.socket]]


class Worker:
    """One worker: its process, while there is one, and what it said last."""

    def __init__(self, number: int, context: ServiceContext) -> None:
        self.number = number
        self.listeners: Listeners = {}
        self.report = Report()
        self.process: asyncio.subprocess.Process | None = None
        self.restarts = 0
        self._latch = context.health.hold(f"worker {number}", "it has not started yet")
        self._pulse = context.health.heartbeat(f"worker {number}", _LIVES)

    def take(self, report: Report) -> None:
        self.report = report
        self._latch.hold("; ".join(report.not_ready))
        if not report.not_alive:
            self._pulse.beat()

    def gone(self) -> Report:
        """It has ended; its last report."""
        self.process = None
        self._latch.hold("it has ended and is started again")
        self._pulse.idle()
        last, self.report = self.report, Report()
        return last

    def tell(self, number: int) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    def page(self) -> dict[str, Any]:
        pid = self.process.pid if self.process else None
        return {"worker": self.number, "pid": pid, "restarts": self.restarts, **self.report.status}


class Fleet(Collector):
    """All workers, and what they are together."""

    def __init__(self, settings: Settings, context: ServiceContext) -> None:
        self.workers = [Worker(number, context) for number in range(1, settings.workers + 1)]
        self._own = admin_server.registry()
        self._gone: dict[str, Family] = {}  # what workers that are gone have counted
        self._context = context

    def status(self) -> dict[str, Any]:
        pages = [worker.page() for worker in self.workers]
        return {**reports.summed([worker.report.status for worker in self.workers]), "workers": pages}

    def collect(self) -> Iterator[Metric]:
        own = reports.decode(reports.encode((), (), {}, self._own)).families
        yield from reports.together([self._gone, *(worker.report.families for worker in self.workers), own])
        running = sum(worker.process is not None for worker in self.workers)
        yield GaugeMetricFamily("ambassador_workers", "Worker processes that run.", running)
        restarts = sum(worker.restarts for worker in self.workers)
        yield CounterMetricFamily("ambassador_worker_restarts", "Workers that ended and were started again.", restarts)

    def bind(self, settings: Settings) -> None:
        for name, upstream in settings.upstreams.items():
            each = bind_per_process(upstream.listen, variable(Settings, "listen", name), len(self.workers))
            for worker, sockets in zip(self.workers, each, strict=True):
                worker.listeners[name] = sockets

    async def keep(self, worker: Worker) -> None:
        """Run the worker, again and again, until we are told to stop and it has ended."""
        pause = 0.0
        while True:
            began = time.monotonic()
            code = await self._run_if_possible(worker)
            reports.add_up(self._gone, worker.gone().families.values())
            if self._context.stopping.is_set():
                close(worker.listeners)  # from here on the others get its connections
                return
            lived = time.monotonic() - began
            pause = 0.0 if lived > _STEADY else min(_LONGEST_PAUSE, max(_FIRST_PAUSE, 2 * pause))
            log.error(
                "a worker has ended; it is started again", worker=worker.number, exit_code=code, after=f"{pause:g}s"
            )
            worker.restarts += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._context.stopping.wait(), pause)
                return

    async def _run_if_possible(self, worker: Worker) -> int | None:
        """Run the worker and return its exit code, or None where no process can be started at present."""
        try:
            return await self._run(worker)
        except OSError as error:
            log.error("a worker cannot be started", worker=worker.number, reason=error.strerror)
            descriptors.count_exhaustion(error)
            return None

    async def _run(self, worker: Worker) -> int:
        """Start the worker, follow its reports, and give its exit code (or, negative, the signal that ended it)."""
        ours, theirs = socket.socketpair()
        listening = {name: [each.fileno() for each in sockets] for name, sockets in worker.listeners.items()}
        plan = WorkerPlan(worker.number, theirs.fileno(), listening)
        isolated = ["-I"] if sys.flags.isolated else []
        with theirs, contextlib.ExitStack() as stack:
            stack.callback(ours.close)
            worker.process = await asyncio.create_subprocess_exec(
                *(sys.executable, *isolated, "-m", "sidecars.ambassador.workers.worker", str(plan)),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *(number for numbers in listening.values() for number in numbers)),
            )
            stack.pop_all()  # from here on it is the stream's
        log.info("a worker runs", worker=worker.number, pid=worker.process.pid)
        if self._context.stopping.is_set():
            worker.tell(signal.SIGTERM)  # it missed that the others were told
        reader, writer = await asyncio.open_connection(sock=ours, limit=reports.LONGEST)
        try:
            while line := await reader.readline():
                if line.endswith(b"\n"):
                    worker.take(reports.decode(line))
        except ConnectionError:
            pass  # it was killed with something of ours unread
        finally:
            writer.close()
        return await worker.process.wait()


def close(listeners: Listeners) -> None:
    for sockets in listeners.values():
        for each in sockets:
            each.close()


async def supervise(settings: Settings, context: ServiceContext) -> None:
    """Run the workers until told to stop, and then until each has drained."""
    fleet = Fleet(settings, context)
    registry = CollectorRegistry()
    registry.register(fleet)
    async with admin_server.serve(settings, context.health, registry, fleet.status):
        fleet.bind(settings)
        keeping = [asyncio.create_task(fleet.keep(worker)) for worker in fleet.workers]
        try:
            await _first_failure_or(keeping, context.stopping)
            for worker in fleet.workers:
                worker.tell(signal.SIGTERM)
            await asyncio.gather(*keeping)
        finally:
            await _end(fleet, keeping)


async def _first_failure_or(keeping: list[asyncio.Task[None]], stopping: asyncio.Event) -> None:
    """Wait until we are told to stop. A defect in what keeps a worker ends the wait, too, and is raised."""
    told = asyncio.create_task(stopping.wait())
    try:
        done, _ = await asyncio.wait({told, *keeping}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        told.cancel()


async def _end(fleet: Fleet, keeping: list[asyncio.Task[None]]) -> None:
    """Leave no worker behind: a second signal cuts its drain short, and one that does not go then is killed."""
    for worker in fleet.workers:
        worker.tell(signal.SIGTERM)
    if any(not task.done() for task in keeping):
        await asyncio.wait(keeping, timeout=_LAST_CHANCE)
    for worker in fleet.workers:
        if worker.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.process.pid, signal.SIGKILL)
        close(worker.listeners)
    for task in keeping:
        task.cancel()
