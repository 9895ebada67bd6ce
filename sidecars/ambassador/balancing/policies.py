"""How to choose among endpoints that may be chosen: one class for each value of BALANCE. No I/O; chance is passed in.

A policy is told its endpoints by `rebuild`, whenever they or their weights change; all that a choice needs is prepared
there, so that `choose` takes the same few steps for three endpoints as for three thousand (`round_robin` with unequal
weights and the hashes: the logarithm of that).

Weights: a share of the requests in proportion. `least_request` and `ewma` draw a first candidate by weight and a second
one by chance, and take the second when its load is lower: load by weight, so that what is pending is in proportion.
For `ewma` costs that differ by less than half are the same: else the smallest difference in latency would decide
everything, all requests that come one at a time would go to one endpoint, and weights would mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heapreplace
from typing import Final, Protocol

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.balancing.hash_ring import HashRing

_CLEARLY: Final = 2.0  # times the cost: less is no difference
_NOISE: Final = 0.001  # seconds that a cost may differ for no reason

Chance = Callable[[], float]


class Policy(Protocol):
    """A way to choose."""

    def rebuild(self, usable: Sequence[Endpoint], everyone: Sequence[Endpoint]) -> None:
        """From now on choose among the `usable`. They are some of `everyone`, and at least one."""

    def choose(self, key: bytes) -> Endpoint:
        """The endpoint for a request with this key, which only the hashes look at. One must be usable."""


class RoundRobin:
    """One after the other; by weight as evenly spread as can be (earliest deadline first, as Envoy does it)."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._usable: Sequence[Endpoint] = ()
        self._next = 0
        self._heap: list[list[float]] = []  # deadline, number of the endpoint, distance to its next deadline
        self._even = True

    def rebuild(self, usable: Sequence[Endpoint], everyone: Sequence[Endpoint]) -> None:  # noqa: ARG002 - as the protocol
        begin = min((item[0] for item in self._heap), default=0.0)
        for deadline, place, _ in self._heap:
            self._usable[int(place)].turn = deadline
        self._usable = usable
        self._even = _are_even(usable)
        self._heap = []
        if self._even:
            self._next = int(self._chance() * len(usable))
            return
        for number, endpoint in enumerate(usable):
            distance = 1.0 / endpoint.weight
            if not begin <= endpoint.turn <= begin + distance:
                endpoint.turn = begin + distance * self._chance()
            self._heap.append([endpoint.turn, float(number), distance])
        heapify(self._heap)

    def choose(self, key: bytes) -> Endpoint:  # noqa: ARG002 - as the protocol
        usable = self._usable
        if self._even:
            number = self._next
            self._next = number + 1 if number + 1 < len(usable) else 0
            return usable[number]
        item = self._heap[0]
        item[0] += item[2]
        heapreplace(self._heap, item)
        return usable[int(item[1])]


class WeightedDraw:
    """Draws one by weight in constant time (Walker's alias method)."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._usable: Sequence[Endpoint] = ()
        self._count = 0
        self._even = True
        self._keep: list[float] = []
        self._alias: list[int] = []

    def rebuild(self, usable: Sequence[Endpoint], everyone: Sequence[Endpoint]) -> None:  # noqa: ARG002 - as the protocol
        self._usable = usable
        self._count = len(usable)
        self._even = _are_even(usable)
        if not self._even:
            self._keep, self._alias = _alias_table([endpoint.weight for endpoint in usable])

    def _draw(self) -> int:
        place = self._chance() * self._count
        number = int(place)
        if self._even or place - number < self._keep[number]:
            return number
        return self._alias[number]


class Random(WeightedDraw):
    """By chance, and by weight."""

    def choose(self, key: bytes) -> Endpoint:  # noqa: ARG002 - as the protocol
        return self._usable[self._draw()]


class LeastRequest(WeightedDraw):
    """Of two the one with fewer pending requests for its weight."""

    def choose(self, key: bytes) -> Endpoint:  # noqa: ARG002 - as the protocol
        count = self._count
        if count == 1:
            return self._usable[0]
        first = self._draw()
        second = int(self._chance() * (count - 1))
        one = self._usable[first]
        other = self._usable[second if second < first else second + 1]
        return other if other.pending * one.weight < one.pending * other.weight else one


class PeakEwma(WeightedDraw):
    """Of two the one whose answer should cost less: what they have cost, times what is pending already.

    Where they cost the same it is the one with less pending.
    """

    def choose(self, key: bytes) -> Endpoint:  # noqa: ARG002 - as the protocol
        count = self._count
        if count == 1:
            return self._usable[0]
        first = self._draw()
        second = int(self._chance() * (count - 1))
        one = self._usable[first]
        other = self._usable[second if second < first else second + 1]
        cost, others = one.cost + _NOISE, other.cost + _NOISE
        if others < cost * _CLEARLY and cost < others * _CLEARLY:
            return other if other.pending * one.weight < one.pending * other.weight else one
        load = cost * (one.pending / one.weight + 1.0)
        return other if others * (other.pending / other.weight + 1.0) < load else one


class RingHash(WeightedDraw):
    """By the request's key: the same key the same endpoint, and without a key by chance."""

    def __init__(self, chance: Chance) -> None:
        super().__init__(chance)
        self._among: frozenset[Endpoint] = frozenset()
        self._members: list[tuple[Endpoint, float]] = []
        self._ring = HashRing(())

    def rebuild(self, usable: Sequence[Endpoint], everyone: Sequence[Endpoint]) -> None:
        super().rebuild(usable, everyone)
        self._among = frozenset(usable)
        members = [(endpoint, endpoint.full_weight) for endpoint in everyone]
        if members != self._members:  # who is only unwell keeps its place: its keys come back to it
            self._members = members
            self._ring = HashRing(everyone)

    def choose(self, key: bytes) -> Endpoint:
        if not key:
            return self._usable[self._draw()]
        owner = self._ring.owner(key)
        if owner in self._among:
            return owner
        return next(self.owners(key))

    def owners(self, key: bytes) -> Iterator[Endpoint]:
        """Whom the key belongs to, one after the other should those before fail; usable ones alone."""
        for endpoint in self._ring.successors(key):
            if endpoint in self._among:
                yield endpoint


def make_policy(name: str, chance: Chance) -> Policy:
    """The policy that a value of BALANCE stands for."""
    made: dict[str, Callable[[Chance], Policy]] = {
        "ewma": PeakEwma,
        "hash": RingHash,
        "least_request": LeastRequest,
        "random": Random,
        "round_robin": RoundRobin,
    }
    return made[name.partition(":")[0]](chance)


def _are_even(endpoints: Sequence[Endpoint]) -> bool:
    return len({endpoint.weight for endpoint in endpoints}) <= 1


def _alias_table(weights: Sequence[float]) -> tuple[list[float], list[int]]:
    """For each of the equally likely fields: how much of it is its own, and whose the rest is (Vose)."""
    scale = len(weights) / sum(weights, 0.0)
    keep = [weight * scale for weight in weights]
    alias = list(range(len(weights)))
    small = [number for number, share in enumerate(keep) if share < 1.0]
    large = [number for number, share in enumerate(keep) if share >= 1.0]
    while small and large:
        poor, rich = small.pop(), large[-1]
        alias[poor] = rich
        keep[rich] -= 1.0 - keep[poor]
        if keep[rich] < 1.0:
            small.append(large.pop())
    for number in (*small, *large):  # what rounding has left over
        keep[number] = 1.0
    return keep, alias
