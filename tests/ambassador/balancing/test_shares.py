"""Shares of three replicas while calls overlap, on a virtual clock; also on a machine that stalls calls at random."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable

import pytest

from sidecars.ambassador.balancing.endpoint import Endpoint
from tests.ambassador.balancing_support import make_balancer, make_endpoints

CALLS = 3000
STREAMS = 16  # of one connection of the app, each with one call at a time
TICK = 0.2  # seconds
USUAL, STALLED = 0.003, 0.04  # seconds of a call

Takes = Callable[[int], float]  # the seconds of a call, by the number of its replica


def shares(balance: str, takes: Takes) -> list[float]:
    """Return the shares of the calls that three replicas get."""
    known = make_endpoints(3)
    balancer = make_balancer(known, balance)
    asked: Counter[Endpoint] = Counter()
    ends: list[tuple[float, int, Endpoint, float]] = []  # of calls under way: when, a number, where, since when
    now, ticked = 0.0, 0.0
    for number in range(CALLS):
        if len(ends) == STREAMS:
            now, _, done, began = heapq.heappop(ends)
            done.end_attempt()
            balancer.on_response(done, 200, began, now)
        while now - ticked >= TICK:
            ticked += TICK
            balancer.tick(ticked)
        endpoint = balancer.choose(now)
        assert endpoint is not None
        endpoint.begin_attempt(is_retry=False)
        asked[endpoint] += 1
        heapq.heappush(ends, (now + takes(known.index(endpoint)), number, endpoint, now))
    return [asked[endpoint] / CALLS for endpoint in known]


def varied(seed: int, *, stalls: float = 0.0, slow: float = 1.0) -> Takes:
    """Return the seconds of calls that vary by half. A share of them is stalled; the last replica is slower."""
    rand = random.Random(seed).random

    def takes(replica: int) -> float:
        if rand() < stalls:
            return STALLED
        return USUAL * (0.5 + rand()) * (slow if replica == 2 else 1.0)

    return takes


@pytest.mark.parametrize("balance", ["ewma", "least_request"])
@pytest.mark.parametrize("stalls", [0.0, 0.01])
def test_equal_replicas_get_a_third_each_even_if_the_machine_stalls_calls_of_all(balance: str, stalls: float) -> None:
    for seed in range(5):
        found = shares(balance, varied(seed, stalls=stalls))
        assert all(0.30 < share < 0.36 for share in found), (seed, found)


@pytest.mark.parametrize("balance", ["ewma", "least_request"])
def test_a_replica_that_gets_less_of_the_machine_gets_fewer_calls(balance: str) -> None:
    *others, slow = shares(balance, varied(7, slow=3.0))
    assert slow < 0.2
    assert all(0.37 < share < 0.45 for share in others)
