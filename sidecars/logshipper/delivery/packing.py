"""Packs the chunks of a batch while they are collected, for a sink that asks for it (`model.packed_batch`).

    sink_queue reads up to a MiB ─► records ─► the sink's pack ─► what is left of the chunk: its place, sizes and counts

So no more than one MiB of a batch is in memory as texts at a time, and the compressed rest of it. The files are not
read again for a retry: a batch that is collected is delivered even if its files are gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.packed_batch import Pack, PackedBatch, without_texts
from sidecars.logshipper.model.record_thread import CHUNK, beside_the_loop
from sidecars.logshipper.model.records import Records


class Packing:
    """The packing of one batch. Made and used by the sink's shipper.

    `process` makes the records of chunks. `beat` is called for each packed chunk: a large batch takes its time.
    """

    def __init__(
        self, pack: Pack, process: Callable[[list[Chunk]], tuple[Records, ...]], beat: Callable[[], None]
    ) -> None:
        self._pack = pack
        self._process = process
        self._beat = beat
        self._done = 0  # chunks that are packed
        self._records: list[Records] = []

    async def shrink(self, chunks: list[Chunk]) -> None:
        """Pack the chunks that were added to the list since the last call, and replace them by ones without data."""
        await asyncio.sleep(0)
        while self._done < len(chunks):
            chunk = chunks[self._done]
            self._records += await beside_the_loop(len(chunk.data) + CHUNK, self._pack_one, chunk)
            chunks[self._done] = chunk.without_data()
            self._done += 1
            self._beat()

    async def batch(self, sink: str, at: int, *, is_whole: bool = True) -> PackedBatch:
        """Return the batch of all chunks. Call it once, after the last `shrink`.

        `is_whole`: False if it is collected again, and a part of it is gone.
        """
        if not is_whole:
            self._pack.forget_note()
        await beside_the_loop(sum(records.chunk.size for records in self._records), self._pack.finish)
        return PackedBatch(sink, tuple(self._records), at, pack=self._pack)

    def _pack_one(self, chunk: Chunk) -> list[Records]:
        made = self._process([chunk])
        for records in made:
            if records.bodies:
                self._pack.add(records)
        return [without_texts(records) for records in made]
