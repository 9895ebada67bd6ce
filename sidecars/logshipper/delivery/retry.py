"""The retry loop: repeats a batch until the sink has decided on every event of it.

| the attempt ends with | next |
|---|---|
| a decision on every event | return; rejected events are settled |
| events that the sink wants again (`Outcome.retry`) | pause, then these events alone, with the same ids |
| `RetryLater` | pause, then the same batch |
| `BatchRefused`, `BatchTooLarge` | raise it: `batch_delivery` goes on |
| `RetryLater` that may be about an event, `ISOLATE_AFTER` times | raise `EventSuspected`: `batch_delivery` goes on |
| a failure beyond `RETRY_LIMIT` or `RETRY_MAX_AGE` | raise `Expired`: `batch_delivery` settles what is left |

Without these bounds there is no last attempt: the lines are safe in the app's files. The pause is that of `backoff`.
While the sink fails, only the oldest batch is sent: the others wait for it, so that an outage does not multiply the
requests. The drain cuts the current pause short, once.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter

from sidecars.chassis.runtime import logs
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.delivery import backoff
from sidecars.logshipper.delivery.batch_size import BatchSizeLimit
from sidecars.logshipper.delivery.in_flight import InFlightBatch, InFlightBatches
from sidecars.logshipper.delivery.rejections import Rejections
from sidecars.logshipper.delivery.sink_availability import SinkAvailability
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import BatchRefused, Outcome, RetryLater, Sink

log = logs.get("ship")


_SOONER = (
    3  # once an event was found for which the sink fails, the next batches are halved after a third of the failures
)


class EventSuspected(Exception):
    """The sink fails on the batch, and one event may be the cause."""

    def __init__(self, reason: str, failures: int, retry_after: float | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.failures = failures  # in a row
        self.retry_after = retry_after


class Expired(Exception):
    """The retries of a batch have reached a bound. `piece`: the events of the last attempt that are not accepted."""

    def __init__(self, reason: str, piece: Batch | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.piece = piece


class RetryLoop:
    """Sends the batches of one sink. Owned by the sink's shipper. `draining` is set when the drain begins."""

    def __init__(
        self,
        settings: SinkSettings,
        sink: Sink,
        in_flight: InFlightBatches,
        availability: SinkAvailability,
        size_limit: BatchSizeLimit,
        draining: asyncio.Event,
    ) -> None:
        self.batches: Counter[str] = Counter()  # batches by outcome, for the metrics
        self.rejections = Rejections(settings, self.back_off)
        self._settings = settings
        self._sink = sink
        self._in_flight = in_flight
        self._availability = availability
        self._size_limit = size_limit
        self._draining = draining
        self.has_found_events = False  # True if the sink has failed for single events

    async def send(self, piece: Batch, batch: InFlightBatch, *, isolates: bool = False) -> None:
        """Send `piece`, which is made of events of `batch`, until the sink has decided on each event.

        `isolates`: the first failure that may be about an event is raised. Raises BatchRefused or BatchTooLarge if the
        sink refuses the events that are left, EventSuspected if it fails on them, and Expired beyond a bound.
        """
        failures = 0
        while piece.events:
            attempt = self._availability.begin_attempt()
            batch.began(attempt.began)
            try:
                outcome = await self._sink.deliver(piece)
            except RetryLater as error:
                failures += 1
                self.check_bounds(batch, failures, error.reason, piece)
                if error.may_be_about_an_event and failures >= self._failures_to_isolate(isolates=isolates):
                    raise EventSuspected(error.reason, failures, error.retry_after) from None
                await self.back_off(batch, failures, error.reason, error.retry_after)
                continue
            except BatchRefused:
                self._availability.responded(attempt)
                raise
            batch.keep_receipt(outcome.receipt)
            if outcome.accepts_some(piece.events):
                self._availability.accepted(attempt)
            await self._settle_named(batch, piece, outcome)
            if not outcome.retry:
                self._availability.decided(attempt)
                batch.recovered()
                self.log_recovery(failures)
                self._size_limit.accepted(piece)
                return
            if len(outcome.retry) < piece.events:
                self._availability.made_progress()
            piece = piece.select(outcome.retry)
            failures += 1
            self.check_bounds(batch, failures, outcome.retry_reason, piece)
            await self.back_off(batch, failures, outcome.retry_reason, outcome.retry_after)

    def _failures_to_isolate(self, *, isolates: bool) -> float:
        """Return how many failures in a row are a reason to search for the event that causes them."""
        if isolates:
            return 1
        after = self._settings.isolate_after
        return (max(1, after // _SOONER) if self.has_found_events else after) or math.inf

    def check_bounds(self, batch: InFlightBatch, failures: int, reason: str, piece: Batch | None = None) -> None:
        """Raise Expired, with `piece`, if the batch has failed too often in a row or is too old."""
        limit, age = self._settings.retry_limit, self._availability.age(batch.began_at)
        if limit is not None and failures >= limit:
            raise Expired(f"{reason} (after {failures} attempts)", piece)
        if self._settings.retry_max_age is not None and age >= self._settings.retry_max_age:
            raise Expired(f"{reason} (after {age:.0f} s)", piece)

    def count_split(self) -> None:
        """Count a refused batch whose halves are sent."""
        self.batches["split"] += 1

    # -- rejected events -----------------------------------------------------------------------------------------------

    async def _settle_named(self, batch: InFlightBatch, piece: Batch, outcome: Outcome) -> None:
        """Settle the events that the outcome rejects."""
        self.batches["delivered"] += 1
        if outcome.unnamed_rejections is None:
            await self.reject(batch, piece, list(outcome.rejected))
        else:
            count, reason = outcome.unnamed_rejections
            await self.reject(batch, piece, [(index, reason) for index in range(piece.events)], count)

    async def reject(
        self, batch: InFlightBatch, piece: Batch, rejected: list[tuple[int, str]], count: int | None = None
    ) -> None:
        """Settle these events (index and reason) as rejected. `count`: the number of them that the sink rejected."""
        if rejected and count != 0:
            self.batches["rejected"] += 1
            await self.rejections.settle(batch, piece, rejected, count)

    async def expire(self, batch: InFlightBatch, piece: Batch, reason: str) -> None:
        """Settle all events of the piece as given up."""
        self.batches["expired"] += 1
        await self.rejections.expire(batch, piece, reason)

    # -- pauses --------------------------------------------------------------------------------------------------------

    async def back_off(self, batch: InFlightBatch, failures: int, reason: str, retry_after: float | None) -> None:
        """Wait before the next attempt: for the pause if the batch is the oldest, else until the sink responds."""
        self._availability.failed()
        pause = self.note_failure(batch, failures, reason, retry_after)
        if not self._in_flight.is_oldest(batch):
            await self._availability.responding.wait()
        elif self._draining.is_set():
            await asyncio.sleep(min(pause, self._settings.retry_min))
        else:
            await wait_for_event(self._draining, min(pause, self.time_left(batch)))

    def time_left(self, batch: InFlightBatch) -> float:
        """Return the seconds until the batch is older than `RETRY_MAX_AGE`, at least a little."""
        if self._settings.retry_max_age is None:
            return math.inf
        left = self._settings.retry_max_age - self._availability.age(batch.began_at)
        return max(self._settings.retry_min, left)

    async def rest(self, times: int) -> None:
        """Pause in a long search, so that its requests do not flood the receiver. `times`: the pauses of it so far."""
        shortest, longest = self._settings.retry_min, self._settings.retry_max
        chance = random.random()  # noqa: S311 - jitter
        await wait_for_event(self._draining, backoff.delay(times, shortest, longest, random=chance))

    def note_failure(self, batch: InFlightBatch, failures: int, reason: str, retry_after: float | None = None) -> float:
        """Count a failed attempt, log it unless many are logged already, and return the seconds of the pause."""
        self.batches["retried"] += 1
        shortest, longest = self._settings.retry_min, self._settings.retry_max
        chance = random.random()  # noqa: S311 - jitter
        pause = backoff.delay(failures, shortest, longest, random=chance, retry_after=retry_after)
        batch.failed(reason, failures, self._availability.retry_at(reason, pause))
        if self._availability.is_failure_logged(failures):
            log.warning(
                "delivery failed; it is retried",
                code="delivery-failed",
                sink=self._settings.name,
                reason=reason,
                failures=failures,
                retry_in=f"{pause:.1f}s",
            )
        return pause

    def log_recovery(self, failures: int) -> None:
        """Log that the sink works again, if its failures were logged."""
        if failures and self._availability.is_recovery_logged():
            log.info("delivery works again", sink=self._settings.name, failures=failures)


async def wait_for_event(event: asyncio.Event, timeout: float | None) -> None:  # noqa: ASYNC109 - None is without limit
    """Wait until the event is set, or for `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout):
            await event.wait()
    except TimeoutError:
        pass
