"""The wiring: files are followed, each sink is delivered to by itself, and the state is never ahead of a sink's yes.

Ready is who has looked at the files once and can save positions. Neither the app nor a sink is waited for: the app may
be waiting for us, and a sink that is down is no reason to take the Pod out of service; `/metrics` and `/status` tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections.abc import Coroutine, Mapping
from typing import Any

from chassis import admin, logs
from chassis.lifecycle import IOFailed, Life, Unavailable
from chassis.settings import variable
from sidecars.logshipper import sinks
from sidecars.logshipper.checkpoint import SinkState
from sidecars.logshipper.feed import Feed
from sidecars.logshipper.follow import Follower
from sidecars.logshipper.ledger import Ledger
from sidecars.logshipper.metrics import LedgerCollector
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.shape import Shaper
from sidecars.logshipper.ship import Shipper
from sidecars.logshipper.sinks.base import Delivery
from sidecars.logshipper.state import Store

log = logs.get("logshipper")

_POLL = 0.25  # seconds between looks at the open files
_SAVE = 1.0  # seconds between snapshots
_FOLLOW_PULSE = 30.0  # seconds; a scan of very many files takes some
_SHIP_PULSE = 30.0  # seconds, to read one batch
_LEAVE = 0.5  # seconds of the drain that are kept for saving


async def run(settings: Settings, life: Life) -> None:
    _allow_many_files()
    starting = life.health.hold("start", "the log files were not looked at yet")
    store = Store(settings.state_dir, variable(Settings, "state_dir"))
    store.open()
    try:
        for name in settings.sinks:
            store.state.sinks.setdefault(name, SinkState())
        pod = _Shipping(settings, life, store)
        async with admin.serve(settings, life.health, pod.registry, pod.status):
            await pod.start()
            starting.release()
            await pod.run()
    finally:
        store.close()


class _Shipping:
    """Everything that runs, and what it says of itself."""

    def __init__(self, settings: Settings, life: Life, store: Store) -> None:
        self._settings = settings
        self._life = life
        self._store = store
        self._saving = life.health.hold("state", "")
        self._pulse = life.health.pulse("follow", _FOLLOW_PULSE)
        self._ledgers = {name: Ledger() for name in settings.sinks}
        self._follower = Follower(settings.inputs, settings.rotate_wait, store, self._ledgers, time.monotonic)
        self._feeds = {name: Feed(name, self._follower, store) for name in settings.sinks}
        self._deliveries: dict[str, Delivery] = {
            name: sinks.create(settings, sink) for name, sink in settings.sinks.items()
        }
        shapers = {name: Shaper(tailed, settings.pod_fields()) for name, tailed in settings.inputs.items()}
        self._shippers = [
            Shipper(
                sink,
                shapers,
                self._deliveries[name],
                self._feeds[name],
                life.health.pulse(f"ship to {name}", _SHIP_PULSE),
                time.monotonic,
            )
            for name, sink in settings.sinks.items()
        ]
        self.registry = admin.registry()
        self.registry.register(
            LedgerCollector(self._ledgers, self._feeds, self._follower, self._shippers, store, time.monotonic)
        )

    async def start(self) -> None:
        """Open the sinks, take up the files, and save: from the first byte on, the state on disk is right."""
        for name, delivery in self._deliveries.items():
            sink = self._store.state.sinks[name]
            sink.receipt = await delivery.open(sink.receipt)
        self._follower.start()
        if not await self._store.save():
            raise IOFailed(f"{self._store.problem}; make room there, or mount a writable volume")

    async def run(self) -> None:
        """Until told to stop; then ship what is left. Raises Unavailable when a sink does not take it in time."""
        saving = asyncio.create_task(self._keep_saving())
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                for shipper in self._shippers:
                    tasks.create_task(self._until_deadline(shipper.run()))
        except asyncio.CancelledError:
            self._complain_about_the_rest()
            raise
        finally:
            saving.cancel()
            await asyncio.gather(saving, return_exceptions=True)
        await self._leave()

    # -- following -----------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        next_scan = 0.0
        while not self._life.stopping.is_set():
            self._pulse.beat()
            now = time.monotonic()
            if now >= next_scan:
                self._follower.scan()
                next_scan = now + self._settings.scan_interval
                news = True
            else:
                news = self._follower.poll()
            if news:
                self._wake()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(_POLL, self._settings.scan_interval)):
                    await self._life.stopping.wait()
        self._pulse.idle()
        self._follower.finish()
        for shipper in self._shippers:
            shipper.end()

    def _wake(self) -> None:
        for shipper in self._shippers:
            shipper.wake()

    # -- saving --------------------------------------------------------------------------------------------------------

    async def _keep_saving(self) -> None:
        while True:
            if self._store.dirty or self._store.problem:
                await self._store.save()
            self._saving.reason = self._store.problem
            await asyncio.sleep(_SAVE)

    # -- ending --------------------------------------------------------------------------------------------------------

    async def _until_deadline(self, shipping: Coroutine[Any, Any, None]) -> None:
        """Run the shipper; when we must stop, until shortly before the drain's deadline."""
        task = asyncio.ensure_future(shipping)
        stopping = asyncio.ensure_future(self._life.stopping.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                left = self._life.drain_left(asyncio.get_running_loop().time())
                await asyncio.wait({task}, timeout=max(0.0, left - min(_LEAVE, left / 4)))
            if task.done():
                task.result()
        finally:
            stopping.cancel()
            task.cancel()
            await asyncio.gather(task, stopping, return_exceptions=True)

    async def _leave(self) -> None:
        for delivery in self._deliveries.values():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LEAVE / 4):
                    await delivery.close()
        saved = await self._store.save()
        self._complain_about_the_rest()
        if not saved:
            raise IOFailed(f"{self._store.problem}: what was delivered is shipped again after a restart")

    def _complain_about_the_rest(self) -> None:
        left = {shipper: self._feeds[shipper.name].waiting() for shipper in self._shippers}
        if not any(left.values()):
            return
        parts = [
            f"{count} bytes for {variable(Settings, 'sink', shipper.name)}"
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
                    "file": tail.state.name,
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
                "files": files,
            }
        return {"sinks": pages, "unreadable": self._follower.access.unreadable, "state_problem": self._store.problem}


def _allow_many_files() -> None:
    """Raise the soft limit of open files to the hard one: every followed file is held open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
