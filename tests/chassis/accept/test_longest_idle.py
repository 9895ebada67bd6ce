"""The idle connections that make room for newcomers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.accept.longest_idle import longest_idle


def test_the_oldest_of_the_peer_that_has_most_is_the_first() -> None:
    idle = [(1.0, "app", "a1"), (2.0, "flood", "f2"), (3.0, "flood", "f3"), (4.0, "flood", "f4")]

    assert longest_idle(idle, 3) == ["f2", "f3", "a1"]


def test_no_more_are_chosen_than_there_are() -> None:
    assert longest_idle([], 4) == []
    assert longest_idle([(1.0, "app", "a")], 4) == ["a"]


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from("abc"))), st.integers(0, 20))
def test_each_one_is_the_oldest_of_a_peer_that_then_has_most(pairs: list[tuple[float, str]], most: int) -> None:
    left = [(since, peer, number) for number, (since, peer) in enumerate(pairs)]
    by_number = {number: (since, peer) for since, peer, number in left}
    chosen = longest_idle(left, most)

    assert len(chosen) == min(most, len(pairs))
    for number in chosen:
        since, peer = by_number[number]
        counts = [sum(of == own for _, of, _ in left) for _, own, _ in left]
        assert sum(of == peer for _, of, _ in left) == max(counts)
        assert since == min(of_since for of_since, of, _ in left if of == peer)
        left.remove((since, peer, number))
