"""The token bucket, against a count of what has passed in each span of time. The logshipper has tests of rates."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.config.rates import Rate, TokenBucket, parse_rate

_SECOND = 10**9


@given(st.integers(1, 50), st.integers(1, 20), st.lists(st.integers(0, _SECOND // 2), max_size=60))
def test_in_no_span_more_pass_than_the_rate_and_the_burst(events: int, burst: int, pauses: list[int]) -> None:
    bucket = TokenBucket(Rate(events, _SECOND), burst)
    now, passed = 0, []
    for pause in pauses:
        now += pause
        before = bucket.tokens(now)
        taken = bucket.take(now)
        assert taken == (before > 0)
        if taken:
            passed.append(now)
        elif passed:
            ready = bucket.ready_at(now)
            assert ready > now
            assert bucket.tokens(ready) == 1
            assert bucket.tokens(ready - 1) == 0
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            span = passed[last] - passed[first]
            assert (last - first + 1 - burst) * _SECOND <= span * events


def test_a_bucket_is_full_at_the_beginning_and_after_a_pause() -> None:
    bucket = TokenBucket(parse_rate("60/m"), 3)
    assert [bucket.take(0) for _ in range(4)] == [True, True, True, False]
    assert bucket.ready_at(0) == _SECOND
    assert bucket.tokens(100 * _SECOND) == 3
