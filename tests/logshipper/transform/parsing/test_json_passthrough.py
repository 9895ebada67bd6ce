"""JSON objects that are shipped as the app wrote them, and members of theirs with a reserved name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.field_columns import JsonObjects
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.transform.parsing.field_extraction import rename_reserved
from sidecars.logshipper.transform.parsing.json_passthrough import create_reader
from tests.logshipper.pipelines import records_of, shipped
from tests.support import examples

_RESERVED = ("id", "time", "a.b/c", "pod", "pod_")
_NAMES = st.sampled_from(["time", "time_", "pod", "pod_", "a.b/c", "m", "x", "id"])
_VALUES = st.recursive(
    st.sampled_from([None, 1, 'say "time"', "time", "é", "\\", "\n"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_NAMES, inner, max_size=2),
    max_leaves=4,
)
_OBJECTS = st.dictionaries(_NAMES, _VALUES, min_size=1, max_size=4)


def _read(texts: list[str]) -> JsonObjects | None:
    return create_reader(_RESERVED, ("m",), renames=True)(texts)


_DUMPS: list[dict[str, Any]] = [{}, {"separators": (",", ":")}, {"separators": (",", ":"), "ensure_ascii": False}]


@examples(300)
@given(st.sampled_from([{}, {"time": 5}]), st.lists(_OBJECTS, min_size=1, max_size=3), st.sampled_from(_DUMPS))
def test_members_with_a_reserved_name_are_renamed_in_the_text_as_in_a_dict(
    of_each: dict[str, Any], objects: list[dict[str, Any]], options: dict[str, Any]
) -> None:
    objects = [{**of_each, **one} for one in objects]
    read = _read([json.dumps(one, **options) for one in objects])
    if read is not None:
        assert list(read) == rename_reserved(objects, frozenset(_RESERVED))
        assert read.members == {"m": [one.get("m") for one in objects]}


@pytest.mark.parametrize(
    "text",
    [
        '{"time":1,"m":2}',
        '{"m":"x","time" : "2026-01-31"}',
        '{"m":{"n":["{"]},"time":{"a":1}}',
        '{"m":"say \\"x\\"","time":null}',
    ],
)
def test_a_member_with_a_reserved_name_costs_no_dict(text: str) -> None:
    read = _read([text, text])
    assert read is not None
    assert list(read.texts) == [text.replace('"time"', '"time_"')] * 2


@pytest.mark.parametrize(
    "texts",
    [
        ['{"time":1,"m":"time"}'],
        ['{"time":1,"time":2}'],
        ['{"time":1,"\\u0074ime":2}'],
        ['{"time":1,"m":{"time":2}}'],
        ['{"time":1}', '{"m":1}'],
        ['{"m":1}', '{"time":1}'],
        ['{"time":1,"time_":1}'],
        ['{"a.b/c":1,"m":"a.b\\/c"}'],
        ['{"pod":1}'],  # pod_ is reserved, too
        ['{"time":1,"id":1}', '{"time":1}'],
        ['{"m":1,"a.b/c":"\\u0000"}'],
        *([f'{{"m":1,"a.b/c":{value}}}'] for value in ("0", "1", "-1", "-0.0", "1e999", "null", "true", "[]", "{}")),
    ],
)
def test_a_text_in_which_the_name_stands_in_doubt_becomes_a_dict(texts: list[str]) -> None:
    assert _read(texts) is None


def test_the_app_s_time_in_a_container_s_entry_keeps_its_place_and_its_text() -> None:
    entry = "2026-01-31T10:00:00.5Z stdout F "
    records = shipped("".join(f'{entry}{{"time":"{one}","n":1.50}}\n' for one in ("a", "b")), FORMAT="cri,json")
    for record, time in zip(records, ("a", "b"), strict=True):
        assert list(record)[1:] == ["time", "stream", "time_", "n"]
        assert (record["time"], record["time_"]) == ("2026-01-31T10:00:00.500Z", time)


@pytest.mark.parametrize("form", ["json", "cri,json"])
@pytest.mark.parametrize("null", ['{"time":null,"a":1}', '{"level":null,"a":1}', '{"a":1,"\\u0074ime" : null}'])
def test_a_null_where_the_time_or_the_level_is_looked_for_does_not_come_beside_that_of_the_record(
    form: str, null: str
) -> None:
    entry = "2026-01-31T10:00:00.5Z stdout F " if form == "cri,json" else ""
    others = '"ts":"2026-01-31T10:00:00Z","severity":"info"}'
    data = f"{entry}{null.removesuffix('}')},{others}\n{entry}{{{others}\n"
    records = records_of(data, FORMAT=form, TIME_KEY="time,ts", LEVEL_KEY="level,severity")
    for line in b"".join(ndjson.encode(Batch("default", (records,)))).splitlines():
        members = json.loads(line, object_pairs_hook=lambda pairs: [name for name, _ in pairs])
        assert len(members) == len(set(members))
        assert json.loads(line)["time"].startswith("2026-01-31T10:00:00")
        assert json.loads(line)["level"] == "info"


@pytest.mark.parametrize("form", ["json", "cri,json"])
@pytest.mark.parametrize("name", ["time", "level", "msg"])
@pytest.mark.parametrize(
    "text",
    [
        '{"NAME":"VALUE","a":{"NAME":1},"NAME":"VALUE"}',
        '{"NAME":"other","a":1,"NAME":"VALUE"}',
        '{"a":1,"NAME":"VALUE","NAME":"VALUE"}',
        '{"a":1,"NAME":null,"NAME":"VALUE"}',
        '{"NAME":"VALUE","a":1,"NAME" : "VALUE"}',
    ],
)
def test_a_member_that_comes_twice_counts_once_and_is_its_last_value(form: str, name: str, text: str) -> None:
    entry = "2026-01-31T10:00:00.5Z stdout F " if form == "cri,json" else ""
    value = {"time": "2026-02-01T00:00:00Z", "level": "warn", "msg": "hello"}[name]
    data = f"{entry}{text}\n".replace("NAME", name).replace("VALUE", value)
    records = records_of(data, FORMAT=form, TIME_KEY="time", LEVEL_KEY="level", MESSAGE_KEY="msg")
    line = b"".join(ndjson.encode(Batch("default", (records,)))).strip()
    members = json.loads(line, object_pairs_hook=lambda pairs: [name for name, _ in pairs])
    assert len(members) == len(set(members))
    assert json.loads(line)["message" if name == "msg" else name] == value


def test_a_member_of_an_inner_object_is_none_that_comes_twice() -> None:
    (record,) = shipped('{"time":"2026-02-01T00:00:00Z","a":{"time":1.50}}\n', FORMAT="json", TIME_KEY="time")
    assert record == {"id": "f00d-0", "time": "2026-02-01T00:00:00Z", "a": {"time": 1.5}}


@pytest.mark.parametrize("beside", ["", '{"stream_":1,"stream":1}\n'])
def test_a_number_beyond_64_bits_is_no_level_with_and_without_a_dict(beside: str) -> None:
    record = shipped(f'{{"level":{10**29}}}\n{beside}', FORMAT="json", LEVEL_KEY="level")[0]
    assert record == {"id": "f00d-0", "level_": 1e29}
