"""Batches as Loki's push requests, in both forms. https://grafana.com/docs/loki/latest/reference/loki-http-api/

The labels of a stream are what is the same for a whole file: LABELS, `namespace`, `pod` and `filename`. Their number is
bounded by the files and Pods there are. What differs from event to event, and what would only make the index larger, is
structured metadata: `id`, `level`, `partial`, `pod_uid`, `pod_ip` and `node`.

The line is the text of the event as it was in the file; Loki takes fields from it when it is asked (`| json`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import chain

import orjson

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.sinks.encodings.ndjson import BLOCK
from sidecars.logshipper.sinks.encodings.protobuf import (
    VARINT,
    MemoizedBytes,
    bytes_field,
    field_tag,
    padded_varint,
    string_field,
    varint,
)
from sidecars.logshipper.sinks.encodings.record_templates import id_template, template_slices
from sidecars.logshipper.sinks.encodings.unique_timestamps import unique_timestamps

_METADATA = ("pod_uid", "pod_ip", "node")
_SECOND = 1_000_000_000


def stream_labels(records: Records) -> dict[str, str]:
    """Never empty: a stream without labels is refused."""
    labels = {_name(key): value for key, value in records.labels.items() if key not in _METADATA}
    name = os.fsencode(records.chunk.first_path).decode("utf-8", "replace")
    return {**labels, "filename": name}


def _constant_metadata(records: Records) -> dict[str, str]:
    return {key: records.labels[key] for key in _METADATA if key in records.labels}


def _name(key: str) -> str:
    """A label's name as Prometheus has it: `app.kubernetes.io/name` is app_kubernetes_io_name."""
    name = re.sub(r"[^a-zA-Z0-9_]", "_", key)
    return f"_{name}" if name[:1].isdigit() else name


# -- JSON ----------------------------------------------------------------------------------------------------------


def encode_json(batch: Batch, now: int) -> list[bytes]:
    pieces = [b'{"streams":[']
    for index, records in enumerate(records for records in batch.records if records.bodies):
        pieces.append((b"," if index else b"") + b'{"stream":' + orjson.dumps(stream_labels(records)) + b',"values":[')
        blocks = list(_json_values(records, now))
        blocks[-1] = blocks[-1][:-1]  # the last comma
        pieces += blocks
        pieces.append(b"]}")
        now += len(records.bodies)
    pieces.append(b"]}")
    return pieces


def _json_values(records: Records, now: int) -> Iterator[bytes]:
    """`["<nanoseconds>",<line>,{"id":…}],` for each event."""
    constant = _constant_metadata(records)
    head = orjson.dumps(constant)[1:-1].replace(b"%", b"%%") + (b"," if constant else b"")
    template = b'["%d",%b,{' + head + b'"id":"' + records.chunk.generation.encode() + b'-%d"%b}],'
    times, more = unique_timestamps(records, now), _json_more(records)
    for first in range(0, len(records.bodies), BLOCK):
        stop = min(first + BLOCK, len(records.bodies))
        columns = zip(
            times[first:stop],
            map(orjson.dumps, records.bodies[first:stop]),
            records.offsets[first:stop],
            more[first:stop],
            strict=True,
        )
        yield (template * (stop - first)) % tuple(chain.from_iterable(columns))


def _json_more(records: Records) -> list[bytes]:
    more = [b""] * len(records.bodies)
    if records.levels is not None:
        known = {level: _json_level(level) for level in set(records.levels)}
        more = [known[level] for level in records.levels]
    if records.partial:
        more[-1] += b',"partial":"true"'
    return more


def _json_level(level: str | None) -> bytes:
    return b',"level":' + orjson.dumps(level) if level else b""


# -- protobuf ------------------------------------------------------------------------------------------------------
# message PushRequest { repeated Stream streams = 1; }
# message Stream      { string labels = 1; repeated Entry entries = 2; }
# message Entry       { Timestamp timestamp = 1; string line = 2; repeated LabelPair structuredMetadata = 3; }
# message Timestamp   { int64 seconds = 1; int32 nanos = 2; }
# message LabelPair   { string name = 1; string value = 2; }
# https://github.com/grafana/loki/blob/main/pkg/push/push.proto


