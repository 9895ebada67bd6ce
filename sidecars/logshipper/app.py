"""The process: wires the parts together, saves the state, and ends when everything is shipped or time is up.

    ScanLoop ──▶ Follower ──▶ SinkQueue ──▶ Shipper ──▶ Sink       (one queue, shipper and sink for each SINK)
                    └── Ledger, Store ──────────┘

Readiness (`/readyz`):

| latch | held while |
|---|---|
| `start` | the log files were not looked at yet, or are not watched: a line could be rotated away unseen |
| `files` | an input has files and none of them can be read |
| `state` | the positions cannot be saved |
| `sink <name>` | the sink refuses every line |

Neither the app nor a sink is waited for. A sink that is down does not take the Pod out of service: `/metrics` and
`/status` show it.

The end of the process:

| event | then |
|---|---|
| SIGTERM, DONE_FILE, or EXIT_WHEN_IDLE | `ScanLoop` makes its final scan and returns; the shippers drain |
| every shipper has shipped everything | the sinks are closed, the state is saved, exit 0 |
| after SIGTERM: the drain is nearly over, or a sink was silent for too long | its shipper is cancelled |
| bytes are left for a sink | exit 69 (`Unavailable`) |
| nothing that an input names could be read, or the state cannot be saved | exit 74 (`IOFailed`) |

The state on disk is never ahead of what a sink has accepted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sidecars.chassis import admin_server
from sidecars.chassis.config.settings import variable
from sidecars.chassis.runtime import descriptors, logs
from sidecars.chassis.runtime.health import ReadinessLatch
from sidecars.chassis.runtime.lifecycle import IOFailed, ServiceContext, Unavailable
from sidecars.logshipper import status
from sidecars.logshipper.config import own_paths, routing
from sidecars.logshipper.config.input_settings import InputSettings
from sidecars.logshipper.delivery.shipper import Shipper
from sidecars.logshipper.delivery.sink_queue import SinkQueue
from sidecars.logshipper.delivery.unparsed_events import UnparsedEvents
from sidecars.logshipper.input import open_files
from sidecars.logshipper.input.followed_files import Inputs
from sidecars.logshipper.input.follower import Follower
from sidecars.logshipper.input.rotation.rotated_file_deletion import RotatedFilePolicy
from sidecars.logshipper.input.scan_loop import ScanLoop
from sidecars.logshipper.model.ledger import Ledger
from sidecars.logshipper.model.line_cutting import CuttingRules
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import Sink
from sidecars.logshipper.sinks.factory import create_sink
from sidecars.logshipper.state.store import Store
from sidecars.logshipper.transform.pipeline import Pipeline
from sidecars.logshipper.transform.reduction.match_totals import MatchTotals
from sidecars.logshipper.volumes import globs
from sidecars.logshipper.volumes.log_volumes import LogVolumes

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from sidecars.chassis.page.picture import Picture
    from sidecars.logshipper.delivery.turns.file_groups import Groups

log = logs.get("logshipper")

_SAVE = 1.0  # seconds between snapshots, at least
_SAVE_SHARE = 20  # a snapshot that took t seconds is followed by a pause of at least 20 t: the journal has the changes
_FREED = 1024 * 1024  # bytes
_SHARED_DESCRIPTORS = 8  # the watcher, name resolution, a file that is looked at, dead letters
_TAIL_DESCRIPTORS = 8  # the sockets of the live tail, its clients, and newcomers
_SHARE = 0.8  # of the limit of open files, for log files without MAX_OPEN_FILES
_SINK_DESCRIPTORS = 3  # of each sink, beside one for each batch in flight
_SAVE_RESERVE = 0.5  # seconds of the drain that are kept for closing the sinks and saving


async def run(settings: Settings, context: ServiceContext) -> None:
    """Run until the end. Raises Unavailable or IOFailed as the table above says."""
    _keep_freed_memory()
    starting = context.health.hold("start", "the log files were not looked at yet")
    store = Store(settings.state_dir, variable(Settings, "state_dir"))
    store.open()
    try:
        store.add_sinks(settings.sinks)
        app = _App(settings, context, store)
        async with (
            admin_server.serve(settings, context.health, app.metrics, app.page.members, picture=_picture),
            app.live_tail(),
        ):
            await app.start()
            await app.run(starting)
    finally:
        store.close()


class _App:
    """All parts of the process. `run` makes one and owns it."""

    def __init__(self, settings: Settings, context: ServiceContext, store: Store) -> None:
        self._settings = settings
        self._context = context
        self._store = store
        self._saving = context.health.hold("state", "")
        self._input_ended = asyncio.Event()
        self._ledgers = {name: Ledger() for name in settings.sinks}
        pipelines = {name: Pipeline(one, settings.pod_fields(), settings.tz) for name, one in settings.inputs.items()}
        rules = {name: cutting_rules(one, pipelines[name]) for name, one in settings.inputs.items()}
        rotated = RotatedFilePolicy(settings.rotate_wait, settings.delete_delivered, settings.max_held)
        sinks = routing.sinks_of_inputs(settings.inputs, settings.sinks)
        volumes = log_volumes(settings, os.environ)
        inputs = Inputs(settings.inputs, rules, volumes, sinks, settings.close_inactive)
        for folder in inputs.volumes.on_the_mount_of(store.root):
            log.warning(
                "the state and log files are on one mount, so that the app can write to the state: "
                "give the state a volume of its own",
                code="state-beside-logs",
                state=str(settings.state_dir),
                logs=folder,
            )
        self._follower = Follower(inputs, rotated, store, self._ledgers, time.monotonic)
        groups = file_groups(settings.inputs, pipelines)
        self._queues = {name: SinkQueue(name, self._follower, store, groups=groups) for name in settings.sinks}
        self._sinks: dict[str, Sink] = {name: create_sink(settings, sink) for name, sink in settings.sinks.items()}
        self._shippers = [
            Shipper(sink, pipelines, self._sinks[name], self._queues[name], context.health, time.monotonic)
            for name, sink in settings.sinks.items()
        ]
        matches = MatchTotals({name: one.counters.unlabelled for name, one in pipelines.items() if one.counters})
        unparsed = UnparsedEvents()
        for shipper in self._shippers:
            shipper.count_in(unparsed, matches)
        self.page = status.Page(
            status.Parts(self._shippers, self._queues, self._ledgers, self._follower, store, time.monotonic)
        )
        self._scan_loop = ScanLoop(settings, context, self._follower, self._wake)

    async def start(self) -> None:
        """Open the sinks, find the files of the saved state, and save: the state on disk is right before the first
        byte.

        Raises IOFailed if the state cannot be saved, and a Failure of a sink that can never be opened.
        """
        for name, sink in self._sinks.items():
            self._store.set_receipt(name, await sink.open(self._store.sink(name).receipt))
        self._follower.open_files.set_limit(self._most_open_files())
        self._follower.load_state()
        await self._scan_loop.start()
        if not await self._store.save():
            raise IOFailed(self._store.problem, code="state-not-saved")

    def _most_open_files(self) -> int:
        free = descriptors.free_count()
        wanted = self._settings.max_open_files or int(_SHARE * descriptors.status()["soft_limit"])
        return min(wanted, free - self._needed_descriptors())

    def _needed_descriptors(self) -> int:
        """Return how many descriptors everything but the log files may need."""
        sinks = sum(_SINK_DESCRIPTORS + sink.in_flight for sink in self._settings.sinks.values())
        return _SHARED_DESCRIPTORS + sinks + (_TAIL_DESCRIPTORS if self._settings.tail_listen else 0)

    async def run(self, starting: ReadinessLatch) -> None:
        """Ship until the end. `starting` is released once lines that are written from then on cannot be missed.

        Raises Unavailable if a sink has not accepted everything in time, and IOFailed if files could not be read.
        """
        saving = asyncio.create_task(self._keep_saving())
        ready = asyncio.create_task(self._release_when_ready(starting))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._scan())
                for shipper in self._shippers:
                    tasks.create_task(self._ship(shipper))
            await self._leave()
        except asyncio.CancelledError:
            self._raise_if_unfinished()
            raise
        finally:
            saving.cancel()
            ready.cancel()
            await asyncio.gather(saving, ready, return_exceptions=True)

    async def _release_when_ready(self, starting: ReadinessLatch) -> None:
        await self._scan_loop.ready.wait()
        starting.release()
        open_files.give_back_memory()  # of the first scan

    def _wake(self) -> None:
        for shipper in self._shippers:
            shipper.wake()

    async def _scan(self) -> None:
        await self._scan_loop.run()
        self._input_ended.set()
        for shipper in self._shippers:
            shipper.drain()

    async def _keep_saving(self) -> None:
        while True:
            await self._store.changed.wait()
            began = time.monotonic()
            await self._store.save()
            self._saving.hold(self._store.problem)
            await asyncio.sleep(max(_SAVE, _SAVE_SHARE * (time.monotonic() - began)))

    # -- ending --------------------------------------------------------------------------------------------------------

    async def _ship(self, shipper: Shipper) -> None:
        """Ship until everything is shipped. After SIGTERM stop earlier: if the sink is silent, or the drain is over."""
        task = asyncio.ensure_future(shipper.run())
        stopping = asyncio.ensure_future(self._wait_for_drain())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            shipper.begin_deadline()
            while not task.done() and (left := min(self._time_to_ship(), shipper.patience_left())) > 0:
                await asyncio.wait({task}, timeout=left)
            if task.done():
                task.result()
        finally:
            stopping.cancel()
            task.cancel()
            await asyncio.gather(task, stopping, return_exceptions=True)

    async def _wait_for_drain(self) -> None:
        """Wait until SIGTERM has come and the final scan is over."""
        await self._context.stopping.wait()
        await self._input_ended.wait()

    def _time_to_ship(self) -> float:
        """Return the seconds of the drain that are left for shipping; the last ones are for saving."""
        context = self._context
        reserve = min(_SAVE_RESERVE, context.drain_timeout / 4)
        return context.drain_time_left(asyncio.get_running_loop().time()) - reserve

    async def _leave(self) -> None:
        closing = [asyncio.ensure_future(sink.close()) for sink in self._sinks.values()]
        await asyncio.wait(closing, timeout=_SAVE_RESERVE / 4)
        saved = await self._store.save()
        self._raise_if_unfinished()
        if not saved:
            raise IOFailed(
                f"{self._store.problem}: what was delivered is shipped again after a restart", code="state-not-saved"
            )

    def _raise_if_unfinished(self) -> None:
        """Raise the Failure if not everything was shipped, or not every input could be read."""
        left = {shipper: self._queues[shipper.name].unsettled() for shipper in self._shippers}
        if any(left.values()):
            sinks = [
                f"{count} bytes for {variable(Settings, 'url', shipper.name)}"
                + (f" ({shipper.trouble})" if shipper.trouble else "")
                for shipper, count in left.items()
                if count
            ]
            raise Unavailable(
                f"stopped before all was shipped: {', '.join(sinks)}; the positions are saved", code="not-all-shipped"
            )
        if unreadable := self._scan_loop.unreadable():
            raise IOFailed(f"stopped, and {'; '.join(unreadable)}", code="inputs-unreadable")

    def live_tail(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Return the context in which the live tail answers, if there is one."""
        if not self._settings.tail_listen:
            return contextlib.nullcontext()
        from sidecars.logshipper.live import live_tail, tail_server  # noqa: PLC0415 - loaded only where it is used

        routes = routing.sinks_of_inputs(self._settings.inputs, self._settings.sinks)
        tail = live_tail.LiveTail(routes, asyncio.get_running_loop().call_soon_threadsafe)
        for shipper in self._shippers:
            shipper.observe_with(tail.observe)
        return tail_server.serve(self._settings, tail)

    def metrics(self) -> CollectorRegistry:
        from sidecars.logshipper.metrics import LedgerCollector  # noqa: PLC0415 - at the first scrape

        registry = admin_server.registry()
        registry.register(
            LedgerCollector(self._ledgers, self._queues, self._follower, self._shippers, self._store, time.monotonic)
        )
        return registry


