"""Settling: a source that is being written is one state and no failure. Times are invented."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.warcopier.watch.settling import LONGEST, QUIET, Settling

LONG_AGO = -1e6


def quiet(*, careful: bool = False) -> Settling:
    """Return a source that was published at the time 0 and has not changed since."""
    settling = Settling("first", LONG_AGO, 0.0, careful=careful)
    settling.settle()
    return settling


def test_the_first_run_is_due_at_once_and_its_failure_counts_where_the_source_is_old() -> None:
    settling = Settling("look", LONG_AGO, 0.0, careful=False)
    assert settling.is_due(0.0)
    assert not settling.is_changing(0.0)


def test_the_first_run_of_a_source_that_has_just_changed_is_due_and_its_failure_does_not_count() -> None:
    settling = Settling("look", -0.5, 0.0, careful=False)
    assert settling.is_due(0.0)
    assert settling.is_changing(0.0)


def test_where_nothing_changes_nothing_is_due() -> None:
    settling = quiet()
    for now in (1.0, 10.0, 1e6):
        settling.observe("first", now)
        assert not settling.is_due(now)
        assert not settling.is_waiting()


def test_a_change_is_followed_at_once() -> None:
    settling = quiet()
    settling.observe("second", 10.0)
    assert settling.is_due(10.0)


def test_a_slow_copy_is_tried_once_and_then_when_it_is_quiet() -> None:
    settling = quiet()
    tried = []
    for tenth in range(600):  # a minute, in which every look differs
        now = 10.0 + tenth / 10
        settling.observe(tenth, now)
        if settling.is_due(now):
            tried.append(now)
            assert settling.is_changing(now)
            settling.wait()
        assert settling.is_waiting()
    assert tried == [10.0]
    settling.observe(599, 69.9 + QUIET - 0.1)
    assert not settling.is_due(69.9 + QUIET - 0.1)
    settling.observe(599, 69.9 + QUIET)
    assert settling.is_due(69.9 + QUIET)
    assert not settling.is_changing(69.9 + QUIET)
    settling.settle()
    assert not settling.is_waiting()


def test_a_source_that_never_comes_to_rest_is_a_failure_after_a_while() -> None:
    settling = quiet()
    settling.observe("second", 0.0)
    settling.wait()
    now = 0.0
    while not settling.is_due(now):
        now += 1.0
        settling.observe(now, now)
    assert now == LONGEST
    assert not settling.is_changing(now)


def test_where_a_part_could_be_taken_for_the_whole_nothing_is_due_before_it_is_quiet() -> None:
    settling = quiet(careful=True)
    for now in range(1_000):
        settling.observe(now, float(now))
        assert not settling.is_due(float(now))
    assert settling.is_due(999 + QUIET)


@pytest.mark.parametrize("careful", [False, True])
@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.01, 400)), max_size=30))
def test_after_the_last_change_there_is_always_a_run_and_then_none(
    careful: bool,  # noqa: FBT001 - a parameter
    looks: list[tuple[int, float]],
) -> None:
    settling = quiet(careful=careful)
    now, seen, ran_for = 0.0, "first", "first"
    for look, later in [*looks, (9, 1.0), (9, QUIET + 0.1)]:
        now += later
        settling.observe(look, now)
        seen = str(look)
        if settling.is_due(now):
            ran_for = seen
            if settling.is_changing(now):
                settling.wait()
            else:
                settling.settle()
    assert ran_for == seen
    assert not settling.is_waiting()
