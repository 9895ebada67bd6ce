"""The search for the events for which a sink refuses a batch."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.delivery.refusal_search import SAMPLES, RefusalSearch
from tests.logshipper.support import a_batch, a_chunk


def searched(count: int, bad: set[int]) -> tuple[list[int], list[int], int, bool]:
    """Return the accepted and the rejected events, the number of attempts, and True if the search is stuck."""
    search = RefusalSearch(a_batch(a_chunk(b"x\n" * count)))
    taken: list[int] = []
    dropped: list[int] = []
    requests = yes = 0
    while not search.is_stuck and (piece := search.next_piece()) is not None:
        requests += 1
        events = [offset // 2 for records in piece.records for offset in records.offsets]
        if bad.isdisjoint(events):
            taken += events
            yes = requests
            search.accepted()
        elif search.refused(piece, last_accepted=yes, last_attempt=requests):
            dropped += events
            search.resume()
    return taken, dropped, requests, search.is_stuck


@given(
    st.integers(2, 400).flatmap(lambda count: st.tuples(st.just(count), st.sets(st.integers(0, count - 1), max_size=6)))
)
def test_exactly_the_bad_events_are_given_up_at_the_cost_of_a_logarithm_each(case: tuple[int, set[int]]) -> None:
    count, bad = case
    taken, dropped, requests, is_stuck = searched(count, bad)
    if is_stuck:
        assert len(bad) >= min(count, SAMPLES)
        assert not taken
        return
    assert sorted(taken) == sorted(set(range(count)) - bad)
    assert sorted(dropped) == sorted(bad)
    assert requests <= 1 + 2 * len(bad) * (math.ceil(math.log2(count)) + 1)


@given(st.integers(1, 3000))
def test_where_all_are_refused_none_is_given_up_and_the_search_is_short(count: int) -> None:
    taken, dropped, requests, is_stuck = searched(count, set(range(count)))
    assert (taken, dropped, is_stuck) == ([], [], True)
    assert requests <= 2 * SAMPLES * (math.ceil(math.log2(count)) + 1)


def test_an_answer_that_was_on_its_way_when_the_sink_began_to_refuse_proves_nothing() -> None:
    search = RefusalSearch(a_batch(a_chunk(b"1\n")))
    piece = search.next_piece()
    assert piece
    assert not search.refused(piece, last_accepted=0, last_attempt=2), "the second one is another batch's"
    assert not search.is_proven(2)
    assert search.is_proven(3)


def test_a_sink_that_is_mended_and_breaks_again_gets_nothing_dropped() -> None:
    search = RefusalSearch(a_batch(a_chunk(b"1\n2\n")))
    for asked in (1, 2, 3):
        piece = search.next_piece()
        assert piece
        assert not search.refused(piece, last_accepted=0, last_attempt=asked)
    search.probe()
    assert search.next_piece()
    search.accepted()
    piece = search.next_piece()
    assert piece
    assert not search.refused(piece, last_accepted=4, last_attempt=5)
    assert search.is_stuck
