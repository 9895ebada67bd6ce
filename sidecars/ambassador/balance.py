"""Which endpoint gets the next request. No I/O; time and chance are passed in.

Theory of operation: an endpoint is *ready*, *down* or on *trial*. Of two ready ones taken by chance the one with fewer
pending requests is chosen: as even as knowing all of them, and it turns away by itself from one that has become slow.
One that fails is down for a second, and for twice as long after each further failure, at most half a minute. When that
time is over, exactly one request is its trial: success makes it ready, failure sends it down again, and if neither
comes within a while it gets another. When none is ready, being down is ignored: a guess is better than a refusal.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection

from sidecars.ambassador.endpoints import Endpoint

_FIRST_PENALTY = 1.0  # seconds
_LONGEST_PENALTY = 30.0  # seconds
_TRIAL_PATIENCE = 5.0  # seconds


class Balancer:
    """Chooses among the endpoints of one upstream."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._ready: list[Endpoint] = []
        self._down: list[Endpoint] = []

    def add(self, endpoint: Endpoint) -> None:
        self._ready.append(endpoint)

    def remove(self, endpoint: Endpoint) -> None:
        for endpoints in (self._ready, self._down):
            if endpoint in endpoints:
                endpoints.remove(endpoint)

    def choose(self, now: float, tried: Collection[Endpoint] = ()) -> Endpoint | None:
        """The endpoint for the next try, not one that was `tried` if there is another; None when there is none."""
        ready = self._ready
        if tried:
            return self._choose_another(now, tried)
        count = len(ready)
        if count > 1:
            first = int(self._chance() * count)
            second = int(self._chance() * (count - 1))
            chosen = ready[first]
            other = ready[second if second < first else second + 1]
            if other.pending < chosen.pending:
                chosen = other
        elif count:
            chosen = ready[0]
        else:
            return min(self._down, key=lambda endpoint: endpoint.down_until, default=None)
        if chosen.trial:
            self._begin_trial(chosen, now)
        return chosen

    def _choose_another(self, now: float, tried: Collection[Endpoint]) -> Endpoint | None:
        for candidates in (self._ready, self._down):
            untried = [endpoint for endpoint in candidates if endpoint not in tried]
            if untried:
                chosen = min(untried, key=lambda endpoint: endpoint.pending)
                if chosen.trial:
                    self._begin_trial(chosen, now)
                return chosen
        return self.choose(now)

    def _begin_trial(self, endpoint: Endpoint, now: float) -> None:
        self._move_down(endpoint, now + _TRIAL_PATIENCE)

    def failed(self, endpoint: Endpoint, now: float) -> None:
        """A try has failed. Of a burst of failures only the first counts: the endpoint is down from then on."""
        endpoint.failed += 1
        if endpoint.removed or not (endpoint in self._ready or endpoint.trial):
            return
        penalty = min(_LONGEST_PENALTY, _FIRST_PENALTY * 2.0 ** min(endpoint.failures, 10))
        endpoint.failures += 1
        endpoint.trial = False
        self._move_down(endpoint, now + penalty * (0.75 + 0.5 * self._chance()))

    def succeeded(self, endpoint: Endpoint) -> None:
        """To be called when an endpoint with `failures` has answered."""
        endpoint.failures = 0
        if endpoint in self._down:
            self._down.remove(endpoint)
            self._ready.append(endpoint)
        endpoint.trial = False

    def tick(self, now: float) -> None:
        """Give those their trial whose time is over. To be called a few times a second."""
        for endpoint in [endpoint for endpoint in self._down if endpoint.down_until <= now]:
            self._down.remove(endpoint)
            endpoint.trial = True
            self._ready.append(endpoint)

    def is_down(self, endpoint: Endpoint) -> bool:
        return endpoint in self._down

    def _move_down(self, endpoint: Endpoint, until: float) -> None:
        if endpoint in self._ready:
            self._ready.remove(endpoint)
            self._down.append(endpoint)
        endpoint.down_until = until
