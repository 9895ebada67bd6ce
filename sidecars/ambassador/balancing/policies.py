"""The load-balancing policies: one class for each value of BALANCE. No I/O; random numbers are passed in.

`rebuild` gives a policy its endpoints, whenever they or their weights change, and prepares all that a choice needs. So
`choose` takes the same few steps for three endpoints as for three thousand. Two policies take more steps for more
endpoints, in proportion to the logarithm of their number: `round_robin` with unequal weights, and `hash`.

    BALANCE        class         choice
    ewma           PeakEwma      of two candidates the one with the lower cost times pending attempts
    least_request  LeastRequest  of two candidates the one with fewer pending attempts for its weight
    round_robin    RoundRobin    one after the other, earliest deadline first
    random         Random        at random, by weight
    hash:…         RingHash      the owner of the key on a hash ring

An endpoint's share of the requests is in proportion to its weight. `least_request` and `ewma` draw a first candidate by
weight and a second one with equal chances, and take the second if its load is lower. The load is divided by the weight,
so that pending attempts are in proportion to weights. `ewma` treats costs as equal if neither is twice the other.
Otherwise the smallest difference in latency would decide: all requests that come one at a time would go to one
endpoint, and weights would have no effect.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heapreplace
from typing import Final

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.balancing.hash_ring import HashRing

_CLEARLY: Final = 2.0  # the ratio of two costs from which they count as different
_NOISE: Final = 0.001  # seconds by which costs differ without a cause

Rand = Callable[[], float]  # a random number from 0 to less than 1, like random.random


class Policy(ABC):
    """Chooses an endpoint for a request. A balancer owns it."""

    @abstractmethod
    def rebuild(self, usable: Sequence[Endpoint], members: Sequence[Endpoint]) -> None:
        """Choose among the `usable` from now on: at least one, and all of them among the `members`."""

    @abstractmethod
    def choose(self, key: bytes) -> Endpoint:
        """Return the endpoint for a request. Only RingHash looks at `key`. Call `rebuild` before."""


class RoundRobin(Policy):
    """Chooses one endpoint after the other, spread evenly by weight (earliest deadline first, like Envoy)."""

    def __init__(self, rand: Rand) -> None:
        self._rand = rand
        self._usable: Sequence[Endpoint] = ()
        self._next = 0
        self._heap: list[list[float]] = []  # deadline, index of the endpoint, distance to its next deadline
        self._deadlines: dict[Endpoint, float] = {}  # in virtual time, kept over a `rebuild`
        self._equal = True

    def rebuild(self, usable: Sequence[Endpoint], members: Sequence[Endpoint]) -> None:
        begin = min((item[0] for item in self._heap), default=0.0)
        for deadline, index, _ in self._heap:
            self._deadlines[self._usable[int(index)]] = deadline
        self._deadlines = {one: self._deadlines[one] for one in members if one in self._deadlines}
        self._usable = usable
        self._equal = _have_equal_weights(usable)
        self._heap = []
        if self._equal:
            self._next = int(self._rand() * len(usable))
            return
        for number, endpoint in enumerate(usable):
            distance = 1.0 / endpoint.weight
            deadline = self._deadlines.get(endpoint, 0.0)
            if not begin <= deadline <= begin + distance:
                deadline = begin + distance * self._rand()
            self._heap.append([deadline, float(number), distance])
        heapify(self._heap)

    def choose(self, key: bytes) -> Endpoint:  # noqa: ARG002 - the protocol gives it
        usable = self._usable
        if self._equal:
            number = self._next
            self._next = number + 1 if number + 1 < len(usable) else 0
            return usable[number]
        item = self._heap[0]
        item[0] += item[2]
        heapreplace(self._heap, item)
        return usable[int(item[1])]


class WeightedDraw(Policy):
    """Draws an endpoint by weight in constant time (Walker's alias method): the base of the policies below."""

    def __init__(self, rand: Rand) -> None:
        self._rand = rand
        self._usable: Sequence[Endpoint] = ()
        self._count = 0
        self._equal = True
        self._keep: list[float] = []
        self._alias: list[int] = []

    def rebuild(self, usable: Sequence[Endpoint], members: Sequence[Endpoint]) -> None:  # noqa: ARG002 - the protocol gives it
        self._usable = usable
        self._count = len(usable)
        self._equal = _have_equal_weights(usable)
        if not self._equal:
            self._keep, self._alias = _alias_table([endpoint.weight for endpoint in usable])

    def _draw(self) -> int:
        place = self._rand() * self._count
        number = int(place)
        if self._equal or place - number < self._keep[number]:
            return number
        return self._alias[number]

    def _draw_two(self) -> tuple[Endpoint, Endpoint]:
        """Draw an endpoint by weight, and another one with equal chances. There must be at least two."""
        first = self._draw()
        second = int(self._rand() * (self._count - 1))
        return self._usable[first], self._usable[second if second < first else second + 1]


class Random(WeightedDraw):
    """Chooses at random, by weight."""

    def choose(self, key: bytes) -> Endpoint:  # noqa: ARG002 - the protocol gives it
        return self._usable[self._draw()]


class LeastRequest(WeightedDraw):
    """Draws two candidates and chooses the one with fewer pending attempts for its weight."""

    def choose(self, key: bytes) -> Endpoint:  # noqa: ARG002 - the protocol gives it
        if self._count == 1:
            return self._usable[0]
        one, other = self._draw_two()
        return other if other.pending * one.weight < one.pending * other.weight else one


class PeakEwma(WeightedDraw):
    """Draws two candidates and chooses the one with the lower product of cost and pending attempts.

    That one should respond sooner. If their costs are equal, it is the one with fewer pending attempts.
    """

    def choose(self, key: bytes) -> Endpoint:  # noqa: ARG002 - the protocol gives it
        if self._count == 1:
            return self._usable[0]
        one, other = self._draw_two()
        cost, others = one.cost + _NOISE, other.cost + _NOISE
        if others < cost * _CLEARLY and cost < others * _CLEARLY:
            return other if other.pending * one.weight < one.pending * other.weight else one
        load = cost * (one.pending / one.weight + 1.0)
        return other if others * (other.pending / other.weight + 1.0) < load else one


class RingHash(WeightedDraw):
    """Chooses the owner of the request's key on a hash ring, and at random for a request without a key."""

    def __init__(self, rand: Rand) -> None:
        super().__init__(rand)
        self._usable_set: frozenset[Endpoint] = frozenset()
        self._members: list[tuple[Endpoint, float]] = []
        self._ring = HashRing(())

    def rebuild(self, usable: Sequence[Endpoint], members: Sequence[Endpoint]) -> None:
        super().rebuild(usable, members)
        self._usable_set = frozenset(usable)
        weighted = [(endpoint, endpoint.full_weight) for endpoint in members]
        if weighted != self._members:  # an endpoint that is only ejected keeps its points: its keys return to it
            self._members = weighted
            self._ring = HashRing(members)

    def choose(self, key: bytes) -> Endpoint:
        if not key:
            return self._usable[self._draw()]
        owner = self._ring.owner(key)
        if owner in self._usable_set:
            return owner
        return next(self.owners(key))

    def owners(self, key: bytes) -> Iterator[Endpoint]:
        """Yield the usable endpoints in the order in which they take the key over; its owner first."""
        for endpoint in self._ring.successors(key):
            if endpoint in self._usable_set:
                yield endpoint


def make_policy(name: str, rand: Rand) -> Policy:
    """Return the policy for a value of BALANCE."""
    policies: dict[str, Callable[[Rand], Policy]] = {
        "ewma": PeakEwma,
        "hash": RingHash,
        "least_request": LeastRequest,
        "random": Random,
        "round_robin": RoundRobin,
    }
    return policies[name.partition(":")[0]](rand)


def _have_equal_weights(endpoints: Sequence[Endpoint]) -> bool:
    return len({endpoint.weight for endpoint in endpoints}) <= 1


def _alias_table(weights: Sequence[float]) -> tuple[list[float], list[int]]:
    """Return Vose's alias table: for each slot the share that is its own, and the index that gets the rest."""
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
    for number in (*small, *large):  # left over by rounding
        keep[number] = 1.0
    return keep, alias
