"""The endpoints that serve: panic, and priorities."""

from __future__ import annotations

from tests.ambassador.balancers import balancer, chosen, endpoints, fail


def test_when_too_few_are_well_health_is_ignored() -> None:
    known = endpoints(4)
    made = balancer(known, MAX_EJECTED="100%", PANIC_THRESHOLD="50%")
    fail(made, known[0], 0.0)
    fail(made, known[1], 0.0)
    assert (made.in_panic, made.down) == (False, 2)
    assert set(chosen(made, 100)) == {known[2], known[3]}
    fail(made, known[2], 0.0)
    assert (made.in_panic, made.down) == (True, 3)
    for endpoint in known:
        endpoint.cost = 1.0
    assert set(chosen(made, 100)) == set(known)
    made.on_response(known[0], 200, 0.1, 0.2)
    assert (made.in_panic, made.down) == (False, 2)


def test_a_higher_priority_number_serves_only_when_no_lower_one_can() -> None:
    known = endpoints(3, priorities=[1, 1, 2])
    made = balancer(known, MAX_EJECTED="100%")
    assert set(chosen(made, 50)) == {known[0], known[1]}
    fail(made, known[0], 0.0)
    fail(made, known[1], 0.0)
    assert set(chosen(made, 50)) == {known[2]}
    made.tick(2.0)
    assert made.choose(2.0) in (known[0], known[1])
    made.on_response(known[0], 200, 2.0, 2.0)
    made.on_response(known[1], 200, 2.0, 2.0)
    assert known[2] not in chosen(made, 50, 3.0)
