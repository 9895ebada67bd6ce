"""Unexpected lines of an app: every format and every sink makes one event of each line."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.elasticsearch import _CREATE
from sidecars.logshipper.sinks.encodings import forward_entries, loki_push, ndjson, otlp_logs, syslog_frames
from tests.conftest import Start
from tests.logshipper.pipelines import records_of
from tests.logshipper.receivers.forward import Forward, entries
from tests.logshipper.receivers.loki import PushRequest
from tests.logshipper.receivers.otlp import Otlp
from tests.logshipper.receivers.syslog import split
from tests.logshipper.support import environ, metric
from tests.support import free_port, wait_until

NOW = 1_790_000_000_123_456_789

NUMBERS = [
    b"1e999",
    b"-1e999",
    b"9" * 5000,
    b"-" + b"9" * 5000,
    b"1." + b"9" * 5000,
    b"1e-999",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"NaN",
    b"Infinity",
    b"-0.0",
    b"1.7e18",
]
TEXTS = [
    rb'"\ud800"',
    rb'"\udfff\ud800"',
    rb'"\u0000"',
    b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    b'"' + b"x" * 5000 + b'"',
    b'""',
]
TIMES = [
    b'"9999-12-31T23:59:60-23:59"',
    b'"0000-00-00T00:00:00Z"',
    b'"0001-01-01T00:00:00+99:99"',
    b"-1",
    b"1e308",
    b"true",
    b'"' + b"9" * 5000 + b'"',
    b'"2026-01-02T03:04:05.' + b"9" * 5000 + b'Z"',
    '"\uff12\uff10\uff12\uff16-01-02T03:04:05Z"'.encode(),
]
DEEP = [b"[" * levels + b"]" * levels for levels in (252, 253, 300, 5000)]
DEEP += [b'{"a":' * levels + b"1" + b"}" * levels for levels in (252, 254, 5000)]
VALUES = [*NUMBERS, *TEXTS, *TIMES, *DEEP, b"null", b"{}", b"[]"]
LINES = [
    *(b'{"%b":%b}' % (name, value) for name in (b"a", b"time", b"level", b"message") for value in VALUES),
    *(b'{"x":{"y":%b},"time":"2026-01-02T03:04:05Z","level":"info"}' % value for value in VALUES),
    *(b'{"password":%b,"mail":"a@b.example"}' % value for value in VALUES),
    *(b"a=%b time=%b level=%b" % (value, value, value) for value in NUMBERS + TEXTS),
    *VALUES,
    b"",
    b"\x00" * 10,
    b'{"a":tru',
    b'{"a":1}x',
    b'\xef\xbb\xbf{"a":1}',
    b'{"%s":"%d%%"}',
    rb'{"\ud800":1}',
    b'{"a":1,"a":2}',
    b'{"id":1,"file":2,"partial":3,"time":"x","level":"y"}',
    b"[" * 5000,
    b'a="' + b"\\" * 999 + b'"',
    b"9999-99-99T99:99:99Z stdout F x",
    b"0001-01-01T00:00:00+99:99 stderr F \xff",
    b"2026-01-02T03:04:05Z stdout P x",
]

KEYS = {"TIME_KEY": "time", "LEVEL_KEY": "level"}
SHAPES = [
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
    "forward": lambda batch: len(entries(b"".join(forward_entries.encode_entries(batch, NOW)), batch.events)),
    "syslog": lambda batch: len(split(b"".join(syslog_frames.encode_frames(batch, NOW)))[0]),
    "loki": loki_json,
    "loki in protobuf": loki_protobuf,
}


def check(lines: list[bytes], settings: dict[str, str]) -> None:
    """Return the number of events in the batch, and in its halves, as after a refusal."""
    batch = Batch("default", (records_of(b"\n".join([*lines, b""]), **settings),))
    for some in (batch, *(batch.halves() or ())):
        for name, count in SINKS.items():
            assert count(some) == some.events, name


@pytest.mark.parametrize("settings", SHAPES, ids=lambda settings: " ".join(settings.values()) or "raw")
def test_each_hostile_line_is_one_event_alone_and_among_others(settings: dict[str, str]) -> None:
    for line in LINES:
        check([line], settings)
    check([b'{"a":1}', *LINES], settings)


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
    st.sampled_from(SHAPES),
)
def test_any_lines_are_so_many_events_to_every_sink(lines: list[bytes], settings: dict[str, str]) -> None:
    check(lines, settings)


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


@pytest.mark.parametrize("kind", [Otlp, Forward])
def test_the_program_ships_hostile_lines_and_lives(tmp_path: Path, start: Start, kind: type[Otlp | Forward]) -> None:
    admin = free_port()
    with closing(kind()) as receiver:
        more = {"LOGSHIPPER_FORMAT": "json", "LOGSHIPPER_TIME_KEY": "time", "LOGSHIPPER_LEVEL_KEY": "level"}
        variables = environ(tmp_path, admin, LOGSHIPPER_SINK=receiver.url, **more)
        (tmp_path / "logs" / "app.log").write_bytes(b"\n".join([*LINES, b""]))
        shipper = start("logshipper", **variables)
        delivered = 'logshipper_delivered_lines_total{sink="default"}'
        shipper.wait_ready(admin)
        wait_until(lambda: metric(admin, delivered) == len(LINES), "every line")
        assert shipper.stop() == 0
