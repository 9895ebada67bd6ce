"""The ledger: read = delivered + dropped + pending."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model.ledger import HOLE, LOST, REASONS, ArrivalTimes, Ledger

_COUNT = st.integers(0, 1000)
_EVENT = st.one_of(
    st.tuples(st.just("read"), st.sampled_from("ab"), _COUNT, st.none()),
    st.tuples(st.just("delivered"), st.sampled_from("ab"), _COUNT, st.none()),
    st.tuples(st.just("dropped"), st.sampled_from("ab"), _COUNT, st.sampled_from(REASONS)),
)


@given(st.lists(_EVENT))
def test_the_books_balance_whatever_happens(events: list[tuple[str, str, int, str]]) -> None:
    ledger, pending = Ledger(), {"a": 0, "b": 0}
    ledger.open("a")
    ledger.open("b")
    for what, file, amount, reason in events:
        count = amount if what == "read" else min(amount, pending[file])
        pending[file] += count if what == "read" else -count
        match what:
            case "read":
                ledger.read(file, count)
            case "delivered":
                ledger.delivered(file, count, 1)
            case _:
                ledger.dropped(file, reason, count)
    assert ledger.check(pending) == []
    total = ledger.total
    assert total.read == total.delivered + sum(total.dropped.values()) + total.pending


def test_a_difference_between_books_and_positions_is_told() -> None:
    ledger = Ledger()
    ledger.open("a")
    ledger.read("a", 10)
    assert ledger.check({"a": 10}) == []
    assert len(ledger.check({"a": 9})) == 2


def test_a_file_cannot_be_let_go_while_something_in_it_is_pending() -> None:
    ledger = Ledger()
    ledger.open("a")
    ledger.read("a", 10)
    ledger.dropped("a", HOLE, 4)
    with pytest.raises(AssertionError, match="6 bytes"):
        ledger.close("a")
    ledger.open("a")


def test_what_is_let_go_stays_in_the_total() -> None:
    ledger = Ledger()
    ledger.open("a")
    ledger.read("a", 10)
    ledger.delivered("a", 6, 2)
    ledger.dropped("a", LOST, 4)
    ledger.close("a")
    assert ledger.total.as_dict() == {
        "read_bytes": 10,
        "delivered_bytes": 6,
        "delivered_lines": 2,
        "dropped_bytes": {"lost": 4},
        "pending_bytes": 0,
    }


@given(st.lists(st.tuples(st.integers(1, 100), st.floats(0.0, 10.0)), min_size=1, max_size=2000))
def test_the_age_of_a_byte_is_never_told_too_young_and_memory_stays_flat(growth: list[tuple[int, float]]) -> None:
    arrival_times, size, now, truth = ArrivalTimes(1, 0.0), 1, 0.0, [(0, 0.0)]
    for step, pause in growth:
        now += pause
        truth.append((size, now))
        size += step
        arrival_times.grew(size, now)
    assert len(arrival_times._earlier or ()) <= 300
    for offset, when in truth:
        since = arrival_times.since(offset)
        assert since is not None
        assert since <= when
    assert arrival_times.since(size) is None
