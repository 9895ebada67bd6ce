"""Records under the names of a schema: `SINK_SCHEMA=ecs`, `otel` or `gelf`. One JSON object a line.

| of the event | `ecs` | `otel` (the names of OpenTelemetry's log data model) |
|---|---|---|
| time; of reading | `@timestamp`; `event.created` | `Timestamp`; `ObservedTimestamp` |
| message | `message` | `Body` |
| level | `log.level`, in lower case | `SeverityText`, `SeverityNumber` |
| id | `event.id` | attribute `log.record.uid` |
| file, offset | `log.file.path`, `log.offset` | attribute `log.file.path` |
| pod, namespace, node, container … | `kubernetes.pod.name` …, as Beats name them | resource `k8s.pod.name` … |
| other labels | `labels.<name>` | resource |
| stream | `stream` | attribute `log.iostream` |
| stack trace of an event of several lines | `error.type`, `error.message`, `error.stack_trace` | `exception.type` … |
| trace_id, span_id | `trace.id`, `span.id` | `TraceId`, `SpanId` |
| a piece of a line | `log.flags` | attribute `logshipper.partial` |
| | `ecs.version`, which ECS requires of each event | |
| other fields | as they are | attributes |

`gelf` has the messages of the sink GELF, see `gelf_messages`. The sink OTLP has the mapping `otel` in its protobuf.

A field of the app with one of our names gets an underscore after it, but for two. The app's `@timestamp` is the better
one where the event has no time. The app's `ecs.version` stays: our fields are the same in its version. In `ecs` the
message of an event with a stack trace is the text before the trace.

One template formats a block of events. Texts of JSON stay texts, as long as none of their names has to change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import chain, islice
from typing import Any

import orjson

from sidecars.logshipper.model import severity
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.field_columns import MESSAGE, JsonObjects, Table
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.model.times.written_times import rfc3339
from sidecars.logshipper.sinks.encodings import stack_traces
from sidecars.logshipper.sinks.encodings.otlp_logs import RESOURCE
from sidecars.logshipper.sinks.encodings.record_templates import blocks, file_name, size_in_id

Encode = Callable[[Batch], list[bytes]]

_ECS_LABELS = {
    "pod": "kubernetes.pod.name",
    "namespace": "kubernetes.namespace",
    "pod_uid": "kubernetes.pod.uid",
    "pod_ip": "kubernetes.pod.ip",
    "node": "kubernetes.node.name",
    "container": "kubernetes.container.name",
}
_ECS_NAMES = {"trace_id": "trace.id", "span_id": "span.id"}
_OTEL_CONTEXT = {"trace_id": "TraceId", "span_id": "SpanId"}
_ECS_VERSION = "8.17.0"  # of https://www.elastic.co/guide/en/ecs/8.17; our fields of ECS are those of 1.7 and later
_ECS_OURS = ("event.id", "event.created", "log.file.path", "log.offset", "log.level", "log.flags")
_OTEL_OURS = ("log.record.uid", "log.file.path", "log.iostream", "logshipper.partial")
_STREAMS = ("stdout", "stderr")


def encoder(schema: str) -> Encode:
    """Return the encoder of records for a schema: `ecs`, `otel` or `gelf`."""
    return _gelf if schema == "gelf" else partial(_encode, _ecs if schema == "ecs" else _otel)


def _gelf(batch: Batch) -> list[bytes]:
    from sidecars.logshipper.sinks.encodings.messages import gelf_messages  # noqa: PLC0415 - loaded only where it is used

    messages = iter(gelf_messages.encode(batch, ""))
    sizes = [stop - first for records in batch.records for first, stop in blocks(records)]
    return [b"".join(message + b"\n" for message in islice(messages, size)) for size in sizes]


def _encode(form: Callable[[Records, slice, int], bytes], batch: Batch) -> list[bytes]:
    return [form(records, slice(first, stop), batch.at) for records in batch.records for first, stop in blocks(records)]


# -- ECS -----------------------------------------------------------------------------------------------------------


def _ecs(records: Records, block: slice, at: int) -> bytes:
    labels = {_ECS_LABELS.get(name, f"labels.{name}"): value for name, value in records.labels.items()}
    constant: dict[str, Any] = {"log.file.path": file_name(records), **labels}
    if records.partial and block.stop == len(records.bodies):
        constant["log.flags"] = ["partial"]
    fields = None if records.fields is None else records.fields[block]
    own_version = fields is not None and not all(_lacks(fields, name) for name in ("ecs.version", "ecs"))
    if not own_version:
        constant["ecs.version"] = _ECS_VERSION
    taken = frozenset((*_ECS_OURS, *labels))
    offsets = records.offsets[block]
    template = _head("event.id", records, block, constant) + b',"log.offset":%d'
    columns: list[Sequence[Any]] = [offsets, offsets]
    if own_version and fields is not None:
        template += b"%b"
        columns.append(list(map(_ecs_version, fields)))
    for column in _ecs_members(records, block, fields, at):
        template += b"%b"
        columns.append(column)
    template, more = _ecs_fields(template, records.bodies[block], fields, taken)
    return _filled(template + b"}\n", [*columns, *more])


def _ecs_version(fields: Mapping[str, Any]) -> bytes:
    """Return the member for an event that may have one of the app."""
    inner = fields.get("ecs")
    if "ecs.version" in fields or (type(inner) is dict and "version" in inner):
        return b""
    return b',"ecs.version":' + orjson.dumps(_ECS_VERSION)


def _ecs_members(records: Records, block: slice, fields: Any, at: int) -> Iterator[list[bytes]]:
    """Yield columns of the members for the time and the level."""
    times = records.times[block] if records.times is not None else [None] * len(records.offsets[block])
    own = [f',"@timestamp":"{rfc3339(at if time is None else time)}"'.encode() for time in times]
    if None in times and fields is not None and not _lacks(fields, "@timestamp"):
        own = [
            b"" if time is None and "@timestamp" in one else member
            for member, time, one in zip(own, times, fields, strict=True)
        ]
    if records.read_at is not None:
        read = f',"event.created":"{rfc3339(records.read_at)}"'.encode()
        own = [member + read if time is None else member for member, time in zip(own, times, strict=True)]
    yield own
    if records.levels is not None:
        yield list(map(_ecs_level, records.levels[block]))


@lru_cache(maxsize=256)
def _ecs_level(level: str | None) -> bytes:
    return b"" if level is None else b',"log.level":' + orjson.dumps(level.lower())


def _ecs_fields(
    template: bytes, bodies: Sequence[str], fields: Any, taken: frozenset[str]
) -> tuple[bytes, list[Sequence[Any]]]:
    """Return the template with places for the fields, and their columns."""
    if fields is None:
        if not any("\n" in body for body in bodies):
            return template + b',"message":%b', [list(map(orjson.dumps, bodies))]
        fields = [{MESSAGE: body} for body in bodies]
    names = (*taken, *_ECS_NAMES, "error.type", "error.message", "error.stack_trace")
    if isinstance(fields, Table) and taken.isdisjoint(fields.names) and not _has_traces(fields):
        shown = [orjson.dumps(_ECS_NAMES.get(name, name)).replace(b"%", b"%%") for name in fields.names]
        return template + b"".join(b',%b:"%%b"' % name for name in shown), _cells(fields)
    if (
        isinstance(fields, JsonObjects)
        and not any(f'"{name}"' in text for text in fields.texts for name in names)
        and not any("\\" in text for text in fields.texts)
    ):
        return template + b",%b", [[text[1:-1].encode() for text in map(str.rstrip, fields.texts)]]
    return template + b"%b", [[_members(_ecs_event(one, taken)) for one in fields]]


def _ecs_event(fields: Mapping[str, Any], taken: frozenset[str]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, value in fields.items():
        _put(shown, _ECS_NAMES.get(name, name), value, taken)
    message = fields.get(MESSAGE)
    trace = stack_traces.find(message) if type(message) is str else None
    if trace is not None:
        shown[MESSAGE] = trace.before or trace.text.partition("\n")[0]
        parts = {"error.type": trace.type, "error.message": trace.message, "error.stack_trace": trace.text}
        for name, value in parts.items():
            if value:
                _put(shown, name, value, taken)
    return shown


# -- OpenTelemetry -------------------------------------------------------------------------------------------------


def _otel(records: Records, block: slice, at: int) -> bytes:
    resource = {RESOURCE.get(name, name): value for name, value in records.labels.items()}
    bodies = records.bodies[block]
    fields = [{MESSAGE: body} for body in bodies] if records.fields is None else records.fields[block]
    constant: dict[str, Any] = {"log.file.path": file_name(records)}
    if records.partial and block.stop == len(records.bodies):
        constant["logshipper.partial"] = True
    head = b'{"Resource":' + orjson.dumps(resource).replace(b"%", b"%%") + b',"Attributes":'
    template = head + _head("log.record.uid", records, block, constant) + b"%b}%b}\n"
    events = [_otel_event(one, body) for one, body in zip(fields, bodies, strict=True)]
    observed = f',"ObservedTimestamp":"{rfc3339(at)}"'.encode()
    times = records.times[block] if records.times is not None else [None] * len(bodies)
    levels = records.levels[block] if records.levels is not None else [None] * len(bodies)
    members = [
        (b"" if time is None else f',"Timestamp":"{rfc3339(time)}"'.encode()) + observed + _otel_level(level) + rest
        for time, level, (_, rest) in zip(times, levels, events, strict=True)
    ]
    return _filled(template, [records.offsets[block], [attributes for attributes, _ in events], members])


@lru_cache(maxsize=256)
def _otel_level(level: str | None) -> bytes:
    if level is None:
        return b""
    return b"," + orjson.dumps({"SeverityText": level, "SeverityNumber": severity.of(level).otlp})[1:-1]


def _otel_event(fields: Mapping[str, Any], body: str) -> tuple[bytes, bytes]:
    """Return the members of the attributes, and those beside them."""
    attributes: dict[str, Any] = {}
    beside: dict[str, Any] = {}
    message = fields.get(MESSAGE)
    text = message if type(message) is str else body
    for name, value in fields.items():
        if name in _OTEL_CONTEXT and type(value) is str:
            beside[_OTEL_CONTEXT[name]] = value
        elif name == "stream" and value in _STREAMS:
            attributes["log.iostream"] = value
        elif name != MESSAGE or type(value) is not str:
            _put(attributes, name, value, frozenset(_OTEL_OURS))
    for name, value in stack_traces.attributes(text):
        _put(attributes, name, value, frozenset(_OTEL_OURS))
    return _members(attributes), _members({"Body": text, **beside})


# -- shared --------------------------------------------------------------------------------------------------------


def _head(name: str, records: Records, block: slice, constant: Mapping[str, Any]) -> bytes:
    """Return the beginning of an object: the id of the event, with a place for its offset, and constant members."""
    ident = f'{{"{name}":"{records.chunk.generation}-'.encode()
    rest = orjson.dumps(constant)[1:-1].replace(b"%", b"%%")
    return ident + b"%d" + size_in_id(records, block.start) + b'",' + rest


def _filled(template: bytes, columns: Sequence[Sequence[Any]]) -> bytes:
    """Return the template filled for each event."""
    count = len(columns[0])
    return (template * count) % tuple(chain.from_iterable(zip(*columns, strict=True)))


def _cells(fields: Table) -> list[Sequence[Any]]:
    """Return the columns of a table as JSON texts without their quotes, all encoded at once."""
    texts = orjson.dumps(list(chain.from_iterable(fields.rows)))[2:-2].split(b'","')
    return [texts[at :: len(fields.names)] for at in range(len(fields.names))]


def _members(fields: Mapping[str, Any]) -> bytes:
    """Return the members of an object with a comma before each."""
    return b"," + orjson.dumps(fields)[1:-1] if fields else b""


def _put(fields: dict[str, Any], name: str, value: Any, taken: frozenset[str]) -> None:
    while name in fields or name in taken:
        name += "_"
    fields[name] = value


def _lacks(fields: Any, name: str) -> bool:
    """True if no event has a field of the name."""
    if isinstance(fields, Table):
        return name not in fields.names
    if isinstance(fields, JsonObjects):
        return not any(f'"{name}"' in text for text in fields.texts)
    return not any(name in one for one in fields)


def _has_traces(fields: Table) -> bool:
    return MESSAGE in fields.names and any("\n" in message for message in fields.column(MESSAGE))
