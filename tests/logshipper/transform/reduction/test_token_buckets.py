"""Token buckets: never more than rate * t + burst, whatever the keys; the choice is the same from its quota."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.config.rates import Rate, parse_rate
from sidecars.logshipper.transform.reduction import rate_limits
from sidecars.logshipper.transform.reduction.token_buckets import MOST_KEYS, OTHERS, TokenBuckets

SECOND = 10**9
_RATES = st.builds(Rate, st.integers(1, 7), st.sampled_from([SECOND, 3 * SECOND, 60 * SECOND]))
_CALLS = st.lists(st.tuples(st.integers(0, 2 * SECOND), st.integers(0, 9), st.integers(1, 6)), max_size=60)


@given(_RATES, st.integers(1, 5), st.integers(1, 4), _CALLS)
def test_no_key_passes_more_than_its_rate_and_burst_in_any_span_however_many_keys_there_are(
    rate: Rate, burst: int, most: int, calls: list[tuple[int, int, int]]
) -> None:
    buckets, now = TokenBuckets(rate, burst, most), 1000 * SECOND
    passed: dict[str, list[tuple[int, int]]] = {}
    for pause, number, wanted in calls:
        now += pause
        key = str(number)
        passed.setdefault(key, []).append((now, buckets.take(buckets.place(key, now), wanted, now)))
        assert len(buckets) <= most
    for events in passed.values():
        for first, (begin, _) in enumerate(events):
            total = 0
            for end, count in events[first:]:
                total += count
                assert (total - burst) * rate.period <= (end - begin) * rate.events


@given(_RATES, st.integers(1, 5), st.lists(st.integers(0, 3 * SECOND), max_size=40))
def test_who_asks_for_less_than_the_rate_always_passes(rate: Rate, burst: int, more: list[int]) -> None:
    buckets, now = TokenBuckets(rate, burst), 0
    for pause in more:
        now += -(-rate.period // rate.events) + pause
        assert buckets.take(buckets.place("a", now), 1, now) == 1


@given(_RATES, st.integers(1, 5), st.integers(0, 20), st.integers(1, 9))
def test_the_tokens_are_there_when_it_says_and_not_before(rate: Rate, burst: int, taken: int, wanted: int) -> None:
    buckets, now = TokenBuckets(rate, burst), 5 * SECOND
    place = buckets.place("a", now)
    buckets.charge(place, taken, now)
    ready = buckets.ready_at(place, wanted, now)
    assert buckets.tokens(place, ready) >= min(wanted, burst)
    assert ready == now or buckets.tokens(place, ready - 1) < min(wanted, burst)


def test_a_hostile_app_has_a_thousand_buckets_and_one_for_all_its_other_keys() -> None:
    buckets = TokenBuckets(Rate(1, 3600 * SECOND), 2)
    passed = sum(buckets.take(buckets.place(f"{number:012x}", number), 1, number) for number in range(50_000))
    assert len(buckets) == MOST_KEYS
    assert passed == MOST_KEYS + 2
    later = 3 * 3600 * SECOND
    assert buckets.place("new", later) == "new", "the oldest one is full again, and makes room"
    assert len(buckets) == MOST_KEYS


def test_a_key_that_gets_a_bucket_of_its_own_does_not_begin_with_more_than_the_shared_one_has() -> None:
    buckets = TokenBuckets(Rate(1, SECOND), 2, most=1)
    assert buckets.take(buckets.place("a", SECOND), 1, SECOND) == 1
    assert buckets.place("b", SECOND) == OTHERS
    assert buckets.take(OTHERS, 9, SECOND) == 2
    assert buckets.place("b", 2 * SECOND) == "b", "that of a is full, and makes room"
    assert buckets.take("b", 9, 2 * SECOND) == 1


_KEYS = st.lists(st.sampled_from([f"{number:012x}" for number in range(8)]), max_size=80)


@given(_KEYS, _RATES, st.integers(1, 5), st.integers(1, 4), st.integers(0, 20), st.integers(0, 7))
def test_another_process_makes_the_same_choice_from_the_quota_in_the_journal(
    keys: list[str], rate: Rate, burst: int, most: int, before: int, first: int
) -> None:
    buckets = TokenBuckets(rate, burst, most)
    for number in range(before):
        buckets.take(buckets.place(f"{(first + number) % 8:012x}", SECOND), 1, SECOND)
    left = {key: max(0, buckets.tokens(buckets.place(key, SECOND), SECOND)) for key in keys}
    quota = rate_limits.decide(keys, buckets, SECOND)
    passes = rate_limits.passing(keys, quota)
    again = json.loads(json.dumps(quota))
    assert rate_limits.passing(keys, again) == passes
    assert quota is None or len(quota) <= most + 1
    assert (quota is None) == all(passes)
    counts = Counter(key for key, passed in zip(keys, passes, strict=True) if passed)
    assert all(counts[key] <= left[key] for key in left)
    own = {key for key in keys if quota is None or key in quota or OTHERS not in quota}
    for key in own - {OTHERS}:
        assert counts[key] == min(keys.count(key), left[key]) or len(left) > most
    for key in own:  # of each key the first ones pass
        of_key = [passed for one, passed in zip(keys, passes, strict=True) if one == key]
        assert of_key == sorted(of_key, reverse=True)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("500/s", (500, SECOND)), ("30 / m", (30, 60 * SECOND)), ("1/h", (1, 3600 * SECOND))],
)
def test_a_rate_is_a_number_for_a_time(text: str, rate: tuple[int, int]) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["500", "0/s", "1.5/s", "5/d", "/s", "-1/s", "1e3/s"])
def test_a_wrong_rate_gets_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="such as 500/s, 30/m, 1000/h"):
        parse_rate(text)
