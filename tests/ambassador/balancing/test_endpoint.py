"""The cost of an endpoint: a peak EWMA."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ambassador.balancing_support import make_endpoints


def test_a_good_answer_ends_what_a_retry_after_asked_for() -> None:
    (one,) = make_endpoints(1)
    one.penalize(0.0, retry_after=120.0)
    one.sample_cost(0.01, 5.0)
    one.sample_cost(0.01, 15.0)
    assert one.cost == pytest.approx(120.0 / 2.71828, rel=0.01)


def test_a_cost_peaks_at_once_sinks_slowly_and_is_projected_to_now() -> None:
    (one,) = make_endpoints(1)
    one.sample_cost(0.5, 1.0)
    assert one.cost == 0.5
    one.sample_cost(0.1, 1.0 + 10.0)
    assert one.cost == pytest.approx(0.1 + 0.4 / 2.71828, rel=1e-3)
    one.decay_cost(12.0, 22.0)
    assert one.cost < 0.1
    kept = one.cost
    one.decay_cost(20.0, 23.0)
    assert one.cost == kept  # there has been a sample since


@given(st.lists(st.tuples(st.floats(0.0, 100.0), st.floats(0.0, 50.0)), min_size=1, max_size=50))
def test_a_cost_stays_within_what_was_measured(samples: list[tuple[float, float]]) -> None:
    (one,) = make_endpoints(1)
    now, highest = 0.0, one.cost
    for seconds, later in samples:
        now += later
        one.sample_cost(seconds, now)
        highest = max(highest, seconds)
        assert seconds - 1e-9 <= one.cost <= highest + 1e-9
