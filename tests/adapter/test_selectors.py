"""Numbers out of any JSON."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter.healthdoc import NotHealth
from sidecars.adapter.selectors import parse, select, show

DOCUMENT = {
    "queue": {"depth": 7, "state": "UP", "dead": False, "age": "12.5", "note": "none", "gone": None},
    "a b": {"c.d": 1},
    "disks": [{"name": "root", "free": 10}, {"name": "data", "free": 20}],
    "pools": {"main": {"size": 3}, "spare": {"size": 4}},
    "odd": [{"ok": True, "id": 1}, {"ok": True, "id": True}],
}


def values(text: str, document: Any = DOCUMENT) -> dict[tuple[str, str], float]:
    return {(one.name, one.key): one.value for one in select(parse(text), document)}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.queue.depth", 7),
        ("$['queue'].depth", 7),
        ('$["a b"]["c.d"]', 1),
        ("$.queue.state", 1),
        ("$.queue.dead", 0),
        ("$.queue.age", 12.5),
        ("$.disks[1].free", 20),
        ("$.disks[-1].free", 20),
        ('$.disks[?(@.name=="root")].free', 10),
        ("$.disks[?@.name == 'root'].free", 10),
        ("$.odd[?(@.id==1)].ok", 1),
        ("$.odd[?(@.id==true)].ok", 1),
    ],
)
def test_one_value_is_found(path: str, value: float) -> None:
    assert values(f"x={path}") == {("x", ""): value}


def test_all_of_several_are_told_apart_by_their_keys() -> None:
    assert values("free=$.disks[*].free; size=$.pools.*.size") == {
        ("free", "0"): 10,
        ("free", "1"): 20,
        ("size", "main"): 3,
        ("size", "spare"): 4,
    }


def test_lines_and_semicolons_separate() -> None:
    assert values("\n a = $.queue.depth ;\n b=$.queue.age\n") == {("a", ""): 7, ("b", ""): 12.5}


@pytest.mark.parametrize("path", ["$.queue.note", "$.queue.gone", "$.queue", "$.nothing", "$.disks[9]", "$.disks.x"])
def test_what_is_no_number_gives_none_and_none_at_all_is_told(path: str) -> None:
    assert values(f"x={path}; y=$.queue.depth") == {("y", ""): 7}
    with pytest.raises(NotHealth, match="ADAPTER_SELECT"):
        values(f"x={path}")


def test_several_values_that_nothing_tells_apart_are_refused() -> None:
    with pytest.raises(NotHealth, match="several values for x"):
        values("x=$.odd[?(@.ok==true)].id")


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("x", 1),
        ("x=queue", 1),
        ("1x=$.a", 1),
        ("x=$.a[", 6),
        ("x=$.a[b]", 6),
        ("x=$..a", 4),
        ("x=$.a y=$.b", 7),
        ("x=$.a; x=$.b", 8),
        ("x=$.a[?(@.b>1)]", 6),
    ],
)
def test_a_mistake_is_told_with_its_column_and_a_caret(text: str, column: int) -> None:
    with pytest.raises(ValueError, match=f"line 1, column {column}: ") as caught:
        parse(text)

    assert str(caught.value).endswith(f"\n  {text}\n  {' ' * (column - 1)}^")


@pytest.mark.parametrize("text", ["", " ", ";"])
def test_nothing_is_no_selection(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected name=\$\.path"):
        parse(text)


def test_what_is_shown_means_the_same() -> None:
    selectors = parse("a=$.queue.depth\nb=$.disks[?(@.name=='x')].free")

    assert parse(show(selectors)) == selectors


@given(st.text(max_size=40))
def test_any_text_is_a_selection_or_a_mistake(text: str) -> None:
    try:
        selectors = parse(text)
    except ValueError:
        return
    assert parse(show(selectors)) == selectors
