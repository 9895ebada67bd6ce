"""Which of many endpoints are listed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.status.selection import shares, worst
from tests.ambassador.balancing_support import make_balancer, make_endpoints


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 5000), max_size=20))
def test_places_are_divided_fairly_and_none_is_wasted(sizes: dict[str, int]) -> None:
    found = shares(sizes, 100)
    assert all(found[name] <= size for name, size in sizes.items())
    assert sum(found.values()) == min(100, sum(sizes.values()))
    short = [name for name, size in sizes.items() if found[name] < size]
    assert all(found[name] >= found[other] - 1 for name in short for other in found)


def test_the_worst_are_those_that_are_down_then_those_that_fail_then_the_busiest() -> None:
    known = make_endpoints(100)
    balancer = make_balancer(known)
    balancer.on_failure(known[70], 0.0, 1.0, unreachable=True)
    balancer.on_failure(known[50], 0.0, 1.0)
    known[30].begin_attempt(is_retry=False)
    assert worst(known, 1) == {known[70]}
    assert worst(known, 2) == {known[70], known[50]}
    assert worst(known, 3) == {known[70], known[50], known[30]}
    assert worst(known, 100) is known
