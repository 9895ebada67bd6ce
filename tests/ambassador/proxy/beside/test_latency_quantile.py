"""The estimate of a quantile, against the exact one."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.proxy.beside.latency_quantile import FIRST, GROWTH, LAST, LEAST, LatencyQuantile
from tests.support import examples


def exact(times: list[float], share: float) -> float:
    """Return the least time that so large a share of the times does not exceed."""
    return sorted(times)[ceil(round(share * len(times), 6)) - 1]


@examples(40)
@given(
    times=st.lists(st.floats(FIRST, LAST), min_size=ceil(LEAST), max_size=160),
    share=st.sampled_from([0.5, 0.75, 0.9, 0.95, 0.99]),
)
def test_the_estimate_is_at_most_a_twentieth_above_the_exact_quantile(times: list[float], share: float) -> None:
    quantile = LatencyQuantile(share, 0.0)
    for seconds in times:
        quantile.record(seconds)
    quantile.update(0.0)
    right = exact(times, share)
    assert right * 0.999999 <= quantile.seconds <= right * GROWTH * 1.000001


def test_there_is_no_estimate_before_enough_times_were_counted() -> None:
    quantile = LatencyQuantile(0.95, 0.0)
    for _ in range(ceil(LEAST) - 1):
        quantile.record(0.01)
    quantile.update(0.0)
    assert quantile.seconds == 0.0
    quantile.record(0.01)
    quantile.update(0.0)
    assert 0.01 <= quantile.seconds <= 0.01 * GROWTH


def test_old_times_are_forgotten() -> None:
    quantile = LatencyQuantile(0.95, 0.0)
    for _ in range(1000):
        quantile.record(1.0)
    quantile.update(0.0)
    now = 0.0
    while quantile.seconds > 0.1:  # a hundred requests a second that take 10 ms
        now += 1.0
        for _ in range(100):
            quantile.record(0.01)
        quantile.update(now)
    assert now < 70.0
    quantile.update(now + 300.0)
    assert quantile.seconds == 0.0


def test_a_change_of_all_times_shows_after_a_twentieth_of_the_counted_ones() -> None:
    quantile = LatencyQuantile(0.95, 0.0)
    for _ in range(1000):
        quantile.record(0.01)
    for _ in range(53):
        quantile.record(1.0)
    quantile.update(0.1)
    assert quantile.seconds >= 1.0


@pytest.mark.parametrize(("seconds", "counted_as"), [(0.0, FIRST), (1e-9, FIRST), (1e6, LAST * GROWTH**2)])
def test_a_time_beyond_the_bounds_counts_as_the_bound(seconds: float, counted_as: float) -> None:
    quantile = LatencyQuantile(0.5, 0.0)
    for _ in range(100):
        quantile.record(seconds)
    quantile.update(0.0)
    assert quantile.seconds <= counted_as
    assert quantile.seconds >= min(counted_as, LAST)
