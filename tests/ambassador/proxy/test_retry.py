from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.config.setting_types import CONNECT, RESET, TIMEOUT
from sidecars.ambassador.http.response_head import Http1Response
from sidecars.ambassador.proxy.retry import (
    FORGIVEN,
    GIVE_UP,
    RETRY,
    UNPROCESSED,
    FailedAttempt,
    pause,
    retry_after,
    verdict,
)
from sidecars.ambassador.upstream.retry_budget import RetryBudget
from tests.ambassador.balancing_support import settings

USUAL = settings().retry_on
ALWAYS = settings(RETRY_ON="connect,reset,timeout,5xx,429").retry_on


def failed(**changes: str | bool | int) -> FailedAttempt:
    usual = {"idempotent": True, "written": True, "held": True, "reused": False, "closed": True, "race_forgiven": False}
    return FailedAttempt(**{**usual, "reason": RESET, "retries": 0, **changes})  # type: ignore[arg-type] # a table of changes


@pytest.mark.parametrize(
    ("what", "allowed", "expected"),
    [
        (failed(), 2, RETRY),
        (failed(retries=2), 2, GIVE_UP),
        (failed(), 0, GIVE_UP),
        (failed(idempotent=False), 2, GIVE_UP),
        (failed(idempotent=False, written=False), 2, RETRY),
        (failed(held=False), 2, GIVE_UP),
        (failed(reused=True), 0, FORGIVEN),
        (failed(reused=True, race_forgiven=True), 0, GIVE_UP),
        (failed(reused=True, idempotent=False), 2, GIVE_UP),
        (failed(reused=True, closed=False), 0, GIVE_UP),
        (failed(reason=CONNECT, written=False), 1, RETRY),
        (failed(reason=TIMEOUT), 1, RETRY),
        (failed(reason=503), 1, RETRY),
        (failed(reason=503, idempotent=False), 1, GIVE_UP),
        (failed(reason=500), 1, GIVE_UP),
        (failed(reason=429), 1, GIVE_UP),
        (failed(unprocessed=True), 0, UNPROCESSED),
        (failed(unprocessed=True, idempotent=False, reused=True), 0, UNPROCESSED),
        (failed(unprocessed=True, idempotent=False, repeats=1), 0, UNPROCESSED),
        (failed(unprocessed=True, idempotent=False, repeats=2), 0, GIVE_UP),
        (failed(unprocessed=True, idempotent=False, repeats=2), 1, RETRY),
        (failed(unprocessed=True, idempotent=False, held=False), 2, GIVE_UP),
    ],
)
def test_what_may_be_repeated(what: FailedAttempt, allowed: int, expected: str) -> None:
    assert verdict(what, allowed, USUAL) == expected


def test_what_was_written_and_is_not_idempotent_is_never_repeated() -> None:
    flags = [False, True]
    for reason in (CONNECT, RESET, TIMEOUT, 429, 500, 503):
        for held, reused, closed, lost in itertools.product(flags, repeat=4):
            what = failed(
                reason=reason,
                idempotent=False,
                written=True,
                held=held,
                reused=reused,
                closed=closed,
                race_forgiven=lost,
            )
            assert verdict(what, 10, ALWAYS) == GIVE_UP


def test_retries_are_a_fifth_of_the_traffic_when_everything_fails() -> None:
    budget = RetryBudget(0.0, 0.2)
    while budget.spend():
        pass
    spent = 0
    for _ in range(1000):
        budget.earn()
        spent += budget.spend()
    assert 190 <= spent <= 210


def test_a_busy_upstream_may_lose_many_requests_at_once() -> None:
    budget = RetryBudget(0.0, 0.2)
    for tick in range(1, 100):
        for _ in range(1000):
            budget.earn()
        budget.refill(tick * 0.2)
    spent = 0
    while budget.spend():
        spent += 1
    assert 6_000 < spent <= 10_000  # a fifth of the requests of ten seconds
    for tick in range(100, 1100):
        budget.refill(tick * 0.2)
    assert budget.saved == 100


@given(st.lists(st.tuples(st.sampled_from(["earn", "spend", "refill"]), st.integers(1, 200)), max_size=60))
def test_retries_never_exceed_what_the_traffic_allows(story: list[tuple[str, int]]) -> None:
    budget = RetryBudget(0.0, 0.2)
    now, earned, spent = 0.0, 0, 0
    for what, times in story:
        if what == "refill":
            now += times * 0.01
            budget.refill(now)
        for _ in range(times):
            if what == "earn":
                budget.earn()
                earned += 1
            elif what == "spend":
                spent += budget.spend()
        assert spent <= 100 + 0.2 * earned + 10 * now + 1


def test_a_quiet_upstream_may_always_retry_a_few_times() -> None:
    budget = RetryBudget(0.0, 0.2)
    while budget.spend():
        pass
    budget.refill(1.0)
    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]


def test_the_race_on_an_idle_connection_is_forgiven_whatever_is_retried() -> None:
    assert verdict(failed(reused=True), 0, settings(RETRY_ON="none").retry_on) == FORGIVEN


@pytest.mark.parametrize(
    ("words", "what", "expected"),
    [
        ("none", failed(), GIVE_UP),
        ("connect", failed(), GIVE_UP),
        ("reset", failed(), RETRY),
        ("5xx", failed(reason=500), RETRY),
        ("429, 5xx", failed(reason=429), RETRY),
        ("timeout", failed(reason=TIMEOUT), RETRY),
    ],
)
def test_only_what_is_named_is_retried(words: str, what: FailedAttempt, expected: str) -> None:
    assert verdict(what, 2, settings(RETRY_ON=words).retry_on) == expected


def test_without_a_budget_ten_a_second_are_left() -> None:
    budget = RetryBudget(0.0, 0.0)
    while budget.spend():
        pass
    for _ in range(1000):
        budget.earn()
    assert not budget.spend()
    budget.refill(0.5)
    assert [budget.spend() for _ in range(6)] == [True] * 5 + [False]


NOON = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        (b"Retry-After: 7\r\n", 7.0),
        (b"retry-after: 0\r\n", 0.0),
        (b"Retry-After: Tue, 14 Nov 2023 22:13:50 GMT\r\n", 30.0),
        (b"Retry-After: Tue, 14 Nov 2023 22:00:00 GMT\r\n", 0.0),
        (b"Retry-After: soon\r\n", 0.0),
        (b"Retry-After: -5\r\n", 0.0),
        (b"Retry-After: Fri, 99999999999999999999 Dec 2026 10:00:00 GMT\r\n", 0.0),
        (b"X-Retry-After: 7\r\n", 0.0),
        (b"Retry-After: 99999999999999999999\r\n", 86_400.0),
    ],
)
def test_what_a_retry_after_says(line: bytes, seconds: float) -> None:
    response = Http1Response(503, b"HTTP/1.1 503 Busy\r\n", [b"Server: x\r\n", line], 1)
    assert retry_after(response.value(b"retry-after"), NOON) == seconds


@given(st.binary(max_size=40))
def test_a_retry_after_of_garbage_is_none(value: bytes) -> None:
    assert retry_after(value, NOON) >= 0.0


def test_pauses_grow_and_are_bounded() -> None:
    assert pause(0, 0.5) == 0.025
    assert pause(30, 1.0) == 0.375
