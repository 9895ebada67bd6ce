"""The delivery of one batch, until it is settled, also if the sink refuses it.

`RefusalSearch` chooses the piece to send next, `RetryLoop` sends it, and this module connects the two. It decides when
a batch *stands by*: the sink refuses single events of it and has accepted nothing since. Such a batch keeps its
positions, and waits for one of these events:

- Another batch is accepted, a *witness*. Now the lines are proved to be the cause: the search goes on and rejects them.
- The pause of the oldest batch ends. It sends one suspect again.
- The drain has sent everything, and no witness can come. The suspect is rejected if earlier lines were accepted, and
  if all suspects together are few.

A Job has no time for its drain. When everything is sent, and the oldest batch was refused `LAST_TRIES` times, it raises
`NothingAccepted`: the process ends, its lines are in the files, and the next process goes on with them. So a Job never
waits for ever, and drops nothing because of a receiver with a wrong path or schema.

While the sink refuses events of several batches, or everything that it was ever sent, no more lines are read for it and
the process is not ready. Lines are never dropped to get past such a sink, but by `RETRY_LIMIT` or `RETRY_MAX_AGE`.

A sink that *fails* on the same batch again and again (500, 502, 504) may do so because of one event. After
`ISOLATE_AFTER` failures the batch is searched in the same way, with a pause after each failure, and an event is
rejected only after several tries (see `refusal_search`).
"""

from __future__ import annotations

from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.health import ReadinessLatch
from sidecars.logshipper.delivery.batch_size import BatchSizeLimit
from sidecars.logshipper.delivery.in_flight import InFlightBatch, InFlightBatches
from sidecars.logshipper.delivery.refusal_search import RefusalSearch
from sidecars.logshipper.delivery.retry import EventSuspected, Expired, RetryLoop, wait_for_event
from sidecars.logshipper.delivery.sink_availability import SinkAvailability
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import BatchRefused, BatchTooLarge

log = logs.get("ship")


REQUESTS = 64
"""Requests for one batch after which there is a pause."""

LAST_TRIES = 10
"""Refusals in a row of the last lines of a Job, after which its sink is given up. They take about two minutes."""


class NothingAccepted(Exception):
    """The sink refuses all that is left, and nothing can prove that the lines are the cause."""


