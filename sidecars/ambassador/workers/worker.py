"""A worker: one of several data paths, `python -m sidecars.ambassador.workers.worker`. Only the supervisor starts it.

It inherits the listening sockets that the supervisor has bound, the table of connections (`shares`), and a connection
on which it reports twice a second. If that connection ends, the supervisor is gone, and the worker drains as after
SIGTERM. A failure that it ends with goes to the supervisor, which logs it: once, however many workers have it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys

from sidecars.ambassador.settings import Settings
from sidecars.ambassador.workers.plan import WorkerPlan
from sidecars.chassis import commandline
from sidecars.chassis.config.settings import SettingsError, load
from sidecars.chassis.runtime import lifecycle, logs
from sidecars.chassis.runtime.lifecycle import ServiceContext

log = logs.get("ambassador.worker")

_REPORT_EVERY = 0.5  # seconds


async def work(settings: Settings, context: ServiceContext, plan: WorkerPlan) -> None:
    from sidecars.ambassador.data_path import DataPath  # noqa: PLC0415 - heavy, and only wanted once the settings are right
    from sidecars.ambassador.workers import reports  # noqa: PLC0415 - wanted only once the settings are right
    from sidecars.ambassador.workers.shares import Shares  # noqa: PLC0415 - nor is this
    from sidecars.chassis.runtime import troubles  # noqa: PLC0415 - nor is this

    control = socket.socket(fileno=plan.control)
    reader, writer = await asyncio.open_connection(sock=control)
    path = DataPath(settings, context)
    metrics = path.metrics()
    shares = Shares(plan.counts, settings.workers)
    listeners = {name: [socket.socket(fileno=number) for number in numbers] for name, numbers in plan.listeners.items()}

    async def report() -> None:
        with contextlib.suppress(ConnectionError):
            health = context.health
            status = {**path.status(every=True), "trouble": troubles.recent()}
            writer.write(reports.encode(health.not_ready(), health.not_alive(), status, metrics))
            await writer.drain()

    async def keep_reporting() -> None:
        while True:
            await report()
            await asyncio.sleep(_REPORT_EVERY)

    async def drain_without_supervisor() -> None:
        with contextlib.suppress(ConnectionError):  # it has not read our last report
            await reader.read()
        log.warning("the ambassador is gone: this worker drains", code="worker-orphaned", worker=plan.number)
        os.kill(os.getpid(), signal.SIGTERM)

    beside = [asyncio.create_task(keep_reporting()), asyncio.create_task(drain_without_supervisor())]
    try:
        await path.run(listeners, lambda: shares.is_turn_of(plan.number, path.connections()))
        await report()
    finally:
        for task in beside:
            task.cancel()


def main(raw: str) -> int:
    """Run the worker with this plan, and return its exit code."""
    lifecycle.exit_on_stop_signal()
    plan = WorkerPlan.parse(raw)

    def serve() -> None:
        try:
            settings = load(Settings, os.environ)
        except SettingsError as error:
            raise lifecycle.BadSettings(str(error), code="bad-settings") from None
        commandline.confine_to_roots(settings, os.environ)  # exec has reset a part of it
        logs.configure(settings.log_level, settings.log_format, libraries=True)
        import uvloop  # noqa: PLC0415 - wanted only once the settings are right

        lifecycle.run_service(
            lambda context: work(settings, context, plan), settings.drain_timeout, uvloop.new_event_loop
        )

    failure = lifecycle.outcome_of(lambda: commandline.with_packages(Settings, serve))
    if failure is None:
        return 0
    from sidecars.ambassador.workers import reports  # noqa: PLC0415 - loaded already, unless the start has failed

    try:
        os.write(plan.farewell, reports.encode_failure(failure))
    except OSError:  # the supervisor is gone
        log.error(failure.reason, code=failure.code, exit_code=failure.exit_code)
    return failure.exit_code


if __name__ == "__main__":
    lifecycle.exit_now(main(sys.argv[1]))
