"""The delivery of one batch, until it is settled, also if the sink refuses it.

`RefusalSearch` chooses the piece to send next, `RetryLoop` sends it, and this module connects the two. It decides when
a batch *stands by*: the sink refuses single events of it and has accepted nothing since. Such a batch keeps its
positions, and waits for one of these events:

- Another batch is accepted, a *witness*. Now the lines are proved to be the cause: the search goes on and rejects them.
- The pause of the oldest batch ends. It sends one suspect again.
- The drain has sent everything, and no witness can come. The suspect is rejected if earlier lines were accepted.

While the sink refuses events of several batches, or everything that it was ever sent, no more lines are read for it and
the process is not ready. Lines are never dropped to get past such a sink.
"""

from __future__ import annotations

from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.health import ReadinessLatch
from sidecars.logshipper.delivery.batch_size import BatchSizeLimit
from sidecars.logshipper.delivery.in_flight import InFlightBatch, InFlightBatches
from sidecars.logshipper.delivery.refusal_search import RefusalSearch
from sidecars.logshipper.delivery.retry import RetryLoop, wait_for_event
from sidecars.logshipper.delivery.sink_availability import SinkAvailability
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import BatchRefused, BatchTooLarge

log = logs.get("ship")


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
        """Send the batch until every event of it is accepted or rejected."""
        search = RefusalSearch(batch.content)
        failures = 0
        while (piece := search.next_piece()) is not None:
            try:
                await self._retry.send(piece, batch)
            except BatchRefused as refusal:
                if not await self._go_on(batch, search, piece, refusal):
                    failures += 1
                    await self._stand_by(batch, search, failures, refusal.reason)
            else:
                search.accepted()
                self._retry.log_recovery(failures)
                failures = 0
                batch.resumes()
                self._update_readiness()
        batch.settle()
        self._update_readiness()

    async def _go_on(self, batch: InFlightBatch, search: RefusalSearch, piece: Batch, refusal: BatchRefused) -> bool:
        """Continue the search after a refusal of `piece`. Return False if the search is stuck."""
        if isinstance(refusal, BatchTooLarge):
            self._size_limit.too_large(piece)
        named = refusal.event_reasons is not None
        availability = self._availability
        accepted, attempted = availability.last_accepted, availability.last_attempt
        if search.refused(piece, last_accepted=accepted, last_attempt=attempted, named=named):
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

    async def _stand_by(self, batch: InFlightBatch, search: RefusalSearch, failures: int, reason: str) -> None:
        """Wait until the sink accepts something. The oldest batch sends one suspect again after a pause."""
        availability = self._availability
        batch.stands_by(search.suspects)
        trouble = f"refused, and kept until the sink accepts other lines: {reason}"
        pause = self._retry.note_failure(batch, failures, trouble)
        self._update_readiness()
        availability.forget_acceptance()
        self._in_flight.count_slots()  # there may be one for a witness
        if not search.is_proven(availability.last_accepted):
            await wait_for_event(availability.accepting, pause if self._in_flight.is_oldest(batch) else None)
        if search.is_proven(availability.last_accepted):
            search.resume()
        elif self._no_witness_will_come(search):
            search.resume(proven=True)
        else:
            search.probe()

    def _no_witness_will_come(self, search: RefusalSearch) -> bool:
        """True if everything was sent, the sink accepted earlier lines, and single events are all that is left."""
        complete = self._in_flight.is_complete and search.is_isolated
        return complete and self._availability.last_accepted > 0 and not self.refuses_all

    def _update_readiness(self) -> None:
        """Hold readiness while the sink refuses several batches, or everything that it was ever sent."""
        standing_by = self._in_flight.standing_by
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
