"""The loop of one sink: collect a batch, deliver it, settle it, again.

Theory of operation. Up to `IN_FLIGHT` batches are in flight. They are collected in order, and their positions move in
order: nothing undecided ever lies before a position, whatever happens. With one batch in flight, which is the default,
the lines of a file also arrive in order; with several, a later batch may arrive before one that is retried.

Nothing more is read from the files until the oldest batch is settled. With a sink down for hours, the batches in flight
are in memory, and everything else is in the app's files.

The states of a batch:

- *collected*: its chunks are read (see `packing` for a large one), and the journal has their ranges. After kill -9 the
  same batch is sent again.
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
| backing off | `RETRY_LIMIT` or `RETRY_MAX_AGE` is reached | settled: `expired` | `batch_delivery` |
| sending | the sink has failed `ISOLATE_AFTER` times, perhaps on an event | searching | `batch_delivery` |
| standing by | another batch is accepted, or the pause is over | searching | `batch_delivery` |

The end: `drain` ships all lines that are there. The app gives a sink up if it makes no decision for `patience_left`
seconds: undecided lines stay in the files, and their positions do not move. Without SIGTERM, as in a Job, attempts go
on. But if all that is left was refused `LAST_TRIES` times, and nothing can prove that the lines are the cause, the sink
is given up, too: the process ends, and says how many bytes are left.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.health import Health
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.delivery.batch_delivery import BatchDelivery, NothingAccepted
from sidecars.logshipper.delivery.batch_size import BatchSizeLimit
from sidecars.logshipper.delivery.in_flight import InFlightBatch, InFlightBatches
from sidecars.logshipper.delivery.rejections import Rejections
from sidecars.logshipper.delivery.retry import RetryLoop, wait_for_event
from sidecars.logshipper.delivery.sink_availability import SinkAvailability
from sidecars.logshipper.delivery.sink_queue import Resent, SinkQueue
from sidecars.logshipper.delivery.unparsed_events import UnparsedEvents
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.packed_batch import PackingSink
from sidecars.logshipper.model.record_thread import CHUNK, beside_the_loop
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.sinks.base import Sink, Targets
from sidecars.logshipper.transform.pipeline import Pipeline
from sidecars.logshipper.transform.reduction.match_totals import MatchTotals

if TYPE_CHECKING:
    from sidecars.logshipper.delivery.packing import Packing
    from sidecars.logshipper.transform.reduction.rate_limits import Limit
    from sidecars.logshipper.transform.reduction.sink_limits import SinkLimits
    from sidecars.logshipper.transform.sink_filter import SinkFilter

log = logs.get("ship")

Observe = Callable[[Sequence[Records]], None]
"""Is told the records that a shipper has made, before the filter of its sink; perhaps in a thread."""

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
        self._filter = _create_filter(settings)
        self._queue = queue
        self._limits = _create_limits(pipelines, self._filter, clock)
        if self._limits:
            queue.limit_by(self._limits)
        self._sink = sink
        self._heartbeat = health.heartbeat(f"ship to {settings.name}", _HEARTBEAT)
        self._clock = clock
        self.unparsed = UnparsedEvents()
        self.matches = MatchTotals({})
        self._observe: Observe | None = None
        self._targets: Targets | None = getattr(sink, "targets", None)
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
        """Number of batches by outcome: delivered, retried, rejected, split, expired."""
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

    @property
    def held(self) -> str:
        """The inputs of which lines wait for a rate limit, as a sentence; "" if none do."""
        return self._limits.held_inputs() if self._limits else ""

    @property
    def target_overflows(self) -> int:
        """Number of events whose target became `overflow`; 0 for a sink without target templates."""
        return self._targets.overflowed if self._targets else 0

    # -- the app's calls -----------------------------------------------------------------------------------------------

    def count_in(self, unparsed: UnparsedEvents, matches: MatchTotals) -> None:
        """Count events together with the other shippers: those in which something was not found, and those of COUNT."""
        self.unparsed, self.matches = unparsed, matches

    def observe_with(self, observe: Observe) -> None:
        """Tell this function the records that are made. It must return at once, and must change nothing."""
        self._observe = observe

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
        if self._limits:
            self._limits.lift()
            self._new_lines.set()

    def patience_left(self) -> float:
        """Return the seconds until the app gives the sink up, unless it makes a decision."""
        return self._availability.patience_left(self._settings.give_up_after)

    # -- the loop ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Ship until `drain` is called and everything is settled. Raises the chassis Failure of an unusable sink."""
        self._heartbeat.idle()
        try:
            await self._ship()
        except* NothingAccepted as given_up:
            reason = str(given_up.exceptions[0])
            log.error(
                "a sink refuses the last lines, and is given up", code="sink-given-up", sink=self.name, reason=reason
            )

    async def _ship(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for chunks, content in await self._resend():
                log.info("repeating a batch that was in flight", sink=self.name, chunks=len(chunks))
                self._start(chunks, content, tasks)
            while await self._wait_for_lines():
                await self._in_flight.wait_for_slot()
                self._heartbeat.beat()
                if (collected := await self._collect()) is not None:
                    self._start(*collected, tasks)
                self._heartbeat.idle()  # a slow sink is no defect of this process
            self._in_flight.complete()
            self._availability.wake_standing_by()

    async def _wait_for_lines(self) -> bool:
        """Wait until a batch is full or has waited long enough. Return False at the end of the drain."""
        waiting_since: float | None = None
        was_held = False
        while True:
            self._new_lines.clear()
            waiting = self._queue.waiting(self._settings.batch_size)
            pause = self._limits.held_for() if self._limits else None
            if waiting and (was_held or self._draining.is_set() or waiting >= self._size_limit.bytes):
                return True
            if self._draining.is_set() and pause is None:
                return False
            was_held = pause is not None and not waiting
            if waiting:
                if waiting_since is None:
                    waiting_since = self._clock()
                rest = waiting_since + self._settings.batch_timeout - self._clock()
                if rest <= 0:
                    return True
                pause = rest if pause is None else min(pause, rest)
            await wait_for_event(self._new_lines, pause)

    async def _collect(self) -> tuple[list[Chunk], Batch] | None:
        """Return the next batch, which the journal has by now; None if there is nothing to send after all."""
        limit = self._size_limit.bytes
        if not isinstance(self._sink, PackingSink):
            chunks = await self._queue.collect_batch(limit)
            if not chunks or self._limits is None:
                return (chunks, await self._content(chunks, self._queue.sending(chunks))) if chunks else None
            content = await self._content(chunks, at := self._queue.now())
            chunks = self._limits.with_quotas(chunks, content.records)
            self._queue.sending(chunks, at)
            return chunks, content
        packing = self._packing(self._sink, at := self._queue.now())
        chunks = await self._queue.collect_batch(limit, packing.shrink)
        if not chunks:
            return None
        content = await packing.batch(self.name, at)
        self._queue.note_times(chunks)
        if self._limits:
            chunks = self._limits.with_quotas(chunks, content.records)
        self._queue.sending(chunks, at, content.pack.note(content.key))
        return chunks, content

    async def _resend(self) -> list[tuple[list[Chunk], Batch]]:
        """Return the batches that were in flight when an earlier process ended."""
        if not isinstance(self._sink, PackingSink):
            return [(chunks, await self._content(chunks, at, again=True)) for chunks, at in self._queue.resend()]
        sink = self._sink
        packings: dict[Resent, Packing] = {}

        async def shrink(one: Resent) -> None:
            packings[one] = packings.get(one) or self._packing(sink, one.at, one.note, again=True)
            await packings[one].shrink(one.chunks)

        again = await self._queue.resend_batches(shrink)
        return [(one.chunks, await packings[one].batch(self.name, one.at, is_whole=one.is_whole)) for one in again]

    def _packing(self, sink: PackingSink, at: int, note: Any = None, *, again: bool = False) -> Packing:
        from sidecars.logshipper.delivery.packing import Packing  # noqa: PLC0415 - loaded only for such a sink

        return Packing(
            sink.new_pack(at, note), lambda chunks: self._process(chunks, at, self._limit(again)), self._heartbeat.beat
        )

    async def _content(self, chunks: list[Chunk], at: int, *, again: bool = False) -> Batch:
        size = sum(len(chunk.data) + CHUNK for chunk in chunks)
        records = await beside_the_loop(size, self._process, chunks, at, self._limit(again))
        self._queue.note_times(chunks)
        return Batch(self.name, records, at)

    def _limit(self, again: bool) -> Limit | None:  # noqa: FBT001 - of two functions here
        """Return the choice of the rate limits. `again`: the choice of an earlier process, whose batch is repeated."""
        return None if self._limits is None else self._limits.repeat if again else self._limits.decide

    def _start(self, chunks: list[Chunk], content: Batch, tasks: asyncio.TaskGroup) -> None:
        self.unparsed.count(self.name, content.records)
        began_at = self._clock() - self._queue.age_of(content.at)
        batch = InFlightBatch.of(chunks, content, self._queue.receipt, began_at)
        self._in_flight.add(batch)
        tasks.create_task(self._deliver(batch))

    def _process(self, chunks: list[Chunk], at: int, limit: Limit | None) -> tuple[Records, ...]:
        """Return the records of the chunks. A chunk without data is a gap."""
        pipelines = self._pipelines
        made = tuple(chain.from_iterable(pipelines[one.input].records(one, at, limit) for one in chunks if one.data))
        if self._observe is not None:
            self._observe(made)
        return tuple(map(self._filter.apply, made)) if self._filter else made

    async def _deliver(self, batch: InFlightBatch) -> None:
        """Deliver the batch, and settle all batches that have nothing undecided before them."""
        await self._delivery.deliver(batch)
        for settled in self._in_flight.take_settled():
            self._queue.settle(settled.chunks, settled.dropped, settled.receipt)
            self.matches.settled(self.name, settled.content.records)
        self._availability.wake_all()  # another batch is the oldest one now, and has to send again


def _create_filter(settings: SinkSettings) -> SinkFilter | None:
    if settings.sink_keep is None and settings.sink_drop is None:
        return None
    from sidecars.logshipper.transform.sink_filter import SinkFilter  # noqa: PLC0415 - RE2 takes 3 MB

    return SinkFilter(settings.sink_keep, settings.sink_drop)


def _create_limits(
    pipelines: Mapping[str, Pipeline], sink_filter: SinkFilter | None, clock: Callable[[], float]
) -> SinkLimits | None:
    if all(one.rate_limit is None for one in pipelines.values()):
        return None
    from sidecars.logshipper.transform.reduction.sink_limits import SinkLimits  # noqa: PLC0415 - for such inputs only

    return SinkLimits(pipelines, sink_filter.wanted if sink_filter else None, clock)
