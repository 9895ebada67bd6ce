"""The interface between delivery and the sinks: `Sink`, the outcome of a delivery, and its three exceptions.

`Sink.deliver` returns when the receiver has decided on every event of the batch. Positions move on that decision alone.

| the receiver | `deliver` | next |
|---|---|---|
| accepts every event | returns an empty `Outcome` | the batch is settled |
| rejects some events and names them | returns them in `rejected` | dead letters, or dropped and counted |
| rejects some events and names none | returns their number in `unnamed_rejections` | that number is counted (1) |
| wants some events again | returns them in `retry` | they are sent alone, with the same ids |
| accepts nothing now | raises `RetryLater` | the batch is sent again after a pause, without end (2) |
| refuses the batch because of some event | raises `BatchRefused` | its halves are sent, see `refusal_search` |
| refuses the batch for its size | raises `BatchTooLarge` | its halves are sent, and later batches are smaller |

(1) The whole batch goes to the dead letters, so that no rejected event is missing there.

(2) Unless `RETRY_LIMIT` or `RETRY_MAX_AGE` ends it. After `ISOLATE_AFTER` failures that may be about an event, its
halves are sent.

*Accept*: the receiver has the event. *Reject*: the receiver will never take this event. *Refuse*: the receiver takes
nothing of a batch, and any of its events may be the cause.

A delivery may be cancelled at any point. The batch is then delivered again, by this process or by the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sidecars.logshipper.model.batch import Batch


@dataclass(frozen=True, slots=True)
class Outcome:
    """The receiver's decision on one batch. Indices count the batch's events from 0.

    An event that no field mentions is accepted.
    """

    receipt: Any = None  # saved together with the positions, see `Sink.open`
    rejected: Sequence[tuple[int, str]] = ()  # index and reason
    unnamed_rejections: tuple[int, str] | None = None  # number of rejected events, and the reason
    retry: Sequence[int] = ()  # indices in rising order
    retry_reason: str = ""
    retry_after: float | None = None  # seconds that the receiver asks for before `retry`

    def accepts_some(self, events: int) -> bool:
        """True if the receiver accepted at least one of `events` events."""
        rejected = self.unnamed_rejections[0] if self.unnamed_rejections else len(self.rejected)
        return events > rejected + len(self.retry)


class RetryLater(Exception):
    """The receiver accepts nothing now. `retry_after`: the seconds that it asks for before the next attempt.

    `may_be_about_an_event`: True if it has the batch and fails on it, so that one event may be the cause.
    """

    def __init__(self, reason: str, retry_after: float | None = None, *, may_be_about_an_event: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.may_be_about_an_event = may_be_about_an_event


class BatchRefused(Exception):
    """The receiver accepted nothing of the batch. The cause may be one event of it, or the whole configuration.

    `reason` is in the receiver's words. `event_reasons`: a reason for each event, if the receiver gave them.
    """

    def __init__(self, reason: str, event_reasons: Sequence[str] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.event_reasons = event_reasons


class BatchTooLarge(BatchRefused):
    """The receiver refused the batch for its size. It may accept the halves."""

    def __init__(self, reason: str = "it is too large for the receiver, even alone") -> None:
        super().__init__(reason)


class Targets(Protocol):
    """The optional attribute `targets` of a sink that chooses a target for each event, such as `TargetTemplate`."""

    overflowed: int
    """Number of events whose target became `overflow`."""


class Sink(Protocol):
    """One destination of log lines. The shipper of the same name owns it, and is the only caller of `deliver`."""

    max_in_flight: int
    """Number of batches that may be in flight together: 1 if receipts or a stream must keep their order."""

    async def open(self, receipt: Any) -> Any:
        """Prepare the sink, and return the receipt to save before the first batch.

        `receipt` is the one of the last settled batch, from the state directory: any value that JSON can hold, or None.
        Raises a chassis Failure if the sink can never be used with these settings.
        """

    async def deliver(self, batch: Batch) -> Outcome:
        """Send the batch, and return the receiver's decision on it.

        Raises RetryLater, BatchRefused or BatchTooLarge. Raises a chassis Failure if another attempt makes no sense.
        """

    async def close(self) -> None:
        """Release connections and files."""
