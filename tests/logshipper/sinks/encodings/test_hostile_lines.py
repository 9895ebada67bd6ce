"""Unexpected lines of an app: every format and every sink makes one event of each line."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.encodings import forward_entries, loki_push, ndjson, otlp_logs
from sidecars.logshipper.sinks.encodings.messages import gelf_messages, splunk_events, syslog_frames
from sidecars.logshipper.sinks.over_http.elasticsearch import _CREATE
from sidecars.logshipper.transform.pipeline import Pipeline
from tests.logshipper.hostile_lines import LINES, NUMBERS, TEXTS, TIMES
from tests.logshipper.pipelines import make_pipeline, records_of
from tests.logshipper.receivers.forward import entries
from tests.logshipper.receivers.gelf import parse as gelf
from tests.logshipper.receivers.loki import PushRequest
from tests.logshipper.receivers.syslog import split
from tests.logshipper.support import a_chunk

NOW = 1_790_000_000_123_456_789

METADATA = splunk_events.Metadata()
KEYS = {"TIME_KEY": "time", "LEVEL_KEY": "level"}
PIPELINE_SETTINGS = [
    {},
    {"FORMAT": "cri"},
    {"FORMAT": "json"},
    {"FORMAT": "json", "REDACT": "personal,secrets"},
    {"FORMAT": "json", **KEYS},
    {"FORMAT": "json", "TIME_FORMAT": "unix_ms", "REDACT": "secrets", **KEYS},
    {"FORMAT": "json", "TIME_FORMAT": "%d/%b/%Y:%H:%M:%S %z", **KEYS},
    {"FORMAT": "logfmt", "REDACT": "personal,secrets", **KEYS},
    {"FORMAT": "logfmt", "TIME_FORMAT": "unix", **KEYS},
    {"FORMAT": "regex", "REGEX": r"(?P<level>\S*) ?(?P<time>\S*) ?(?P<rest>.*)", **KEYS},
]


def documents(lines: bytes) -> int:
    for line in lines.split(b"\n")[:-1]:
        json.loads(line, parse_int=float)
    return lines.count(b"\n")


def otlp(batch: Batch) -> int:
    message = ExportLogsServiceRequest.FromString(b"".join(otlp_logs.encode(batch, {}, NOW)))
    return sum(len(scope.log_records) for logs in message.resource_logs for scope in logs.scope_logs)


def loki_json(batch: Batch) -> int:
    page = json.loads(b"".join(loki_push.encode_json(batch, NOW)))
    return sum(len(stream["values"]) for stream in page["streams"])


def loki_protobuf(batch: Batch) -> int:
    return sum(
        len(stream.entries)
        for stream in PushRequest.FromString(b"".join(loki_push.encode_protobuf(batch, NOW))).streams
    )


SINKS: dict[str, Callable[[Batch], int]] = {
    "ndjson": lambda batch: documents(b"".join(ndjson.encode(batch))),
    "elasticsearch": lambda batch: (
        documents(b"".join(ndjson.encode(batch, ndjson.Layout(_CREATE, "@timestamp", NOW)))) // 2
    ),
    "otlp": otlp,
    "splunk": lambda batch: documents(
        b"".join(chain.from_iterable(request.blocks for request in splunk_events.encode(batch, METADATA)))
    ),
    "gelf": lambda batch: len(list(map(gelf, gelf_messages.encode(batch, "host")))),
    "relp": lambda batch: len(set(syslog_frames.encode_messages(batch, NOW, 1024).events)),
    "forward": lambda batch: len(entries(b"".join(forward_entries.encode_entries(batch, NOW)), batch.events)),
    "syslog": lambda batch: len(split(b"".join(syslog_frames.encode_frames(batch, NOW)))[0]),
    "loki": loki_json,
    "loki in protobuf": loki_protobuf,
}


def check(lines: list[bytes], pipeline: Pipeline) -> None:
    """Assert that every sink makes one event of each line: in a batch, and in its halves, as after a refusal."""
    batch = Batch("default", (pipeline.process(a_chunk(b"\n".join([*lines, b""]))),))
    for some in (batch, *(batch.halves() or ())):
        for name, count in SINKS.items():
            assert count(some) == some.events, name


@pytest.mark.parametrize("settings", PIPELINE_SETTINGS, ids=lambda settings: " ".join(settings.values()) or "raw")
def test_each_hostile_line_is_one_event_alone_and_among_others(settings: dict[str, str]) -> None:
    pipeline = make_pipeline(**settings)
    for line in LINES:
        check([line], pipeline)
    check([b'{"a":1}', *LINES], pipeline)


NAMES = st.sampled_from([b"a", b"time", b"level", b"message", b"id", rb"\u0000", b""])


def _list(values: list[bytes]) -> bytes:
    return b"[%b]" % b",".join(values)


def _object(members: list[tuple[bytes, bytes]]) -> bytes:
    return b"{%b}" % b",".join(b'"%b":%b' % member for member in members)


JSON = st.recursive(
    st.sampled_from([*NUMBERS, *TEXTS, *TIMES, b"true", b"null"])
    | st.integers().map(lambda number: b"%d" % number)
    | st.floats(allow_nan=False, allow_infinity=False).map(lambda number: repr(number).encode()),
    lambda inner: st.lists(inner, max_size=4).map(_list) | st.lists(st.tuples(NAMES, inner), max_size=4).map(_object),
    max_leaves=12,
)


@given(
    st.lists(JSON | st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), min_size=1, max_size=6),
    st.sampled_from(PIPELINE_SETTINGS),
)
def test_any_lines_are_so_many_events_to_every_sink(lines: list[bytes], settings: dict[str, str]) -> None:
    check(lines, make_pipeline(**settings))


def test_a_document_that_has_no_dict_is_shipped_as_it_is_or_unparsed_but_never_lost() -> None:
    batch = Batch("default", (records_of(b'{"a":1e999}\n{"b":2}\n', FORMAT="json"),))
    first, second = b"".join(ndjson.encode(batch)).splitlines()
    assert first.endswith(b',"a":1e999}')
    assert second.endswith(b',"b":2}')
    (_, one), (_, other) = entries(b"".join(forward_entries.encode_entries(batch, NOW)), 2)
    assert (one["message"], one["parse_error"]) == ('{"a":1e999}', "json")
    assert other["b"] == 2


def test_in_halves_a_document_stays_as_it_was_written() -> None:
    batch = Batch("default", (records_of(b'{"n":12345678901234567890123}\n{"n":1.0e2}\n', FORMAT="json"),))
    halves = b"".join(block for half in batch.halves() or () for block in ndjson.encode(half))
    assert halves == b"".join(ndjson.encode(batch))


def test_what_is_nested_deeper_than_otlp_receivers_take_is_text() -> None:
    value: object = 1
    for _ in range(120):
        value = {"a": [value]}
    found = AnyValue.FromString(otlp_logs.any_value(value))
    for _ in range(12):
        found = found.kvlist_value.values[0].value.array_value.values[0]
    assert found.string_value == '{"a":[' * 108 + "1" + "]}" * 108
