"""Records as NDJSON: a JSON object a line, with `id`, `file`, the labels, `"partial":true` for a piece, `time`, `level`
and `severity` where they are known, and the fields, or else the `message`.

Encoding never loops over events in Python: a block of them is formatted by one template, all in C.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson

from sidecars.logshipper import severity
from sidecars.logshipper.batch import Batch
from sidecars.logshipper.records import Records
from sidecars.logshipper.timestamps import rfc3339

_BLOCK = 256  # events: what stays in the processor's cache, and below malloc's threshold for fresh pages


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
    for first in range(0, whole, _BLOCK):
        yield _block(records, slice(first, min(first + _BLOCK, whole)), layout, partial=False)
    if records.partial:
        yield _block(records, slice(whole, whole + 1), layout, partial=True)


def _block(records: Records, block: slice, layout: Layout, *, partial: bool) -> bytes:
    columns: list[Iterable[Any]] = [records.offsets[block]] * (2 if layout.before else 1)
    if records.times is not None:
        columns.append([_time(layout.now if time is None else time, layout.time) for time in records.times[block]])
    if records.levels is not None:
        columns.append(map(_level, records.levels[block]))
    if records.fields is None:
        columns.append(map(orjson.dumps, records.bodies[block]))
    else:
        columns.append([members[1:] for members in map(orjson.dumps, records.fields[block])])
    values = tuple(chain.from_iterable(zip(*columns, strict=True)))
    return (_template(records, layout, partial=partial) * len(records.offsets[block])) % values


def _template(records: Records, layout: Layout, *, partial: bool) -> bytes:
    """A record with a place for each column: offset, time and level where there are any, the message or the fields."""
    part = records.part
    name = os.fsencode(part.name).decode("utf-8", "replace")  # a file's name may have any bytes
    head = orjson.dumps({"id": f"{part.file}-", "file": name, **records.labels}).replace(b"%", b"%%")
    ident = f'{{"id":"{part.file}-'.encode()
    before = (layout.before and layout.before.replace("%", "%%") + "\n").replace("<id>", f"{part.file}-%d").encode()
    piece = b',"partial":true' if partial else b""
    if records.times is None:
        piece += _time(layout.now, layout.time)
    optional = b"%b" * ((records.times is not None) + (records.levels is not None))
    last = b',"message":%b}\n' if records.fields is None else b",%b\n"
    return before + ident + b"%d" + head.removeprefix(ident)[:-1] + piece + optional + last


def _time(time: int | None, name: str) -> bytes:
    return b"" if time is None else f',"{name}":"{rfc3339(time)}"'.encode()


@lru_cache(maxsize=256)
def _level(level: str | None) -> bytes:
    """As the app wrote it, and what OpenTelemetry calls it."""
    if level is None:
        return b""
    name = severity.of(level).name
    return b"," + orjson.dumps({"level": level, **({"severity": name} if name else {})})[1:-1]
