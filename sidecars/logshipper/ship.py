"""The way to one sink: collect a batch, deliver it until the sink has decided, move the positions, again.

Theory of operation. `in_flight` batches may be on their way; they are read in order and their positions move in order,
so that whatever happens, a position has nothing undecided before it. With one batch on its way, which is the default, a
file's lines also arrive in order; with several, a later batch may overtake one that is tried again.

Nothing more is taken from the files until the eldest batch is settled: with a sink down for hours, those batches are in
memory and the rest is in the app's files. While the sink is in trouble the eldest alone knocks, and the others wait for
it: an outage is not made worse by our number.

A batch is split where it is too large (413), and narrowed to what the sink wants again; what it will never take goes to
the dead letters, or is dropped and counted.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence

from chassis import logs
from chassis.health import Pulse
from sidecars.logshipper import backoff
from sidecars.logshipper.batch import Batch
from sidecars.logshipper.deadletters import DeadLetters
from sidecars.logshipper.feed import Feed
from sidecars.logshipper.flight import Flight
from sidecars.logshipper.ledger import DEAD_LETTER, REJECTED
from sidecars.logshipper.part import Part
from sidecars.logshipper.records import Records
from sidecars.logshipper.settings import Sink
from sidecars.logshipper.shape import Shaper
from sidecars.logshipper.sinks.base import Delivery, Rejected, TooLarge, TryLater

log = logs.get("ship")

_QUIET = 10.0  # seconds in which first failures are told once: a sink that limits its rate does not flood the log
_AGEING = 0.9  # how much of the longest wait for a yes is remembered with each further yes


class Shipper:
    """`wake` it when there may be something new; `end` it when nothing new will come."""

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
        self.trouble = ""  # why the eldest batch is not delivered yet
        self._settings = settings
        self._shapers = shapers
        self._delivery = delivery
        self._letters = DeadLetters(settings.on_reject, settings.name) if settings.on_reject else None
        self._feed = feed
        self._pulse = pulse
        self._clock = clock
        self._flights: deque[Flight] = deque()
        self._at_once = min(settings.in_flight, delivery.at_once)
        self._news = asyncio.Event()
        self._landed = asyncio.Event()  # a flight was settled
        self._well = asyncio.Event()  # the last thing heard from the sink was a decision
        self._ending = asyncio.Event()
        self._heard = 0.0  # when the last decision came, or the last call
        self._longest = 0.0  # seconds that decisions lately took
        self._told = -math.inf  # when a failure was last told in the log
        self._worked = -math.inf  # when it was last told that this is over

    @property
    def in_flight(self) -> int:
        """Batches that are on their way."""
        return len(self._flights)

    def wake(self) -> None:
        self._news.set()

    def end(self) -> None:
        """Ship what there is, without waiting for more, and return from `run`."""
        self._ending.set()
        self._news.set()

    def last_call(self) -> None:
        """There is a deadline from now on: see `left_to_decide`."""
        self._heard = self._clock()

    def left_to_decide(self) -> float:
        """Seconds that the sink still has, at the end, to say something before it is given up as dead.

        One that takes its time is not dead: it gets twice as long as it took lately.
        """
        return self._heard + max(self._settings.give_up_after, 2 * self._longest) - self._clock()

    async def run(self) -> None:
        self._pulse.idle()
        async with asyncio.TaskGroup() as tasks:
            for parts in self._feed.take_up():
                log.info("repeating a batch that was on its way", sink=self.name, parts=len(parts))
                self._send(parts, tasks)
            while await self._something_to_ship():
                await self._room_for_one_more()
                self._pulse.beat()
                parts = self._feed.collect(self._settings.batch_size)
                if parts:
                    self._feed.sending(parts)
                    self._send(parts, tasks)
                self._pulse.idle()  # a sink that takes its time is not this process's illness

    # -- collecting ----------------------------------------------------------------------------------------------------

    async def _something_to_ship(self) -> bool:
        """Wait until a batch is full or has waited long enough. False when all was sent and the end has come."""
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

    async def _room_for_one_more(self) -> None:
        while len(self._flights) >= self._at_once:
            self._landed.clear()
            await self._landed.wait()

    def _send(self, parts: list[Part], tasks: asyncio.TaskGroup) -> None:
        flight = Flight(self.name, parts, self._shape)
        flight.receipt = self._feed.receipt
        self._flights.append(flight)
        tasks.create_task(self._fly(flight))

    def _shape(self, part: Part) -> Records:
        return self._shapers[part.input].records(part)

    # -- delivering ----------------------------------------------------------------------------------------------------

    async def _fly(self, flight: Flight) -> None:
        """Bring the flight to where every event is settled; then move the positions as far as their order allows."""
        pieces = [flight.batch]
        while pieces:
            piece = pieces.pop(0)
            try:
                await self._insist(piece, flight)
            except TooLarge:
                halves = piece.halves()
                if halves:
                    self.batches["split"] += 1
                    pieces[:0] = halves
                else:
                    await self._reject(flight, piece, [(0, "it is too large for the receiver, even by itself")])
            except Rejected as error:
                await self._reject(flight, piece, [(index, error.reason) for index in range(piece.events)])
        flight.settled = True
        while self._flights and self._flights[0].settled:
            landed = self._flights.popleft()
            self._feed.settle(landed.parts, landed.dropped, landed.receipt)
        self._landed.set()
        self._well.set()  # whoever is the eldest now must not wait for one that is gone

    async def _insist(self, batch: Batch, flight: Flight) -> None:
        """Try until the sink has decided on every event."""
        failures = 0
        while batch.events:
            began = self._clock()
            try:
                outcome = await self._delivery.deliver(batch)
            except TryLater as error:
                failures += 1
                await self._back_off(flight, failures, error.reason, error.after)
                continue
            except (TooLarge, Rejected):
                self._decided(began, failures)
                raise
            flight.receipt = outcome.receipt
            self.batches["delivered"] += 1
            await self._reject(flight, batch, outcome.rejected)
            if outcome.unnamed:
                count, reason = outcome.unnamed
                everything = [(index, reason) for index in range(batch.events)]
                await self._reject(flight, batch, everything, count)
            before, batch = batch.events, batch.only(outcome.again)
            if batch.events:
                failures += 1
                if batch.events < before:
                    self._heard = self._clock()  # it is slow, and not dead
                await self._back_off(flight, failures, outcome.reason, outcome.after)
            else:
                self._decided(began, failures)

    def _decided(self, began: float, failures: int) -> None:
        self._heard = self._clock()
        self._longest = max(self._heard - began, self._longest * _AGEING)
        self._well.set()
        self.trouble = ""
        if failures and self._told > self._worked:
            self._worked = self._heard
            log.info("delivery works again", sink=self.name, failures=failures)

    async def _back_off(self, flight: Flight, failures: int, reason: str, asked: float | None) -> None:
        """Before the next try; the beginning of the end cuts it short, once."""
        self.batches["retried"] += 1
        self.trouble = reason
        self._well.clear()
        shortest, longest = self._settings.retry_min, self._settings.retry_max
        pause = backoff.delay(failures, shortest, longest, random=random.random(), asked=asked)  # noqa: S311 - jitter
        if _is_told(failures) and (failures > 1 or self._clock() >= self._told + _QUIET):
            self._told = self._clock()
            log.warning(
                "delivery failed; it is tried again",
                sink=self.name,
                reason=reason,
                failures=failures,
                retry_in=f"{pause:.1f}s",
            )
        if flight is not self._flights[0]:
            await self._well.wait()
        elif self._ending.is_set():
            await asyncio.sleep(min(pause, shortest))
        else:
            await _wait(self._ending, pause)

    # -- what the sink will never take ---------------------------------------------------------------------------------

    async def _reject(
        self, flight: Flight, batch: Batch, rejected: Sequence[tuple[int, str]], count: int | None = None
    ) -> None:
        """`count`: how many of them it really is, where nobody knows which."""
        if not rejected or count == 0:
            return
        self.batches["rejected"] += 1
        if self._letters is not None:
            await self._put_aside(flight, self._letters, batch, rejected)
        flight.drop(batch, [index for index, _ in rejected[:count]], DEAD_LETTER if self._letters else REJECTED)
        if not _is_told(self.batches["rejected"]):
            return
        first, at = batch.find(rejected[0][0])
        log.error(
            "lines were rejected" if self._letters else "lines were dropped",
            sink=self.name,
            reason=rejected[0][1],
            file=first.part.name,
            generation=first.part.file,
            first_byte=first.offsets[at],
            events=len(rejected[:count]),
            times=self.batches["rejected"],
        )

    async def _put_aside(
        self, flight: Flight, letters: DeadLetters, batch: Batch, rejected: Sequence[tuple[int, str]]
    ) -> None:
        """On disk before the position moves: a full disk is waited for, as a sink would be."""
        failures = 0
        while True:
            try:
                await letters.put(batch, rejected)
            except OSError as error:
                failures += 1
                await self._back_off(flight, failures, f"{letters.where}: {error.strerror}", None)
                continue
            return


def _is_told(count: int) -> bool:
    """The 1st, 2nd, 4th, 8th … time: an outage does not flood the log."""
    return count & (count - 1) == 0


async def _wait(event: asyncio.Event, timeout: float | None) -> None:  # noqa: ASYNC109 - None is without limit
    try:
        async with asyncio.timeout(timeout):
            await event.wait()
    except TimeoutError:
        pass
