"""Paths into the status, and its values as text."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.page import values
from sidecars.chassis.page.picture import STATES, Column
from tests.support import examples

STATUS: dict[str, Any] = {
    "name": "demo",
    "upstreams": {
        "orders": {
            "balance": "random",
            "targets": [
                {"dns": 12, "endpoints": [{"address": "a", "state": "ready"}, {"address": "b", "idle": 0}]},
                {"dns": None, "endpoints": [{"address": "c"}]},
            ],
        },
        "state": {"balance": "hash", "targets": [{"endpoints": [{"address": "d"}]}]},
    },
    "artifacts": {"shop.war": "ab12"},
}
ENDPOINTS = "upstreams.*.targets.*.endpoints.*"


def found(rows: str, *paths: str) -> list[list[Any]]:
    return [[values.find(row, path) for path in paths] for row in values.rows(STATUS, rows)]


def test_a_star_captures_each_member_of_an_object_or_a_list() -> None:
    assert found(ENDPOINTS, "address", "key:0", "key:1", "key:2") == [
        ["a", "orders", "0", "0"],
        ["b", "orders", "0", "1"],
        ["c", "orders", "1", "0"],
        ["d", "state", "0", "0"],
    ]


def test_a_path_is_looked_up_in_the_row_and_then_in_what_is_around_it() -> None:
    assert found(ENDPOINTS, "dns", "balance", "name") == [
        [12, "random", "demo"],
        [12, "random", "demo"],
        [None, "random", "demo"],
        [None, "hash", "demo"],
    ]


def test_a_name_that_a_star_captures_is_no_member_of_a_row() -> None:
    """Else an upstream that is called `state` would be the state of every endpoint without one."""
    assert found(ENDPOINTS, "state") == [["ready"], [None], [None], [None]]


def test_a_row_may_be_a_plain_value() -> None:
    assert found("artifacts.*", "key:0", ".") == [["shop.war", "ab12"]]


@pytest.mark.parametrize("path", ["name.x", "upstreams.orders.targets.9.dns", "upstreams.orders.targets.x", "nothing"])
def test_a_path_that_leads_nowhere_is_empty(path: str) -> None:
    assert values.find(values.Row((), (STATUS,)), path) is None
    assert list(values.rows(STATUS, f"{path}.*.more")) == []


def test_an_index_leads_into_a_list() -> None:
    assert values.find(values.Row((), (STATUS,)), "upstreams.orders.targets.0.endpoints.1.address") == "b"


BUCKETS: dict[str, Any] = {"0.001": 50, "0.01": 99, "+Inf": 100}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("text", None, "—"),
        ("text", "", "—"),
        ("text", True, "yes"),
        ("text", False, "no"),
        ("text", 0, "0"),
        ("text", 1234567, "1,234,567"),
        ("text", "a\nb\u202ec\x1b[2J\ud800", "a\\u000ab\\u202ec\\u001b[2J\\ud800"),
        ("text", {"a": [1, None]}, '{"a":[1,null]}'),
        ("count", 10.5, "11"),
        ("state", "ejected: 3 failures", "ejected: 3 failures"),
        ("count", 1234567, "1,234,567"),
        ("count", 0.5, "0.5"),
        ("count", 0.974, "0.97"),
        ("count", 0.001, "0"),
        ("count", 1.24, "1.2"),
        ("count", "many", "many"),
        ("rate", 1200, "1,200"),
        ("bytes", 0, "0 B"),
        ("bytes", 1023, "1,023 B"),
        ("bytes", 1024, "1 KiB"),
        ("bytes", 1536, "1.5 KiB"),
        ("bytes", 1048575, "1 MiB"),
        ("bytes", 5 * 1024**5, "5 PiB"),
        ("bytes", 5000 * 1024**5, "5,000 PiB"),
        ("seconds", 0, "0 s"),
        ("seconds", 0.0000015, "1.5 µs"),
        ("seconds", 0.0123, "12 ms"),
        ("seconds", 119.4, "119 s"),
        ("seconds", 150, "2.5 min"),
        ("seconds", 7200, "2 h"),
        ("seconds", 864000, "10 d"),
        ("p50", BUCKETS, "1 ms"),
        ("p99-spark", list(BUCKETS.items()), "10 ms"),
        ("p99", {"0.001": 0, "0.01": 0, "+Inf": 100}, "10 ms"),
        ("p99", {"+Inf": 0}, "—"),
        ("p99", {}, "—"),
        ("p99", None, "—"),
        ("spark", [1, 2, 3], "3"),
        ("spark", [], "—"),
        ("digest", "abcdef0123456789", "abcdef012345"),
        ("list", ["a", "", None, "b"], "a, b"),
        ("list", {"timeout": 3, "connect": 0, "why": ""}, "timeout 3"),
        ("list", [], "—"),
        ("list", "alone", "alone"),
    ],
)
def test_a_value_as_text(kind: Any, value: Any, expected: str) -> None:
    assert values.shown(Column("Title", "path", kind), value) == expected


def test_the_unit_of_a_column_is_that_of_its_numbers() -> None:
    assert values.shown(Column("Title", "path", "rate", unit="bytes"), 2048) == "2 KiB"
    assert values.shown(Column("Title", "path", "bar", of="all", unit="seconds"), 0.5) == "500 ms"
    assert values.shown(Column("Title", "path", "p50", unit="bytes"), {"1024": 1}) == "512 B"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("ready", "ok"),
        ("READY", "ok"),
        ("ready (3)", "ok"),
        ("not ready", "bad"),
        ("not alive", "bad"),
        ("no", "bad"),
        ("nothing", ""),
        ("open", "bad"),
        ("half-open", "warn"),
        ("open-ended", ""),
        ("ejected: 3 failures", "bad"),
        ("rolled back", "bad"),
        ("a word of nobody", ""),
    ],
)
def test_a_state_has_the_grade_of_the_word_that_it_begins_with(word: str, expected: str) -> None:
    assert values.grade(word) == expected


def test_the_words_of_states_mean_themselves_in_a_regular_expression() -> None:
    assert all(re.fullmatch(r"[a-z -]+", word) for words in STATES.values() for word in words)


ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50)


@examples(100)
@given(ANY | st.lists(ANY, max_size=3) | st.dictionaries(st.text(max_size=9), ANY, max_size=3))
def test_any_value_is_printable_and_short(value: Any) -> None:
    for kind in ("text", "state", "list", "digest", "spark", "bytes", "seconds"):
        shown = values.shown(Column("Title", "path", kind), value)
        assert shown.isprintable()
        assert 0 < len(shown) < 2000
