"""Ejection of an endpoint, its trial, and its return."""

from __future__ import annotations

import pytest

from sidecars.ambassador.balancing.outlier_ejection import EJECTED, READY, TRIAL
from tests.ambassador.balancing_support import count_choices, fail, make_balancer, make_endpoints

EVERY = ["ewma", "least_request", "round_robin", "random", "hash:source"]


@pytest.mark.parametrize("balance", EVERY)
def test_one_that_failed_is_left_alone_and_then_gets_exactly_one_trial(balance: str) -> None:
    known = make_endpoints(3)
    balancer = make_balancer(known, balance)
    fail(balancer, known[0], 0.0)
    assert known[0].ejection.state is EJECTED
    assert known[0] not in count_choices(balancer, 60)
    balancer.tick(2.0)
    picked = [balancer.choose(2.0, key=b"%d" % number) for number in range(60)]
    assert picked.count(known[0]) == 1
    assert known[0].ejection.state is TRIAL
    balancer.on_response(known[0], 200, 2.0, 2.01)
    assert known[0].ejection.state is READY
    assert known[0] in [balancer.choose(2.2, key=b"%d" % number) for number in range(60)]


def test_failures_in_a_row_eject_and_a_success_between_them_starts_the_count_anew() -> None:
    known = make_endpoints(3)
    balancer = make_balancer(known, EJECT_AFTER="3")
    for _ in range(5):
        fail(balancer, known[0], 0.0, times=2)
        balancer.on_response(known[0], 200, 0.0, 0.01)
    assert known[0].ejection.state is READY
    fail(balancer, known[0], 0.0, times=3)
    assert known[0].ejection.state is EJECTED


def test_one_that_cannot_be_reached_is_left_alone_at_once() -> None:
    known = make_endpoints(2)
    balancer = make_balancer(known)
    balancer.on_failure(known[0], 0.0, 0.0, unreachable=True)
    assert set(count_choices(balancer, 20)) == {known[1]}


@pytest.mark.parametrize(("status", "counts"), [(500, True), (503, True), (404, False), (429, False), (501, False)])
def test_which_answers_count_as_failures(status: int, counts: bool) -> None:  # noqa: FBT001 - a table
    known = make_endpoints(3)
    balancer = make_balancer(known)
    for _ in range(5):
        balancer.on_response(known[0], status, 0.0, 0.01)
    assert (known[0].ejection.state is EJECTED) == counts


def test_a_trial_that_fails_sends_it_away_for_longer_each_time() -> None:
    known = make_endpoints(2)
    balancer = make_balancer(known, EJECT_FOR="2s")
    balancer.on_failure(known[0], 0.0, 0.0, unreachable=True)
    times = []
    for _ in range(8):
        now = known[0].ejection.ends_at
        times.append(now - known[0].ejection.entered_at)
        balancer.tick(now)
        assert balancer.choose(now) is known[0]
        balancer.on_failure(known[0], now, now)
    assert 1.5 <= times[0] <= 2.5
    assert 3.0 <= times[1] <= 5.0
    assert max(times) <= 60 * 1.25
    assert min(times[6:]) >= 60 * 0.75


def test_one_that_was_well_for_a_while_begins_anew() -> None:
    known = make_endpoints(2)
    balancer = make_balancer(known)
    for now in (0.0, 5.0, 1000.0):
        balancer.on_failure(known[0], now, now, unreachable=True)
        balancer.tick(now + 3.0)
        balancer.choose(now + 3.0)
        balancer.on_response(known[0], 200, now + 3.0, now + 3.0)
        assert known[0].ejection.duration == {0.0: 1.0, 5.0: 2.0, 1000.0: 1.0}[now]


def test_a_trial_without_an_outcome_has_failed_and_is_repeated_later() -> None:
    known = make_endpoints(2)
    balancer = make_balancer(known)
    balancer.on_failure(known[0], 0.0, 0.0, unreachable=True)
    balancer.tick(2.0)
    assert balancer.choose(2.0) is known[0]
    balancer.tick(7.5)
    assert known[0].ejection.state is EJECTED
    assert known[0] not in count_choices(balancer, 20, 7.5)
    balancer.tick(11.0)
    assert balancer.choose(11.0) is known[0]


def test_a_trial_that_told_nothing_is_given_to_the_next_request() -> None:
    known = make_endpoints(2)
    balancer = make_balancer(known)
    balancer.on_failure(known[0], 0.0, 0.0, unreachable=True)
    balancer.tick(2.0)
    assert balancer.choose(2.0) is known[0]
    balancer.on_inconclusive(known[0], 2.1)
    assert [balancer.choose(2.2) for _ in range(20)].count(known[0]) == 1


def test_answers_to_older_requests_say_nothing_of_an_ejected_one() -> None:
    known = make_endpoints(2)
    balancer = make_balancer(known)
    fail(balancer, known[0], 1.0)
    balancer.on_response(known[0], 200, 0.5, 1.1)
    assert known[0].ejection.state is EJECTED
    balancer.tick(3.0)
    assert balancer.choose(3.0) is known[0]
    balancer.on_response(known[0], 200, 0.5, 3.1)
    balancer.on_failure(known[0], 0.5, 3.1)
    assert known[0].ejection.state is TRIAL
    balancer.on_response(known[0], 200, 3.0, 3.2)
    assert known[0].ejection.state is READY


@pytest.mark.parametrize(("status", "back"), [(200, True), (404, True), (501, True), (429, False), (503, False)])
def test_what_a_trial_must_be_answered_with(status: int, back: bool) -> None:  # noqa: FBT001 - a table
    known = make_endpoints(2)
    balancer = make_balancer(known)
    balancer.on_failure(known[0], 0.0, 0.0, unreachable=True)
    balancer.tick(2.0)
    assert balancer.choose(2.0) is known[0]
    balancer.on_response(known[0], status, 2.0, 2.1)
    balancer.tick(7.5)
    assert (known[0].ejection.state is READY) == back


def test_a_burst_of_failures_ejects_once() -> None:
    known = make_endpoints(2)
    balancer = make_balancer(known)
    fail(balancer, known[0], 0.0, times=50)
    assert known[0].ejection.count == balancer.ejections == 1
    assert known[0].failures == 50


@pytest.mark.parametrize(
    ("share", "count", "away"), [("50%", 3, 2), ("50%", 10, 5), ("0%", 3, 0), ("100%", 3, 3), ("50%", 1, 1)]
)
def test_no_more_than_a_share_is_ejected_and_somebody_is_always_chosen(share: str, count: int, away: int) -> None:
    known = make_endpoints(count)
    balancer = make_balancer(known, MAX_EJECTED=share, PANIC_THRESHOLD="0%")
    for endpoint in known:
        fail(balancer, endpoint, 0.0)
    assert sum(endpoint.ejection.state is EJECTED for endpoint in known) == away
    assert balancer.choose(0.0) is not None
