"""One run of one seed: a universe, its kernel, its network, its loop, and the log of the sidecar."""

from __future__ import annotations

import asyncio
import contextvars
import re
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from sidecars.chassis.runtime import lifecycle, logs
from sidecars.chassis.runtime.lifecycle import ServiceContext
from tests.world import kernel as kernels
from tests.world import universe as universes
from tests.world.event_loop import VirtualLoop
from tests.world.kernel import Kernel
from tests.world.network import Network
from tests.world.processes import Killed
from tests.world.universe import OWNER, Universe, check

_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
_UNWIND = 1.0  # seconds that the lifecycle gives a cancelled service

Service = Callable[[ServiceContext], Coroutine[Any, Any, None]]


class _Log:
    """The log of the sidecar: it goes to the record, and no line may tell of a defect."""

    def __init__(self, universe: Universe, dead: set[str]) -> None:
        self._universe = universe
        self._dead = dead
        self.lines: list[str] = []
        self.defects: list[str] = []

    def write(self, level: str, logger: str, msg: str, fields: dict[str, object], error: BaseException | None) -> None:
        if OWNER.get() in self._dead or isinstance(error, Killed):
            return
        shown = "".join(f" {name}={value}" for name, value in fields.items())
        line = _ADDRESS.sub("0x…", f"{level} {logger}: {msg}{shown}{'' if error is None else f' {error!r}'}")
        self._universe.record(f"log {line}")
        self.lines.append(line)
        if error is not None:
            import traceback  # noqa: PLC0415 - only for a defect

            self.defects.append(line + "\n" + "".join(traceback.format_exception(error)))

    def show_progress(self, _text: str) -> bool:
        return False


class World:
    """One run. A scenario starts the sidecar and its peers in it, and checks its promises at the end."""

    def __init__(self, seed: int, show: Callable[[str], None] | None = None) -> None:
        self.universe = Universe(seed, show=show)
        universes.enter(self.universe)
        self.kernel = Kernel(self.universe)
        self.network = Network(self.kernel)
        kernels.boot(self.kernel)
        self.loop = VirtualLoop(self.universe, self.kernel)
        self.log = _Log(self.universe, self.kernel.processes.dead)
        logs._output = self.log  # type: ignore[assignment] # it is an output
        self.ended_at = 0.0  # of the monotonic clock, when the service had ended
        self.stopped_at = 0.0  # when it got the signal
        self._service: asyncio.Task[None] | None = None
        self._owner = ""  # the process that runs
        self._starts = 0
        self._killed = asyncio.Event()
        self.kernel.processes.on_kill = self._killed.set

    def run(self, story: Coroutine[Any, Any, None]) -> None:
        """Run the story to its end. Raises Broken for a promise that was broken, or Deadlock."""
        try:
            self.loop.run_until_complete(story)
            check("no exception is left without an owner", not self.loop.stray, *self.loop.stray)
            check("no defect is logged", not self.log.defects, *self.log.defects)
        finally:
            self._sweep()

    def _sweep(self) -> None:
        """Cancel what is left, so that no run disturbs the next one."""
        self.loop.set_exception_handler(lambda _loop, _context: None)
        left = self.loop.tasks()
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.wait(left, timeout=5))
        self.loop.close()

    # -- the sidecar ----------------------------------------------------------------------------------------------

    def start(self, service: Service, drain_timeout: float) -> None:
        """Run a service as the lifecycle of the chassis does, but for the end of the process."""

        async def run() -> None:
            try:
                await lifecycle._supervise(service, drain_timeout)
            finally:
                if OWNER.get() not in self.kernel.processes.dead:
                    self.ended_at = self.universe.now
                    self.universe.record("the service has ended")

        self._starts += 1
        self._owner = f"process {self._starts}"
        self._killed.clear()
        context = contextvars.copy_context()
        context.run(OWNER.set, self._owner)
        self._service = self.loop.create_task(run(), context=context)

    async def stop(self, drain_timeout: float) -> None:
        """Send SIGTERM and wait for the end of the service."""
        assert self._service is not None
        self.stopped_at = self.universe.now
        self.universe.record("SIGTERM")
        if not self._service.done():
            self.loop.send_signal(signal.SIGTERM)
        await self._service
        took = self.ended_at - self.stopped_at
        check("the drain ends within DRAIN_TIMEOUT", took <= drain_timeout + _UNWIND + 0.1, f"{took:.3f} s")

    def kill(self) -> None:
        """Send SIGKILL."""
        self.kernel.processes.kill(self._owner, "at this time")

    async def end_of_service(self) -> BaseException | None:
        """Wait for the end of the process. Return its error: Killed, or the one of the service."""
        assert self._service is not None
        killed = self.loop.create_task(self._killed.wait())
        await asyncio.wait({self._service, killed}, return_when=asyncio.FIRST_COMPLETED)
        killed.cancel()
        processes = self.kernel.processes
        if self._owner in processes.dead:
            await processes.bury(self._owner, self.loop.tasks)
            return Killed()
        error = self._service.exception()
        processes.end(self._owner)
        await processes.bury(self._owner, self.loop.tasks)
        return error

    async def stop_service(self, drain_timeout: float) -> BaseException | None:
        """Send SIGTERM, and wait for the end, which another task waits for, too. Return the error as it does."""
        assert self._service is not None
        owner, service = self._owner, self._service
        self.stopped_at = self.universe.now
        self.universe.record("SIGTERM")
        if not service.done():
            self.loop.send_signal(signal.SIGTERM)
        killed = self.loop.create_task(self._killed.wait())
        await asyncio.wait({service, killed}, return_when=asyncio.FIRST_COMPLETED)
        killed.cancel()
        if owner in self.kernel.processes.dead and (not service.done() or service.cancelled()):
            return Killed()
        took = self.universe.now - self.stopped_at
        check("the drain ends within DRAIN_TIMEOUT", took <= drain_timeout + _UNWIND + 0.1, f"{took:.3f} s")
        return service.exception()

    async def listening(self, host: str, port: int) -> None:
        """Wait until somebody listens there."""
        while not self.network.is_listening(host, port):
            assert self._service is not None
            if self._service.done():
                await self._service
            await asyncio.sleep(0.01)
