"""The numbers that ADAPTER_SELECT selects from JSON."""

from __future__ import annotations

from typing import Any

import pytest

from sidecars.adapter.health.json_path_selection import select_values
from sidecars.adapter.health.json_paths import parse_json_paths
from sidecars.adapter.health.status_words import StatusWords
from sidecars.adapter.health.strict_json import NotAHealthDocument

DOCUMENT = {
    "queue": {"depth": 7, "state": "UP", "dead": False, "age": "12.5", "note": "none", "gone": None},
    "a b": {"c.d": 1},
    "disks": [{"name": "root", "free": 10}, {"name": "data", "free": 20}],
    "pools": {"main": {"size": 3}, "spare": {"size": 4}},
    "odd": [{"ok": True, "id": 1}, {"ok": True, "id": True}],
}


def values(text: str, document: Any = DOCUMENT) -> dict[tuple[str, str], float]:
    return {(one.name, one.key): one.value for one in select_values(parse_json_paths(text), document).values}


def unknown(text: str, document: Any) -> dict[tuple[str, str], str]:
    """Return the unknown values by name and key, in the words for the prober."""
    return {
        (one.name, one.labels.get("key", "")): one.detail
        for one in select_values(parse_json_paths(text), document).unknown
    }


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


@pytest.mark.parametrize("path", ["$.nothing", "$.disks[9]", "$.disks.x", "$.queue.depth.x", "$.pools.*.size.x"])
def test_a_path_that_leads_nowhere_gives_no_value_and_nothing_at_all_is_told(path: str) -> None:
    assert values(f"x={path}; y=$.queue.depth") == {("y", ""): 7}
    assert unknown(f"x={path}; y=$.queue.depth", DOCUMENT) == {}
    with pytest.raises(NotAHealthDocument, match="ADAPTER_SELECT"):
        values(f"x={path}")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("$.queue.note", '$.queue.note is "none", which is neither'),
        ("$.queue.gone", "$.queue.gone is null, which is neither"),
        ("$.queue", "$.queue is an object, which is neither"),
        ("$.disks", "$.disks is an array, which is neither"),
        ("$['a b']", '$["a b"] is an object, which is neither'),
    ],
)
def test_a_value_that_is_no_number_is_unknown_and_told_with_path_and_value(path: str, told: str) -> None:
    assert values(f"x={path}; y=$.queue.depth") == {("y", ""): 7}
    [(name, words)] = unknown(f"x={path}; y=$.queue.depth", DOCUMENT).items()
    assert name == ("x", "")
    assert words.startswith(told)


def test_each_item_of_a_wildcard_that_is_not_understood_is_unknown_by_itself() -> None:
    nodes = [{"state": "ok"}, {"state": "offline"}, {"name": "no state"}, None, {"state": None}]

    found = unknown("u=$.nodes[*].state", {"nodes": nodes})

    assert values("u=$.nodes[*].state", {"nodes": nodes}) == {("u", "0"): 1}
    assert [key for _, key in found] == ["1", "2", "3", "4"]
    assert found["u", "1"].startswith('$.nodes[1].state is "offline", which is neither')
    assert found["u", "2"] == "$.nodes[2].state is not there"


def test_a_path_that_goes_on_behind_a_wildcard_takes_the_items_that_have_it() -> None:
    parts = {"disk": {"details": {"free": 5}}, "db": {"details": {"hits": 1}}, "ping": {}, "version": "1", "none": None}

    assert values("free=$.parts.*.details.free", {"parts": parts}) == {("free", "disk"): 5}
    assert unknown("free=$.parts.*.details.free", {"parts": parts}) == {}
    assert [key for _, key in unknown("state=$.parts.*.state", {"parts": parts})] == [*parts]


@pytest.mark.parametrize("odd", ["offline", 0, True, [{"state": "down"}], []])
def test_an_item_of_a_wildcard_that_is_no_object_lacks_the_member_too(odd: object) -> None:
    selected = "u=$.nodes[*].state"

    assert values(selected, {"nodes": [{"state": "ok"}, odd]}) == {("u", "0"): 1}
    assert unknown(selected, {"nodes": [{"state": "ok"}, odd]}) == {("u", "1"): "$.nodes[1].state is not there"}
    assert [*unknown(selected, {"nodes": {"a": {"state": "ok"}, "b": odd}})] == [("u", "b")]


@pytest.mark.parametrize(
    ("path", "items", "lacking"),
    [
        ("$.dcs.*[0]", {"a": [1], "b": [], "c": None, "d": "down"}, ["b", "c", "d"]),
        ("$.dcs.*[*]", {"a": [1], "b": [], "c": None, "d": "down"}, ["c", "d"]),
        ("$.dcs.*.*", {"a": {"x": 1}, "b": {}, "c": 0}, ["c"]),
    ],
)
def test_an_item_of_a_wildcard_lacks_an_element_or_items_too(path: str, items: object, lacking: list[str]) -> None:
    assert [key for _, key in unknown(f"u={path}", {"dcs": items})] == lacking


def test_what_is_shown_of_an_unknown_value_is_bounded_and_moves_no_terminal() -> None:
    [one] = select_values(parse_json_paths("u=$.s; v=$.n"), {"s": "\x1b[2J\x7f\u202e" + "x" * 10_000, "n": 1}).unknown

    assert len(one.detail) < 250
    assert one.detail.isprintable()
    assert "xxx" not in one.reason


def test_words_of_the_settings_have_their_numbers_and_the_known_ones_stay() -> None:
    words = StatusWords({"success": 1, "restricted": 0.5, "up": 0})
    document = ["Success", "RESTRICTED", "UP", "down", "ok"]

    found = select_values(parse_json_paths("u=$[*]"), document, words)

    assert [one.value for one in found.values] == [1, 0.5, 0, 0, 1]
    assert found.unknown == ()


def test_whole_numbers_beyond_floating_point_are_infinite() -> None:
    assert values("x=$[*]", [10**400, -(10**400)]) == {("x", "0"): float("inf"), ("x", "1"): -float("inf")}


def test_several_values_that_nothing_tells_apart_are_unknown_and_the_others_are_kept() -> None:
    text = "x=$.odd[?(@.ok==true)].id; y=$.queue.depth"

    assert values(text) == {("y", ""): 7}
    assert "several values for x" in unknown(text, DOCUMENT)["x", ""]


def test_more_values_than_there_may_be_are_refused_before_they_are_all_taken() -> None:
    with pytest.raises(NotAHealthDocument, match="ADAPTER_MAX_SERIES"):
        select_values(parse_json_paths("x=$[*]"), list(range(1000)), max_values=999)
    assert len(select_values(parse_json_paths("x=$[*]"), list(range(999)), max_values=999).values) == 999
