"""The pack of one batch: its events as compressed NDJSON, one stream for each object of the batch. No I/O.

Each chunk is encoded, partitioned by the place of its events, and compressed at once. A batch has at most MOST_OBJECTS
objects: the events of further places share the last one. The places are taken in the order of the events, so that a
batch that is sent again has the same objects.

A batch that is collected again is stored under the keys that its journal has, whatever the settings are by then. But it
gets keys of its own in two cases:

- A part of it is gone (`forget_note`). A store without conditions would lose lines that it has.
- It has several objects, and by the settings of now its events are divided otherwise. A store with conditions would
  not get an event that is in another object now.

A part of the batch (`part`), which the sink is asked to send after a store has refused the whole for its size, is cut
out of the compressed streams: they are unpacked, and its lines are compressed again.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.packed_batch import PackedBatch
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.sinks.encodings import compression, ndjson
from sidecars.logshipper.sinks.s3.object_keys import OTHER, FirstEvent, KnownKeys, Places, object_key

MOST_OBJECTS = 32
"""Objects of a batch, at most."""


@dataclass
class PackedObject:
    """The content of one object. `pieces` are its compressed bytes."""

    place: str
    first: FirstEvent
    stream: compression.Stream
    pieces: list[bytes] = field(default_factory=list)
    is_stored: bool = False  # True if the store has it
    known_key: str = ""  # that an earlier process has chosen, see `KnownKeys`

    def add(self, blocks: Sequence[bytes]) -> None:
        """Compress further lines."""
        for block in blocks:
            if piece := self.stream.compress(block):
                self.pieces.append(piece)

    def finish(self) -> None:
        """End the compressed stream."""
        if piece := self.stream.flush():
            self.pieces.append(piece)

    @property
    def size(self) -> int:
        """Compressed bytes."""
        return sum(map(len, self.pieces))


class ObjectPack:
    """The packed events of one batch. See `model.packed_batch.Pack`."""

    def __init__(
        self,
        sink: str,
        at: int,
        places: Places,
        algorithm: str,
        encode: ndjson.Encode,
        known: KnownKeys | None = None,
    ) -> None:
        self._sink, self._at = sink, at
        self._encode = encode
        if known is not None and known.template != places.text:
            places = Places(known.template, places.prefix)
        self._places, self._known = places, known
        self.algorithm = known.compression if known else algorithm
        self._numbers: dict[str, int] = {}  # place -> number of its object
        self.objects: list[PackedObject] = []
        self._object_of: array[int] | None = None  # for each event the number of its object; None: all are in the first
        self._events = 0
        self._division = 0  # CRC-32 of the events at which another object goes on: see `KnownKeys`
        self._goes_on: tuple[int, str] | None = None  # number of the object of the last event, generation of its file
        self._is_divided_anew = False
        self._parts: dict[tuple[int, ...], list[PackedObject]] = {}

    # -- packing -------------------------------------------------------------------------------------------------------

    def add(self, records: Records) -> None:
        batch = Batch(self._sink, (records,), self._at)
        only = self._known.only_place if self._known else None
        places = self._places.of(records, batch) if only is None else [only] * len(records.bodies)
        if len(set(places)) == 1:
            number = self._number(places[0], records, 0)
            self._divide([number], records)
            self._note([number] * len(places) if self._object_of is not None or number else (), len(places))
            self.objects[number].add(self._encode(batch))
            return
        members: dict[int, list[int]] = {}
        numbers = []
        for index, place in enumerate(places):
            number = self._number(place, records, index)
            members.setdefault(number, []).append(index)
            numbers.append(number)
        self._divide(numbers, records)
        self._note(numbers, len(numbers))
        for number, indices in members.items():
            self.objects[number].add(self._encode(batch.select(indices)))

    def finish(self) -> None:
        for each in self.objects:
            each.finish()
        known = self._known
        if known is not None and known.only_place is None and known.division != self._division:
            self._is_divided_anew = True
            self.forget_note()

    def _number(self, place: str, records: Records, index: int) -> int:
        """Return the number of the object for a place. Make it if there is room, with this event as its first."""
        if place not in self._numbers and len(self._numbers) >= MOST_OBJECTS - 1:
            place = OTHER
            self._places.count_beyond()
        number = self._numbers.get(place)
        if number is None:
            number = self._numbers[place] = len(self.objects)
            when = None if records.times is None else records.times[index]
            first = FirstEvent(records.chunk.generation, records.offsets[index], self._at if when is None else when)
            self.objects.append(PackedObject(place, first, compression.stream(self.algorithm)))
            self.objects[-1].known_key = self._known.by_place.get(place, "") if self._known else ""
        return number

    def _divide(self, numbers: Sequence[int], records: Records) -> None:
        """Note where another object goes on: `numbers` of the first events, or of all."""
        generation = records.chunk.generation
        for number, offset in zip(numbers, records.offsets, strict=False):
            if self._goes_on != (number, generation):
                self._goes_on = (number, generation)
                self._division = zlib.crc32(f"{number} {generation} {offset}\n".encode(), self._division)

    def _note(self, numbers: Sequence[int], count: int) -> None:
        """Note the objects of further events; no numbers: all are in the first object."""
        if numbers and self._object_of is None:
            self._object_of = array("B", bytes(self._events))
        if self._object_of is not None:
            self._object_of.extend(numbers or [0] * count)
        self._events += count

    # -- keys ----------------------------------------------------------------------------------------------------------

    def key_of(self, packed: PackedObject, batch_key: str) -> str:
        """Return the key of one of the objects of a batch, or of a part of it. `batch_key`: `Batch.key`."""
        if packed.known_key:
            return packed.known_key
        if self._is_divided_anew:  # its keys are none of the earlier ones
            batch_key = blake2b(f"{batch_key} {self._division}".encode(), digest_size=16).hexdigest()
        return object_key(self._places.prefix, packed.place, packed.first, batch_key, self.algorithm)

    def note(self, batch_key: str) -> dict[str, Any]:
        keys = [self.key_of(packed, batch_key) for packed in self.objects]
        return {"template": self._places.text, "keys": keys, "division": self._division}

    def forget_note(self) -> None:
        for packed in self.objects:
            packed.known_key = ""

    # -- unpacking -----------------------------------------------------------------------------------------------------

    def encoded_records(self, indices: Sequence[int]) -> Iterator[bytes]:
        wanted = iter(indices)
        index = next(wanted, None)
        lines = [self._lines(each) for each in self.objects]
        for at in range(self._events):
            if index is None:
                return
            line = next(lines[self._object_of[at] if self._object_of is not None else 0])
            if at == index:
                yield line
                index = next(wanted, None)

    def _lines(self, packed: PackedObject) -> Iterator[bytes]:
        rest = b""
        for block in compression.decompressed(self.algorithm, packed.pieces):
            whole, newline, behind = block.rpartition(b"\n")
            if not newline:
                rest += block
                continue
            yield from (rest + whole + newline).splitlines(keepends=True)
            rest = behind

    def part(self, batch: PackedBatch) -> list[PackedObject]:
        """Return the objects of a batch that has a part of the events; those of the whole batch are `objects`.

        The same part has the same list, as long as it is retried.
        """
        chosen = batch.chosen
        if chosen is None:
            return self.objects
        known = tuple(chosen)
        if known not in self._parts:
            self._parts = {known: self._cut(batch, chosen)}
        return self._parts[known]

    def _cut(self, batch: PackedBatch, chosen: Sequence[int]) -> list[PackedObject]:
        made: dict[int, PackedObject] = {}
        for index, line in enumerate(self.encoded_records(chosen)):
            number = self._object_of[chosen[index]] if self._object_of is not None else 0
            if number not in made:
                records, at = batch.find(index)
                first = FirstEvent(records.chunk.generation, records.offsets[at], batch.at)
                made[number] = PackedObject(self.objects[number].place, first, compression.stream(self.algorithm))
            made[number].add([line])
        for each in made.values():
            each.finish()
        return list(made.values())
