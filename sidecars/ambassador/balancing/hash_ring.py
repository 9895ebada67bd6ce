"""Consistent hashing: a ring that maps keys to endpoints. No I/O.

Every endpoint has many points on the ring, in proportion to its weight. A key belongs to the endpoint of the next
point. The points depend only on the endpoint's address. So when an endpoint leaves, only its own keys move, and the
ambassadors of all Pods have the same ring.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from sidecars.ambassador.balancing.endpoint import Endpoint

_POINTS_PER_WEIGHT = 160  # of an endpoint of weight 1
_MOST_POINTS = 65_536  # of the whole ring; beyond that every endpoint has fewer
_SIZE = 8  # bytes of a hash
_EIGHT = struct.Struct(">8Q").unpack
_NUMBER_BITS = 32  # of an endpoint's number
_NUMBER_MASK = (1 << _NUMBER_BITS) - 1


def ring_position(key: bytes) -> int:
    """Return the position of a key on the ring: an integer of 8 bytes."""
    return int.from_bytes(blake2b(key, digest_size=_SIZE).digest(), "big")


class HashRing:
    """The ring of these endpoints. Its policy owns it and replaces it when endpoints or weights change."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        density = _POINTS_PER_WEIGHT
        weight = sum(endpoint.full_weight for endpoint in endpoints)
        while density > 1 and density * weight > _MOST_POINTS:
            density //= 2
        by_label = sorted(endpoints, key=_label)
        # One integer for each point, with its owner's number in the lowest bits. Tuples take three times the time, and
        # a thousand endpoints have 40,000 points.
        placed = []
        for number, endpoint in enumerate(by_label):
            count = max(1, round(density * endpoint.full_weight))
            placed += [point << _NUMBER_BITS | number for point in _points(endpoint.label, count)]
        placed.sort()
        self._points = [value >> _NUMBER_BITS for value in placed]
        self._owners = [by_label[value & _NUMBER_MASK] for value in placed]

    def owner(self, key: bytes) -> Endpoint:
        """Return the endpoint that the key belongs to."""
        owners = self._owners
        place = bisect_left(self._points, ring_position(key))
        return owners[place] if place < len(owners) else owners[0]

    def successors(self, key: bytes) -> Iterator[Endpoint]:
        """Yield every endpoint once, in the order in which they take the key over; its owner first."""
        owners = self._owners
        place = bisect_left(self._points, ring_position(key))
        seen = set()
        for step in range(len(owners)):
            endpoint = owners[(place + step) % len(owners)]
            if endpoint not in seen:
                seen.add(endpoint)
                yield endpoint


def _label(endpoint: Endpoint) -> str:
    return endpoint.label


def _points(label: str, count: int) -> list[int]:
    points: list[int] = []
    prefix = label.encode() + b" "
    for block in range(0, count, 8):
        points += _EIGHT(blake2b(prefix + b"%d" % block).digest())  # 64 bytes: eight points
    return points[:count]