def encode_protobuf(batch: Batch, now: int) -> list[bytes]:
    pieces = []
    for records in batch.records:
        if records.bodies:
            stream = [string_field(1, _label_text(stream_labels(records))), *_entries(records, now)]
            pieces.append(field_tag(1) + varint(sum(map(len, stream))))
            pieces += stream
            now += len(records.bodies)
    return pieces


def _label_text(labels: Mapping[str, str]) -> str:
    """As in a query: {app="shop",pod="shop-1"}. What JSON's quoting does is a part of what Go's does."""
    pairs = (f"{name}={orjson.dumps(value).decode()}" for name, value in sorted(labels.items()))
    return f"{{{','.join(pairs)}}}"


def _entries(records: Records, now: int) -> Iterator[bytes]:
    constant = b"".join(_pair(name, value) for name, value in _constant_metadata(records).items())
    times, more = unique_timestamps(records, now), _protobuf_more(records)
    for first, stop, width in template_slices(records):
        name, own = id_template(lambda text: _pair("id", text), records, width)
        rest = name + constant.replace(b"%", b"%%")
        timestamp, moments = _timestamps(times[first:stop])
        lines = list(map(str.encode, records.bodies[first:stop]))
        lengths = list(map(len, lines))
        fixed = 2 + _STAMP + own + len(constant)
        extras = more[first:stop] if more else None
        columns = zip(
            _heads(fixed, lengths, extras),
            moments,
            map(VARINT.__getitem__, lengths),
            lines,
            records.offsets[first:stop],
            *([extras] if extras else []),
            strict=True,
        )
        template = b"\x12%b\x0a" + timestamp + b"\x12%b%b" + rest + (b"%b" if extras else b"")
        yield (template * (stop - first)) % tuple(chain.from_iterable(columns))


def _heads(fixed: int, lengths: Sequence[int], extras: Sequence[bytes] | None) -> Iterator[bytes]:
    """The length of each entry: what is `fixed`, the line with its own length, and what only some entries have."""
    if extras is None:
        return map(_sums(fixed).__getitem__, lengths)
    pairs = zip(lengths, extras, strict=True)
    return (VARINT[fixed + len(VARINT[length]) + length + len(extra)] for length, extra in pairs)


@lru_cache(maxsize=16)
def _sums(fixed: int) -> MemoizedBytes:
    return MemoizedBytes(lambda length: VARINT[fixed + len(VARINT[length]) + length])


_STAMP = 13  # bytes of a Timestamp with its length: each of its varints has five, whatever they are
_LOW = 1 << 14


def _timestamps(times: Sequence[int]) -> tuple[bytes, Sequence[bytes]]:
    """A Timestamp, with its length, for each of the times: a template for what they share, and what they do not."""
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
    """The first two bytes of the varint, for the low 14 bits."""
    place = 2 * (nanos % _LOW)
    return _low_varints()[place : place + 2]


def _high(nanos: int) -> bytes:
    """The other three."""
    return _low(nanos // _LOW) + _TOP[nanos // _LOW // _LOW]


_TOP = [bytes((top,)) for top in range(4)]  # what a billion has above 28 bits


@cache
def _low_varints() -> bytes:
    """All there are, one behind the other."""
    return b"".join(padded_varint(low, 2, goes_on=True) for low in range(_LOW))


def _protobuf_more(records: Records) -> list[bytes]:
    """What only some entries have; empty where none has."""
    more = []
    if records.levels is not None:
        known = {level: _pair("level", level) if level else b"" for level in set(records.levels)}
        more = [known[level] for level in records.levels]
    if records.partial:
        more = more or [b""] * len(records.bodies)
        more[-1] += _pair("partial", "true")
    return more


def _pair(name: str, value: str) -> bytes:
    return bytes_field(3, string_field(1, name) + string_field(2, value))