def _picture() -> Picture:
    """Import the picture: it costs nothing until somebody looks at the page."""
    from sidecars.logshipper.picture import PICTURE  # noqa: PLC0415 - see above

    return PICTURE


def log_volumes(settings: Settings, environ: Mapping[str, str]) -> LogVolumes:
    """Return the volumes of all globs, open as far as they exist. `environ` names the files with secrets."""
    folders = [globs.base(pattern) for one in settings.inputs.values() for pattern in one.paths]
    return LogVolumes(folders, settings.link_roots or (), own_paths.own_files(settings, environ))


def cutting_rules(one: InputSettings, pipeline: Pipeline) -> CuttingRules:
    """Return how the files of an input are cut into chunks."""
    return CuttingRules(
        one.max_line_size,
        one.long_lines == "cut",
        pipeline.boundary,
        pipeline.context,
        pipeline.encoding,
        pipeline.boundaries,
        pipeline.is_timed,
        one.multiline_timeout,
    )


def file_groups(inputs: Mapping[str, InputSettings], pipelines: Mapping[str, Pipeline]) -> Groups | None:
    """Return the groups of files that take turns; None if no input has PATH_FIELDS."""
    fields = {name: pipeline.path_fields for name, pipeline in pipelines.items() if pipeline.path_fields}
    if not fields:
        return None
    from sidecars.logshipper.delivery.turns.file_groups import Groups, InputGroups  # noqa: PLC0415 - see above

    return Groups({name: InputGroups(one, inputs[name].fair_by) for name, one in fields.items()})


def _keep_freed_memory() -> None:
    """Let malloc keep up to 2 MiB of freed memory, instead of 128 KiB: the next batch needs it.

    glibc returns larger blocks to the kernel, which has to clear them again for each batch; that was half of the system
    time. Freeing a large block raises its limits to the block's size, and to twice that size (mallopt(3)). At rest it
    is given back: see `open_files`.
    """
    bytes(_FREED)
