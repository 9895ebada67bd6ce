"""Peers take turns, and of one peer the oldest connection is first, or the newest."""

from __future__ import annotations

import pytest

from sidecars.chassis.accept import turns
from sidecars.chassis.accept.turns import Turns


def of(*waiting: str, newest_first: bool = True) -> Turns[str]:
    """Return turns in which these wait, in the order of their coming. The first letter of each is its peer."""
    made: Turns[str] = Turns(newest_first=newest_first)
    for each in waiting:
        made.add(each[0], each)
    return made


def order(made: Turns[str]) -> list[str]:
    return [made.next() for _ in range(len(made))]


def test_of_one_peer_the_oldest_is_first_or_the_newest() -> None:
    assert order(of("a1", "a2", "a3", newest_first=False)) == ["a1", "a2", "a3"]
    assert order(of("a1", "a2", "a3")) == ["a3", "a2", "a1"]


def test_peers_take_turns() -> None:
    assert order(of("a1", "a2", "a3", "b1", "c1", "c2")) == ["a3", "b1", "c2", "a2", "c1", "a1"]


def test_the_peer_whose_turn_is_longest_ago_is_the_next_also_if_it_had_none_waiting() -> None:
    made = of("p1", "a1", "b1")
    assert order(made) == ["p1", "a1", "b1"]
    for each in ("b2", "a2", "p2"):
        made.add(each[0], each)
    assert order(made) == ["p2", "a2", "b2"]


def test_a_peer_that_never_had_a_turn_is_before_all_others() -> None:
    made = of("a1", "a2", "b1", "b2")
    made.next(), made.next()
    made.add("p", "p1")
    assert order(made) == ["p1", "a1", "b1"]


def test_one_that_is_discarded_has_no_turn() -> None:
    made = of("a1", "a2", "b1")
    for each in ("a2", "b1", "x"):
        made.discard(each[0], each)
    assert order(made) == ["a1"]
    assert not made


def test_a_peer_is_one_also_if_it_went_and_came_again() -> None:
    made = of("a1")
    made.discard("a", "a1")
    made.add("a", "a2")
    made.add("b", "b1")
    assert sorted(order(made)) == ["a2", "b1"]


def test_nothing_is_kept_of_those_that_went(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MOST_KNOWN", 8)
    made: Turns[str] = Turns()
    for number in range(1000):
        made.add(f"peer {number}", "gone")
        made.discard(f"peer {number}", "gone")
        made.add(f"other {number}", "served")
        made.next()
    assert not made
    assert len(made._heap) <= 66
    assert len(made._last_turns) == 8
