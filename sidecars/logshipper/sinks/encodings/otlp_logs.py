"""Batches as OTLP's ExportLogsServiceRequest, in protobuf. https://opentelemetry.io/docs/specs/otlp/

Protobuf rather than JSON: every OTLP receiver reads it (some read no JSON), ids and times need no text, and lines need
no escapes. One template formats a block of events.

| of the event | in OTLP |
|---|---|
| the text; with fields, the field `message` | the body |
| the other fields | attributes |
| `trace_id` and `span_id` among the fields | the record's trace context |
| id | attribute `log.record.uid`: two records with the same one are the same (semantic conventions) |
| file | attribute `log.file.path` |
| the stream of a container | attribute `log.iostream` |
| the stack trace of an event of several lines | attributes `exception.type`, `.message`, `.stacktrace` |
| a piece of a line | attribute `logshipper.partial` |
| labels | attributes of the resource |
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import add
from typing import Any

import orjson

from sidecars import chassis
from sidecars.chassis.protobuf import (
    VARINT,
    MemoizedBytes,
    bytes_field,
    field_tag,
    string_field,
    varint,
    varint_field,
)
from sidecars.logshipper.model import severity
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.sinks.encodings import stack_traces
from sidecars.logshipper.sinks.encodings.record_templates import file_name, id_template, template_slices
from sidecars.logshipper.transform.lifting import known_levels

RESOURCE = {
    "pod": "k8s.pod.name",
    "namespace": "k8s.namespace.name",
    "pod_uid": "k8s.pod.uid",
    "pod_ip": "k8s.pod.ip",
    "node": "k8s.node.name",
    "container": "k8s.container.name",
}
_MESSAGE = "message"
_TRACE = re.compile(r"[0-9a-fA-F]{32}"), field_tag(9)
_SPAN = re.compile(r"[0-9a-fA-F]{16}"), field_tag(10)
_STREAMS = ("stdout", "stderr")
_SCOPE = bytes_field(1, string_field(1, "logshipper") + string_field(2, chassis.__version__))
_LEVELS = 24  # of nested lists and objects; a level is up to three messages, and receivers accept a hundred
_INT64 = range(-(2**63), 2**63)
_FIXED64 = 1  # wire type


def encode(batch: Batch, resource: Mapping[str, str], now: int) -> list[bytes]:
    """Return the request, in blocks.

    `resource`: further attributes of the resource, which win over those of the labels. `now`: nanoseconds since 1970,
    the observed time of the records.
    """
    pieces = []
    for records in batch.records:
        if records.bodies:
            logs = [_SCOPE, *_log_records(records, now)]
            scope_logs = field_tag(2) + varint(sum(map(len, logs)))
            attributes = bytes_field(1, _resource(records.labels, resource))
            pieces.append(field_tag(1) + varint(len(attributes) + len(scope_logs) + sum(map(len, logs))))
            pieces += [attributes, scope_logs, *logs]
    return pieces


def _resource(labels: Mapping[str, str], resource: Mapping[str, str]) -> bytes:
    named = {RESOURCE.get(name, name): value for name, value in labels.items()}
    return b"".join(_attribute(1, name, value) for name, value in {**named, **resource}.items())


def _log_records(records: Records, now: int) -> Iterator[bytes]:
    observed = field_tag(11, _FIXED64) + struct.pack("<Q", now)
    constant = observed + _attribute(6, "log.file.path", file_name(records))
    for first, stop in template_slices(records):
        name, own = id_template(lambda text: _attribute(6, "log.record.uid", text), records, first)
        rest = constant.replace(b"%", b"%%") + name
        lines = list(map(str.encode, _texts(records, first, stop)))
        lengths = list(map(len, lines))
        optional = _optional_fields(records, first, stop)
        columns = zip(
            _heads(len(constant) + own, lengths, optional),
            map(_ANY_VALUE.__getitem__, lengths),
            map(VARINT.__getitem__, lengths),
            lines,
            records.offsets[first:stop],
            *([optional] if optional else []),
            strict=True,
        )
        template = b"\x12%b\x2a%b\x0a%b%b" + rest + (b"%b" if optional else b"")
        yield (template * (stop - first)) % tuple(chain.from_iterable(columns))


def _heads(fixed: int, lengths: Sequence[int], optional: Sequence[bytes]) -> Iterator[bytes]:
    """Return the encoded length of each record: the `fixed` bytes, the body, and the optional fields."""
    if not optional:
        return map(_sums(fixed).__getitem__, lengths)
    return (VARINT[fixed + _body(length) + len(one)] for length, one in zip(lengths, optional, strict=True))


@lru_cache(maxsize=16)
def _sums(fixed: int) -> MemoizedBytes:
    return MemoizedBytes(lambda length: VARINT[fixed + _body(length)])


def _body(length: int) -> int:
    """Return the bytes of a body whose text has `length` bytes."""
    return 2 + len(_ANY_VALUE[length]) + len(VARINT[length]) + length


_ANY_VALUE = MemoizedBytes(lambda length: VARINT[1 + len(VARINT[length]) + length])
"""`_ANY_VALUE[n]`: the encoded length of an AnyValue whose text has n bytes."""


def _texts(records: Records, first: int, stop: int) -> Sequence[str]:
    """Return the body of each event: its field `message`, or its text."""
    bodies = records.bodies[first:stop]
    if records.fields is None:
        return bodies
    messages = (fields.get(_MESSAGE) for fields in records.fields[first:stop])
    return [message if type(message) is str else body for message, body in zip(messages, bodies, strict=True)]


# -- optional fields -------------------------------------------------------------------------------------------------


def _optional_fields(records: Records, first: int, stop: int) -> list[bytes]:
    """Return the optional fields of each event; an empty list if no event has any."""
    is_cut = records.partial and stop == len(records.bodies)
    plain = records.times is None and records.levels is None and records.fields is None
    if plain and records.counts is None and not is_cut:
        return []
    optional = [b""] * (stop - first)
    if records.times is not None:
        optional = [b"" if time is None else _time(time) for time in records.times[first:stop]]
    fields = None if records.fields is None else list(records.fields[first:stop])
    if records.levels is not None:
        optional = list(map(add, optional, map(_level, records.levels[first:stop])))
    elif fields is not None and records.finds_levels:
        optional = list(map(add, optional, map(_level, known_levels.of_events(fields))))
    if fields is not None:
        optional = list(map(add, optional, map(_attributes, fields)))
    if records.counts is not None:
        optional = list(map(add, optional, map(_exception, _texts(records, first, stop))))
    if is_cut:
        optional[-1] += _attribute(6, "logshipper.partial", True)
    return optional


_LAST_TIME = 2**64 - 1  # fixed64: nanoseconds since 1970, up to the year 2554


def _time(time: int) -> bytes:
    return b"\x09" + struct.pack("<Q", min(max(0, time), _LAST_TIME))


@lru_cache(maxsize=256)
def _level(level: str | None) -> bytes:
    if level is None:
        return b""
    return varint_field(2, severity.of(level).otlp) + string_field(3, level)


def _exception(text: str) -> bytes:
    """Return the attributes for the stack trace of an event of several lines."""
    if "\n" not in text:
        return b""
    return b"".join(_attribute(6, name, value) for name, value in stack_traces.attributes(text))


def _attributes(fields: Mapping[str, Any]) -> bytes:
    pieces = []
    for name, value in fields.items():
        if name == _MESSAGE and type(value) is str:
            continue
        if name == "stream" and value in _STREAMS:
            pieces.append(_attribute(6, "log.iostream", value))
        elif name in _CONTEXT and type(value) is str and _CONTEXT[name][0].fullmatch(value):
            identity = bytes.fromhex(value)
            pieces.append(_CONTEXT[name][1] + varint(len(identity)) + identity)
        else:
            pieces.append(_attribute(6, name, value))
    return b"".join(pieces)


_CONTEXT = {"trace_id": _TRACE, "span_id": _SPAN}
"""https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/"""


def _attribute(field: int, name: str, value: Any) -> bytes:
    return bytes_field(field, string_field(1, name) + bytes_field(2, any_value(value)))


def any_value(value: Any, levels: int = _LEVELS) -> bytes:
    """Return the content of an AnyValue for any value of JSON. A value below `levels` levels becomes JSON text."""
    kind = type(value)
    if kind is list or kind is dict:
        if not levels:
            return string_field(1, orjson.dumps(value).decode())
        return _list(value, levels - 1) if kind is list else _object(value, levels - 1)
    return _KINDS[kind](value)


def _integer(value: int) -> bytes:
    """Return an integer; as text if it does not fit into 64 bits with a sign."""
    return varint_field(3, value % 2**64) if value in _INT64 else string_field(1, str(value))


def _list(values: list[Any], levels: int) -> bytes:
    return bytes_field(5, b"".join([bytes_field(1, any_value(value, levels)) for value in values]))


def _object(members: dict[str, Any], levels: int) -> bytes:
    pairs = [string_field(1, name) + bytes_field(2, any_value(value, levels)) for name, value in members.items()]
    return bytes_field(6, b"".join([bytes_field(1, pair) for pair in pairs]))


_KINDS: Mapping[type, Callable[[Any], bytes]] = {
    str: lambda value: string_field(1, value),
    bool: lambda value: varint_field(2, int(value)),
    int: _integer,
    float: lambda value: field_tag(4, _FIXED64) + struct.pack("<d", value),
    type(None): lambda _: b"",
}
