"""Record batches: the format of records in Kafka, magic 2. Events go in by column. Pure.

https://kafka.apache.org/documentation/#recordbatch

    head (61 bytes) │ record │ record │ …        the records are compressed as a whole

A record is its length, attributes, the deltas of its timestamp and offset, its key, its value and its headers. All
numbers in it are zigzag varints. The value is the event's JSON record, under the names of SINK_SCHEMA, or its text. The
headers are `file`, `input` and `id`.

The CRC covers the head behind it, with the identity and the sequence number of the producer. So a record batch is
encoded and compressed once, and `sealed` for each attempt.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import add
from typing import NamedTuple

import google_crc32c

from sidecars.chassis.protobuf import MemoizedBytes, varint
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.sinks.encodings import compression, ndjson
from sidecars.logshipper.sinks.encodings.record_templates import blocks, file_name, size_in_id
from sidecars.logshipper.sinks.kafka.protocol.requests import Producer

MAX_SIZE = 1_000_000
"""Bytes of the records of one batch before compression; the broker's `message.max.bytes` is 1,048,588 by default."""

_MILLISECOND = 1_000_000  # nanoseconds
_TRANSACTIONAL = 0x10  # bit of the attributes
_BEHIND_LENGTH = 49  # bytes of the head that the field of the length counts
_OVERHEAD = 48  # bytes of a record's numbers, at most, beside its key, value and headers
_CODECS: Mapping[str, tuple[int, Callable[[Sequence[bytes]], list[bytes]]]] = {
    "none": (0, compression.compressor("none")),
    "gzip": (1, compression.compressor("gzip")),
    "snappy": (2, compression.snappy),
    "lz4": (3, compression.lz4),
    "zstd": (4, compression.compressor("zstd")),
}
"""The number of each compression in the attributes, and its function."""


def zigzag(number: int) -> bytes:
    """Encode a number of either sign as a varint: 0, -1, 1, -2 become 0, 1, 2, 3."""
    return varint(number * 2 if number >= 0 else -number * 2 - 1)


ZIGZAG = MemoizedBytes(zigzag)
"""`ZIGZAG[n]`: the encoded number, memoized if it is small."""


def encoded_key(key: bytes | None) -> bytes:
    """Encode the key of a record: its length, and itself. None: the record has no key."""
    return zigzag(-1) if key is None else ZIGZAG[len(key)] + key


@dataclass(frozen=True, slots=True)
class Segment:
    """Events of one file that go to one partition.

    events   their numbers in the batch that is delivered
    keys     encoded by `encoded_key`: one for all, or one for each
    stamps   timestamps in milliseconds, one for all or one for each
    """

    records: Records
    events: Sequence[int]
    keys: bytes | Sequence[bytes]
    stamps: int | Sequence[int]


@dataclass(slots=True)
class RecordBatch:
    """One record batch, without its head. `events`: the numbers of its events in the batch that is delivered."""

    events: list[int]
    codec: int
    first_stamp: int
    last_stamp: int
    payload: list[bytes]

    def sealed(self, producer: Producer, sequence: int) -> list[bytes]:
        """Return the record batch as this producer sends it, head and records. `sequence`: of the first record."""
        attributes = self.codec | (_TRANSACTIONAL if producer.transactional_id is not None else 0)
        count = len(self.events)
        checked = struct.pack(
            ">hiqqqhii",
            attributes,
            count - 1,
            self.first_stamp,
            self.last_stamp,
            producer.id,
            producer.epoch,
            sequence,
            count,
        )
        crc = google_crc32c.value(checked)
        for block in self.payload:
            crc = google_crc32c.extend(crc, block)
        length = _BEHIND_LENGTH + sum(map(len, self.payload))
        return [struct.pack(">qiibI", 0, length, -1, 2, crc) + checked, *self.payload]


Values = Callable[[Records], Iterable[list[bytes]]]
"""Returns the values of the events, in the blocks of `record_templates`."""


