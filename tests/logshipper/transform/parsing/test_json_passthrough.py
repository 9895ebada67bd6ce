"""JSON objects that are shipped as the app wrote them, and members of theirs with a reserved name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model.field_columns import JsonObjects
from sidecars.logshipper.transform.parsing.field_extraction import rename_reserved
from sidecars.logshipper.transform.parsing.json_passthrough import create_reader
from tests.logshipper.pipelines import shipped
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
