"""The load-balancing policies: shares by weight, load, latency and failures; hash keys. All with fixed seeds."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.balancing.hash_ring import HashRing
from sidecars.ambassador.balancing.policies import _alias_table
from tests.ambassador.balancing_support import count_choices, make_balancer, make_endpoints

KEYS = [b"user-%d" % number for number in range(300)]
SPREADING = ["ewma", "least_request", "round_robin", "random"]


@pytest.mark.parametrize("balance", SPREADING)
def test_equal_endpoints_get_equal_shares(balance: str) -> None:
    known = make_endpoints(5)
    shares = count_choices(make_balancer(known, balance), 10_000)
    assert all(0.17 < shares[endpoint] / 10_000 < 0.23 for endpoint in known)


@pytest.mark.parametrize("balance", SPREADING)
def test_shares_are_as_the_weights_say(balance: str) -> None:
    known = make_endpoints(4, weights=[1, 2, 3, 4])
    shares = count_choices(make_balancer(known, balance), 20_000)
    for endpoint, weight in zip(known, (1, 2, 3, 4), strict=True):
        assert 0.85 * weight / 10 < shares[endpoint] / 20_000 < 1.15 * weight / 10


@pytest.mark.parametrize("balance", ["ewma", "least_request"])
def test_what_is_pending_is_spread_by_weight_too(balance: str) -> None:
    known = make_endpoints(3, weights=[1, 1, 2])
    balancer = make_balancer(known, balance)
    for _ in range(400):
        picked = balancer.choose(0.0)
        assert picked is not None
        picked.pending += 1
    assert 80 <= known[0].pending <= 120
    assert 80 <= known[1].pending <= 120
    assert 170 <= known[2].pending <= 230


def test_a_round_robin_is_smooth() -> None:
    known = make_endpoints(3, weights=[5, 1, 1])
    balancer = make_balancer(known, "round_robin")
    order = [balancer.choose(0.0) for _ in range(700)]
    assert Counter(order) == {known[0]: 500, known[1]: 100, known[2]: 100}
    turns = [number for number, endpoint in enumerate(order) if endpoint is known[1]]
    assert all(6 <= later - earlier <= 8 for earlier, later in itertools.pairwise(turns))


def test_an_equal_round_robin_takes_turns() -> None:
    known = make_endpoints(3)
    balancer = make_balancer(known, "round_robin")
    order = [balancer.choose(0.0) for _ in range(9)]
    assert order[:3] == order[3:6] == order[6:]
    assert set(order[:3]) == set(known)


@pytest.mark.parametrize("balance", ["ewma", "least_request"])
def test_an_endpoint_that_hangs_gets_less_and_less(balance: str) -> None:
    known = make_endpoints(2)
    known[0].pending = 5
    assert set(count_choices(make_balancer(known, balance), 20)) == {known[1]}


def serve(balancer: object, takes: dict[Endpoint, tuple[float, int]], requests: int) -> Counter[Endpoint]:
    """Send requests one after the other and count those of each endpoint. `takes`: its seconds and its status."""
    asked: Counter[Endpoint] = Counter()
    now = 0.0
    for _ in range(requests):
        endpoint = balancer.choose(now)  # type: ignore[attr-defined] # a Balancer
        seconds, status = takes[endpoint]
        balancer.on_response(endpoint, status, now, now + seconds)  # type: ignore[attr-defined] # a Balancer
        now += seconds
        balancer.tick(now)  # type: ignore[attr-defined] # a Balancer
        asked[endpoint] += 1
    return asked


def test_ewma_turns_away_from_a_slow_endpoint_and_still_asks_it_now_and_then() -> None:
    known = make_endpoints(3)
    takes = {known[0]: (0.005, 200), known[1]: (0.005, 200), known[2]: (0.2, 200)}
    asked = serve(make_balancer(known), takes, 20_000)
    assert 1 < asked[known[2]] < 600
    assert min(asked[known[0]], asked[known[1]]) > 9_000


def test_ewma_is_not_drawn_to_an_endpoint_that_fails_fast() -> None:
    known = make_endpoints(3)
    takes = {known[0]: (0.02, 200), known[1]: (0.02, 200), known[2]: (0.001, 503)}
    balancer = make_balancer(known, MAX_EJECTED="0%")
    assert serve(balancer, takes, 5_000)[known[2]] < 50


def test_ewma_forgives_one_error_in_a_thousand() -> None:
    known = make_endpoints(2)
    balancer = make_balancer(known)
    now = 0.0
    asked: Counter[Endpoint] = Counter()
    for number in range(20_000):
        endpoint = balancer.choose(now)
        assert endpoint is not None
        asked[endpoint] += 1
        balancer.on_response(endpoint, 500 if number % 1000 == 7 else 200, now, now + 0.01)
        now += 0.01
        balancer.tick(now)
    assert min(asked.values()) > 2_000


def test_a_retry_after_keeps_an_endpoint_expensive_for_as_long_as_it_asks() -> None:
    known = make_endpoints(2)
    balancer = make_balancer(known, MAX_EJECTED="0%")
    balancer.on_response(known[0], 503, 0.0, 0.001, retry_after=120.0)
    for tick in range(1, 600):
        balancer.tick(tick * 0.2)
        assert balancer.choose(tick * 0.2) is known[1]
    assert known[0].cost == 120.0
    for tick in range(600, 1100):
        balancer.tick(tick * 0.2)
    assert known[0].cost < 0.1
    balancer.on_response(known[1], 429, 220.0, 220.1, retry_after=100_000.0)
    assert known[1].cost == 300.0


def test_ewma_spreads_what_stays_pending_evenly_when_costs_hardly_differ() -> None:
    """The connections of a TCP upstream stay pending like this."""
    known = make_endpoints(3)
    balancer = make_balancer(known)
    for endpoint, cost in zip(known, (0.010, 0.013, 0.008), strict=True):
        endpoint.cost = cost
    for _ in range(300):
        picked = balancer.choose(0.0)
        assert picked is not None
        picked.pending += 1
    assert all(95 <= endpoint.pending <= 105 for endpoint in known)


@given(st.lists(st.floats(0.01, 1000.0), min_size=1, max_size=40))
def test_an_alias_table_gives_everyone_the_exact_share(weights: list[float]) -> None:
    keep, alias = _alias_table(weights)
    share = [0.0] * len(weights)
    for number, own in enumerate(keep):
        assert -1e-9 <= own <= 1.0 + 1e-9
        share[number] += own / len(weights)
        share[alias[number]] += (1.0 - own) / len(weights)
    total = sum(weights)
    assert share == pytest.approx([weight / total for weight in weights], abs=1e-9)


# -- hashing --------------------------------------------------------------------------------------------------------


def test_keys_of_an_ejected_endpoint_go_to_the_next_and_come_back_to_it() -> None:
    known = make_endpoints(3)
    balancer = make_balancer(known, "hash:source")
    before = {key: balancer.choose(0.0, key=key) for key in KEYS}
    balancer.on_failure(known[0], 0.0, 0.0, unreachable=True)
    away = {key: balancer.choose(0.0, key=key) for key in KEYS}
    assert known[0] not in away.values()
    assert all(away[key] is owner for key, owner in before.items() if owner is not known[0])
    balancer.tick(2.0)
    assert balancer.choose(2.0, key=next(key for key in before if before[key] is known[0])) is known[0]
    balancer.on_response(known[0], 200, 2.0, 2.0)
    assert {key: balancer.choose(3.0, key=key) for key in KEYS} == before


def test_a_retry_goes_where_the_key_would_belong_if_its_owner_were_not_there() -> None:
    known = make_endpoints(4)
    balancer = make_balancer(known, "hash:source")
    for key in KEYS[:200]:
        owner = balancer.choose(0.0, key=key)
        assert owner is not None
        ring = HashRing([endpoint for endpoint in known if endpoint is not owner])
        assert balancer.choose(0.0, [owner], key) is ring.owner(key)


def test_without_a_key_a_hash_spreads_by_chance() -> None:
    known = make_endpoints(3)
    assert set(count_choices(make_balancer(known, "hash:header:x-user"), 100)) == set(known)