class BatchDelivery:
    """Delivers the batches of one sink, several at once. Owned by the sink's shipper.

    `latch` keeps the process from being ready while the sink refuses every line.
    """

    def __init__(
        self,
        sink: str,
        retry: RetryLoop,
        in_flight: InFlightBatches,
        availability: SinkAvailability,
        size_limit: BatchSizeLimit,
        latch: ReadinessLatch,
    ) -> None:
        self._sink = sink
        self._retry = retry
        self._in_flight = in_flight
        self._availability = availability
        self._size_limit = size_limit
        self._latch = latch

    @property
    def refuses_all(self) -> bool:
        """True while the sink refuses every line."""
        return bool(self._latch.reason)

    async def deliver(self, batch: InFlightBatch) -> None:
        """Send the batch until every event of it is accepted, rejected or given up. Raises NothingAccepted."""
        search = RefusalSearch(batch.content)
        try:
            await self._send_all(batch, search)
        except Expired as bound:
            for piece in (bound.piece, *search.left()):
                if piece is not None:
                    await self._retry.expire(batch, piece, bound.reason)
            batch.recovered()
            batch.resumes()
        batch.settle()
        self._update_readiness()

    async def _send_all(self, batch: InFlightBatch, search: RefusalSearch) -> None:
        failures = requests = rests = 0  # failures: in a row, while the search is stuck or isolates
        while (piece := search.next_piece()) is not None:
            requests += 1
            if requests % REQUESTS == 0:
                rests += 1
                await self._retry.rest(rests)
            try:
                await self._retry.send(piece, batch, isolates=search.isolates)
            except BatchRefused as refusal:
                if not await self._go_on(batch, search, piece, refusal):
                    failures += 1
                    await self._stand_by(batch, search, failures, refusal.reason)
            except EventSuspected as failure:
                failures += failure.failures
                await self._isolate(batch, search, piece, failures, failure)
            else:
                search.accepted()
                self._retry.log_recovery(failures)
                failures = 0
                batch.resumes()
                self._update_readiness()
        if search.left():
            raise AssertionError("a search is over, and events are left")  # a defect: they would be lost

    async def _go_on(self, batch: InFlightBatch, search: RefusalSearch, piece: Batch, refusal: BatchRefused) -> bool:
        """Continue the search after a refusal of `piece`. Return False if the search is stuck."""
        too_large = isinstance(refusal, BatchTooLarge)
        if too_large:
            self._size_limit.too_large(piece)
        named = refusal.event_reasons is not None
        availability = self._availability
        accepted, attempted = availability.last_accepted, availability.last_attempt
        if search.refused(piece, last_accepted=accepted, last_attempt=attempted, named=named, too_large=too_large):
            reasons = refusal.event_reasons or [refusal.reason] * piece.events
            await self._retry.reject(batch, piece, list(enumerate(reasons)))
            search.resume()
            batch.resumes()
        elif piece.events > 1 and not named:
            self._retry.count_split()
        if search.is_stuck:
            return False
        availability.made_progress()
        return True

    async def _isolate(
        self, batch: InFlightBatch, search: RefusalSearch, piece: Batch, failures: int, failure: EventSuspected
    ) -> None:
        """Continue the search after the sink has failed on `piece`. Each failure is followed by a pause."""
        availability = self._availability
        accepted, attempted = availability.last_accepted, availability.last_attempt
        if search.failed(piece, last_accepted=accepted, last_attempt=attempted):
            self._retry.has_found_events = True
            await self._retry.reject(batch, piece, [(0, failure.reason)])
            batch.resumes()
            failures = 1
        elif piece.events > 1:
            self._retry.count_split()
        if search.is_stuck:
            await self._stand_by(batch, search, failures, failure.reason)
        else:
            self._retry.check_bounds(batch, failures, failure.reason)
            await self._retry.back_off(batch, failures, failure.reason, failure.retry_after)

    async def _stand_by(self, batch: InFlightBatch, search: RefusalSearch, failures: int, reason: str) -> None:
        """Wait until the sink accepts something. The oldest batch sends one suspect again after a pause.

        Raises Expired beyond a bound, and NothingAccepted if nothing can end the wait.
        """
        availability, oldest = self._availability, self._in_flight.is_oldest(batch)
        batch.stands_by(search.suspects, isolates=search.isolates)
        what = "failed for" if search.isolates else "refused, and kept"
        trouble = f"{what} until the sink accepts other lines: {reason}"
        pause = self._retry.note_failure(batch, failures, trouble)
        self._update_readiness()
        self._retry.check_bounds(batch, failures, reason)
        if oldest and failures >= LAST_TRIES and self._in_flight.is_complete and not search.isolates:
            raise NothingAccepted(reason)
        availability.forget_acceptance()
        self._in_flight.count_slots()  # there may be one for a witness
        if not search.is_proven(availability.last_accepted):
            limit = min(pause, self._retry.time_left(batch))
            await wait_for_event(availability.accepting, limit if self._in_flight.is_oldest(batch) else None)
        if search.is_proven(availability.last_accepted):
            search.resume()
        elif self._no_witness_will_come(search):
            search.resume(proven=True)
        else:
            search.probe()

    def _no_witness_will_come(self, search: RefusalSearch) -> bool:
        """True if everything was sent, the sink accepted earlier lines, and single events are all that is left."""
        complete = self._in_flight.is_complete and search.is_isolated and not search.isolates
        return complete and self._availability.last_accepted > 0 and not self.refuses_all

    def _update_readiness(self) -> None:
        """Hold readiness while the sink refuses several batches, or everything that it was ever sent."""
        standing_by = [
            batch for batch in self._in_flight.standing_by if not batch.isolates
        ]  # those have a sink that fails
        nothing_accepted = not self._availability.last_accepted
        if standing_by and (nothing_accepted or self._in_flight.has_several_suspects):
            if not self.refuses_all:
                trouble = standing_by[0].trouble
                log.error(
                    "the sink refuses every line; they are kept",
                    code="sink-refuses-every-line",
                    sink=self._sink,
                    reason=trouble,
                )
            self._latch.hold(standing_by[0].trouble)
        else:
            self._latch.release()
