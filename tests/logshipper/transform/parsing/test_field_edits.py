"""RENAME, COPY, REMOVE, ADD and FLATTEN."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sidecars.chassis.config.settings import SettingsError
from sidecars.logshipper.model.field_columns import JsonObjects, Table
from sidecars.logshipper.transform.parsing import field_edits
from tests.logshipper.pipelines import processed, settings, shipped
from tests.logshipper.support import a_chunk


def edited(fields: dict[str, Any], **values: str) -> dict[str, Any]:
    (record,) = shipped(json.dumps(fields) + "\n", FORMAT="json", **values)
    del record["id"]
    return record


@pytest.mark.parametrize(
    ("values", "fields", "wanted"),
    [
        ({"RENAME": "msg:text"}, {"msg": "a", "b": 1}, {"b": 1, "text": "a"}),
        ({"RENAME": "msg:b"}, {"msg": "a", "b": 1}, {"b": 1, "b_": "a"}),
        ({"RENAME": "msg:b"}, {"msg": "a", "b": 1, "b_": 2}, {"b": 1, "b_": 2, "b__": "a"}),
        ({"RENAME": "nothing:b"}, {"a": 1}, {"a": 1}),
        ({"RENAME": "a:b,b:a"}, {"a": 1, "b": 2}, {"b_": 1, "a": 2}),
        ({"RENAME": "http.code:status"}, {"http": {"code": 200}, "a": 1}, {"a": 1, "status": 200}),
        ({"RENAME": "http.code:status"}, {"http.code": 200, "a": 1}, {"a": 1, "status": 200}),
        ({"RENAME": "code:http.code"}, {"code": 200, "http": {"a": 1}}, {"http": {"a": 1, "code": 200}}),
        ({"RENAME": "code:http.code"}, {"code": 200, "http": "text"}, {"http": "text", "http.code": 200}),
        ({"RENAME": r"code:http\.code"}, {"code": 200}, {"http.code": 200}),
        (
            {"RENAME": "a:level", "LEVEL_KEY": "l"},
            {"a": 1, "l": "warn"},
            {"level": "warn", "severity": "WARN", "level_": 1},
        ),
        ({"RENAME": "a:app", "LABELS": "app=shop"}, {"a": 1}, {"app": "shop", "app_": 1}),
        ({"COPY": "a:b"}, {"a": {"x": 1}}, {"a": {"x": 1}, "b": {"x": 1}}),
        ({"COPY": "a:b", "REMOVE": "b.x"}, {"a": {"x": 1, "y": 2}}, {"a": {"x": 1, "y": 2}, "b": {"y": 2}}),
        ({"REMOVE": "a,b.c"}, {"a": None, "b": {"c": 1, "d": 2}}, {"b": {"d": 2}}),
        ({"REMOVE": "b.*,t_*"}, {"a": 1, "b": {"c": 1}, "b.d": 2, "t_x": 3, "t": 4}, {"a": 1, "t": 4}),
        ({"REMOVE": "b.c*"}, {"b": {"c1": 1, "d": 2}, "b.c2": 3}, {"b": {"d": 2}}),
        ({"REMOVE": "b.*"}, {"b": "text"}, {"b": "text"}),
        ({"REMOVE": "a"}, {"a": 1}, {"message": ""}),
        ({"ADD": "team=shop,env=prod"}, {"a": 1}, {"a": 1, "team": "shop", "env": "prod"}),
        ({"ADD": r"list=a\,b"}, {"a": 1}, {"a": 1, "list": "a,b"}),
        ({"ADD": "a=x"}, {"a": 1}, {"a": 1, "a_": "x"}),
        ({"ADD": "a.b=x"}, {"c": 1}, {"c": 1, "a": {"b": "x"}}),
        ({"FLATTEN": "true"}, {"a": {"b": {"c": 1}, "d": [{"e": 1}]}}, {"a.b.c": 1, "a.d": [{"e": 1}]}),
        ({"FLATTEN": "true"}, {"a": {"b": 1}, "f": {}}, {"f": {}, "a.b": 1}),
        ({"FLATTEN": "true"}, {"a": {"b": 1}, "a.b": 2}, {"a.b": 2, "a.b_": 1}),
        ({"FLATTEN": "true", "ADD": "a.b=x"}, {"c": 1}, {"c": 1, "a.b": "x"}),
        ({"RENAME": "a:b", "COPY": "b:c", "REMOVE": "b", "ADD": "b=1"}, {"a": 7}, {"c": 7, "b": "1"}),
    ],
)  # fmt: skip
def test_edits_by_example(values: dict[str, str], fields: dict[str, Any], wanted: dict[str, Any]) -> None:
    got = edited(fields, **values)
    assert got == wanted
    assert list(got) == list(wanted), "in this order"


def test_lines_without_a_format_are_edited_too() -> None:
    (record,) = shipped("it works\n", RENAME="message:event", ADD="team=shop")
    del record["id"]
    assert record == {"event": "it works", "team": "shop"}


def test_the_fields_of_a_container_are_edited() -> None:
    (record,) = shipped('2026-01-02T03:04:05Z stderr F {"a":1}\n', FORMAT="cri,json", RENAME="stream:out", REMOVE="a")
    del record["id"]
    assert record == {"time": "2026-01-02T03:04:05Z", "out": "stderr"}


def test_a_secret_is_redacted_before_it_gets_another_name() -> None:
    assert edited({"password": "hunter2"}, REDACT="secrets", RENAME="password:note") == {"note": "[password]"}


def test_texts_of_json_stay_texts_where_no_edit_applies() -> None:
    line = b'{"n":1e2,"b":{"c":1}}\n'
    same = processed(a_chunk(line), FORMAT="json", RENAME="x:y", REMOVE="z*", ADD="team=shop").fields
    assert isinstance(same, JsonObjects)
    assert list(same.texts) == ['{"n":1e2,"b":{"c":1},"team":"shop"}']
    assert isinstance(processed(a_chunk(line), FORMAT="json", REMOVE="b.c").fields, list)
    assert isinstance(processed(a_chunk(b"2026-01-02T03:04:05Z stdout F x\n"), FORMAT="cri", ADD="a=b").fields, Table)


def test_a_member_with_an_escaped_name_is_found() -> None:
    (record,) = shipped('{"\\u0061":1,"b":2}\n', FORMAT="json", REMOVE="a")
    assert record["b"] == 2
    assert "a" not in record


def test_flatten_does_not_multiply_a_long_name() -> None:
    fields = {"n" * 10_000: {f"k{number}": 1 for number in range(10_000)}}
    assert edited(fields, FLATTEN="true") == fields, "the object stays one"


_NAMES = st.sampled_from(["a", "b", "c", "a.b", "stream", "message"])
_MOVES = st.lists(st.tuples(_NAMES, _NAMES), max_size=3).map(lambda pairs: ",".join(f"{a}:{b}" for a, b in pairs))
_EDITS = st.fixed_dictionaries(
    {},
    optional={
        "RENAME": _MOVES.filter(bool),
        "COPY": _MOVES.filter(bool),
        "REMOVE": st.lists(st.sampled_from(["a", "b", "c*", "a.*", "*b".strip("*")]), min_size=1, max_size=3).map(
            ",".join
        ),
        "ADD": st.lists(_NAMES, min_size=1, max_size=2).map(lambda names: ",".join(f"{name}=v" for name in names)),
        "FLATTEN": st.sampled_from(["true", "false"]),
    },
)


@given(_EDITS, st.lists(st.dictionaries(_NAMES, st.sampled_from(["x", "y"]), min_size=1), min_size=1, max_size=3))
def test_columns_are_edited_as_dicts_are(values: dict[str, str], events: list[dict[str, str]]) -> None:
    try:
        one = settings(**values, FORMAT="json").inputs["default"]
    except SettingsError:
        assume(False)  # an edit that can never act is an error
    edits = field_edits.FieldEdits(one, frozenset({"c"}))
    events = [{name: event.get(name, "z") for name in events[0]} for event in events]
    dicts = edits.apply([dict(event) for event in events], [""] * len(events))
    table = edits.apply(Table(tuple(events[0]), [tuple(event.values()) for event in events]), [""] * len(events))
    assert list(table) == list(dicts)
    if not any(name in event for name in edits.added_names for event in events):
        texts = edits.apply(JsonObjects([json.dumps(event) for event in events], {}), [""] * len(events))
        assert list(texts) == list(dicts)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"RENAME": "a"}, "LOGSHIPPER_RENAME=a: expected field:name pairs separated by commas"),
        ({"RENAME": "a:id"}, "LOGSHIPPER_RENAME=a:id: id is a member of the record that no edit can change"),
        ({"REMOVE": "file"}, "LOGSHIPPER_REMOVE=file: file is a member of the record that no edit can change"),
        ({"COPY": "partial:b"}, "LOGSHIPPER_COPY=partial:b: partial is a member of the record that no edit can change"),
        ({"ADD": "a"}, "LOGSHIPPER_ADD=a: expected name=value pairs separated by commas"),
        ({"ADD": "id.x=1"}, "LOGSHIPPER_ADD=id.x=1: id is a member of the record that no edit can change"),
        (
            {"REMOVE": "a*b"},
            "LOGSHIPPER_REMOVE=a*b: a*b: a * may stand at the end of a name only, as in debug.* and tmp_*",
        ),
        ({"REMOVE": "a..b"}, "LOGSHIPPER_REMOVE=a..b: a..b: the name of a field is empty"),
    ],
)  # fmt: skip
def test_an_edit_that_cannot_be_is_refused(values: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(**values)
    assert caught.value.problems == [said]


def test_a_value_that_would_be_nested_too_deeply_in_a_path_gets_the_path_as_one_name() -> None:
    deep = "[" * 252 + "]" * 252
    first, second = shipped(f'{{"a":{deep}}}\n{{"a":[1]}}\n', FORMAT="json", RENAME="a:b.c.d.e")
    assert (list(first), list(second)) == (["id", "b.c.d.e"], ["id", "b"])


def test_a_path_of_very_many_names_is_refused() -> None:
    with pytest.raises(SettingsError, match="expected a path of up to 64 names, not of 65"):
        settings(COPY="a:" + ".".join("b" * 65))
