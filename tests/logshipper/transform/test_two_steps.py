"""Formats of two steps: the second reads the message of the first."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.logshipper.pipelines import processed, shipped
from tests.logshipper.support import a_chunk

_AT = "2026-01-02T03:04:05.1Z"
_TIME = {"time": "2026-01-02T03:04:05.100Z"}
_REGEX = r"(?P<level>\w+) (?P<thread>\w+) (?P<message>.*)"


def records(data: str, **settings: str) -> list[dict[str, Any]]:
    found = shipped(data, **settings)
    for record in found:
        del record["id"]
    return found


def test_the_json_in_the_entries_of_a_container_is_joined_and_read() -> None:
    data = f'{_AT} stdout P {{"a":\n{_AT} stdout F 1}}\n{_AT} stderr F no json\nelse\n'
    assert records(data, FORMAT="cri,json") == [
        {**_TIME, "stream": "stdout", "a": 1},
        {**_TIME, "stream": "stderr", "message": "no json", "parse_error": "json"},
        {"message": "else", "parse_error": "cri"},
    ]


def test_the_members_of_json_stand_behind_the_stream_as_the_app_wrote_them() -> None:
    data = f'{_AT} stdout F {{"n":1e2,"b":"\\u0041"}}\n{_AT} stderr F {{"n":2}}\n'
    fields = processed(a_chunk(data.encode()), FORMAT="cri,json").fields
    assert list(getattr(fields, "texts", ())) == [
        '{"stream":"stdout","n":1e2,"b":"\\u0041"}',
        '{"stream":"stderr","n":2}',
    ]


def test_a_field_of_the_app_with_the_name_of_an_entrys_field_gets_an_underscore() -> None:
    data = f'{_AT} stdout F {{"stream":"x","time":"y"}}\n'
    (record,) = records(data, FORMAT="cri,json")
    assert record == {**_TIME, "stream": "stdout", "stream_": "x", "time_": "y"}


def test_the_time_of_the_app_wins_over_that_of_the_runtime() -> None:
    data = (
        f'{_AT} stdout F {{"ts":"2026-01-01T00:00:00Z","l":"warn","m":"a"}}\n{_AT} stdout F {{"ts":"soon","m":"b"}}\n'
    )
    assert records(data, FORMAT="cri,json", TIME_KEY="ts", LEVEL_KEY="l") == [
        {"time": "2026-01-01T00:00:00Z", "level": "warn", "severity": "WARN", "stream": "stdout", "m": "a"},
        {**_TIME, "stream": "stdout", "ts": "soon", "m": "b"},
    ]


def test_the_entries_of_docker_are_joined_to_events_and_read() -> None:
    entries = [("{\n", {}), ('"a":1\n', {}), ("}\n", {}), ("{\n", {"attrs": {"tag": "t"}}), ("}", {}), ("\n", {})]
    data = "".join(
        json.dumps({"log": log, "stream": "stdout", **further, "time": _AT}) + "\n" for log, further in entries
    )
    assert records(data, FORMAT="docker,json", MULTILINE=r"\{") == [
        {**_TIME, "stream": "stdout", "a": 1},
        {**_TIME, "stream": "stdout", "attrs": {"tag": "t"}, "message": "{\n}"},
    ]


@pytest.mark.parametrize(
    ("form", "message", "fields"),
    [
        ("regex,json", '{"a":{"b":1}}', {"a": {"b": 1}}),
        ("regex,json", "no json", {"message": "no json", "parse_error": "json"}),
        ("regex,json", '{"level":"x"}', {"level": "x", "level_": "INFO"}),
        ("regex,logfmt", "a=1 b=c", {"a": "1", "b": "c"}),
    ],
)
def test_a_regex_finds_the_message_and_the_second_step_reads_it(
    form: str, message: str, fields: dict[str, Any]
) -> None:
    (record,) = records(f"INFO main {message}\n", FORMAT=form, REGEX=_REGEX)
    expected = {"level": "INFO", "thread": "main", **fields}
    assert record == expected


def test_a_message_in_json_is_read_by_the_second_step() -> None:
    data = '{"n":1,"message":"a=1 b=2"}\n{"n":2,"message":["x"]}\n{"n":3,"message":"{\\"a\\":7}"}\n'
    assert records(data, FORMAT="json,logfmt")[:2] == [{"n": 1, "a": "1", "b": "2"}, {"n": 2, "message": ["x"]}]
    assert records(data, FORMAT="json,json")[2] == {"n": 3, "a": 7}


def test_objects_of_several_lines_are_read() -> None:
    data = '{\n  "level" : "INFO",\n  "message" : "two\\nlines"\n}\n{ "n" : 1 }\n{\n'
    assert records(data, FORMAT="json", MULTILINE=r"^\{") == [
        {"level": "INFO", "message": "two\nlines"},
        {"n": 1},
        {"message": "{", "parse_error": "json"},
    ]


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("cri,json", f'{_AT} stdout F {{"to":"bob\\u0040example.com"}}'),
        ("docker,json", json.dumps({"log": '{"to":"bob\\u0040example.com"}\n', "stream": "stdout", "time": _AT})),
        ("regex,json", 'INFO main {"to":"bob\\u0040example.com"}'),
        ("json,json", '{"message":"{\\"to\\":\\"bob\\\\u0040example.com\\"}"}'),
        ("regex,logfmt", 'INFO main to="bob\\u0040example.com" a=1'),
    ],
)
def test_nothing_that_is_redacted_is_read_by_the_second_step(form: str, line: str) -> None:
    settings = {"REGEX": _REGEX} if form.startswith("regex") else {}
    (record,) = records(f"{line}\n", FORMAT=form, REDACT="email", **settings)
    assert record["to"] == "[email]"


def test_a_piece_of_a_line_is_not_read() -> None:
    found = processed(a_chunk(f'{_AT} stdout F {{"a":1}}'.encode(), partial=True), FORMAT="cri,json")
    assert found.fields is not None
    assert found.fields[0] == {"stream": "stdout", "message": '{"a":1}', "parse_error": "json"}
