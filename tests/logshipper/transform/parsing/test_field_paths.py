"""Paths of fields: literal and nested names, escapes, lists of candidates, and their columns."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model.field_columns import JsonObjects, Table
from sidecars.logshipper.transform.parsing import field_paths, json_passthrough
from sidecars.logshipper.transform.parsing.field_paths import MISSING
from tests.logshipper.pipelines import shipped

_NAMES = st.sampled_from(["a", "b", "c", "a.b", "b.c", "a.b.c", "m"])
_SEPARATORS = st.sampled_from([None, (",", ":")])
_OBJECTS = st.recursive(
    st.dictionaries(_NAMES, st.integers(0, 9) | st.sampled_from(["x", 'a"b', "é"]), min_size=1, max_size=3),
    lambda inner: st.dictionaries(_NAMES, inner | st.integers(0, 9), min_size=1, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("a.b", {"a.b": 1, "a": {"b": 2}}),
        ("a.b", {"a": {"b": 1}}),
        (r"a\.b", {"a.b": 1}),
        ("a.b.c", {"a.b.c": 1, "a.b": {"c": 2}}),
        ("a.b.c", {"a.b": {"c": 1}, "a": {"b.c": 2}}),
        ("a.b.c", {"a": {"b.c": 1, "b": {"c": 2}}}),
        ("a.b.c", {"a": {"b": {"c": 1}}}),
        (r"labels.app\.io/name", {"labels": {"app.io/name": 1}}),
        (r"a\\b", {"a\\b": 1}),
        ("t.$date", {"t": {"$date": 1}}),
        ("@timestamp", {"@timestamp": 1}),
    ],
)
def test_a_literal_name_is_found_before_a_nested_one(path: str, fields: dict[str, Any]) -> None:
    assert field_paths.parse(path).get(fields) == 1


@pytest.mark.parametrize("fields", [{}, {"a": 1}, {"a": None}, {"a": [{"b": 1}]}, {"b": 1}, {"a": {}}, {"a": {"c": 1}}])
def test_what_is_not_there_is_missing(fields: dict[str, Any]) -> None:
    path, before = field_paths.parse("a.b"), copy.deepcopy(fields)
    assert path.find(fields) is None
    assert path.get(fields, MISSING) is MISSING
    assert path.remove(fields) is MISSING
    assert fields == before


def test_an_escaped_dot_is_no_way_into_an_object() -> None:
    assert field_paths.parse(r"a\.b").find({"a": {"b": 1}}) is None


def test_candidates_are_separated_by_commas() -> None:
    paths = field_paths.parse_list(r"time, ts,t.$date,a\,b")
    assert [path.names for path in paths] == [("time",), ("ts",), ("t", "$date"), ("a,b",)]
    assert field_paths.roots(paths) == ["time", "ts", "t.$date", "t", "a,b"]


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "a,,b", "a,", "\\", "a\\", r"a\b", ","])
def test_empty_names_and_lone_backslashes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"name of a field is empty|a backslash comes before"):
        field_paths.parse_list(text)


@given(_OBJECTS, st.sampled_from(["a", "a.b", "a.b.c", r"a\.b.c"]))
def test_a_removed_field_is_gone_and_leaves_no_empty_object(fields: dict[str, Any], text: str) -> None:
    path = field_paths.parse(text)
    value = path.get(fields, MISSING)
    assert path.remove(fields) == value
    if value is not MISSING:
        assert "{}" not in json.dumps(fields).removeprefix("{}")


@given(
    st.lists(_OBJECTS, min_size=1, max_size=4),
    st.sampled_from(["a", "a.b", "a.b.c"]),
    st.sampled_from([None, (",", ":")]),
)
def test_columns_of_texts_are_those_of_dicts(objects: list[dict[str, Any]], text: str, separators: Any) -> None:
    path = field_paths.parse(text)
    texts = [json.dumps(one, separators=separators, ensure_ascii=False) for one in objects]
    read = json_passthrough.create_reader((), path.roots())(texts)
    assert isinstance(read, JsonObjects)
    column = field_paths.column(read, path)
    assert column == field_paths.column(objects, path) == [path.get(one) for one in objects]
    expected = field_paths.without(copy.deepcopy(objects), path, column)
    assert list(field_paths.without(read, path, column)) == expected
    assert list(field_paths.without(read, path, [None] * len(texts))) == objects


def test_a_table_has_only_the_fields_of_its_names() -> None:
    table = Table(("at", "m"), [("1", "x"), ("2", "y")])
    assert field_paths.column(table, field_paths.parse("at")) == ["1", "2"]
    assert field_paths.column(table, field_paths.parse("at.x")) is None
    left = field_paths.without(table, field_paths.parse("at"), ["1", None])
    assert list(left) == [{"m": "x"}, {"at": "2", "m": "y"}]


def test_the_first_candidate_that_can_be_read_counts_for_each_event() -> None:
    lines = (
        '{"time":"5ms","ts":"2026-01-02T03:04:05Z","m":1}\n'
        '{"m":2,"log":{"level":"WARN","x":1},"t":{"$date":"2026-01-02T03:04:06Z"}}\n'
        '{"log.level":"INFO","m":3,"time":"2026-01-02T03:04:07Z"}\n'
    )
    records = shipped(lines, FORMAT="json", TIME_KEY="time,ts,t.$date", LEVEL_KEY="log.level")
    for record in records:
        del record["id"]
    assert records == [
        {"time": "2026-01-02T03:04:05Z", "m": 1, "time_": "5ms"},
        {"time": "2026-01-02T03:04:06Z", "level": "WARN", "severity": "WARN", "m": 2, "log": {"x": 1}},
        {"time": "2026-01-02T03:04:07Z", "level": "INFO", "severity": "INFO", "m": 3},
    ]


@pytest.mark.parametrize("key", ["instant", "instant.epochSecond", "time,instant.epochSecond"])
def test_the_instant_of_log4j2_is_a_time_with_its_nanoseconds(key: str) -> None:
    line = '{"instant":{"epochSecond":1795860930,"nanoOfSecond":123456789},"message":"m"}'
    for more in ("", "[]\n"):
        record = shipped(f"{line}\n{more}", FORMAT="json", TIME_KEY=key)[0]
        assert record == {"id": record["id"], "time": "2026-11-28T10:15:30.123456789Z", "message": "m"}


@pytest.mark.parametrize(
    "line",
    [
        '{"a":1,"level":30,"m":300}',
        '{"level":30,"a":1}',
        '{"a":1,"level":300}',
        '{"a":{"level":30},"level":300}',
        '{"a":"\\",\\"level\\":30","level":50}',
        '{"a":[1,2],"level":-0}',
        '{"level":30}',
        '{"level": 30 , "a":1}',
    ],
)
def test_a_number_is_removed_as_a_whole(line: str) -> None:
    objects = json_passthrough.create_reader((), ["level"])([line])
    assert isinstance(objects, JsonObjects)
    expected = json.loads(line)
    del expected["level"]
    assert list(objects.without("level", [1])) == [expected or {"message": ""}]
