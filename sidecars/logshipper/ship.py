"""The way to one sink: collect a batch, deliver it until the sink has decided, move the positions, again.

One batch is on its way at a time, so a file's lines keep their order. Nothing is taken from a file before the batch
ahead of it is settled: with a sink down for hours, one batch is in memory and the rest is in the app's files.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable

from chassis import logs
from chassis.health import Pulse
from sidecars.logshipper import backoff
from sidecars.logshipper.batch import Batch
from sidecars.logshipper.feed import Feed
from sidecars.logshipper.ledger import REJECTED
from sidecars.logshipper.settings import Sink
from sidecars.logshipper.sinks.base import Delivery, Rejected, TooLarge, TryLater

log = logs.get("ship")


class Shipper:
    """`wake` it when there may be something new; set `ending` when nothing new will come."""

    def __init__(
        self, settings: Sink, delivery: Delivery, feed: Feed, pulse: Pulse, clock: Callable[[], float]
    ) -> None:
        self.name = settings.name
        self.batches: Counter[str] = Counter()  # outcome -> count
        self.trouble = ""  # why the batch in hand is not delivered yet
        self._settings = settings
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
            await self._settle(Batch(self.name, tuple(parts)))
        while await self._something_to_ship():
            self._pulse.beat()
            parts = self._feed.collect(self._settings.batch_size)
            self._pulse.idle()  # a sink that takes its time is not this process's illness
            if parts:
                await self._settle(Batch(self.name, tuple(parts)))

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

    # -- delivering ----------------------------------------------------------------------------------------------------

    async def _settle(self, batch: Batch) -> None:
        """Deliver the batch, or drop and count what the sink will never take. Returns when every line is settled."""
        self._feed.sending(batch.parts)
        pieces = [batch]
        while pieces:
            piece = pieces.pop(0)
            try:
                receipt = await self._insist(piece)
            except TooLarge:
                halves = piece.halves()
                if halves:
                    self.batches["split"] += 1
                    pieces[:0] = halves
                else:
                    self._reject(piece, "it is a single line, and too large for the receiver")
            except Rejected as error:
                self._reject(piece, error.reason)
            else:
                self.batches["delivered"] += 1
                self._feed.delivered(piece.parts, receipt)

    async def _insist(self, batch: Batch) -> object:
        """Try until the sink has decided."""
        failures = 0
        while True:
            try:
                receipt = await self._delivery.deliver(batch)
            except TryLater as error:
                failures += 1
                self.batches["retried"] += 1
                self.trouble = error.reason
                pause = backoff.delay(
                    failures,
                    self._settings.retry_min,
                    self._settings.retry_max,
                    random=random.random(),  # noqa: S311 - jitter
                    asked=error.after,
                )
                if failures & (failures - 1) == 0:  # the 1st, 2nd, 4th, 8th … time: an outage does not flood the log
                    log.warning(
                        "delivery failed; it is tried again",
                        sink=self.name,
                        reason=error.reason,
                        failures=failures,
                        retry_in=f"{pause:.1f}s",
                    )
                await self._pause(pause)
                continue
            if failures:
                log.info("delivery works again", sink=self.name, failures=failures)
            self.trouble = ""
            return receipt

    async def _pause(self, seconds: float) -> None:
        """A pause between tries; the beginning of the end cuts it short, once."""
        if self._ending.is_set():
            await asyncio.sleep(min(seconds, self._settings.retry_min))
        else:
            await _wait(self._ending, seconds)

    def _reject(self, batch: Batch, reason: str) -> None:
        self.batches["rejected"] += 1
        for part in batch.parts:
            log.error(
                "lines were dropped",
                sink=self.name,
                reason=reason,
                file=part.name,
                generation=part.file,
                first_byte=part.start,
                bytes=len(part.data),
                lines=part.lines,
            )
        self._feed.dropped(batch.parts, REJECTED)


async def _wait(event: asyncio.Event, timeout: float | None) -> None:  # noqa: ASYNC109 - None is without limit
    try:
        async with asyncio.timeout(timeout):
            await event.wait()
    except TimeoutError:
        pass
