"""MESSAGE_KEY: the field that gets the name `message`, in dicts, tables and texts of JSON; READ_AT."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.logshipper.pipelines import records_of, shipped

_VALUES = st.sampled_from(["x", 'say "hi"', "é\n", "", 1, None, {"a": "x"}, ["x"]])
_OBJECTS = st.dictionaries(st.sampled_from(["msg", "event", "message", "a", "message_"]), _VALUES, min_size=1)


def without_id(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for record in records:
        del record["id"]
    return records


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"msg":"hi","n":1}', {"message": "hi", "n": 1}),
        ('{"n":1,"msg":"hi"}', {"n": 1, "message": "hi"}),
        ('{"n":{"msg":"no"},"msg":"hi"}', {"n": {"msg": "no"}, "message": "hi"}),
        ('{"a":"\\",\\"msg\\":\\"hi","msg":"hi"}', {"a": '","msg":"hi', "message": "hi"}),
        ('{"msg":"say \\"hi\\""}', {"message": 'say "hi"'}),
        ('{"event":"login","user":7}', {"message": "login", "user": 7}),
        ('{"msg":5,"event":"login"}', {"msg": 5, "message": "login"}),
        ('{"message":"other","msg":"hi"}', {"message_": "other", "message": "hi"}),
        ('{"message":"other"}', {"message": "other"}),
        ('{"body":{"text":"hi","n":1}}', {"body": {"n": 1}, "message": "hi"}),
        ('{"body":{"text":"hi"},"message":1}', {"message_": 1, "message": "hi"}),
        ("no json", {"message": "no json", "parse_error": "json"}),
        ('{"x":1e999,"a":1,"msg":"hi","m":{}}', None),
    ],
)
def test_a_field_of_json_becomes_the_message(line: str, expected: dict[str, Any] | None) -> None:
    (record,) = without_id(shipped(f"{line}\n", FORMAT="json", MESSAGE_KEY="msg,event,body.text"))
    if expected is not None:
        assert record == expected
        assert list(record) == list(expected) or "body" in line, "in its place"


@given(st.lists(_OBJECTS, min_size=1, max_size=4), st.sampled_from([None, (",", ":")]))
def test_texts_and_dicts_have_the_same_messages(objects: list[dict[str, Any]], separators: Any) -> None:
    lines = "".join(f"{json.dumps(one, separators=separators)}\n" for one in objects)
    texts = without_id(shipped(lines, FORMAT="json", MESSAGE_KEY="msg,event"))
    dicts = without_id(shipped(f"{lines}[]\n", FORMAT="json", MESSAGE_KEY="msg,event"))[:-1]
    assert texts == dicts
    for record, one in zip(texts, objects, strict=True):
        found = next((one[key] for key in ("msg", "event") if type(one.get(key)) is str), one.get("message"))
        assert record.get("message") == found
        assert len(record) == len(one)


def test_fields_of_other_formats_become_the_message() -> None:
    assert without_id(shipped("msg=hi n=1\n", FORMAT="logfmt", MESSAGE_KEY="msg")) == [{"message": "hi", "n": "1"}]
    regex = {"FORMAT": "regex", "REGEX": r"(?P<a>\S+) (?P<text>.*)"}
    (record,) = without_id(shipped("x y\n", **regex, MESSAGE_KEY="text"))
    assert record == {"a": "x", "message": "y", "message_": "x y"}
    named = {"FORMAT": "regex", "REGEX": r"(?P<a>[^ ]+) (?P<text>[^ ]+) (?P<message>.*)"}
    (record,) = without_id(shipped("x y z\n", **named, MESSAGE_KEY="text"))
    assert record == {"a": "x", "message": "y", "message_": "z"}


def test_events_without_what_a_setting_asks_for_are_counted() -> None:
    lines = '{"msg":"a","t":1795860930,"l":"info"}\n{"t":"x"}\nno json\n'
    keys = {"TIME_KEY": "t", "LEVEL_KEY": "l", "MESSAGE_KEY": "msg"}
    assert records_of(lines, FORMAT="json", **keys).misses == {"format": 1, "time": 2, "level": 2, "message": 2}
    good = lines.splitlines(keepends=True)[0]
    assert records_of(good, FORMAT="json", **keys).misses == {"format": 0, "time": 0, "level": 0, "message": 0}
    assert records_of(lines, FORMAT="json").misses == {"format": 1}
    assert records_of(lines).misses == {}


def test_records_without_a_time_have_that_of_reading() -> None:
    lines = '{"t":1795860930,"n":1}\n{"n":2,"read_at":"x"}\n'
    records = without_id(shipped(lines, FORMAT="json", TIME_KEY="t", READ_AT="true"))
    assert records == [
        {"time": "2026-11-28T10:15:30Z", "n": 1},
        {"read_at": "2026-11-28T12:00:00Z", "n": 2, "read_at_": "x"},
    ]
    assert without_id(shipped("hi\n", READ_AT="true")) == [{"read_at": "2026-11-28T12:00:00Z", "message": "hi"}]
