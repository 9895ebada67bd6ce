"""The pause before the next attempt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.delivery.backoff import delay

_RANDOM = st.floats(0.0, 1.0, exclude_max=True)


@given(st.integers(1, 10**9), _RANDOM)
def test_a_pause_is_within_its_bounds_for_however_long_it_fails(failures: int, random: float) -> None:
    assert 0.25 <= delay(failures, 0.5, 30.0, random=random) <= 30.0


@given(st.integers(1, 50), _RANDOM, st.floats(0, 1000))
def test_a_pause_is_never_shorter_than_was_asked_for(failures: int, random: float, asked: float) -> None:
    assert delay(failures, 0.5, 30.0, random=random, retry_after=asked) >= asked


def test_a_pause_doubles_up_to_the_longest() -> None:
    assert [delay(failures, 1.0, 8.0, random=0.999999) // 0.99 for failures in range(1, 6)] == [1, 2, 4, 8, 8]
