"""Ejection by the share of failures: a table of cases, and healthy endpoints, of which none is ever ejected."""

from __future__ import annotations

import random

import pytest

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.balancing.failure_shares import FailureShares
from sidecars.ambassador.balancing.outlier_ejection import EJECTED, FAILING, PROBATION, READY
from tests.ambassador.balancing_support import make_balancer, make_endpoints


def serve(endpoint: Endpoint, outcomes: int, failures: int) -> None:
    endpoint.attempts += outcomes
    endpoint.failures += failures


@pytest.mark.parametrize(
    ("of_each", "due"),
    [
        ([(100, 50), (100, 0), (100, 0)], [0]),
        ([(100, 50), (100, 50), (100, 50)], []),  # nobody is worse than the others
        ([(100, 100), (100, 95), (100, 97)], []),  # all fail
        ([(49, 49), (100, 0), (100, 0)], []),  # too few to judge
        ([(100, 50), (20, 0), (20, 0)], []),  # too few to compare with
        ([(100, 50)], []),  # nobody to compare with
        ([(100, 19), (100, 0), (100, 0)], []),  # below the rate
        ([(1000, 210), (1000, 150), (1000, 150)], []),  # worse, but not twice as bad
        ([(100, 50), (100, 90), (1000, 0)], [1, 0]),  # the worst one first
        ([(60, 12), (60, 3), (60, 3)], []),  # it may be chance
        ([(1000, 210), (1000, 20), (1000, 20)], [0]),
        ([(100, 100), (100, 40), (100, 40)], [0]),  # halfway to complete failure
    ],
)
def test_an_endpoint_is_due_if_it_is_clearly_worse_than_the_others(
    of_each: list[tuple[int, int]], due: list[int]
) -> None:
    known = make_endpoints(len(of_each))
    shares = FailureShares(0.2, 50)
    assert shares.due(known, 100.0) == []
    for endpoint, (outcomes, failures) in zip(known, of_each, strict=True):
        serve(endpoint, outcomes, failures)
    assert shares.due(known, 101.0) == [known[number] for number in due]


def test_what_was_more_than_ten_seconds_ago_does_not_count() -> None:
    known = make_endpoints(2)
    shares = FailureShares(0.2, 50)
    shares.due(known, 100.0)
    serve(known[0], 100, 50)
    for second in range(101, 112):  # the other one has no outcomes to compare with
        assert shares.due(known, float(second)) == []
    serve(known[0], 100, 0)
    serve(known[1], 100, 0)
    assert shares.due(known, 112.0) == []


def test_attempts_under_way_are_no_outcomes() -> None:
    known = make_endpoints(2)
    shares = FailureShares(0.2, 50)
    shares.due(known, 100.0)
    serve(known[0], 100, 40)
    serve(known[1], 100, 0)
    known[0].pending = 60
    assert shares.due(known, 101.0) == []
    known[0].pending = 0
    assert shares.due(known, 102.0) == [known[0]]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("endpoints", [2, 3, 10])
def test_healthy_endpoints_are_never_due_however_many_requests_fail(share: float, endpoints: int) -> None:
    """All have the same share of failures: 400 s each, with a volume just above the least one, and the lowest rate."""
    known, dice = make_endpoints(endpoints), random.Random(f"{share} {endpoints}")
    shares = FailureShares(0.01, 50)
    for second in range(400):
        for endpoint in known:
            outcomes = dice.randint(4, 10)
            serve(endpoint, outcomes, sum(dice.random() < share for _ in range(outcomes)))
        assert shares.due(known, float(second)) == []


def test_the_balancer_ejects_for_ten_seconds_and_forgets_what_was_before() -> None:
    known = make_endpoints(3)
    balancer = make_balancer(known, "round_robin", EJECT_FAILURE_RATE="20%", EJECT_FOR="1s")
    now = 100.0
    for step in range(90):
        now += 0.1
        for endpoint in known:
            endpoint.begin_attempt(is_retry=False)
            endpoint.end_attempt()
            balancer.on_response(endpoint, 503 if endpoint is known[1] and step % 3 == 0 else 200, now - 0.01, now)
        balancer.tick(now)
        if known[1].ejection.state is EJECTED:
            break
    ejection = known[1].ejection
    assert ejection.state is EJECTED
    assert ejection.cause is FAILING
    assert 7.5 <= ejection.ejected_for <= 12.5
    assert balancer.ejections == 1
    now = ejection.ends_at
    balancer.tick(now)
    assert ejection.state is PROBATION
    assert balancer.choose(now) is known[1]
    balancer.on_response(known[1], 200, now, now + 0.01)
    for _ in range(50):
        now += 0.2
        balancer.tick(now)
    assert known[1].ejection.state is READY


def test_only_so_many_are_out_at_a_time() -> None:
    known = make_endpoints(4)
    balancer = make_balancer(known, "round_robin", EJECT_FAILURE_RATE="20%", MAX_EJECTED="25%")
    balancer.tick(100.0)
    for endpoint, failures in zip(known, (90, 80, 0, 0), strict=True):
        serve(endpoint, 100, failures)
    serve(known[3], 900, 0)
    balancer.tick(101.5)
    assert [endpoint.ejection.state for endpoint in known] == [EJECTED, READY, READY, READY]


def test_without_the_setting_nothing_is_compared() -> None:
    known = make_endpoints(2)
    balancer = make_balancer(known)
    balancer.tick(100.0)
    serve(known[0], 1000, 900)
    serve(known[1], 1000, 0)
    balancer.tick(102.0)
    assert balancer.ejections == 0
