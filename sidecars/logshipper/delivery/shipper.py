"""The way to one sink: collect a batch, deliver it until the sink has decided, move the positions, again.

Theory of operation. `in_flight` batches may be on their way; they are read in order and their positions move in order,
so that whatever happens, a position has nothing undecided before it. With one batch on its way, which is the default, a
file's lines also arrive in order; with several, a later batch may overtake one that is tried again.

Nothing more is taken from the files until the eldest batch is settled: with a sink down for hours, those batches are in
memory and the rest is in the app's files. While the sink is in trouble the eldest alone knocks, and the others wait for
it: an outage is not made worse by our number.

A batch that is refused, or is too large (413), is sent in halves until the event that is at fault is alone: that one
goes to the dead letters, or is dropped and counted. What the sink names is rejected, and what it wants again is sent
again, without a search.

A sink that takes nothing at all is not mended by dropping lines. A flight whose events are refused, with no yes to any
of them, *stands by*: its positions stay, and batches behind it may be sent as witnesses. A yes to one of them proves
that the refusals are about the lines. Once several batches stand by, no more are read, the process is not ready, and
one event is tried again after each pause, until the sink takes it.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter, deque
from collections.abc import Callable, Mapping

from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.health import Health
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.delivery import backoff
from sidecars.logshipper.delivery.batch_size import BatchSizeLimit
from sidecars.logshipper.delivery.in_flight import InFlightBatch
from sidecars.logshipper.delivery.refusal_search import RefusalSearch
from sidecars.logshipper.delivery.rejections import Rejections
from sidecars.logshipper.delivery.sink_queue import SinkQueue
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.sinks.base import BatchRefused, BatchTooLarge, Outcome, RetryLater, Sink
from sidecars.logshipper.transform.pipeline import Pipeline

log = logs.get("ship")

_PULSE = 30.0  # seconds, to read one batch
_QUIET = 10.0  # seconds in which first failures are told once: a sink that limits its rate does not flood the log
_SEVERAL = 8  # suspects that show that it is not the lines: two large batches of them, or so many lines
_WITNESSES = 8  # flights, at most, that are sent while the eldest stands by
_AGEING = 0.9  # how much of the longest wait for a yes is remembered with each further yes


class Shipper:
    """`wake` it when there may be something new; `end` it when nothing new will come."""

    def __init__(
        self,
        settings: SinkSettings,
        pipelines: Mapping[str, Pipeline],
        delivery: Sink,
        feed: SinkQueue,
        health: Health,
        clock: Callable[[], float],
    ) -> None:
        self.name = settings.name
        self.batches: Counter[str] = Counter()  # outcome -> count
        self.rejections = Rejections(settings, self._back_off)
        self._settings = settings
        self._pipelines = pipelines
        self._delivery = delivery
        self._queue = feed
        self._pulse = health.heartbeat(f"ship to {settings.name}", _PULSE)
        self._clock = clock
        self._hold = health.hold(f"sink {settings.name}", "")  # while the sink refuses all lines
        self._room = BatchSizeLimit(settings.batch_size)
        self._asked = 0  # the number of the latest request
        self._yes = 0  # that of the latest of which the sink took something; 0: of none
        self._flights: deque[InFlightBatch] = deque()
        self._max_in_flight = min(settings.in_flight, delivery.max_in_flight)
        self._news = asyncio.Event()
        self._landed = asyncio.Event()  # a flight was settled
        self._well = asyncio.Event()  # the last thing heard from the sink was a decision
        self._taking = asyncio.Event()  # the sink took something, or who stands by has to look for another reason
        self._is_all_sent = False  # no more batches will come
        self._ending = asyncio.Event()
        self._heard = 0.0  # when the last decision came, or the last call
        self._longest = 0.0  # seconds that decisions lately took
        self._told = -math.inf  # when a failure was last told in the log
        self._worked = -math.inf  # when it was last told that this is over

    @property
    def in_flight(self) -> int:
        """Batches that are on their way."""
        return len(self._flights)

    @property
    def trouble(self) -> str:
        """Why the eldest batch that is in trouble is not delivered yet; "" when none is."""
        return next((flight.trouble for flight in self._flights if flight.trouble), "")

    @property
    def refuses_all(self) -> bool:
        """True while the sink refuses every line."""
        return bool(self._hold.reason)

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
            for chunks in self._queue.take_up():
                log.info("repeating a batch that was on its way", sink=self.name, chunks=len(chunks))
                self._send(chunks, tasks)
            while await self._something_to_ship():
                await self._room_for_one_more()
                self._pulse.beat()
                chunks = self._queue.collect(self._room.bytes)
                if chunks:
                    self._queue.sending(chunks)
                    self._send(chunks, tasks)
                self._pulse.idle()  # a sink that takes its time is not this process's illness
            self._is_all_sent = True
            self._taking.set()

    # -- collecting ----------------------------------------------------------------------------------------------------

    async def _something_to_ship(self) -> bool:
        """Wait until a batch is full or has waited long enough. False when all was sent and the end has come."""
        waiting_since: float | None = None
        while True:
            self._news.clear()
            waiting = self._queue.waiting(self._settings.batch_size)
            if self._ending.is_set() or waiting >= self._room.bytes:
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
        while not self._has_room():
            self._landed.clear()
            await self._landed.wait()

    def _has_room(self) -> bool:
        """True if one more flight may begin. Behind those that stand by there is room for witnesses."""
        standing = sum(flight.suspects for flight in self._flights)
        if not standing:
            return len(self._flights) < self._max_in_flight
        busy = sum(not flight.settled and not flight.suspects for flight in self._flights)
        return (
            busy < self._max_in_flight and len(self._flights) < self._max_in_flight + _WITNESSES and standing < _SEVERAL
        )

    def _send(self, chunks: list[Chunk], tasks: asyncio.TaskGroup) -> None:
        flight = InFlightBatch(self.name, chunks, self._shape)
        flight.receipt = self._queue.receipt
        self._flights.append(flight)
        tasks.create_task(self._fly(flight))

    def _shape(self, chunk: Chunk) -> Records:
        return self._pipelines[chunk.input].process(chunk)

    # -- delivering ----------------------------------------------------------------------------------------------------

    async def _fly(self, flight: InFlightBatch) -> None:
        """Bring the flight to where every event is settled; then move the positions as far as their order allows."""
        search = RefusalSearch(flight.batch)
        failures = 0
        while (piece := search.next()) is not None:
            try:
                await self._insist(piece, flight)
            except BatchRefused as refusal:
                if not await self._refused(flight, search, piece, refusal):
                    failures += 1
                    await self._stand_by(flight, search, failures, refusal.reason)
            else:
                search.taken()
                self._works_again(failures)
                failures = flight.suspects = 0
                self._tell_whether_ready()
        flight.settled = True
        self._tell_whether_ready()
        while self._flights and self._flights[0].settled:
            landed = self._flights.popleft()
            self._queue.settle(landed.chunks, landed.dropped, landed.receipt)
        self._landed.set()
        self._well.set()  # whoever is the eldest now must not wait for one that is gone
        self._taking.set()

    async def _insist(self, batch: Batch, flight: InFlightBatch) -> None:
        """Try until the sink has decided on every event. Raises Rejected, TooLarge too, when it took none of them."""
        failures = 0
        while batch.events:
            began = self._clock()
            self._asked += 1
            number = self._asked
            try:
                outcome = await self._delivery.deliver(batch)
            except RetryLater as error:
                failures += 1
                await self._back_off(flight, failures, error.reason, error.after)
                continue
            except BatchRefused:
                self._longest = max(self._clock() - began, self._longest * _AGEING)
                self._well.set()
                raise
            flight.receipt = outcome.receipt
            if outcome.takes_some(batch.events):
                self._yes = max(self._yes, number)
                self._taking.set()
            await self._settle_what_is_named(flight, batch, outcome)
            if not outcome.again:
                self._decided(flight, began, failures)
                self._room.taken(batch)
                return
            if len(outcome.again) < batch.events:
                self._heard = self._clock()  # it is slow, and not dead
            batch = batch.select(outcome.again)
            failures += 1
            await self._back_off(flight, failures, outcome.reason, outcome.after)

    async def _settle_what_is_named(self, flight: InFlightBatch, batch: Batch, outcome: Outcome) -> None:
        self.batches["delivered"] += 1
        if outcome.unnamed is None:
            await self._reject(flight, batch, list(outcome.rejected))
        else:
            count, reason = outcome.unnamed
            await self._reject(flight, batch, [(index, reason) for index in range(batch.events)], count)

    async def _reject(
        self, flight: InFlightBatch, batch: Batch, rejected: list[tuple[int, str]], count: int | None = None
    ) -> None:
        if rejected and count != 0:
            self.batches["rejected"] += 1
            await self.rejections.settle(flight, batch, rejected, count)

    def _decided(self, flight: InFlightBatch, began: float, failures: int) -> None:
        self._heard = self._clock()
        self._longest = max(self._heard - began, self._longest * _AGEING)
        self._well.set()
        flight.trouble = ""
        self._works_again(failures)

    def _works_again(self, failures: int) -> None:
        if failures and self._told > self._worked:
            self._worked = self._clock()
            log.info("delivery works again", sink=self.name, failures=failures)

    # -- when it fails -------------------------------------------------------------------------------------------------

    async def _back_off(self, flight: InFlightBatch, failures: int, reason: str, asked: float | None) -> None:
        """Before the next try; the beginning of the end cuts it short, once."""
        self._well.clear()
        pause = self._failed(flight, failures, reason, asked)
        if flight is not self._flights[0]:
            await self._well.wait()
        elif self._ending.is_set():
            await asyncio.sleep(min(pause, self._settings.retry_min))
        else:
            await _wait(self._ending, pause)

    def _failed(self, flight: InFlightBatch, failures: int, reason: str, asked: float | None = None) -> float:
        """Note a failure, and tell it in the log, but not each. Return the seconds before the next try."""
        self.batches["retried"] += 1
        flight.trouble = reason
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
        return pause

    # -- when it refuses -----------------------------------------------------------------------------------------------

    async def _refused(self, flight: InFlightBatch, search: RefusalSearch, piece: Batch, refusal: BatchRefused) -> bool:
        """Go on with the search for what the sink refuses. False: it is stuck."""
        if isinstance(refusal, BatchTooLarge):
            self._room.too_large(piece)
        if search.refused(piece, yes=self._yes, asked=self._asked, named=refusal.each is not None):
            reasons = refusal.each or [refusal.reason] * piece.events
            await self._reject(flight, piece, list(enumerate(reasons)))
            search.resume()
            flight.suspects = 0
        elif piece.events > 1 and refusal.each is None:
            self.batches["split"] += 1
        if search.is_stuck:
            return False
        self._heard = self._clock()
        return True

    async def _stand_by(self, flight: InFlightBatch, search: RefusalSearch, failures: int, reason: str) -> None:
        """Wait until the sink has taken something; the eldest flight tries one event again after a pause."""
        flight.suspects = search.suspects
        pause = self._failed(flight, failures, f"refused, and kept until the sink takes other lines: {reason}")
        self._tell_whether_ready()
        self._taking.clear()
        self._landed.set()  # there may be room for a witness
        if search.is_proven(self._yes):
            pass
        elif flight is self._flights[0]:
            await _wait(self._taking, pause)
        else:
            await self._taking.wait()
        if search.is_proven(self._yes):
            search.resume()
        elif self._is_all_sent and self._yes and search.is_isolated and not self._hold.reason:
            search.resume(proven=True)  # no witness will come, and earlier lines were taken
        else:
            search.probe()

    def _tell_whether_ready(self) -> None:
        """Not ready while the sink refuses several batches, or all that it was ever sent."""
        standing = [flight for flight in self._flights if flight.suspects]
        if standing and (not self._yes or sum(flight.suspects for flight in standing) >= _SEVERAL):
            if not self._hold.reason:
                log.error("the sink refuses every line; they are kept", sink=self.name, reason=standing[0].trouble)
            self._hold.reason = standing[0].trouble
        else:
            self._hold.release()


def _is_told(count: int) -> bool:
    """The 1st, 2nd, 4th, 8th … time: an outage does not flood the log."""
    return count & (count - 1) == 0


async def _wait(event: asyncio.Event, timeout: float | None) -> None:  # noqa: ASYNC109 - None is without limit
    try:
        async with asyncio.timeout(timeout):
            await event.wait()
    except TimeoutError:
        pass
