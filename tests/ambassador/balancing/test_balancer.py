"""The choice for each attempt: retries, removed endpoints, active checks, slow starts, and any sequence of events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.balancing.outlier_ejection import READY
from tests.ambassador.balancing_support import count_choices, fail, make_balancer, make_endpoints

EVERY = ["ewma", "least_request", "round_robin", "random", "hash:source"]


def test_without_endpoints_there_is_no_choice() -> None:
    assert make_balancer([]).choose(0.0) is None


def test_an_answer_of_dns_that_changes_nothing_disturbs_no_turn() -> None:
    known = make_endpoints(3)
    balancer = make_balancer(known, "round_robin")
    order = []
    for now in range(9):
        balancer.update((), (), float(now))
        order.append(balancer.choose(float(now)))
    assert order[:3] == order[3:6] == order[6:]
    assert set(order) == set(known)


def test_a_retry_goes_elsewhere_even_to_one_that_is_ejected() -> None:
    known = make_endpoints(2)
    balancer = make_balancer(known)
    fail(balancer, known[1], 0.0)
    assert balancer.choose(0.0, [known[0]]) is known[1]


def test_when_all_have_been_tried_one_is_tried_again() -> None:
    known = make_endpoints(2)
    assert make_balancer(known).choose(0.0, known) in known


@pytest.mark.parametrize("balance", EVERY)
def test_a_removed_endpoint_is_never_chosen(balance: str) -> None:
    known = make_endpoints(3)
    balancer = make_balancer(known, balance)
    known[0].removed = True
    balancer.update((), [known[0]], 1.0)
    balancer.on_failure(known[0], 0.0, 1.0)
    balancer.tick(60.0)
    assert known[0] not in [balancer.choose(60.0, key=b"%d" % number) for number in range(60)]


def test_an_active_check_makes_unhealthy_at_its_second_failure_and_healthy_at_once() -> None:
    known = make_endpoints(2)
    balancer = make_balancer(known)
    for endpoint in known:
        balancer.on_health_check(endpoint, 0.0, passed=True)
    balancer.on_health_check(known[0], 1.0, passed=False)
    assert set(count_choices(balancer, 40)) == set(known)
    balancer.on_health_check(known[0], 2.0, passed=False)
    assert set(count_choices(balancer, 40)) == {known[1]}
    balancer.on_health_check(known[0], 3.0, passed=True)
    assert set(count_choices(balancer, 40)) == set(known)


def test_a_new_endpoint_that_fails_its_first_check_is_not_used() -> None:
    known = make_endpoints(2)
    balancer = make_balancer(known)
    balancer.on_health_check(known[0], 0.0, passed=False)
    assert set(count_choices(balancer, 40)) == {known[1]}


def test_a_slow_start_gives_a_newcomer_a_growing_share() -> None:
    known = make_endpoints(4)
    balancer = make_balancer(known[:3], "random", SLOW_START="10s")
    assert known[0].weight == 1.0
    balancer.update(known[3:], (), 100.0)
    shares = []
    for age in (0.0, 5.0, 10.0):
        balancer.tick(100.0 + age)
        shares.append(count_choices(balancer, 4000)[known[3]] / 4000)
    assert shares[0] < 0.06
    assert 0.11 < shares[1] < 0.18
    assert 0.22 < shares[2] < 0.28


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["choose", "fail", "answer", "bad", "tick", "check", "drop", "add"]), st.integers(0, 5)
        )
    ),
    st.sampled_from(EVERY),
)
def test_whatever_happens_somebody_who_is_there_is_chosen(story: list[tuple[str, int]], balance: str) -> None:
    known = make_endpoints(6)
    slow_start = {} if balance.startswith("hash") else {"SLOW_START": "3s"}
    balancer = make_balancer(known[:3], balance, **slow_start)
    there = known[:3]
    now = 0.0
    for what, number in story:
        now += 0.7
        endpoint = known[number]
        if what == "fail":
            balancer.on_failure(endpoint, now - 0.1, now, unreachable=bool(number % 2))
        elif what in ("answer", "bad"):
            balancer.on_response(endpoint, 200 if what == "answer" else 503, now - 0.1, now)
        elif what == "tick":
            balancer.tick(now)
        elif what == "check":
            balancer.on_health_check(endpoint, now, passed=bool(number % 2))
        elif what == "drop" and endpoint in there:
            there.remove(endpoint)
            endpoint.removed = True
            balancer.update((), [endpoint], now)
        elif what == "add" and endpoint not in there:
            there.append(endpoint)
            endpoint.removed = False
            balancer.update([endpoint], (), now)
        picked = balancer.choose(now, key=b"%d" % number)
        assert picked in there if there else picked is None
        ejected = sum(each.ejection.state is not READY for each in there)
        assert not there or balancer.down <= len(there)
        assert ejected < max(2, len(there) + 1)
