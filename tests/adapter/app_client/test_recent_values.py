"""The ring of recent values: slots, gaps, its bound, and clocks that jump."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter.app_client.recent_values import SIZE, SLOT, SLOTS, RecentValues

START = 1_000_000_000.0  # the begin of a slot


@pytest.mark.parametrize(
    ("added", "read_after", "values"),
    [
        ([], 0, []),
        ([(0, 1.0)], 0, [1.0]),
        ([(0, 1.0), (1, 2.0), (4.9, 3.0)], 4.9, [3.0]),  # one slot keeps its last value
        ([(0, 1.0), (SLOT, 2.0)], SLOT, [1.0, 2.0]),
        ([(0, 1.0), (3 * SLOT, 2.0)], 4 * SLOT, [1.0, None, None, 2.0, None]),
        ([(0, 1.0), (0.1, math.nan), (SLOT, math.inf), (2 * SLOT, 5.0)], 2 * SLOT, [5.0]),
        ([(0, 1.0), (SLOTS * SLOT, 2.0)], SLOTS * SLOT, [2.0]),  # the first one is too old
        ([(0, 1.0)], 10 * SLOTS * SLOT, []),
        ([(0, 1.0), (SLOT, 2.0), (-500 * SLOT, 3.0)], 0, [1.0, 3.0]),  # the clock was set back
        ([(0, 123456.789)], 0, [123457.0]),
    ],
)
def test_values_are_kept_by_slots_with_gaps_between(
    added: list[tuple[float, float]], read_after: float, values: list[float | None]
) -> None:
    ring = RecentValues()
    for after, value in added:
        ring.add(value, START + after)
    assert ring.values(START + read_after) == values


@given(st.lists(st.tuples(st.floats(0, 5000), st.floats(-1e9, 1e9)), max_size=200), st.floats(0, 9000))
def test_the_ring_never_grows_and_never_tells_a_value_that_is_older_than_five_minutes(
    added: list[tuple[float, float]], later: float
) -> None:
    ring, now = RecentValues(), START
    for after, value in sorted(added):
        now = START + after
        ring.add(value, now)
    found = ring.values(now + later)
    assert len(found) <= SLOTS
    young = {float(f"{value:.6g}") for after, value in added if START + after > now + later - (SLOTS + 1) * SLOT}
    assert {value for value in found if value is not None} <= young
    assert sys.getsizeof(ring) + sys.getsizeof(ring._values) + sys.getsizeof(ring._slot) <= SIZE
