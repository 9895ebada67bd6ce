"""Which endpoint gets the next request. No I/O; time and chance are passed in.

Theory of operation. How one is chosen is the policy's business (`policies`); this module decides
among whom. An endpoint's state is one of

    ready ──failures──▶ ejected ──its time is over──▶ probation ──chosen once──▶ trial ──success──▶ ready
                           ▲                                                      │
                           └─────────── failure, or no outcome in time ───────────┘

- EJECT_AFTER failures in a row eject it, and a connection that does not open does so at once: then it is simply not
  there. It stays away for EJECT_FOR, twice as long after each trial that fails.
- When its time is over exactly one request is its trial. Where there are active checks one of those is, instead.
- A success counts as the end of a trial only if its request began after the trial did: answers to older requests say
  nothing new.
- No more than MAX_EJECTED of the endpoints are ejected at a time: if everything fails, the reason is hardly one of
  them.
- `unhealthy` (active checks) is apart from that; an unhealthy endpoint is not chosen in any state.

The endpoints with the lowest priority number of which enough can be chosen (PANIC_THRESHOLD) serve. Where there is none
such, panic: health is ignored, since a guess is better than a refusal and a few would not carry the load of all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from math import ceil
from typing import TYPE_CHECKING, Final

from sidecars.ambassador.balancing.endpoint import EJECTED, FIRST_COST, PROBATION, READY, TRIAL, Endpoint
from sidecars.ambassador.balancing.policies import RingHash, make_policy

if TYPE_CHECKING:
    from sidecars.ambassador.settings import UpstreamSettings

_TRIAL_PATIENCE: Final = 5.0  # seconds
_LONGEST_EJECTION: Final = 30.0  # times EJECT_FOR
_FORGOTTEN_AFTER: Final = 3.0  # times the last ejection: an endpoint that was well for so long begins anew
_FALL: Final = 2  # active checks that must fail
_FIRST_SHARE: Final = 0.1  # of its weight, when an endpoint starts slowly

_TOO_MANY_REQUESTS: Final = 429
_SERVER_ERROR: Final = 500
_OVERLOADED: Final = frozenset({429, 502, 503, 504})
_NOT_ITS_FAULT: Final = frozenset({501, 505})


class Balancer:
    """Chooses among the endpoints of one upstream."""

    def __init__(
        self,
        settings: UpstreamSettings,
        chance: Callable[[], float] = random.random,
        told: Callable[[Endpoint], None] = lambda _: None,
    ) -> None:
        """`told` is called with an endpoint that has come to another state."""
        self._settings = settings
        self._chance = chance
        self._told = told
        self._policy = make_policy(settings.balance, chance)
        self._checks = settings.check_every is not None
        self._endpoints: list[Endpoint] = []
        self._members: list[tuple[Endpoint, float, int]] = []  # the same with what DNS says of each
        self._serving: list[Endpoint] = []  # those of the priority in force that may be chosen
        self._probation: list[Endpoint] = []  # those of them whose trial is due
        self._ticked = 0.0
        self.ejections = 0  # ever
        self.in_panic = False

    # -- who is there ---------------------------------------------------------------------------------------------

    def update(self, new: Sequence[Endpoint], gone: Collection[Endpoint], now: float) -> None:
        """DNS has brought some and taken some, or given some another weight."""
        members = [(one, one.full_weight, one.priority) for one in (*self._endpoints, *new) if one not in gone]
        if members == self._members:
            return
        self._members = members
        known = [endpoint for endpoint in self._endpoints if endpoint not in gone]
        slowly = self._settings.slow_start > 0 and bool(known)
        usual = _mean_cost(known)
        for endpoint in new:
            if not endpoint.requests:
                endpoint.cost, endpoint.cost_at = usual, now
            endpoint.added_at = now if slowly else None
        self._endpoints = [*known, *new]
        self._rebuild(now)

    def _rebuild(self, now: float) -> None:
        """Prepare the choice anew, after anything that it depends on has changed."""
        self._weigh(now)
        tiers = sorted({endpoint.priority for endpoint in self._endpoints})
        tier = fallback = None
        for priority in tiers:
            members = [endpoint for endpoint in self._endpoints if endpoint.priority == priority]
            usable = [endpoint for endpoint in members if self._usable(endpoint)]
            if usable and len(usable) >= self._settings.panic_threshold * len(members):
                tier = (usable, members)
                break
            if fallback is None or (usable and not fallback[0]):
                fallback = (usable, members)
        self.in_panic = tier is None and fallback is not None
        if tier is not None:
            self._serving, members = tier
        elif fallback is not None:
            self._serving = members = fallback[1]
        else:
            self._serving = members = []
        trials = not (self._checks or isinstance(self._policy, RingHash))
        self._probation = [one for one in self._serving if one.state is PROBATION] if trials else []
        if self._serving:
            self._policy.rebuild(self._serving, members)

    # -- choosing -------------------------------------------------------------------------------------------------

    def choose(self, now: float, tried: Collection[Endpoint] = (), key: bytes = b"") -> Endpoint | None:
        """The endpoint for the next try, not one that was `tried` if there is another; None when there is none.

        `key` is what the request is hashed by, where the policy is a hash.
        """
        if not self._serving:
            return None
        if tried:
            chosen = self._choose_another(tried, key)
        elif self._probation:
            chosen = self._probation[0]
        else:
            chosen = self._policy.choose(key)
        if chosen.state is PROBATION and not self._checks:
            self._move(chosen, TRIAL, now, _TRIAL_PATIENCE)
        return chosen

    def _choose_another(self, tried: Collection[Endpoint], key: bytes) -> Endpoint:
        if key and isinstance(self._policy, RingHash):
            for endpoint in self._policy.owners(key):
                if endpoint not in tried:
                    return endpoint
        for candidates in (self._serving, self._endpoints):
            untried = [endpoint for endpoint in candidates if endpoint not in tried]
            if untried:
                return min(untried, key=_preference)
        return min(self._serving, key=_preference)

    # -- what became of it ----------------------------------------------------------------------------------------

    def on_response(
        self, endpoint: Endpoint, status: int, started: float, now: float, retry_after: float = 0.0
    ) -> None:
        """The head of an answer has come (for TCP: the connection is open, and the status is 200).

        `started` is when the try began. `retry_after` in seconds is what an answer with that field says.
        """
        seconds = now - started
        endpoint.count(seconds)
        if (status >= _SERVER_ERROR and status not in _NOT_ITS_FAULT) or status == _TOO_MANY_REQUESTS:
            self._failed_with(endpoint, status, started, now, retry_after)
            return
        endpoint.sample(seconds, now)
        endpoint.failures = 0
        if endpoint.state is not READY and started >= endpoint.state_at:
            self._return(endpoint, now, seconds)

    def _failed_with(self, endpoint: Endpoint, status: int, started: float, now: float, retry_after: float) -> None:
        if status in _OVERLOADED:
            endpoint.blame(now, retry_after)
        else:
            endpoint.suspect(now)
        if status != _TOO_MANY_REQUESTS:
            self._count_failure(endpoint, started, now)

    def on_failure(self, endpoint: Endpoint, started: float, now: float, *, unreachable: bool = False) -> None:
        """A try has failed without an answer; `unreachable` when no connection could be opened."""
        endpoint.blame(now)
        self._count_failure(endpoint, started, now, at_once=unreachable)

    def _count_failure(self, endpoint: Endpoint, started: float, now: float, *, at_once: bool = False) -> None:
        endpoint.failed += 1
        if endpoint.removed:
            return
        if endpoint.state is TRIAL:
            if started >= endpoint.state_at:
                self._eject(endpoint, now)
            return
        endpoint.failures += 1
        if endpoint.state is READY and (at_once or endpoint.failures >= self._settings.eject_after):
            away = sum(one.state is not READY for one in self._endpoints)
            if away < ceil(self._settings.max_ejected * len(self._endpoints)):
                self._eject(endpoint, now)

    def _eject(self, endpoint: Endpoint, now: float) -> None:
        usual = self._settings.eject_for
        again = endpoint.state is not READY or now - endpoint.state_at < _FORGOTTEN_AFTER * endpoint.penalty
        endpoint.penalty = min(usual * _LONGEST_EJECTION, endpoint.penalty * 2.0) if again else usual
        endpoint.ejections += 1
        self.ejections += 1
        self._move(endpoint, EJECTED, now, endpoint.penalty * (0.75 + 0.5 * self._chance()))

    def _return(self, endpoint: Endpoint, now: float, cost: float) -> None:
        """It is back, and what it cost before is past."""
        endpoint.failures = 0
        endpoint.cost, endpoint.cost_at = cost, now
        endpoint.added_at = now if self._settings.slow_start else None
        self._move(endpoint, READY, now, 0.0)

    def on_inconclusive(self, endpoint: Endpoint, now: float) -> None:
        """A try has ended without telling anything of the endpoint; if it was its trial, the next request is."""
        if endpoint.state is TRIAL:
            self._move(endpoint, PROBATION, now, 0.0)

    def on_abandoned(self, endpoint: Endpoint, started: float, now: float) -> None:
        """The app did not wait for the answer: the time until then is the least that it would have taken."""
        endpoint.sample(max(endpoint.cost, now - started), now)

    def on_health_check(self, endpoint: Endpoint, now: float, *, passed: bool) -> None:
        """An active check has passed or failed: one that passes makes an endpoint healthy, the second that fails (of a
        new endpoint the first) unhealthy. Where there are checks they are also what ends an ejection.
        """
        if passed:
            endpoint.check_failures = 0
        else:
            endpoint.check_failures += 1
        fit = passed or (endpoint.checked and not endpoint.unhealthy and endpoint.check_failures < _FALL)
        changed = endpoint.unhealthy is fit
        endpoint.unhealthy, endpoint.checked = not fit, True
        if endpoint.state is PROBATION and not endpoint.removed:
            if passed:
                self._return(endpoint, now, _mean_cost(self._endpoints, but=endpoint))
            else:
                self._eject(endpoint, now)
        elif changed:
            self._rebuild(now)

    def _move(self, endpoint: Endpoint, state: str, now: float, lasts: float) -> None:
        endpoint.state, endpoint.state_at, endpoint.state_until = state, now, now + lasts
        self._rebuild(now)
        self._told(endpoint)

    # -- time -----------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """To be called a few times a second: ejections end, trials without an outcome have failed, costs sink."""
        before, self._ticked = self._ticked, now
        for endpoint in self._endpoints:
            endpoint.sink(before, now)
            if endpoint.state is EJECTED and endpoint.state_until <= now:
                self._move(endpoint, PROBATION, now, 0.0)
            elif endpoint.state is TRIAL and endpoint.state_until <= now:
                self._eject(endpoint, now)
        if any(endpoint.added_at is not None for endpoint in self._endpoints):
            self._rebuild(now)

    def _weigh(self, now: float) -> None:
        """Give those that start slowly the weight that they have come to."""
        window = self._settings.slow_start
        for endpoint in self._endpoints:
            share = 1.0
            if endpoint.added_at is not None:
                share = min(1.0, max(_FIRST_SHARE, (now - endpoint.added_at) / window))
                if share >= 1.0:
                    endpoint.added_at = None
            endpoint.weight = endpoint.full_weight * share

    def _usable(self, endpoint: Endpoint) -> bool:
        """Whether it may be chosen, as far as its own health goes."""
        if endpoint.unhealthy:
            return False
        return endpoint.state is READY or (endpoint.state is PROBATION and not self._checks)

    @property
    def down(self) -> int:
        """How many are not well."""
        return sum(endpoint.unhealthy or endpoint.state is not READY for endpoint in self._endpoints)


def _mean_cost(endpoints: Collection[Endpoint], but: Endpoint | None = None) -> float:
    """What nothing is known of costs as much as the others do, so that it is neither shunned nor flooded."""
    costs = [endpoint.cost for endpoint in endpoints if endpoint is not but and endpoint.requests]
    return sum(costs, 0.0) / len(costs) if costs else FIRST_COST


def _preference(endpoint: Endpoint) -> tuple[bool, int, float]:
    """For a retry: rather one that is well, of a lower priority number, and with less to do."""
    return endpoint.unhealthy or endpoint.state is not READY, endpoint.priority, endpoint.cost * (endpoint.pending + 1)
