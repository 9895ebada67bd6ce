"""Records as NDJSON: one JSON object a line.

The members, in this order: `id`, `file`, the labels, `"partial":true` for a piece of a line, `time`, `level` and
`severity` if they are known, and the fields; the `message` if there are no fields.

Encoding never loops over events in Python: one template formats a block of them, in C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson

from sidecars.logshipper.model import severity
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.field_columns import JsonObjects, Table
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.model.times.written_times import rfc3339
from sidecars.logshipper.sinks.encodings.record_templates import blocks, file_name, size_in_id


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a record. Receivers differ in these details."""

    before: str = ""  # a line before each record; <id> in it becomes the id of the record
    time: str = "time"  # name of the member with the event's time
    now: int | None = None  # nanoseconds: the time of events that have none


PLAIN = Layout()


def encode(batch: Batch, layout: Layout = PLAIN) -> list[bytes]:
    """Return the records of the batch, in blocks of lines."""
    return [block for records in batch.records for block in _blocks(records, layout)]


Encode = Callable[[Batch], list[bytes]]


def encoder(schema: str) -> Encode:
    """Return the encoder of records for a value of SINK_SCHEMA."""
    if schema == "none":
        return encode
    from sidecars.logshipper.sinks.encodings import record_schemas  # noqa: PLC0415 - loaded only where the setting is set

    return record_schemas.encoder(schema)


def with_actions(batch: Batch, encode: Encode, action: str) -> list[bytes]:
    """Return the records, each with a line before it, in which `<id>` becomes the id of the record."""
    lines = b"".join(encode(batch)).split(b"\n")[:-1]
    before, _, after = (part.encode() for part in action.partition("<id>"))
    return [
        b"".join((before, ident.encode(), after, b"\n", line, b"\n"))
        for ident, line in zip(batch.ids(), lines, strict=True)
    ]


def _blocks(records: Records, layout: Layout) -> Iterator[bytes]:
    for first, stop in blocks(records):
        yield _block(records, slice(first, stop), layout)


def _block(records: Records, block: slice, layout: Layout) -> bytes:
    columns: list[Iterable[Any]] = [records.offsets[block]] * (2 if layout.before else 1)
    fields = None if records.fields is None else records.fields[block]
    if _is_timed(records, layout):
        times = [None] * len(records.offsets[block]) if records.times is None else records.times[block]
        columns.append(_read_at(records.read_at, times, _times(times, fields, layout)))
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
    return (_template(records, block, layout) * count) % tuple(values)


def _template(records: Records, block: slice, layout: Layout) -> bytes:
    """Return a record with a place for each column: offset, time and level if there are any, message or fields."""
    generation = records.chunk.generation
    constant = {"id": f"{generation}-", "file": file_name(records), **records.labels}
    head = orjson.dumps(constant).replace(b"%", b"%%")
    ident = f'{{"id":"{generation}-'.encode()
    size = size_in_id(records, block.start)
    before = (layout.before and layout.before.replace("%", "%%") + "\n").replace("<id>", f"{generation}-%d<size>")
    piece = b',"partial":true' if records.partial and block.stop == len(records.bodies) else b""
    optional = b"%b" * (_is_timed(records, layout) + (records.levels is not None))
    last = b",%b\n"
    if records.fields is None:
        last = b',"message":%b}\n'
    elif isinstance(records.fields, Table):
        names = [orjson.dumps(name).replace(b"%", b"%%") for name in records.fields.names]
        last = b"".join(b',%b:"%%b"' % name for name in names) + b"}\n"
    first = before.encode().replace(b"<size>", size) + ident + b"%d" + size
    return first + head.removeprefix(ident)[:-1] + piece + optional + last


def _table(fields: Table) -> list[list[bytes]]:
    """Return for each field a column of JSON texts without their quotes.

    All values are encoded at once. The result is cut at `","`, which no JSON text has inside.
    """
    texts = orjson.dumps(list(chain.from_iterable(fields.rows)))[2:-2].split(b'","')
    return [texts[at :: len(fields.names)] for at in range(len(fields.names))]


def _times(times: Sequence[int | None], fields: Sequence[Mapping[str, Any]] | None, layout: Layout) -> list[bytes]:
    """Return the member of each event with its time; b"" if a field of the app has that name."""
    name = layout.time
    members = []
    last, head = None, b""
    for time in times:
        nanoseconds = layout.now if time is None else time
        if nanoseconds is None:
            members.append(b"")
            continue
        second = nanoseconds // 10**9
        if second != last:
            last, head = second, f',"{name}":"{rfc3339(second * 10**9)[:-1]}'.encode()
        members.append(head + _fraction(nanoseconds - second * 10**9))
    if name == PLAIN.time:
        return members  # the pipeline has renamed the app's fields of this name
    if isinstance(fields, Table):
        return [b""] * len(members) if name in fields.names else members
    if isinstance(fields, JsonObjects) and not any(f'"{name}"' in text for text in fields.texts):
        return members
    if fields is None or not any(name in one for one in fields):
        return members
    return [b"" if name in one else member for member, one in zip(members, fields, strict=True)]


def _is_timed(records: Records, layout: Layout) -> bool:
    return records.times is not None or layout.now is not None or records.read_at is not None


def _read_at(read_at: int | None, times: Sequence[int | None], members: list[bytes]) -> list[bytes]:
    """Return the members with the time of each event, and with `read_at` for those that have none."""
    if read_at is None or None not in times:
        return members
    added = b',"read_at":"%b"' % rfc3339(read_at).encode()
    return [member if time is not None else member + added for member, time in zip(members, times, strict=True)]


@lru_cache(maxsize=1024)
def _fraction(nanoseconds: int) -> bytes:
    """Return the fraction of a second, with the zone and the closing quote."""
    return rfc3339(nanoseconds)[len("1970-01-01T00:00:00") :].encode() + b'"'


@lru_cache(maxsize=256)
def _level(level: str | None) -> bytes:
    """Return the members `level`, as the app wrote it, and `severity`, OpenTelemetry's name of it."""
    if level is None:
        return b""
    name = severity.of(level).name
    return b"," + orjson.dumps({"level": level, **({"severity": name} if name else {})})[1:-1]
