"""The loop of one sink: collect a batch, deliver it, settle it, again.

Theory of operation. Up to `IN_FLIGHT` batches are in flight. They are collected in order, and their positions move in
order: nothing undecided ever lies before a position, whatever happens. With one batch in flight, which is the default,
the lines of a file also arrive in order; with several, a later batch may arrive before one that is retried.

Nothing more is read from the files until the oldest batch is settled. With a sink down for hours, the batches in flight
are in memory, and everything else is in the app's files.

The states of a batch:

- *collected*: its chunks are read, and the journal has their ranges. After kill -9 the same batch is sent again.
- *sending*: an attempt is running.
- *backing off*: the last attempt failed; the next one waits for a pause (the oldest batch) or for the oldest batch.
- *searching*: the sink refused the batch, and halves of it are sent to find the events that it refuses.
- *standing by*: single events were refused, and the sink has accepted nothing since.
- *settled*: every event is accepted or rejected. The positions move once all older batches are settled, too.

| state | event | next state | in |
|---|---|---|---|
| collected | its task starts | sending | `shipper` |
| sending | the sink decides on every event | settled | `retry` |
| sending | the sink wants some events again, or accepts nothing now | backing off | `retry` |
| backing off | the pause is over, or the oldest batch has its decision | sending | `retry` |
| sending | the sink refuses the batch, or it is too large | searching | `batch_delivery` |
| searching | a piece is accepted, or its event is rejected | searching, or settled at the end | `batch_delivery` |
| searching | only suspects are left | standing by | `batch_delivery` |
| standing by | another batch is accepted, or the pause is over | searching | `batch_delivery` |

The end: `drain` ships all lines that are there. The app gives a sink up if it makes no decision for `patience_left`
seconds: undecided lines stay in the files, and their positions do not move.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.health import Health
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.delivery.batch_delivery import BatchDelivery
from sidecars.logshipper.delivery.batch_size import BatchSizeLimit
from sidecars.logshipper.delivery.in_flight import InFlightBatch, InFlightBatches
from sidecars.logshipper.delivery.rejections import Rejections
from sidecars.logshipper.delivery.retry import RetryLoop, wait_for_event
from sidecars.logshipper.delivery.sink_availability import SinkAvailability
from sidecars.logshipper.delivery.sink_queue import SinkQueue
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.record_thread import CHUNK, beside_the_loop
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.sinks.base import Sink
from sidecars.logshipper.transform.pipeline import Pipeline

log = logs.get("ship")

_HEARTBEAT = 30.0  # seconds, to read one batch


class Attempts(NamedTuple):
    """The attempts of one sink at a moment. All times are in seconds.

    failures      failed attempts in a row of the oldest batch in trouble; 0 if none is in trouble
    retry_in      the time until its next attempt at the latest; None if it runs, and without trouble
    sent          the time since the oldest batch was sent; None if none was, and in trouble
    last_failure  the reason of the last failed attempt, and its age; None if none has failed yet
    """

    failures: int
    retry_in: float | None
    sent: float | None
    last_failure: tuple[str, float] | None


class Shipper:
    """Ships all files to one sink. The app owns it, wakes it when there may be new lines, and drains it at the end."""

    def __init__(
        self,
        settings: SinkSettings,
        pipelines: Mapping[str, Pipeline],
        sink: Sink,
        queue: SinkQueue,
        health: Health,
        clock: Callable[[], float],
    ) -> None:
        self.name = settings.name
        self._settings = settings
        self._pipelines = pipelines
        self._queue = queue
        self._heartbeat = health.heartbeat(f"ship to {settings.name}", _HEARTBEAT)
        self._clock = clock
        self._new_lines = asyncio.Event()
        self._draining = asyncio.Event()
        self._size_limit = BatchSizeLimit(settings.batch_size)
        self._availability = SinkAvailability(clock)
        self._in_flight = InFlightBatches(min(settings.in_flight, sink.max_in_flight))
        self._retry = RetryLoop(settings, sink, self._in_flight, self._availability, self._size_limit, self._draining)
        latch = health.hold(f"sink {settings.name}", "")
        self._delivery = BatchDelivery(
            settings.name, self._retry, self._in_flight, self._availability, self._size_limit, latch
        )

    # -- the state, for metrics and `/status` --------------------------------------------------------------------------

    @property
    def batches(self) -> Counter[str]:
        """Number of batches by outcome: delivered, retried, rejected, split."""
        return self._retry.batches

    @property
    def rejections(self) -> Rejections:
        return self._retry.rejections

    @property
    def in_flight(self) -> int:
        """Number of batches in flight."""
        return len(self._in_flight)

    @property
    def trouble(self) -> str:
        """The reason why the oldest batch in trouble is not delivered yet; "" if none is in trouble."""
        return self._in_flight.trouble

    def attempts(self) -> Attempts:
        """Return the state of the attempts, for `/status`."""
        now, oldest, failure = self._clock(), self._in_flight.oldest, self._availability.last_failure
        failing = self._in_flight.in_trouble
        retry_in = None if failing is None or failing.retry_at is None else max(0.0, failing.retry_at - now)
        sent = None if oldest is None or oldest.sent_at is None or failing else max(0.0, now - oldest.sent_at)
        last = (failure[0], max(0.0, now - failure[1])) if failure else None
        return Attempts(failing.failures if failing else 0, retry_in, sent, last)

    @property
    def refuses_all(self) -> bool:
        """True while the sink refuses every line."""
        return self._delivery.refuses_all

    # -- the app's calls -----------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Look for new lines now."""
        self._new_lines.set()

    def drain(self) -> None:
        """Ship all lines that are there, without waiting for more. `run` returns after that."""
        self._draining.set()
        self._new_lines.set()

    def begin_deadline(self) -> None:
        """Count `patience_left` from now on, if the sink makes no decision."""
        self._availability.made_progress()

    def patience_left(self) -> float:
        """Return the seconds until the app gives the sink up, unless it makes a decision."""
        return self._availability.patience_left(self._settings.give_up_after)

    # -- the loop ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Ship until `drain` is called and everything is settled. Raises the chassis Failure of an unusable sink."""
        self._heartbeat.idle()
        async with asyncio.TaskGroup() as tasks:
            for chunks in self._queue.resend():
                log.info("repeating a batch that was in flight", sink=self.name, chunks=len(chunks))
                await self._start(chunks, tasks)
            while await self._wait_for_lines():
                await self._in_flight.wait_for_slot()
                self._heartbeat.beat()
                chunks = await self._queue.collect_batch(self._size_limit.bytes)
                if chunks:
                    self._queue.sending(chunks)
                    await self._start(chunks, tasks)
                self._heartbeat.idle()  # a slow sink is no defect of this process
            self._in_flight.complete()
            self._availability.wake_standing_by()

    async def _wait_for_lines(self) -> bool:
        """Wait until a batch is full or has waited long enough. Return False at the end of the drain."""
        waiting_since: float | None = None
        while True:
            self._new_lines.clear()
            waiting = self._queue.waiting(self._settings.batch_size)
            if self._draining.is_set() or waiting >= self._size_limit.bytes:
                return waiting > 0
            pause: float | None = None
            if waiting:
                if waiting_since is None:
                    waiting_since = self._clock()
                pause = waiting_since + self._settings.batch_timeout - self._clock()
                if pause <= 0:
                    return True
            await wait_for_event(self._new_lines, pause)

    async def _start(self, chunks: list[Chunk], tasks: asyncio.TaskGroup) -> None:
        size = sum(len(chunk.data) + CHUNK for chunk in chunks)
        records = await beside_the_loop(size, self._process, chunks)
        batch = InFlightBatch(self.name, chunks, records, self._queue.receipt)
        self._in_flight.add(batch)
        tasks.create_task(self._deliver(batch))

    def _process(self, chunks: list[Chunk]) -> tuple[Records, ...]:
        """Return the records of the chunks. A chunk without data is a gap."""
        return tuple(self._pipelines[chunk.input].process(chunk) for chunk in chunks if chunk.data)

    async def _deliver(self, batch: InFlightBatch) -> None:
        """Deliver the batch, and settle all batches that have nothing undecided before them."""
        await self._delivery.deliver(batch)
        for settled in self._in_flight.take_settled():
            self._queue.settle(settled.chunks, settled.dropped, settled.receipt)
        self._availability.wake_all()  # another batch is the oldest one now, and has to send again
