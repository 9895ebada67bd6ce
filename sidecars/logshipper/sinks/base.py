"""What a sink is to the rest of the program.

`deliver` returns once the sink has decided on every event of the batch, and positions move on that alone:

- what the outcome does not mention has the sink's yes;
- `rejected` will never be taken: it goes to the dead letters, or is dropped and counted, with the reason;
- `unnamed`: so many were refused, and the sink does not say which. As many are counted; all of the batch goes to the
  dead letters, lest one of them be missing there;
- `again` is sent again, alone, with the same ids, until it is decided as well. Only then the position moves.

A sink that refuses a batch and does not say which of its events it means raises `Rejected`, or `TooLarge`: the batch is
then sent again in halves (see `search`).

It may be cancelled at any point; the batch is then delivered again, by this process or the next. The *receipt* is
anything that JSON can hold; it is saved together with the positions and handed back to `open` after a restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sidecars.logshipper.model.batch import Batch


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the sink decided. Indices count the batch's events from 0."""

    receipt: Any = None
    rejected: Sequence[tuple[int, str]] = ()  # index and reason
    unnamed: tuple[int, str] | None = None  # count and reason
    again: Sequence[int] = ()  # rising
    reason: str = ""  # why `again`
    after: float | None = None  # seconds that the other side asked for before `again`

    def takes_some(self, events: int) -> bool:
        """True if the sink took at least one of so many events."""
        refused = self.unnamed[0] if self.unnamed else len(self.rejected)
        return events > refused + len(self.again)


class RetryLater(Exception):
    """The sink takes nothing now. `after`: the seconds that the other side asked for."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class BatchRefused(Exception):
    """The sink took nothing of the batch, because of some event in it or of all of them.

    `reason` has the receiver's words. `each`: the reason of every event, where the receiver gave one.
    """

    def __init__(self, reason: str, each: Sequence[str] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.each = each


class BatchTooLarge(BatchRefused):
    """The batch is too large for the sink: its halves may not be."""

    def __init__(self, reason: str = "it is too large for the receiver, even by itself") -> None:
        super().__init__(reason)


class Sink(Protocol):
    """One sink, as it is delivered to."""

    max_in_flight: int
    """The most batches that may be on their way together: 1 where receipts or a stream must keep their order."""

    async def open(self, receipt: Any) -> Any:
        """Make ready; the receipt to save before the first batch. Raises a chassis Failure when it never can be."""

    async def deliver(self, batch: Batch) -> Outcome:
        """See above. Raises TryLater, TooLarge or Rejected; a chassis Failure where going on makes no sense."""

    async def close(self) -> None:
        """Let go of what it holds."""
