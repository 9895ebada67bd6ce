"""Batches in flight: collected from the files, and not settled yet.

A batch is settled when each of its events is accepted or rejected. Its positions move at that moment, all together, if
every older batch of the sink is settled as well.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.records import Dropped, Records

_SEVERAL = 8  # suspects that show that the lines are not the cause: two large batches of them, or so many lines
_WITNESSES = 8  # batches, at most, that are sent while the oldest one stands by


class InFlightBatch:
    """One batch in flight: its chunks, the records made of them, and the decisions on its events.

    Owned by the `InFlightBatches` of its sink. All of `delivery` reads its fields; only its methods write them.
    """

    def __init__(
        self,
        sink: str,
        chunks: list[Chunk],
        records: tuple[Records, ...],
        receipt: Any = None,
        at: int = 0,
        began_at: float = 0.0,
    ) -> None:
        self.chunks = chunks
        self.content = Batch(sink, records, at)
        self.receipt = receipt
        self.began_at = began_at  # when its attempts began, perhaps in an earlier process
        self.is_settled = False  # every event is accepted or rejected
        self.trouble = ""  # the reason of the last failed attempt; "" after a decision
        self.failures = 0  # failed attempts in a row
        self.retry_at: float | None = None  # when the pause after the last one is over; None while an attempt runs
        self.sent_at: float | None = None  # when the last attempt began
        self.suspects = 0  # events that the sink refused while it accepted nothing else, see `refusal_search`
        self.isolates = False  # True if the suspects are those of an isolation: the sink failed on them
        self._dropped: dict[tuple[str, int], Dropped] = {(chunk.generation, chunk.start): {} for chunk in chunks}
        for made in records:
            for reason, (size, lines) in made.dropped.items():
                self._count(made, reason, size, lines)

    @classmethod
    def of(cls, chunks: list[Chunk], content: Batch, receipt: Any, began_at: float) -> InFlightBatch:
        """Return the batch in flight of these chunks, whose events are in `content`."""
        made = cls(content.sink, chunks, content.records, receipt, content.at, began_at)
        made.content = content
        return made

    @property
    def dropped(self) -> list[Dropped]:
        """For each chunk, the bytes and lines that were not delivered, by reason."""
        return [self._dropped[chunk.generation, chunk.start] for chunk in self.chunks]

    def drop(self, batch: Batch, indices: Iterable[int], reason: str) -> None:
        """Count these events as dropped. `batch` holds them; it is this batch, or a selection from it."""
        for index in indices:
            records, at = batch.find(index)
            size, lines = records.extent(at)
            self._count(records, reason, size, lines)

    def _count(self, records: Records, reason: str, size: int, lines: int) -> None:
        dropped = self._dropped[records.read_from.generation, records.read_from.start]
        before = dropped.get(reason, (0, 0))
        dropped[reason] = (before[0] + size, before[1] + lines)

    def keep_receipt(self, receipt: Any) -> None:
        """Note the receipt that the sink gave with its latest decision."""
        self.receipt = receipt

    def began(self, now: float) -> None:
        """Note that an attempt begins. All times are of the clock of `SinkAvailability`."""
        self.sent_at, self.retry_at = now, None

    def failed(self, reason: str, failures: int, retry_at: float) -> None:
        """Note that an attempt failed, so many in a row, and when the next one begins at the latest."""
        self.trouble, self.failures, self.retry_at = reason, failures, retry_at

    def recovered(self) -> None:
        """Note that the failures are over."""
        self.trouble, self.failures, self.retry_at = "", 0, None

    def stands_by(self, suspects: int, *, isolates: bool) -> None:
        """Note that the sink refuses so many single events, or fails on them, and has accepted nothing since."""
        self.suspects, self.isolates = suspects, isolates

    def resumes(self) -> None:
        """Note that the sink accepted something, or that an event was rejected: there are no suspects any more."""
        self.suspects = 0

    def settle(self) -> None:
        """Note that every event is accepted or rejected."""
        self.is_settled = True


class InFlightBatches:
    """The batches of one sink that are in flight, oldest first. Owned by the sink's shipper.

    `limit`: the batches that may be in flight together while none of them stands by.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._batches: deque[InFlightBatch] = deque()
        self._slot_freed = asyncio.Event()
        self.is_complete = False  # no further batch will come

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[InFlightBatch]:
        return iter(self._batches)

    def add(self, batch: InFlightBatch) -> None:
        self._batches.append(batch)

    def complete(self) -> None:
        """Note that no further batch will come."""
        self.is_complete = True

    def is_oldest(self, batch: InFlightBatch) -> bool:
        return batch is self._batches[0]

    def take_settled(self) -> Iterator[InFlightBatch]:
        """Remove the settled batches before the oldest one that is not, and yield them in order."""
        while self._batches and self._batches[0].is_settled:
            yield self._batches.popleft()
        self._slot_freed.set()

    @property
    def in_trouble(self) -> InFlightBatch | None:
        """The oldest batch whose last attempt failed."""
        return next((batch for batch in self._batches if batch.trouble), None)

    @property
    def trouble(self) -> str:
        """The reason why the oldest batch in trouble is not delivered; "" if none is in trouble."""
        batch = self.in_trouble
        return batch.trouble if batch else ""

    @property
    def oldest(self) -> InFlightBatch | None:
        """The oldest batch; None if none is in flight."""
        return self._batches[0] if self._batches else None

    @property
    def standing_by(self) -> list[InFlightBatch]:
        """The batches that wait until the sink accepts something, oldest first."""
        return [batch for batch in self._batches if batch.suspects]

    @property
    def has_several_suspects(self) -> bool:
        """True if so many events are suspects that the lines cannot be the cause."""
        return sum(batch.suspects for batch in self._batches) >= _SEVERAL

    async def wait_for_slot(self) -> None:
        """Wait until one more batch may be sent."""
        while not self._has_slot():
            self._slot_freed.clear()
            await self._slot_freed.wait()

    def count_slots(self) -> None:
        """Let `wait_for_slot` count again: a batch stands by now."""
        self._slot_freed.set()

    def _has_slot(self) -> bool:
        """True if one more batch may be sent. Behind batches that stand by there are slots for witnesses."""
        if not self.standing_by:
            return len(self._batches) < self._limit
        busy = sum(not batch.is_settled and not batch.suspects for batch in self._batches)
        few = busy < self._limit and len(self._batches) < self._limit + _WITNESSES
        return few and not self.has_several_suspects
