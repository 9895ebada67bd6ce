"""JSON out: every text can be parsed, and means the same."""

from __future__ import annotations

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.runtime import json_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_what_is_written_is_what_is_read_and_on_one_line(value: object) -> None:
    written = json_text.dumps(value)
    assert json.loads(written) == value
    assert "\n" not in written


def test_what_json_has_no_form_for_is_text() -> None:
    assert json.loads(json_text.dumps([Decimal("1.5"), float("inf"), float("nan"), b"x"])) == [
        "1.5",
        "inf",
        "nan",
        "b'x'",
    ]


def test_a_tuple_is_a_list_and_a_name_is_text() -> None:
    assert json_text.dumps({1: (True, None)}) == '{"1":[true,null]}'


def test_a_text_is_written_as_it_shows_itself() -> None:
    class Hidden(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "***"

    assert json_text.dumps([Hidden("secret"), {Hidden("secret"): 1}]) == '["***",{"***":1}]'


def test_each_control_character_and_each_quote_is_escaped() -> None:
    text = "".join(map(chr, range(0x100)))
    written = json_text.dumps(text)
    assert json.loads(written) == text
    assert not any(chr(number) in written for number in (*range(0x20), *range(0x7F, 0xA0)))
