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
from tests.world.event_loop import OWNER, VirtualLoop
from tests.world.kernel import Kernel
from tests.world.network import Network
from tests.world.universe import Universe, check

_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
_UNWIND = 1.0  # seconds that the lifecycle gives a cancelled service

Service = Callable[[ServiceContext], Coroutine[Any, Any, None]]


class _Log:
    """The log of the sidecar: it goes to the record, and no line may tell of a defect."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self.lines: list[str] = []
        self.defects: list[str] = []

    def write(self, level: str, logger: str, msg: str, fields: dict[str, object], error: BaseException | None) -> None:
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
        self.log = _Log(self.universe)
        logs._output = self.log  # type: ignore[assignment] # it is an output
        self.ended_at = 0.0  # of the monotonic clock, when the service had ended
        self.stopped_at = 0.0  # when it got the signal
        self._service: asyncio.Task[None] | None = None

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
                self.ended_at = self.universe.now
                self.universe.record("the service has ended")

        context = contextvars.copy_context()
        context.run(OWNER.set, "the sidecar")
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

    async def listening(self, host: str, port: int) -> None:
        """Wait until somebody listens there."""
        while not self.network.is_listening(host, port):
            assert self._service is not None
            if self._service.done():
                await self._service
            await asyncio.sleep(0.01)
