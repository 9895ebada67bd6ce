from __future__ import annotations

import random

from sidecars.ambassador.balance import Balancer
from sidecars.ambassador.endpoints import Endpoint


def endpoints(count: int) -> list[Endpoint]:
    return [Endpoint("orders:80", b"orders", f"10.0.0.{number}", 80) for number in range(count)]


def balancer(known: list[Endpoint]) -> Balancer:
    made = Balancer(random.Random(7).random)
    for endpoint in known:
        made.add(endpoint)
    return made


def test_without_endpoints_there_is_no_choice() -> None:
    assert balancer([]).choose(0.0) is None


def test_load_is_spread_by_what_is_pending() -> None:
    known = endpoints(3)
    made = balancer(known)
    for _ in range(300):
        chosen = made.choose(0.0)
        assert chosen is not None
        chosen.pending += 1
    assert all(90 <= endpoint.pending <= 110 for endpoint in known)


def test_an_endpoint_that_hangs_gets_less_and_less() -> None:
    known = endpoints(2)
    made = balancer(known)
    known[0].pending = 5
    assert all(made.choose(0.0) is known[1] for _ in range(20))


def test_one_that_failed_is_down_and_then_gets_exactly_one_trial() -> None:
    known = endpoints(2)
    made = balancer(known)
    made.failed(known[0], 0.0)
    assert all(made.choose(0.0) is known[1] for _ in range(20))
    made.tick(2.0)
    assert [made.choose(2.0) for _ in range(40)].count(known[0]) == 1
    made.succeeded(known[0])
    assert {made.choose(2.0) for _ in range(40)} == set(known)


def test_a_trial_that_fails_sends_it_away_for_longer_each_time() -> None:
    (known,) = endpoints(1)
    made = balancer([known])
    now, times = 0.0, []
    for _ in range(8):
        made.failed(known, now)
        times.append(known.down_until - now)
        now = known.down_until
        made.tick(now)
    assert times == sorted(times) or max(times) > 20
    assert times[0] < 1.3
    assert all(time <= 30 * 1.25 for time in times)


def test_a_trial_without_an_outcome_is_repeated() -> None:
    known = endpoints(2)
    made = balancer(known)
    made.failed(known[0], 0.0)
    made.tick(2.0)
    while made.choose(2.0) is not known[0]:
        pass
    made.tick(8.0)
    assert known[0] in [made.choose(8.0) for _ in range(40)]


def test_a_burst_of_failures_counts_once() -> None:
    known = endpoints(2)
    made = balancer(known)
    for _ in range(50):
        made.failed(known[0], 0.0)
    assert known[0].failures == 1
    assert known[0].failed == 50


def test_a_retry_goes_elsewhere_even_to_one_that_is_down() -> None:
    known = endpoints(2)
    made = balancer(known)
    made.failed(known[1], 0.0)
    assert made.choose(0.0, [known[0]]) is known[1]


def test_when_all_are_down_or_tried_one_is_tried_all_the_same() -> None:
    known = endpoints(2)
    made = balancer(known)
    for endpoint in known:
        made.failed(endpoint, 0.0)
    assert made.choose(0.0) in known
    assert made.choose(0.0, known) in known


def test_a_removed_endpoint_is_never_chosen() -> None:
    known = endpoints(2)
    made = balancer(known)
    made.remove(known[0])
    known[0].removed = True
    made.failed(known[0], 0.0)
    made.tick(60.0)
    assert {made.choose(60.0) for _ in range(20)} == {known[1]}
