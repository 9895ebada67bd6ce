"""Records as NDJSON: a JSON object a line, with `id`, `file`, the labels, `"partial":true` for a piece, `time`, `level`
and `severity` where they are known, and the fields, or else the `message`.

Encoding never loops over events in Python: a block of them is formatted by one template, all in C.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson

from sidecars.logshipper.model import severity
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.field_columns import JsonObjects, Table
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.model.timestamps import rfc3339

BLOCK = 256  # events: what stays in the processor's cache, and below malloc's threshold for fresh pages


@dataclass(frozen=True, slots=True)
class Layout:
    """What a receiver wants to be different."""

    before: str = ""  # a line before each record, in which <id> is the record's
    time: str = "time"
    now: int | None = None  # nanoseconds: the time of events that have none


PLAIN = Layout()


def encode(batch: Batch, layout: Layout = PLAIN) -> list[bytes]:
    return [block for records in batch.records for block in _blocks(records, layout)]


def _blocks(records: Records, layout: Layout) -> Iterator[bytes]:
    whole = len(records.bodies) - records.partial
    for first in range(0, whole, BLOCK):
        yield _block(records, slice(first, min(first + BLOCK, whole)), layout, partial=False)
    if records.partial:
        yield _block(records, slice(whole, whole + 1), layout, partial=True)


def _block(records: Records, block: slice, layout: Layout, *, partial: bool) -> bytes:
    columns: list[Iterable[Any]] = [records.offsets[block]] * (2 if layout.before else 1)
    fields = None if records.fields is None else records.fields[block]
    if records.times is not None or layout.now is not None:
        times = [None] * len(records.offsets[block]) if records.times is None else records.times[block]
        columns.append(_times(times, fields, layout))
    if records.levels is not None:
        columns.append(map(_level, records.levels[block]))
    if fields is None:
        columns.append(map(orjson.dumps, records.bodies[block]))
    elif isinstance(fields, Table):
        columns += _table(fields)
    elif isinstance(fields, JsonObjects):
        columns.append([text[1:] for text in "\n".join(fields.texts).encode().split(b"\n")])
    else:
        columns.append([members[1:] for members in map(orjson.dumps, fields)])
    count = len(records.offsets[block])
    values: list[Any] = [None] * (count * len(columns))
    for at, column in enumerate(columns):
        values[at :: len(columns)] = column
    return (_template(records, layout, partial=partial) * count) % tuple(values)


def _template(records: Records, layout: Layout, *, partial: bool) -> bytes:
    """A record with a place for each column: offset, time and level where there are any, the message or the fields."""
    chunk = records.chunk
    generation = chunk.generation
    name = os.fsencode(chunk.first_path).decode("utf-8", "replace")  # a file's name may have any bytes
    head = orjson.dumps({"id": f"{generation}-", "file": name, **records.labels}).replace(b"%", b"%%")
    ident = f'{{"id":"{generation}-'.encode()
    before = (layout.before and layout.before.replace("%", "%%") + "\n").replace("<id>", f"{generation}-%d").encode()
    piece = b',"partial":true' if partial else b""
    timed = records.times is not None or layout.now is not None
    optional = b"%b" * (timed + (records.levels is not None))
    last = b",%b\n"
    if records.fields is None:
        last = b',"message":%b}\n'
    elif isinstance(records.fields, Table):
        names = [orjson.dumps(name).replace(b"%", b"%%") for name in records.fields.names]
        last = b"".join(b',%b:"%%b"' % name for name in names) + b"}\n"
    return before + ident + b"%d" + head.removeprefix(ident)[:-1] + piece + optional + last


def _table(fields: Table) -> list[list[bytes]]:
    """A column of JSON texts, without their quotes, for each field: all made at once, and cut at what none can have."""
    texts = orjson.dumps(list(chain.from_iterable(fields.rows)))[2:-2].split(b'","')
    return [texts[at :: len(fields.names)] for at in range(len(fields.names))]


def _times(times: Sequence[int | None], fields: Sequence[Mapping[str, Any]] | None, layout: Layout) -> list[bytes]:
    """The member of each event with its time; none where a field of the app has that name."""
    name = layout.time
    members = []
    last, head = None, b""
    for time in times:
        moment = layout.now if time is None else time
        if moment is None:
            members.append(b"")
            continue
        second = moment // 10**9
        if second != last:
            last, head = second, f',"{name}":"{rfc3339(second * 10**9)[:-1]}'.encode()
        members.append(head + _fraction(moment - second * 10**9))
    if name == PLAIN.time:
        return members  # the shaper has renamed what the app calls so
    if isinstance(fields, Table):
        return [b""] * len(members) if name in fields.names else members
    if isinstance(fields, JsonObjects) and not any(f'"{name}"' in text for text in fields.texts):
        return members
    if fields is None or not any(name in one for one in fields):
        return members
    return [b"" if name in one else member for member, one in zip(members, fields, strict=True)]


@lru_cache(maxsize=1024)
def _fraction(nanoseconds: int) -> bytes:
    """With the zone and the closing quote."""
    return rfc3339(nanoseconds)[len("1970-01-01T00:00:00") :].encode() + b'"'


@lru_cache(maxsize=256)
def _level(level: str | None) -> bytes:
    """As the app wrote it, and what OpenTelemetry calls it."""
    if level is None:
        return b""
    name = severity.of(level).name
    return b"," + orjson.dumps({"level": level, **({"severity": name} if name else {})})[1:-1]
