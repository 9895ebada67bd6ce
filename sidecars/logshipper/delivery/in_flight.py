"""Parts on their way to a sink: what is sent of them, and what became of each event.

Their positions move together, once every event is delivered or dropped and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.records import Dropped, Records


class InFlightBatch:
    def __init__(self, sink: str, chunks: list[Chunk], shape: Callable[[Chunk], Records]) -> None:
        records = tuple(shape(chunk) for chunk in chunks if chunk.data)  # a chunk without data is a gap: not sent
        self.chunks = chunks
        self.batch = Batch(sink, records)
        self.settled = False  # every event is delivered or dropped
        self.receipt: Any = None
        self.trouble = ""  # why it is not delivered yet
        self.suspects = 0  # events that the sink refused, while it takes nothing at all; see `search`
        self._books: dict[tuple[str, int], Dropped] = {(chunk.generation, chunk.start): {} for chunk in chunks}
        for shaped in records:
            self._books[shaped.chunk.generation, shaped.chunk.start].update(shaped.dropped)

    @property
    def dropped(self) -> list[Dropped]:
        """For each part what was not delivered."""
        return [self._books[chunk.generation, chunk.start] for chunk in self.chunks]

    def drop(self, batch: Batch, indices: Iterable[int], reason: str) -> None:
        """Count these events of a batch made of ours as dropped."""
        for index in indices:
            records, at = batch.find(index)
            size, lines = records.extent(at)
            books = self._books[records.chunk.generation, records.chunk.start]
            before = books.get(reason, (0, 0))
            books[reason] = (before[0] + size, before[1] + lines)
