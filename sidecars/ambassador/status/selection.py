"""The choice of the endpoints that `/status` lists, if there are many: the worst ones. No I/O.

A page with thousands of endpoints would stop the event loop while it is made, and nobody could read it. `/metrics` has
them all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from heapq import nlargest
from typing import TYPE_CHECKING, Final

from sidecars.ambassador.balancing.outlier_ejection import READY

if TYPE_CHECKING:
    from sidecars.ambassador.balancing.endpoint import Endpoint

MOST: Final = 50  # endpoints of all upstreams that are listed

Rank = tuple[bool, int, int, int]


def shares(sizes: Mapping[str, int], most: int = MOST) -> dict[str, int]:
    """Divide `most` places among upstreams with so many endpoints. Places that one does not need go to others."""
    found: dict[str, int] = {}
    left = most
    for position, name in enumerate(sorted(sizes, key=lambda name: sizes[name])):
        found[name] = min(sizes[name], max(1, left // (len(sizes) - position)))
        left = max(0, left - found[name])
    return found


def rank(endpoint: Endpoint) -> Rank:
    """Return the sort key of an endpoint; the worst has the greatest."""
    ejection = endpoint.ejection
    is_bad = endpoint.unhealthy or endpoint.removed or ejection.state is not READY
    return is_bad, ejection.consecutive_failures, endpoint.failures, endpoint.attempts


def worst(endpoints: Collection[Endpoint], most: int) -> Collection[Endpoint]:
    """Return at most `most` of the endpoints."""
    if len(endpoints) <= most:
        return endpoints
    return set(nlargest(most, endpoints, key=rank))
