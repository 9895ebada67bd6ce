from __future__ import annotations

import itertools

import pytest

from sidecars.ambassador.retry import FORGIVEN, GIVE_UP, RETRY, Budget, Failed, pause, verdict

IN_A_RACE = Failed(idempotent=True, written=True, held=True, reused=True, closed=True, redone=False, retries=0)


def failed(**changes: bool | int) -> Failed:
    usual = {"idempotent": True, "written": True, "held": True, "reused": False, "closed": True, "redone": False}
    return Failed(**{**usual, "retries": 0, **changes})  # type: ignore[arg-type] # a table of changes


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
        (failed(reused=True, redone=True), 0, GIVE_UP),
        (failed(reused=True, idempotent=False), 2, GIVE_UP),
        (failed(reused=True, closed=False), 0, GIVE_UP),
    ],
)
def test_what_may_be_repeated(what: Failed, allowed: int, expected: str) -> None:
    assert verdict(what, allowed) == expected


def test_what_was_written_and_is_not_idempotent_is_never_repeated() -> None:
    flags = [False, True]
    for held, reused, closed, redone in itertools.product(flags, repeat=4):
        what = failed(idempotent=False, written=True, held=held, reused=reused, closed=closed, redone=redone)
        assert verdict(what, 10) == GIVE_UP


def test_retries_are_a_fifth_of_the_traffic_when_everything_fails() -> None:
    budget = Budget(0.0)
    while budget.spend():
        pass
    spent = 0
    for _ in range(1000):
        budget.earn()
        spent += budget.spend()
    assert 190 <= spent <= 210


def test_a_quiet_upstream_may_always_retry_a_few_times() -> None:
    budget = Budget(0.0)
    while budget.spend():
        pass
    budget.refill(1.0)
    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]


def test_pauses_grow_and_are_bounded() -> None:
    assert pause(0, 0.5) == 0.025
    assert pause(30, 1.0) == 0.375
