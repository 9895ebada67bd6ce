"""Parts on their way to a sink: what is sent of them, and what became of each event.

Their positions move together, once every event is delivered or dropped and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.chunk import Part
from sidecars.logshipper.model.records import Dropped, Records


class InFlightBatch:
    def __init__(self, sink: str, parts: list[Part], shape: Callable[[Part], Records]) -> None:
        records = tuple(shape(part) for part in parts if part.data)  # one without data is a gap, and nothing to send
        self.parts = parts
        self.batch = Batch(sink, records)
        self.settled = False  # every event is delivered or dropped
        self.receipt: Any = None
        self.trouble = ""  # why it is not delivered yet
        self.suspects = 0  # events that the sink refused, while it takes nothing at all; see `search`
        self._books: dict[tuple[str, int], Dropped] = {(part.file, part.start): {} for part in parts}
        for shaped in records:
            self._books[shaped.part.file, shaped.part.start].update(shaped.dropped)

    @property
    def dropped(self) -> list[Dropped]:
        """For each part what was not delivered."""
        return [self._books[part.file, part.start] for part in self.parts]

    def drop(self, batch: Batch, indices: Iterable[int], reason: str) -> None:
        """Count these events of a batch made of ours as dropped."""
        for index in indices:
            records, at = batch.find(index)
            size, lines = records.extent(at)
            books = self._books[records.part.file, records.part.start]
            before = books.get(reason, (0, 0))
            books[reason] = (before[0] + size, before[1] + lines)
