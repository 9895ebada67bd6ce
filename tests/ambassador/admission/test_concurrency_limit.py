"""The adaptive limit, against a model of an upstream with latencies by Little's law, and any sequence of events."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.admission.concurrency_limit import FIRST, ConcurrencyLimit

RTT = 0.05  # seconds of service, without a queue


class Upstream:
    """Serves so many requests at once; each further one waits. Its latency varies by a fifth."""

    def __init__(self, slots: int, seed: int = 1) -> None:
        self.slots = slots
        self.rtt = RTT
        self.now = 100.0
        self.limit = ConcurrencyLimit(1000)
        self._dice = random.Random(seed)
        self.seen: list[int] = []

    def run(self, seconds: float, wanted: int = 1000) -> None:
        """Let `wanted` requests at once be sent, as far as the limit allows it."""
        end = self.now + seconds
        while self.now < end:
            under_way = max(1, min(wanted, self.limit.limit))
            self.limit.note_use(under_way)
            latency = self.rtt * max(1.0, under_way / self.slots) * self._dice.uniform(0.8, 1.2)
            self.now += latency / under_way
            self.limit.on_latency(latency, self.now)
            self.seen.append(self.limit.limit)


@pytest.mark.parametrize("slots", [4, 10, 30, 100])
def test_under_a_load_without_end_the_limit_is_what_the_upstream_serves_and_a_short_queue(slots: int) -> None:
    upstream = Upstream(slots)
    upstream.run(10.0, wanted=2 if slots < 10 else slots // 2)
    upstream.run(20.0)
    late = upstream.seen[-1000:]
    assert slots * 0.9 <= sum(late) / len(late) <= slots * 2.5 + 10


def test_in_an_overload_from_the_start_a_probe_finds_the_floor_although_nobody_has_seen_it() -> None:
    upstream = Upstream(10)
    upstream.run(15.0)
    assert upstream.limit.floor < 1.5 * RTT
    assert upstream.limit.limit < 40


def test_an_upstream_that_has_become_slower_for_its_own_reasons_is_served_as_before_after_a_probe() -> None:
    upstream = Upstream(50)
    upstream.run(5.0, wanted=20)
    upstream.run(10.0)
    upstream.rtt = 10 * RTT
    upstream.run(90.0)
    assert upstream.limit.limit >= 45
    upstream.rtt = RTT
    upstream.run(40.0)
    assert 45 <= upstream.limit.limit <= 140


def test_after_a_pause_that_is_longer_than_any_window_the_limit_follows_the_upstream_again() -> None:
    upstream = Upstream(50)
    upstream.run(5.0, wanted=20)
    upstream.run(10.0)
    upstream.rtt = 15.0
    upstream.run(60.0)
    assert upstream.limit.latency > 10.0
    upstream.rtt = RTT
    upstream.run(120.0)
    assert upstream.limit.latency < 10 * RTT
    assert 45 <= upstream.limit.limit <= 140


def test_a_probe_ends_if_its_load_goes_away() -> None:
    limit = ConcurrencyLimit(1000)
    now = 0.0
    while limit.limit > 2:  # a serial upstream: each halving makes its responses quicker by half
        limit.note_use(limit.limit)
        limit.on_latency(0.01 * limit.limit, now)
        now += 0.01
    for _ in range(20):  # fewer than a window needs
        now += 11.0
        limit.on_latency(0.01, now)
    assert limit.limit >= 8


def test_with_little_use_the_limit_stays_and_the_floor_follows() -> None:
    upstream = Upstream(50)
    upstream.run(10.0, wanted=5)
    assert upstream.limit.limit == FIRST
    upstream.rtt = 3 * RTT
    upstream.run(30.0, wanted=5)
    assert upstream.limit.limit == FIRST
    assert upstream.limit.floor == pytest.approx(3 * RTT, rel=0.2)


def test_a_third_of_slow_responses_does_not_move_it() -> None:
    limit = ConcurrencyLimit(1000)
    now = 0.0
    for number in range(3000):
        now += 0.002
        limit.note_use(limit.limit)
        limit.on_latency(5.0 if number % 3 == 0 and number > 600 else 0.05, now)
    assert limit.limit > FIRST


def test_refusals_of_a_full_upstream_lower_it_though_they_come_at_once() -> None:
    limit = ConcurrencyLimit(1000)
    now = 0.0
    for number in range(3000):
        now += 0.002
        limit.note_use(limit.limit)
        if number < 600:
            limit.on_latency(0.05, now)
        else:
            limit.on_refusal(0.001, now)
    assert limit.limit < FIRST


def test_an_attempt_that_was_given_up_early_says_nothing() -> None:
    limit = ConcurrencyLimit(1000)
    for number in range(500):
        limit.on_latency(0.05, number / 100)
    before = limit.limit, limit.floor
    for number in range(500, 1000):
        limit.on_failure(0.001, number / 100)
    assert (limit.limit, limit.floor) == before


def test_the_upper_bound_holds_below_the_least_too() -> None:
    assert ConcurrencyLimit(2).limit == 2
    assert ConcurrencyLimit(1000).limit == FIRST


@given(
    st.integers(1, 2000),
    st.lists(
        st.tuples(
            st.sampled_from(["on_latency", "on_refusal", "on_failure"]),
            st.floats(0.0, 100.0),
            st.floats(0.0, 20.0),
            st.integers(0, 3000),
        ),
        max_size=300,
    ),
)
def test_whatever_happens_the_limit_has_its_bounds(most: int, story: list[tuple[str, float, float, int]]) -> None:
    limit = ConcurrencyLimit(most)
    now = 0.0
    for event, seconds, passed, use in story:
        now += passed
        limit.note_use(use)
        getattr(limit, event)(seconds, now)
        assert 1 <= limit.limit <= most
        assert limit.floor >= 0.0
