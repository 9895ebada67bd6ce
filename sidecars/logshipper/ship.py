"""The way to one sink: collect a batch, deliver it until the sink has decided, move the positions, again.

One batch is on its way at a time, so a file's lines keep their order. Nothing is taken from a file before the batch
ahead of it is settled: with a sink down for hours, one batch is in memory and the rest is in the app's files.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from chassis import logs
from chassis.health import Pulse
from sidecars.logshipper import backoff
from sidecars.logshipper.batch import Batch
from sidecars.logshipper.feed import Feed
from sidecars.logshipper.flight import Flight
from sidecars.logshipper.ledger import REJECTED
from sidecars.logshipper.part import Part
from sidecars.logshipper.records import Records
from sidecars.logshipper.settings import Sink
from sidecars.logshipper.shape import Shaper
from sidecars.logshipper.sinks.base import Delivery, Rejected, TooLarge, TryLater

log = logs.get("ship")


class Shipper:
    """`wake` it when there may be something new; set `ending` when nothing new will come."""

    def __init__(
        self,
        settings: Sink,
        shapers: Mapping[str, Shaper],
        delivery: Delivery,
        feed: Feed,
        pulse: Pulse,
        clock: Callable[[], float],
    ) -> None:
        self.name = settings.name
        self.batches: Counter[str] = Counter()  # outcome -> count
        self.trouble = ""  # why the batch in hand is not delivered yet
        self._settings = settings
        self._shapers = shapers
        self._delivery = delivery
        self._feed = feed
        self._pulse = pulse
        self._clock = clock
        self._news = asyncio.Event()
        self._ending = asyncio.Event()

    def wake(self) -> None:
        self._news.set()

    def end(self) -> None:
        """Ship what there is, without waiting for more, and return from `run`."""
        self._ending.set()
        self._news.set()

    async def run(self) -> None:
        self._pulse.idle()
        if parts := self._feed.read_again():
            log.info("repeating the batch that was on its way", sink=self.name, parts=len(parts))
            await self._settle(parts)
        while await self._something_to_ship():
            self._pulse.beat()
            parts = self._feed.collect(self._settings.batch_size)
            self._pulse.idle()  # a sink that takes its time is not this process's illness
            if parts:
                await self._settle(parts)

    # -- collecting ----------------------------------------------------------------------------------------------------

    async def _something_to_ship(self) -> bool:
        """Wait until a batch is full or has waited long enough. False when all is shipped and the end has come."""
        waiting_since: float | None = None
        while True:
            self._news.clear()
            waiting = self._feed.waiting()
            if self._ending.is_set() or waiting >= self._settings.batch_size:
                return waiting > 0
            pause: float | None = None
            if waiting:
                if waiting_since is None:
                    waiting_since = self._clock()
                pause = waiting_since + self._settings.batch_timeout - self._clock()
                if pause <= 0:
                    return True
            await _wait(self._news, pause)

    def _shape(self, part: Part) -> Records:
        return self._shapers[part.input].records(part)

    # -- delivering ----------------------------------------------------------------------------------------------------

    async def _settle(self, parts: list[Part]) -> None:
        """Deliver the parts' events, or drop and count what the sink will never take; then move the positions."""
        self._feed.sending(parts)
        flight = Flight(self.name, parts, self._shape)
        flight.receipt = self._feed.receipt
        pieces = [flight.batch]
        while pieces:
            piece = pieces.pop(0)
            if not piece.events:
                continue
            try:
                await self._insist(piece, flight)
            except TooLarge:
                halves = piece.halves()
                if halves:
                    self.batches["split"] += 1
                    pieces[:0] = halves
                else:
                    self._reject(flight, piece, [(0, "it is too large for the receiver, even by itself")])
            except Rejected as error:
                self._reject(flight, piece, [(index, error.reason) for index in range(piece.events)])
        self._feed.settle(flight.parts, flight.dropped, flight.receipt)

    async def _insist(self, batch: Batch, flight: Flight) -> None:
        """Try until the sink has decided on every event."""
        failures = 0
        while batch.events:
            try:
                outcome = await self._delivery.deliver(batch)
            except TryLater as error:
                failures += 1
                await self._pause(failures, error.reason, error.after)
                continue
            flight.receipt = outcome.receipt
            self.batches["delivered"] += 1
            self._reject(flight, batch, outcome.rejected)
            batch = batch.only(outcome.again)
            if batch.events:
                failures += 1
                await self._pause(failures, outcome.reason, outcome.after)
        if failures:
            log.info("delivery works again", sink=self.name, failures=failures)
        self.trouble = ""

    async def _pause(self, failures: int, reason: str, asked: float | None) -> None:
        """Before the next try; the beginning of the end cuts it short, once."""
        self.batches["retried"] += 1
        self.trouble = reason
        shortest, longest = self._settings.retry_min, self._settings.retry_max
        pause = backoff.delay(failures, shortest, longest, random=random.random(), asked=asked)  # noqa: S311 - jitter
        if failures & (failures - 1) == 0:  # the 1st, 2nd, 4th, 8th … time: an outage does not flood the log
            log.warning(
                "delivery failed; it is tried again",
                sink=self.name,
                reason=reason,
                failures=failures,
                retry_in=f"{pause:.1f}s",
            )
        if self._ending.is_set():
            await asyncio.sleep(min(pause, shortest))
        else:
            await _wait(self._ending, pause)

    def _reject(self, flight: Flight, batch: Batch, rejected: Sequence[tuple[int, str]]) -> None:
        if not rejected:
            return
        self.batches["rejected"] += 1
        flight.drop(batch, [index for index, _ in rejected], REJECTED)
        first, at = batch.find(rejected[0][0])
        log.error(
            "lines were dropped",
            sink=self.name,
            reason=rejected[0][1],
            file=first.part.name,
            generation=first.part.file,
            first_byte=first.offsets[at],
            events=len(rejected),
        )


async def _wait(event: asyncio.Event, timeout: float | None) -> None:  # noqa: ASYNC109 - None is without limit
    try:
        async with asyncio.timeout(timeout):
            await event.wait()
    except TimeoutError:
        pass
