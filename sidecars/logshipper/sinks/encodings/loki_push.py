"""Batches as Loki's push requests, in JSON and protobuf.

https://grafana.com/docs/loki/latest/reference/loki-http-api/

A stream is the records of one file. Its labels are the same for the whole file: LABELS, `namespace`, `pod` and
`filename`. So the number of streams is bounded by the files and Pods. Values that differ from event to event, or would
only enlarge the index, are structured metadata: `id`, `level`, `partial`, `pod_uid`, `pod_ip` and `node`. With
SINK_LABELS a file may have several streams: see `loki_streams`.

The line is the text of the event as it was in the file. Loki reads fields from it in a query (`| json`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from operator import add

import orjson

from sidecars.chassis.protobuf import (
    VARINT,
    MemoizedBytes,
    bytes_field,
    field_tag,
    padded_varint,
    string_field,
    varint,
)
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.sinks.encodings.record_templates import (
    blocks,
    file_name,
    id_template,
    size_in_id,
    template_slices,
)
from sidecars.logshipper.sinks.encodings.unique_timestamps import unique_timestamps

_METADATA = ("pod_uid", "pod_ip", "node")
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class LokiStream:
    """Events of one file with one set of labels."""

    records: Records
    labels: Mapping[str, str]  # beside those of the file
    metadata: Sequence[Mapping[str, str]] | None = None  # of each event, beside the usual; None: no event has any


def whole_files(batch: Batch) -> list[LokiStream]:
    """Return the streams without labels from events: one for each file."""
    return [LokiStream(records, {}) for records in batch.records if records.bodies]


def stream_labels(records: Records) -> dict[str, str]:
    """Return the labels of a file. They are never empty, since Loki refuses a stream without labels."""
    labels = {_name(key): value for key, value in records.labels.items() if key not in _METADATA}
    return {**labels, "filename": file_name(records)}


def _constant_metadata(records: Records) -> dict[str, str]:
    return {key: records.labels[key] for key in _METADATA if key in records.labels}


def _name(key: str) -> str:
    """Return the name in Prometheus' form: `app.kubernetes.io/name` is app_kubernetes_io_name."""
    name = re.sub(r"[^a-zA-Z0-9_]", "_", key)
    return f"_{name}" if name[:1].isdigit() else name


# -- JSON ----------------------------------------------------------------------------------------------------------


def encode_json(batch: Batch, now: int, streams: Sequence[LokiStream] | None = None) -> list[bytes]:
    """Return the request in JSON. `now`: nanoseconds since 1970, for events without a time.

    `streams`: those of the batch; None: its files.
    """
    pieces = [b'{"streams":[']
    for index, stream in enumerate(whole_files(batch) if streams is None else streams):
        labels = orjson.dumps({**stream.labels, **stream_labels(stream.records)})
        pieces.append((b"," if index else b"") + b'{"stream":' + labels + b',"values":[')
        blocks = list(_json_values(stream, now))
        blocks[-1] = blocks[-1][:-1]  # the last comma
        pieces += blocks
        pieces.append(b"]}")
        now += len(stream.records.bodies)
    pieces.append(b"]}")
    return pieces


def _json_values(stream: LokiStream, now: int) -> Iterator[bytes]:
    """Yield blocks of `["<nanoseconds>",<line>,{"id":…}],`, one for each event."""
    records = stream.records
    constant = _constant_metadata(records)
    head = orjson.dumps(constant)[1:-1].replace(b"%", b"%%") + (b"," if constant else b"")
    start = b'["%d",%b,{' + head + b'"id":"' + records.chunk.generation.encode() + b"-%d"
    times, optional = unique_timestamps(records, now), _json_optional(stream)
    for first, stop in blocks(records):
        template = start + size_in_id(records, first) + b'"%b}],'
        columns = zip(
            times[first:stop],
            map(orjson.dumps, records.bodies[first:stop]),
            records.offsets[first:stop],
            optional[first:stop],
            strict=True,
        )
        yield (template * (stop - first)) % tuple(chain.from_iterable(columns))


def _json_optional(stream: LokiStream) -> list[bytes]:
    records = stream.records
    optional = [b""] * len(records.bodies)
    if records.levels is not None:
        known = {level: _json_level(level) for level in set(records.levels)}
        optional = [known[level] for level in records.levels]
    if records.partial:
        optional[-1] += b',"partial":"true"'
    if stream.metadata is not None:
        more = (b"," + orjson.dumps(one)[1:-1] if one else b"" for one in stream.metadata)
        optional = list(map(add, optional, more))
    return optional


def _json_level(level: str | None) -> bytes:
    return b',"level":' + orjson.dumps(level) if level else b""


# -- protobuf ------------------------------------------------------------------------------------------------------
# message PushRequest { repeated Stream streams = 1; }
# message Stream      { string labels = 1; repeated Entry entries = 2; }
# message Entry       { Timestamp timestamp = 1; string line = 2; repeated LabelPair structuredMetadata = 3; }
# message Timestamp   { int64 seconds = 1; int32 nanos = 2; }
# message LabelPair   { string name = 1; string value = 2; }
# https://github.com/grafana/loki/blob/main/pkg/push/push.proto


