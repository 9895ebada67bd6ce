"""Batches as the entries of a Forward message: a sequence of `[time, record]` in MessagePack, one for each event.

https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1 and https://github.com/msgpack/msgpack/blob/master/spec.md

The time is an EventTime (ext type 0: seconds and nanoseconds). The record is the one that other sinks get, without its
time. MessagePack has no length around a record, so one template formats a block of events.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain
from operator import add
from typing import Any

import msgpack

from sidecars.chassis.protobuf import MemoizedBytes
from sidecars.logshipper.model import severity
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.sinks.encodings.record_templates import file_name, id_template, template_slices

_SECOND = 1_000_000_000
_LATEST = 2**32 - 1  # seconds: the largest time of an EventTime
_FIXMAP, _MAP16 = 16, 2**16  # members of the maps with the shorter heads


def encode_entries(batch: Batch, now: int) -> list[bytes]:
    """Return the entries of the batch, in blocks. `now`: nanoseconds since 1970, for events without a time."""
    return [block for records in batch.records for block in _blocks(records, now)]


def _blocks(records: Records, now: int) -> Iterator[bytes]:
    constant = _members({"file": file_name(records), **records.labels})
    members = 2 + len(records.labels)  # with the id
    for first, stop in template_slices(records):
        name, _ = id_template(lambda text: _members({"id": text}), records, first)
        fixed = name + constant.replace(b"%", b"%%")
        counts, rests = _rests(records, first, stop)
        columns = zip(
            _times(records, first, stop, now),
            map(map_head, map(members.__add__, counts)),
            records.offsets[first:stop],
            rests,
            strict=True,
        )
        yield ((b"\x92%b%b" + fixed + b"%b") * (stop - first)) % tuple(chain.from_iterable(columns))


def _times(records: Records, first: int, stop: int, now: int) -> list[bytes]:
    if records.times is None:
        return [event_time(now)] * (stop - first)
    return [event_time(now if time is None else time) for time in records.times[first:stop]]


def _rests(records: Records, first: int, stop: int) -> tuple[list[int], list[bytes]]:
    """Return for each event the number of further members of its record, and the encoded members."""
    if records.fields is None:
        texts = list(map(str.encode, records.bodies[first:stop]))
        counts = [1] * len(texts)
        rests = list(map(add, map(_MESSAGE.__add__, map(STRING.__getitem__, map(len, texts))), texts))
    else:
        counts = list(map(len, records.fields[first:stop]))
        rests = list(map(_members, records.fields[first:stop]))
    if records.levels is not None:
        levels = list(map(_level, records.levels[first:stop]))
        counts = [count + level[0] for count, level in zip(counts, levels, strict=True)]
        rests = [level[1] + rest for level, rest in zip(levels, rests, strict=True)]
    if records.partial and stop == len(records.bodies):
        counts[-1] += 1
        rests[-1] = _members({"partial": True}) + rests[-1]
    return counts, rests


@lru_cache(maxsize=256)
def _level(level: str | None) -> tuple[int, bytes]:
    if level is None:
        return 0, b""
    name = severity.of(level).name
    members = {"level": level, **({"severity": name} if name else {})}
    return len(members), _members(members)


# -- MessagePack ---------------------------------------------------------------------------------------------------


def event_time(time: int) -> bytes:
    """Encode nanoseconds since 1970 as an EventTime; a time out of its range becomes the nearest one."""
    seconds, nanos = divmod(max(0, time), _SECOND)
    return b"\xd7\x00" + struct.pack(">II", min(seconds, _LATEST), nanos)


def _members(members: Mapping[str, Any]) -> bytes:
    """Return the encoded members of a map, without the head of the map."""
    packed: bytes = msgpack.packb(members)
    return packed[len(map_head(len(members))) :]


@lru_cache(maxsize=256)
def map_head(count: int) -> bytes:
    """Encode the head of a map of `count` members."""
    if count < _FIXMAP:
        return bytes((0x80 | count,))
    return struct.pack(">BH", 0xDE, count) if count < _MAP16 else struct.pack(">BI", 0xDF, count)


def _string_head(length: int) -> bytes:
    if length < 32:  # the limits of the format's types of strings
        return bytes((0xA0 | length,))
    if length < 2**8:
        return struct.pack(">BB", 0xD9, length)
    return struct.pack(">BH", 0xDA, length) if length < 2**16 else struct.pack(">BI", 0xDB, length)


STRING = MemoizedBytes(_string_head)
"""`STRING[n]`: the head of a string of n bytes."""

_MESSAGE = b"\xa7message"
