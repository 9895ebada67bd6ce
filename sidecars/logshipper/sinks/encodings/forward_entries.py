"""Batches as the entries of a Forward message: `[time, record]` for each event, in MessagePack, one behind the other.

https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1 and https://github.com/msgpack/msgpack/blob/master/spec.md

The time is an EventTime (ext type 0: seconds and nanoseconds). The record is the one that other sinks get, without its
time. MessagePack has no lengths around records, so that a template is filled in for a block of events at once.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain
from operator import add
from typing import Any

import msgpack

from sidecars.logshipper.model import severity
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.sinks.encodings.protobuf import MemoizedBytes
from sidecars.logshipper.sinks.encodings.record_templates import id_template, template_slices

_SECOND = 1_000_000_000
_LATEST = 2**32 - 1  # seconds: what an EventTime holds
_FIXMAP, _MAP16 = 16, 2**16  # members of the maps with the shorter heads


def encode_entries(batch: Batch, now: int) -> list[bytes]:
    """`now`: the time of events that have none."""
    return [block for records in batch.records for block in _blocks(records, now)]


def _blocks(records: Records, now: int) -> Iterator[bytes]:
    file = os.fsencode(records.chunk.first_path).decode("utf-8", "replace")
    constant = _members({"file": file, **records.labels})
    members = 2 + len(records.labels)  # with the id
    for first, stop, width in template_slices(records):
        name, _ = id_template(lambda text: _members({"id": text}), records, width)
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
    """For each event how many more members its record has, and these."""
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
    seconds, nanos = divmod(max(0, time), _SECOND)
    return b"\xd7\x00" + struct.pack(">II", min(seconds, _LATEST), nanos)


def _members(members: Mapping[str, Any]) -> bytes:
    """A map without its head."""
    packed: bytes = msgpack.packb(members)
    return packed[len(map_head(len(members))) :]


@lru_cache(maxsize=256)
def map_head(count: int) -> bytes:
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
