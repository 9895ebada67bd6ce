"""A sink whose responses a test chooses, and a shipper that ships to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime.health import Health
from sidecars.logshipper.delivery.shipper import Shipper
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import Outcome
from tests.logshipper.pod import Pod

Response = Callable[[Batch], Outcome | Exception]


def lines(batch: Batch) -> list[str]:
    return b"".join(batch.raw()).decode().splitlines()


class ScriptedSink:
    """A sink with a list of responses, the first one for the first attempt. It accepts everything after the last one.

    `held`: a batch with this first line waits for the event.
    """

    def __init__(self, *responses: Response, max_in_flight: int = 64) -> None:
        self.max_in_flight = max_in_flight
        self.health = Health()
        self.responses = list(responses)
        self.attempts: list[list[str]] = []
        self.ids: list[list[str]] = []
        self.held: dict[str, asyncio.Event] = {}  # by the first line of the batch

    async def open(self, receipt: Any) -> Any:
        return receipt

    async def deliver(self, batch: Batch) -> Outcome:
        self.attempts.append(lines(batch))
        self.ids.append(list(batch.ids()))
        if lines(batch)[0] in self.held:
            await self.held[lines(batch)[0]].wait()
        response = self.responses.pop(0)(batch) if self.responses else Outcome()
        if isinstance(response, Exception):
            raise response
        return response

    async def close(self) -> None:
        pass


@contextlib.asynccontextmanager
async def shipping(pod: Pod, sink: ScriptedSink, **environ: str) -> AsyncIterator[Shipper]:
    """Run a shipper. At the end of the context it drains: everything is shipped."""
    variables = {"LOGSHIPPER_BATCH_TIMEOUT": "0", "LOGSHIPPER_RETRY_MIN": "10ms", "LOGSHIPPER_RETRY_MAX": "20ms"}
    (settings,) = load(Settings, pod.environ | variables | environ).sinks.values()
    clock = asyncio.get_running_loop().time
    shipper = Shipper(settings, pod.pipelines, sink, pod.queues["default"], sink.health, clock)
    running = asyncio.create_task(shipper.run())
    try:
        yield shipper
        shipper.drain()
        await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a user's condition has no event
            await asyncio.sleep(0)


def position(pod: Pod) -> int:
    (tail,) = pod.follower.tails.values()
    return tail.position("default").offset
