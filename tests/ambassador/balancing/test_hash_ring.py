"""The hash ring: equal in every process, weighted, and stable."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.balancing.hash_ring import HashRing
from tests.ambassador.balancing_support import make_endpoints

KEYS = [b"user-%d" % number for number in range(10_000)]


def test_a_key_always_finds_the_same_endpoint_in_every_process() -> None:
    one, other = make_endpoints(5), make_endpoints(5)
    random.Random(3).shuffle(other)
    ring, shuffled = HashRing(one), HashRing(other)
    assert [ring.owner(key).label for key in KEYS[:500]] == [shuffled.owner(key).label for key in KEYS[:500]]
    assert ring.owner(b"alice").label == "10.0.0.1:80"  # the same in this release and in the next


def test_keys_are_spread_by_weight() -> None:
    known = make_endpoints(4, weights=[1, 1, 2, 4])
    ring = HashRing(known)
    shares = Counter(ring.owner(key) for key in KEYS)
    for endpoint, weight in zip(known, (1, 1, 2, 4), strict=True):
        assert 0.75 * weight / 8 < shares[endpoint] / len(KEYS) < 1.25 * weight / 8


@given(st.integers(2, 12), st.data())
def test_when_one_leaves_only_its_own_keys_move(count: int, data: st.DataObject) -> None:
    known = make_endpoints(count)
    gone = known[data.draw(st.integers(0, count - 1))]
    before, after = HashRing(known), HashRing([endpoint for endpoint in known if endpoint is not gone])
    for key in KEYS[:300]:
        if before.owner(key) is not gone:
            assert after.owner(key) is before.owner(key)


def test_the_ring_of_many_heavy_endpoints_is_bounded() -> None:
    ring = HashRing(make_endpoints(300, weights=[100] * 300))
    assert len(ring._points) <= 65_536
    assert len({ring.owner(key) for key in KEYS}) > 290
