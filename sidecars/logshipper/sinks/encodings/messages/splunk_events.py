"""Batches as the events of Splunk's HTTP Event Collector: JSON objects one after another, in requests of 1 MiB.

    {"time":1790000000.123456789,"host":"shop-1","source":"/logs/a.log","fields":{"id":"…",…},"event":…}

https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector

- `time` has nine decimals: the time of the event, or else the time at which its batch was collected.
- `host` is the Pod, `source` the file. `index` and `sourcetype` are there if they are set, the same for all events or
  one for each.
- `event` is the object of the fields if `FORMAT` made some, and the text otherwise. A blank text is sent as one space:
  the collector refuses a whole request for a blank event (code 13).
- `fields` are indexed fields, flat texts: the id, the labels, the level, and `partial`.
"""

from __future__ import annotations

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
from sidecars.logshipper.sinks.encodings.record_templates import blocks, file_name, size_in_id

LARGEST = 1024 * 1024  # bytes of a request before compression; a single event may be longer
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Metadata:
    """The members of every event that the settings decide on; "" is left out."""

    host: str = ""  # of events without a Pod
    index: str = ""
    sourcetype: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """The body of one request: the events of a batch from `first` on."""

    first: int
    events: int
    blocks: Sequence[bytes]


def encode(batch: Batch, metadata: Metadata, own: Mapping[str, Sequence[str]] | None = None) -> list[Request]:
    """Return the requests of the batch. `own`: members of which each event has its own value, such as `index`."""
    members = _members(own) if own else None
    pieces: list[tuple[bytes, int]] = []
    first = 0
    for records in batch.records:
        stop = first + len(records.bodies)
        pieces += _pieces(records, metadata, batch.at, members[first:stop] if members else None)
        first = stop
    return list(_requests(pieces))


def _members(own: Mapping[str, Sequence[str]]) -> list[bytes]:
    """Return the encoded members of each event, with a comma behind them."""
    rows = list(zip(*own.values(), strict=True))
    known = {row: orjson.dumps(dict(zip(own, row, strict=True)))[1:-1] + b"," for row in set(rows)}
    return [known[row] for row in rows]


def _requests(pieces: Iterable[tuple[bytes, int]]) -> Iterator[Request]:
    """Yield requests of at most LARGEST bytes, or of one longer event. A piece: its bytes and its number of events."""
    first, events, size = 0, 0, 0
    taken: list[bytes] = []
    for piece, count in pieces:
        if events and size + len(piece) > LARGEST:
            yield Request(first, events, taken)
            first, events, size, taken = first + events, 0, 0, []
        taken.append(piece)
        events += count
        size += len(piece)
    if events:
        yield Request(first, events, taken)


def _pieces(records: Records, metadata: Metadata, now: int, own: Sequence[bytes] | None) -> Iterator[tuple[bytes, int]]:
    for first, stop in blocks(records):
        block = _block(records, slice(first, stop), metadata, now, own)
        if len(block) <= LARGEST:
            yield block, stop - first
        else:  # long events: they have no newline inside
            yield from ((event + b"\n", 1) for event in block.split(b"\n")[:-1])


def _block(records: Records, block: slice, metadata: Metadata, now: int, own: Sequence[bytes] | None) -> bytes:
    count = len(records.offsets[block])
    columns: list[Iterable[Any]] = list(_times(records, block, now))
    if own is not None:
        columns.append(own[block])
    columns.append(records.offsets[block])
    if records.levels is not None:
        columns.append(map(_level, records.levels[block]))
    columns += _events(records, block)
    values: list[Any] = [None] * (count * len(columns))
    for at, column in enumerate(columns):
        values[at :: len(columns)] = column
    return (_template(records, block, metadata, b"" if own is None else b"%b") * count) % tuple(values)


def _template(records: Records, block: slice, metadata: Metadata, own: bytes) -> bytes:
    """Return an event with a place for each column: seconds, nanoseconds, own members, offset, level, event."""
    labels = dict(records.labels)
    host = labels.pop("pod", metadata.host)
    known = {"host": host, "source": file_name(records), "index": metadata.index, "sourcetype": metadata.sourcetype}
    head = orjson.dumps({name: value for name, value in known.items() if value})[1:-1].replace(b"%", b"%%")
    if records.partial and block.stop == len(records.bodies):
        labels["partial"] = "true"
    more = orjson.dumps(labels)[1:-1].replace(b"%", b"%%")
    ident = b'"id":"' + records.chunk.generation.encode() + b"-%d" + size_in_id(records, block.start) + b'"'
    level = b"%b" if records.levels is not None else b""
    fields = b'"fields":{' + ident + (b"," + more if more else b"") + level + b"}"
    return b'{"time":%d.%09d,' + own + head + b"," + fields + b',"event":' + _event_form(records) + b"}\n"


def _times(records: Records, block: slice, now: int) -> tuple[list[int], list[int]]:
    """Return the seconds and the nanoseconds of each event."""
    if records.times is None:
        count = len(records.offsets[block])
        return [now // _SECOND] * count, [now % _SECOND] * count
    times = [now if time is None else time for time in records.times[block]]
    return [time // _SECOND for time in times], [time % _SECOND for time in times]


def _event_form(records: Records) -> bytes:
    if not isinstance(records.fields, Table):
        return b"%b"
    names = (orjson.dumps(name).replace(b"%", b"%%") for name in records.fields.names)
    return b"{" + b",".join(b'%b:"%%b"' % name for name in names) + b"}"


def _events(records: Records, block: slice) -> list[Sequence[bytes]]:
    """Return the columns of `_event_form`."""
    if records.fields is None:
        return [[orjson.dumps(text or " ") for text in records.bodies[block]]]
    fields = records.fields[block]
    if isinstance(fields, Table):  # all values are encoded at once, and cut at `","`, which no JSON text has inside
        texts = orjson.dumps(list(chain.from_iterable(fields.rows)))[2:-2].split(b'","')
        return [texts[at :: len(fields.names)] for at in range(len(fields.names))]
    if isinstance(fields, JsonObjects):
        return [list(map(str.encode, fields.texts))]
    return [list(map(orjson.dumps, fields))]


@lru_cache(maxsize=256)
def _level(level: str | None) -> bytes:
    """Return the members `level`, as the app wrote it, and `severity`, OpenTelemetry's name of it."""
    if level is None:
        return b""
    name = severity.of(level).name
    return b"," + orjson.dumps({"level": level, **({"severity": name} if name else {})})[1:-1]