def encode_protobuf(batch: Batch, now: int, streams: Sequence[LokiStream] | None = None) -> list[bytes]:
    """Return the request in protobuf. `now` and `streams`: see `encode_json`."""
    pieces = []
    for stream in whole_files(batch) if streams is None else streams:
        labels = {**stream.labels, **stream_labels(stream.records)}
        message = [string_field(1, _label_text(labels)), *_entries(stream, now)]
        pieces.append(field_tag(1) + varint(sum(map(len, message))))
        pieces += message
        now += len(stream.records.bodies)
    return pieces


def _label_text(labels: Mapping[str, str]) -> str:
    """Return the labels as in a query: {app="shop",pod="shop-1"}. JSON's escapes are a subset of Go's."""
    pairs = (f"{name}={orjson.dumps(value).decode()}" for name, value in sorted(labels.items()))
    return f"{{{','.join(pairs)}}}"


def _entries(stream: LokiStream, now: int) -> Iterator[bytes]:
    records = stream.records
    constant = b"".join(_pair(name, value) for name, value in _constant_metadata(records).items())
    times, optional = unique_timestamps(records, now), _protobuf_optional(stream)
    for first, stop in template_slices(records):
        name, own = id_template(lambda text: _pair("id", text), records, first)
        rest = name + constant.replace(b"%", b"%%")
        timestamp, timestamps = _timestamps(times[first:stop])
        lines = list(map(str.encode, records.bodies[first:stop]))
        lengths = list(map(len, lines))
        fixed = 2 + _TIMESTAMP_SIZE + own + len(constant)
        optional_values = optional[first:stop] if optional else None
        columns = zip(
            _heads(fixed, lengths, optional_values),
            timestamps,
            map(VARINT.__getitem__, lengths),
            lines,
            records.offsets[first:stop],
            *([optional_values] if optional_values else []),
            strict=True,
        )
        template = b"\x12%b\x0a" + timestamp + b"\x12%b%b" + rest + (b"%b" if optional_values else b"")
        yield (template * (stop - first)) % tuple(chain.from_iterable(columns))


def _heads(fixed: int, lengths: Sequence[int], optional_values: Sequence[bytes] | None) -> Iterator[bytes]:
    """Return the encoded length of each entry: the `fixed` bytes, the line with its length, the optional metadata."""
    if optional_values is None:
        return map(_sums(fixed).__getitem__, lengths)
    pairs = zip(lengths, optional_values, strict=True)
    return (VARINT[fixed + len(VARINT[length]) + length + len(extra)] for length, extra in pairs)


@lru_cache(maxsize=16)
def _sums(fixed: int) -> MemoizedBytes:
    return MemoizedBytes(lambda length: VARINT[fixed + len(VARINT[length]) + length])


_TIMESTAMP_SIZE = 13  # bytes of a Timestamp with its length: each of its varints is padded to five
_LOW = 1 << 14


def _timestamps(times: Sequence[int]) -> tuple[bytes, Sequence[bytes]]:
    """Return the Timestamps, with their lengths: a template of the bytes that all share, and the bytes that differ."""
    seconds, nanos = divmod(times[0], _SECOND)
    at, last = nanos % _LOW, nanos % _LOW + len(times)
    if isinstance(times, range) and last <= _LOW and nanos + len(times) <= _SECOND:
        low = _low_varints()
        template = _seconds(seconds).replace(b"%", b"%%") + b"%b" + _high(nanos).replace(b"%", b"%%")
        return template, [low[place : place + 2] for place in range(2 * at, 2 * last, 2)]
    return b"%b", [_seconds(time // _SECOND) + _low(time % _SECOND) + _high(time % _SECOND) for time in times]


@lru_cache(maxsize=4096)
def _seconds(seconds: int) -> bytes:
    return b"\x0c\x08" + padded_varint(seconds, 5) + b"\x10"


def _low(nanos: int) -> bytes:
    """Return the first two bytes of the varint: the low 14 bits."""
    place = 2 * (nanos % _LOW)
    return _low_varints()[place : place + 2]


def _high(nanos: int) -> bytes:
    """Return the other three bytes of the varint."""
    return _low(nanos // _LOW) + _TOP[nanos // _LOW // _LOW]


_TOP = [bytes((top,)) for top in range(4)]  # the bits of a billion above the low 28


@cache
def _low_varints() -> bytes:
    """Return the first two bytes of every varint, one after the other."""
    return b"".join(padded_varint(low, 2, goes_on=True) for low in range(_LOW))


def _protobuf_optional(stream: LokiStream) -> list[bytes]:
    """Return the optional metadata of each entry; an empty list if no entry has any."""
    records = stream.records
    optional = []
    if records.levels is not None:
        known = {level: _pair("level", level) if level else b"" for level in set(records.levels)}
        optional = [known[level] for level in records.levels]
    if records.partial:
        optional = optional or [b""] * len(records.bodies)
        optional[-1] += _pair("partial", "true")
    if stream.metadata is not None:
        more = (b"".join(_pair(name, value) for name, value in one.items()) for one in stream.metadata)
        optional = list(map(add, optional or [b""] * len(records.bodies), more))
    return optional


def _pair(name: str, value: str) -> bytes:
    return bytes_field(3, string_field(1, name) + string_field(2, value))
