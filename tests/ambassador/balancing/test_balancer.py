"""The choice for each attempt: retries, removed endpoints, active checks, slow starts, and any sequence of events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.balancing.outlier_ejection import READY
from tests.ambassador.balancers import balancer, chosen, endpoints, fail

EVERY = ["ewma", "least_request", "round_robin", "random", "hash:source"]


def test_without_endpoints_there_is_no_choice() -> None:
    assert balancer([]).choose(0.0) is None


def test_an_answer_of_dns_that_changes_nothing_disturbs_no_turn() -> None:
    known = endpoints(3)
    made = balancer(known, "round_robin")
    order = []
    for now in range(9):
        made.update((), (), float(now))
        order.append(made.choose(float(now)))
    assert order[:3] == order[3:6] == order[6:]
    assert set(order) == set(known)


def test_a_retry_goes_elsewhere_even_to_one_that_is_ejected() -> None:
    known = endpoints(2)
    made = balancer(known)
    fail(made, known[1], 0.0)
    assert made.choose(0.0, [known[0]]) is known[1]


def test_when_all_have_been_tried_one_is_tried_again() -> None:
    known = endpoints(2)
    assert balancer(known).choose(0.0, known) in known


@pytest.mark.parametrize("balance", EVERY)
def test_a_removed_endpoint_is_never_chosen(balance: str) -> None:
    known = endpoints(3)
    made = balancer(known, balance)
    known[0].removed = True
    made.update((), [known[0]], 1.0)
    made.on_failure(known[0], 0.0, 1.0)
    made.tick(60.0)
    assert known[0] not in [made.choose(60.0, key=b"%d" % number) for number in range(60)]


def test_an_active_check_makes_unhealthy_at_its_second_failure_and_healthy_at_once() -> None:
    known = endpoints(2)
    made = balancer(known)
    for endpoint in known:
        made.on_health_check(endpoint, 0.0, passed=True)
    made.on_health_check(known[0], 1.0, passed=False)
    assert set(chosen(made, 40)) == set(known)
    made.on_health_check(known[0], 2.0, passed=False)
    assert set(chosen(made, 40)) == {known[1]}
    made.on_health_check(known[0], 3.0, passed=True)
    assert set(chosen(made, 40)) == set(known)


def test_a_new_endpoint_that_fails_its_first_check_is_not_used() -> None:
    known = endpoints(2)
    made = balancer(known)
    made.on_health_check(known[0], 0.0, passed=False)
    assert set(chosen(made, 40)) == {known[1]}


def test_a_slow_start_gives_a_newcomer_a_growing_share() -> None:
    known = endpoints(4)
    made = balancer(known[:3], "random", SLOW_START="10s")
    assert known[0].weight == 1.0
    made.update(known[3:], (), 100.0)
    shares = []
    for age in (0.0, 5.0, 10.0):
        made.tick(100.0 + age)
        shares.append(chosen(made, 4000)[known[3]] / 4000)
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
    known = endpoints(6)
    made = balancer(known[:3], balance, SLOW_START="3s")
    there = known[:3]
    now = 0.0
    for what, number in story:
        now += 0.7
        endpoint = known[number]
        if what == "fail":
            made.on_failure(endpoint, now - 0.1, now, unreachable=bool(number % 2))
        elif what in ("answer", "bad"):
            made.on_response(endpoint, 200 if what == "answer" else 503, now - 0.1, now)
        elif what == "tick":
            made.tick(now)
        elif what == "check":
            made.on_health_check(endpoint, now, passed=bool(number % 2))
        elif what == "drop" and endpoint in there:
            there.remove(endpoint)
            endpoint.removed = True
            made.update((), [endpoint], now)
        elif what == "add" and endpoint not in there:
            there.append(endpoint)
            endpoint.removed = False
            made.update([endpoint], (), now)
        picked = made.choose(now, key=b"%d" % number)
        assert picked in there if there else picked is None
        ejected = sum(each.ejection.state is not READY for each in there)
        assert not there or made.down <= len(there)
        assert ejected < max(2, len(there) + 1)