def lines_of(encoded: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines of each block of encoded records."""
    for block in encoded:
        yield block.split(b"\n")[:-1]


def texts_of(records: Records) -> Iterator[list[bytes]]:
    """Yield the texts of the events, of which each may have several lines."""
    for first, stop in blocks(records):
        yield [body.encode() for body in records.bodies[first:stop]]


def _plain(records: Records) -> Iterator[list[bytes]]:
    return lines_of(ndjson.encode(Batch("", (records,))))


def encode(
    segments: Sequence[Segment],
    algorithm: str,
    *,
    cuts: frozenset[int] = frozenset(),
    most: int = MAX_SIZE,
    values: Values = _plain,
) -> list[RecordBatch]:
    """Return the record batches of one partition, in the order of the segments.

    A record batch has `most` bytes before compression, or one larger record. Events whose numbers are `cuts` are the
    first ones of their record batches.
    """
    encoder = _Encoder(algorithm, cuts, most, values)
    for segment in segments:
        encoder.add(segment)
    return encoder.finish()


class _Encoder:
    """Collects records into record batches."""

    def __init__(self, algorithm: str, cuts: frozenset[int], most: int, values: Values) -> None:
        self._codec, self._compress = _CODECS[algorithm]
        self._values = values
        self._cuts = cuts
        self._most = most
        self._done: list[RecordBatch] = []
        self._begin()

    def _begin(self) -> None:
        self._events: list[int] = []
        self._blocks: list[bytes] = []
        self._size = 0
        self._first = 0  # timestamps in milliseconds
        self._last = 0

    def add(self, segment: Segment) -> None:
        records = segment.records
        headers = _headers(records)
        for (first, _), values in zip(blocks(records), self._values(records), strict=True):
            around = _OVERHEAD + len(headers) + len(records.chunk.generation)
            for begin, end in self._runs(segment, first, values, around):
                for start, stop in _of_one_length(records.offsets, first + begin, first + end):
                    self._append(segment, headers, slice(start, stop), values[start - first : stop - first])

    def _runs(self, segment: Segment, first: int, values: list[bytes], around: int) -> Iterator[tuple[int, int]]:
        """Yield slices of the values that fit into one record batch each. A record batch that is full is closed."""
        keys = segment.keys
        around += len(keys) if isinstance(keys, bytes) else 0
        sizes = [around + len(value) for value in values]
        if not isinstance(keys, bytes):
            sizes = list(map(add, sizes, map(len, keys[first : first + len(sizes)])))
        begin = 0
        if self._size + sum(sizes) > self._most or self._cuts:
            for at, size in enumerate(sizes):
                full = self._size + size > self._most or segment.events[first + at] in self._cuts
                if full and (self._events or at > begin):
                    if at > begin:
                        yield begin, at
                    self._close()
                    begin = at
                self._size += size
        else:
            self._size += sum(sizes)
        yield begin, len(values)

    def _append(self, segment: Segment, headers: bytes, part: slice, values: list[bytes]) -> None:
        stamps = segment.stamps if isinstance(segment.stamps, int) else segment.stamps[part]
        if isinstance(stamps, int):
            low = high = stamps
        else:
            low, high = stamps[0], max(stamps)
        if not self._events:
            self._first, self._last = low, high
        self._last = max(self._last, high)
        base = self._first
        deltas = ZIGZAG[low - base] if isinstance(stamps, int) else [ZIGZAG[stamp - base] for stamp in stamps]
        keys = segment.keys if isinstance(segment.keys, bytes) else segment.keys[part]
        run = _Run(part, values, keys, deltas, len(self._events))
        self._blocks.append(_records(segment.records, headers, run))
        self._events += segment.events[part]

    def _close(self) -> None:
        if self._events:
            payload = self._compress(self._blocks)
            self._done.append(RecordBatch(self._events, self._codec, self._first, self._last, payload))
        self._begin()

    def finish(self) -> list[RecordBatch]:
        self._close()
        return self._done


def _of_one_length(offsets: Sequence[int], first: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield slices of rising offsets that have equally many digits."""
    while first < stop:
        end, digits = stop, len(str(offsets[first]))
        if len(str(offsets[stop - 1])) > digits:
            end = bisect_left(offsets, 10**digits, first, stop)
        yield first, end
        first = end


def _header(name: str, value: bytes) -> bytes:
    key = name.encode()
    return zigzag(len(key)) + key + zigzag(len(value)) + value


def _headers(records: Records) -> bytes:
    """Return the headers that all events of a file share, behind the number of headers, up to the id's length."""
    shared = _header("file", file_name(records).encode()) + _header("input", records.chunk.input.encode())
    return zigzag(3) + shared + zigzag(len("id")) + b"id"


class _Run(NamedTuple):
    """Events that follow one another in a record batch, and whose ids have one length."""

    part: slice  # of the records
    values: list[bytes]
    keys: bytes | Sequence[bytes]
    deltas: bytes | list[bytes]  # encoded: timestamps, less that of the record batch
    number: int  # the place of the first one in its record batch


def _records(records: Records, headers: bytes, run: _Run) -> bytes:
    """Encode the events of a run. `headers`: those that all events of the file share."""
    part, values, keys, deltas, number = run
    count = len(values)
    before, after = f"{records.chunk.generation}-".encode(), size_in_id(records, part.start)
    offsets = records.offsets[part]
    id_size = len(before) + len(str(offsets[0])) + len(after)
    fixed = 1 + len(headers) + len(zigzag(id_size)) + id_size
    columns: list[Sequence[bytes] | Sequence[int]] = [_places(number, count)]
    template = [b"%b\x00"]  # the length and the attributes
    further: list[list[int]] = []  # lengths of columns, beside that of the value
    if isinstance(deltas, bytes):
        template.append(_quoted(deltas) + b"%b")
        fixed += len(deltas)
    else:
        template.append(b"%b%b")
        columns.insert(0, deltas)
        further.append(list(map(len, deltas)))
    if isinstance(keys, bytes):
        template.append(_quoted(keys))
        fixed += len(keys)
    else:
        template.append(b"%b")
        columns.append(keys)
        further.append(list(map(len, keys)))
    template.append(b"%b%b" + _quoted(headers + zigzag(id_size) + before) + b"%d" + after)
    sizes = list(map(len, values))
    columns += (list(map(ZIGZAG.__getitem__, sizes)), values, offsets)
    if len(_places(number, 1)[0]) == len(_places(number + count - 1, 1)[0]):
        fixed += len(_places(number, 1)[0])
    else:
        further.append(list(map(len, _places(number, count))))
    columns.insert(0, _lengths(fixed, sizes, further))
    every: list[bytes | int] = [b""] * (count * len(columns))
    for at, column in enumerate(columns):
        every[at :: len(columns)] = column
    return (b"".join(template) * count) % tuple(every)


def _lengths(fixed: int, sizes: list[int], further: list[list[int]]) -> list[bytes]:
    """Return the encoded length of each record: `fixed`, its value with the length of that, and `further` columns."""
    if not further:
        return list(map(_length_of(fixed).__getitem__, sizes))
    extra = further[0]
    for column in further[1:]:
        extra = list(map(add, extra, column))
    return [_length_of(fixed + more)[size] for size, more in zip(sizes, extra, strict=True)]


@lru_cache(maxsize=256)
def _length_of(fixed: int) -> MemoizedBytes:
    """Return the encoded length of a record by the size of its value."""
    return MemoizedBytes(lambda size: zigzag(fixed + len(ZIGZAG[size]) + size))


_PLACES: list[bytes] = []


def _places(number: int, count: int) -> list[bytes]:
    """Return the encoded places of records in their batch."""
    while len(_PLACES) < number + count:
        _PLACES.append(zigzag(len(_PLACES)))
    return _PLACES[number : number + count]


def _quoted(text: bytes) -> bytes:
    return text.replace(b"%", b"%%")
