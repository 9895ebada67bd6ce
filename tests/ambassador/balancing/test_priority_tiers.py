"""The endpoints that serve: panic, and priorities."""

from __future__ import annotations

from tests.ambassador.balancing_support import count_choices, fail, make_balancer, make_endpoints


def test_when_too_few_are_well_health_is_ignored() -> None:
    known = make_endpoints(4)
    balancer = make_balancer(known, MAX_EJECTED="100%", PANIC_THRESHOLD="50%")
    fail(balancer, known[0], 0.0)
    fail(balancer, known[1], 0.0)
    assert (balancer.in_panic, balancer.down) == (False, 2)
    assert set(count_choices(balancer, 100)) == {known[2], known[3]}
    fail(balancer, known[2], 0.0)
    assert (balancer.in_panic, balancer.down) == (True, 3)
    for endpoint in known:
        endpoint.cost = 1.0
    assert set(count_choices(balancer, 100)) == set(known)
    balancer.on_response(known[0], 200, 0.1, 0.2)
    assert (balancer.in_panic, balancer.down) == (False, 2)


def test_a_higher_priority_number_serves_only_when_no_lower_one_can() -> None:
    known = make_endpoints(3, priorities=[1, 1, 2])
    balancer = make_balancer(known, MAX_EJECTED="100%")
    assert set(count_choices(balancer, 50)) == {known[0], known[1]}
    fail(balancer, known[0], 0.0)
    fail(balancer, known[1], 0.0)
    assert set(count_choices(balancer, 50)) == {known[2]}
    balancer.tick(2.0)
    assert balancer.choose(2.0) in (known[0], known[1])
    balancer.on_response(known[0], 200, 2.0, 2.0)
    balancer.on_response(known[1], 200, 2.0, 2.0)
    assert known[2] not in count_choices(balancer, 50, 3.0)
