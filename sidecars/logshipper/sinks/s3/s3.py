"""The sink `s3://`: objects of compressed NDJSON in AWS S3, or in a store that speaks its protocol.

Accepted: every object of the batch is there, whole. Rejected: never. `answers` has the statuses.

Repeats: none. The key of an object follows from its batch (`object_keys`), and a batch that was in flight at a kill -9
is collected again as it was. So what is sent again is the same object: a store with conditions answers 412, which is a
yes; any other one overwrites the object with the same lines. So each line is there exactly once, but for the cases that
docs/reference/logshipper/sink-s3.md names: an object was moved, the prefix was set anew, or the state or a file of the
batch is gone. The journal has the keys of a batch in flight, so that other settings, and another version, store it
under the same ones.

A batch is packed while it is collected (`object_pack`): 32 MiB of lines are a few MiB in memory.
"""

from __future__ import annotations

from typing import Any

from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.packed_batch import PackedBatch
from sidecars.logshipper.model.record_thread import beside_the_loop
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import Outcome
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.sinks.s3.object_keys import Places, known_keys
from sidecars.logshipper.sinks.s3.object_pack import ObjectPack, PackedObject
from sidecars.logshipper.sinks.s3.store import Store
from sidecars.logshipper.sinks.s3.upload import Uploader


def create(settings: Settings, sink: SinkSettings) -> S3Sink:
    return S3Sink(settings, sink)


class S3Sink:
    """One bucket, or a prefix of it. See `base.Sink`."""

    max_in_flight = 64

    def __init__(self, settings: Settings, sink: SinkSettings) -> None:
        self._name = sink.name
        self._compression = sink.compression
        prefix = str(sink.url.target).strip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._encode = ndjson.encoder(sink.sink_schema)
        self._places = self.targets = Places(sink.sink_object_key, self._prefix)
        self._store = Store(settings, sink)
        self._uploader = Uploader(self._store, sink)

    async def open(self, receipt: Any) -> Any:
        self._store.open()
        return self._places.restore(receipt)

    def new_pack(self, at: int, note: Any = None) -> ObjectPack:
        known = known_keys(note, self._prefix)
        return ObjectPack(self._name, at, self._places, self._compression, self._encode, known)

    async def deliver(self, batch: Batch) -> Outcome:
        if not isinstance(batch, PackedBatch):
            raise TypeError("the batches of this sink are packed")
        for packed in await self._objects(batch):
            if not packed.is_stored:
                key = batch.pack.key_of(packed, batch.key)
                await self._uploader.store(key, packed.pieces, batch.pack.algorithm)
                packed.is_stored = True
        return Outcome(receipt=self._places.receipt)

    async def _objects(self, batch: PackedBatch) -> list[PackedObject]:
        pack: ObjectPack = batch.pack
        if batch.chosen is None:
            return pack.objects
        return await beside_the_loop(batch.size, pack.part, batch)

    async def close(self) -> None:
        await self._uploader.close()
        await self._store.close()
