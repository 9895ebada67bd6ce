"""Records under the names of a schema."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.field_columns import JsonObjects, Table
from sidecars.logshipper.sinks.encodings import ndjson, otlp_logs
from tests.logshipper.pipelines import records_of, shipped_by_schema

_AT = 1767323045 * 10**9
_NAMES = [
    "a",
    "ecs",
    "ecs.version",
    "message",
    "trace_id",
    "span_id",
    "stream",
    "event.id",
    "log.level",
    "@timestamp",
    "log.file.path",
    "%d",
]


def encoded(schema: str, batch: Batch) -> list[dict[str, Any]]:
    return [json.loads(line) for line in b"".join(ndjson.encoder(schema)(batch)).splitlines()]


@pytest.mark.parametrize("schema", ["ecs", "otel", "gelf"])
@given(
    st.lists(st.sampled_from(_NAMES), min_size=1, max_size=5, unique=True),
    st.lists(st.sampled_from(["x", "%s", "é", "two\nlines", "a.SomeError: y\n\tat z"]), min_size=5, max_size=5),
    st.booleans(),
)
def test_columns_are_encoded_as_dicts_are(schema: str, names: list[str], values: list[str], timed: Any) -> None:
    row = tuple(values[: len(names)])
    plain = records_of("first\nsecond\n", LABELS="app=shop,team=%s")
    plain = replace(plain, times=[_AT, None] if timed else None, levels=["WARN", None])
    columns = [
        [dict(zip(names, row, strict=True))] * 2,
        Table(tuple(names), [row] * 2),
        JsonObjects([json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False)] * 2, {}),
    ]
    expected, *others = [encoded(schema, Batch("x", (replace(plain, fields=each),), _AT)) for each in columns]
    assert others == [expected, expected]


@pytest.mark.parametrize(("schema", "member"), [("ecs", "event.id"), ("otel", "log.record.uid"), ("gelf", "_event_id")])
def test_each_record_has_the_id_of_its_event_in_its_order(schema: str, member: str) -> None:
    batch = Batch("x", (records_of("a\nb\n" * 300), records_of("c", MULTILINE="java")), _AT)
    found = encoded(schema, batch)
    assert [one.get("Attributes", one)[member] for one in found] == list(batch.ids())


def test_the_records_of_a_batch_are_the_same_in_each_attempt() -> None:
    for schema in ("ecs", "otel", "gelf"):
        batch = Batch("x", (records_of("a\n"),), _AT)
        assert encoded(schema, batch) == encoded(schema, Batch("x", batch.records, _AT))


def test_a_line_of_an_action_stands_before_each_record() -> None:
    batch = Batch("x", (records_of("a\nb\n"),), _AT)
    lines = b"".join(ndjson.with_actions(batch, ndjson.encoder("ecs"), '{"create":{"_id":"<id>"}}')).splitlines()
    assert [json.loads(line)["create"]["_id"] for line in lines[::2]] == list(batch.ids())
    assert [json.loads(line)["message"] for line in lines[1::2]] == ["a", "b"]


def test_the_apps_own_time_is_used_where_the_event_has_none() -> None:
    (record,) = shipped_by_schema('{"@timestamp":"then","a":1}\n', _AT, FORMAT="json", SINK_SCHEMA="ecs")
    assert record["@timestamp"] == "then"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ('{"a":1}', {"a": 1, "ecs.version": "8.17.0"}),
        ('{"ecs.version":"1.2.0"}', {"ecs.version": "1.2.0"}),
        ('{"ecs":{"version":"8.11.0"}}', {"ecs": {"version": "8.11.0"}}),
        ('{"ecs":{"x":1}}', {"ecs": {"x": 1}, "ecs.version": "8.17.0"}),
    ],
)
def test_an_event_of_ecs_has_a_version_which_is_the_apps_if_it_has_one(fields: str, expected: dict[str, Any]) -> None:
    (raw, *_) = shipped_by_schema("a line\n", _AT, SINK_SCHEMA="ecs")
    assert raw["ecs.version"] == "8.17.0"
    first, second = shipped_by_schema(f'{{"b":1}}\n{fields}\n', _AT, FORMAT="json", SINK_SCHEMA="ecs")
    assert first["ecs.version"] == "8.17.0"
    ours = ("event.id", "log.file.path", "log.offset", "@timestamp", "kubernetes.pod.name")
    assert {name: value for name, value in second.items() if name not in ours} == expected


def test_the_mapping_otel_agrees_with_the_protobuf_of_otlp() -> None:
    begin = "2026-01-02T03:04:05Z stderr F "
    text = f"{begin}java.io.IOException: closed\n{begin}\tat x.Y.z(Y.java:1)\n"
    settings = {"FORMAT": "cri", "MULTILINE": "java", "LABELS": "container=web"}
    (record,) = shipped_by_schema(text, _AT, SINK_SCHEMA="otel", **settings)
    protobuf = b"".join(otlp_logs.encode(Batch("x", (records_of(text, **settings),), _AT), {}, _AT))
    for name, value in {**record["Attributes"], **record["Resource"], "Body": record["Body"]}.items():
        assert str(value).encode() in protobuf
        assert name == "Body" or name.encode() in protobuf
    assert record["Resource"] == {"k8s.pod.name": "shop-1", "k8s.container.name": "web"}
