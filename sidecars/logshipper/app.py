"""The wiring: files are followed, each sink is delivered to by itself, and the state is never ahead of a sink's yes.

It is ready once it has looked at the files, will see whatever is written from then on, and can save positions: the app
may start then. It is not ready while an input has files and none can be read. Neither the app nor a sink
is waited for: a sink that is down is no reason to take the Pod out of service; `/metrics` and `/status` tell.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from sidecars.chassis import admin_server
from sidecars.chassis.config.settings import variable
from sidecars.chassis.runtime import descriptors, logs
from sidecars.chassis.runtime.health import ReadinessLatch
from sidecars.chassis.runtime.lifecycle import IOFailed, ServiceContext, Unavailable
from sidecars.logshipper.config.input_settings import InputSettings
from sidecars.logshipper.delivery.shipper import Shipper
from sidecars.logshipper.delivery.sink_queue import SinkQueue
from sidecars.logshipper.input.cutting_rules import CuttingRules
from sidecars.logshipper.input.follower import Follower
from sidecars.logshipper.input.open_files import FEWEST
from sidecars.logshipper.input.rotated_file_deletion import RotatedFilePolicy
from sidecars.logshipper.input.scan_loop import ScanLoop
from sidecars.logshipper.metrics import LedgerCollector
from sidecars.logshipper.model.ledger import Ledger
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import Sink
from sidecars.logshipper.sinks.factory import create_sink
from sidecars.logshipper.state.checkpoint import SinkState
from sidecars.logshipper.state.store import Store
from sidecars.logshipper.transform.pipeline import Pipeline

log = logs.get("logshipper")

_SAVE = 1.0  # seconds between snapshots
_SAVE_SHARE = 20  # times as long as the last one took, at least: the journal has what happens meanwhile
_FREED = 1024 * 1024  # bytes
_FOR_ALL = 8  # descriptors: the watcher, name resolution, a file that is looked at, dead letters
_FOR_A_SINK = 3  # descriptors beside one for each batch on its way
_LEAVE = 0.5  # seconds of the drain that are kept for saving


async def run(settings: Settings, context: ServiceContext) -> None:
    _keep_freed_memory()
    starting = context.health.hold("start", "the log files were not looked at yet")
    store = Store(settings.state_dir, variable(Settings, "state_dir"))
    store.open()
    try:
        for name in settings.sinks:
            store.state.sinks.setdefault(name, SinkState())
        pod = _Shipping(settings, context, store)
        async with admin_server.serve(settings, context.health, pod.registry, pod.status):
            await pod.start()
            await pod.run(starting)
    finally:
        store.close()


class _Shipping:
    """Everything that runs, and what it says of itself."""

    def __init__(self, settings: Settings, context: ServiceContext, store: Store) -> None:
        self._settings = settings
        self._context = context
        self._store = store
        self._saving = context.health.hold("state", "")
        self._over = asyncio.Event()  # nothing new will come
        self._ledgers = {name: Ledger() for name in settings.sinks}
        pipelines = {name: Pipeline(tailed, settings.pod_fields()) for name, tailed in settings.inputs.items()}
        cutting = {name: rules(tailed, pipelines[name]) for name, tailed in settings.inputs.items()}
        rotation = RotatedFilePolicy(settings.rotate_wait, settings.delete_delivered)
        self._follower = Follower(settings.inputs, cutting, rotation, store, self._ledgers, time.monotonic)
        self._queues = {name: SinkQueue(name, self._follower, store) for name in settings.sinks}
        self._deliveries: dict[str, Sink] = {name: create_sink(settings, sink) for name, sink in settings.sinks.items()}
        self._shippers = [
            Shipper(
                sink,
                pipelines,
                self._deliveries[name],
                self._queues[name],
                context.health,
                time.monotonic,
            )
            for name, sink in settings.sinks.items()
        ]
        self._looking = ScanLoop(settings, context, self._follower, self._wake)
        self.registry = admin_server.registry()
        self.registry.register(
            LedgerCollector(self._ledgers, self._queues, self._follower, self._shippers, store, time.monotonic)
        )

    async def start(self) -> None:
        """Open the sinks, take up the known files, and save: from the first byte on, the state on disk is right."""
        for name, delivery in self._deliveries.items():
            sink = self._store.state.sinks[name]
            sink.receipt = await delivery.open(sink.receipt)
        self._follower.open_files.most = max(FEWEST, descriptors.free_count() - self._for_sinks())
        self._follower.load_state()
        await self._looking.start()
        if not await self._store.save():
            raise IOFailed(self._store.problem)

    def _for_sinks(self) -> int:
        """Return how many descriptors the sinks may need."""
        return _FOR_ALL + sum(_FOR_A_SINK + sink.in_flight for sink in self._settings.sinks.values())

    async def run(self, starting: ReadinessLatch) -> None:
        """Until told to stop; then ship what is left. `starting` is released when the files were looked at.

        Raises Unavailable when a sink does not take everything in time, and IOFailed when files could not be read.
        """
        saving = asyncio.create_task(self._keep_saving())
        ready = asyncio.create_task(self._release_when_ready(starting))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                for shipper in self._shippers:
                    tasks.create_task(self._ship(shipper))
            await self._leave()
        except asyncio.CancelledError:
            self._complain()
            raise
        finally:
            saving.cancel()
            ready.cancel()
            await asyncio.gather(saving, ready, return_exceptions=True)

    async def _release_when_ready(self, starting: ReadinessLatch) -> None:
        await self._looking.ready.wait()
        starting.release()

    def _wake(self) -> None:
        for shipper in self._shippers:
            shipper.wake()

    # -- following -----------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        await self._looking.run()
        self._over.set()
        for shipper in self._shippers:
            shipper.drain()

    # -- saving --------------------------------------------------------------------------------------------------------

    async def _keep_saving(self) -> None:
        while True:
            await self._store.changed.wait()
            began = time.monotonic()
            await self._store.save()
            self._saving.hold(self._store.problem)
            await asyncio.sleep(max(_SAVE, _SAVE_SHARE * (time.monotonic() - began)))

    # -- ending --------------------------------------------------------------------------------------------------------

    async def _ship(self, shipper: Shipper) -> None:
        """Until all is shipped; when we are told to stop, until the sink seems dead, or shortly before the deadline."""
        task = asyncio.ensure_future(shipper.run())
        told = asyncio.ensure_future(self._told_to_stop())
        try:
            await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
            shipper.begin_deadline()
            while not task.done() and (left := min(self._time_to_ship(), shipper.patience_left())) > 0:
                await asyncio.wait({task}, timeout=left)
            if task.done():
                task.result()
        finally:
            told.cancel()
            task.cancel()
            await asyncio.gather(task, told, return_exceptions=True)

    async def _told_to_stop(self) -> None:
        """Until we are told to stop and have looked for the last time."""
        await self._context.stopping.wait()
        await self._over.wait()

    def _time_to_ship(self) -> float:
        """Seconds of the drain that are left for shipping; the last ones are for saving."""
        context = self._context
        return context.drain_time_left(asyncio.get_running_loop().time()) - min(_LEAVE, context.drain_timeout / 4)

    async def _leave(self) -> None:
        closing = [asyncio.ensure_future(delivery.close()) for delivery in self._deliveries.values()]
        await asyncio.wait(closing, timeout=_LEAVE / 4)
        saved = await self._store.save()
        self._complain()
        if not saved:
            raise IOFailed(f"{self._store.problem}: what was delivered is shipped again after a restart")

    def _complain(self) -> None:
        """Raise the reason if not everything was shipped."""
        self._complain_about_the_rest()
        if unreadable := self._looking.unreadable():
            raise IOFailed(f"stopped, and {'; '.join(unreadable)}")

    def _complain_about_the_rest(self) -> None:
        left = {shipper: self._queues[shipper.name].unsettled() for shipper in self._shippers}
        if not any(left.values()):
            return
        parts = [
            f"{count} bytes for {variable(Settings, 'url', shipper.name)}"
            + (f" ({shipper.trouble})" if shipper.trouble else "")
            for shipper, count in left.items()
            if count
        ]
        raise Unavailable(f"stopped before all was shipped: {', '.join(parts)}; the positions are saved")

    # -- telling -------------------------------------------------------------------------------------------------------

    def status(self) -> Mapping[str, Any]:
        tails = self._follower.tails
        pages = {}
        for shipper in self._shippers:
            ledger = self._ledgers[shipper.name]
            pending = {name: tail.pending(shipper.name) for name, tail in tails.items()}
            files = [
                {
                    "generation": name,
                    "file": tail.state.first_path,
                    "path": tail.state.path,
                    "position": tail.position(shipper.name).offset,
                    "size": tail.state.size,
                    **ledger.files[name].as_dict(),
                }
                for name, tail in tails.items()
            ]
            pages[shipper.name] = {
                **ledger.total.as_dict(),
                "balanced": not ledger.check(pending),
                "trouble": shipper.trouble,
                "last_rejection": shipper.rejections.last,
                "in_flight": shipper.in_flight,
                "files": files,
            }
        follower = self._follower
        return {
            "sinks": pages,
            "unreadable": follower.access.unreadable,
            "unreadable_inputs": follower.unreadable_inputs(),
            "missing_rotated_files": follower.missing,
            "open_files": follower.open_files.status(tails.values()),
            "state_problem": self._store.problem,
        }


def rules(tailed: InputSettings, shaper: Pipeline) -> CuttingRules:
    """How the files of an input are cut."""
    several = tailed.multiline != "none" or tailed.format == "cri"
    boundary = shaper.boundary if several else None
    return CuttingRules(tailed.max_line_size, tailed.long_lines == "cut", boundary, tailed.multiline_timeout)


def _keep_freed_memory() -> None:
    """Let malloc keep up to 2 MiB that we freed, instead of 128 KiB: the next batch needs them.

    glibc gives what is larger back to the kernel, which then has to clear it anew for each batch; that was half of our
    system time. Freeing a large block raises its limits to that block's size, and twice that (mallopt(3)).
    """
    bytes(_FREED)
