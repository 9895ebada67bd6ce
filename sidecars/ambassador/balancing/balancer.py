"""The balancer of one upstream: it chooses an endpoint for each attempt and learns from the outcomes. No I/O.

Time and random numbers are passed in.

Theory of operation: after each event that changes which endpoints may serve, `_rebuild` finds the serving endpoints:

    all endpoints ──▶ usable: not ejected (`outlier_ejection`) and not unhealthy (active checks)
                  ──▶ serving: the usable ones of the first priority with enough of them (`priority_tiers`)
                  ──▶ `policies`, which choose among the serving ones

An endpoint in PROBATION is served first, once: that attempt is its trial. With active health checks, or with a hash
policy, this preference is off: a check decides in the first case, and the owner's next request in the second.

The outcome of each attempt comes as exactly one event: `on_response`, `on_failure` or `on_inconclusive`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Final

from sidecars.ambassador.balancing.endpoint import FIRST_COST, Endpoint
from sidecars.ambassador.balancing.outlier_ejection import (
    FAILED_CHECK,
    FAILED_TRIAL,
    FAILING,
    IN_A_ROW,
    PROBATION,
    READY,
    SILENT_TRIAL,
    TRIAL,
    UNREACHABLE,
    may_eject_another,
)
from sidecars.ambassador.balancing.policies import RingHash, make_policy
from sidecars.ambassador.balancing.priority_tiers import choose_tier

if TYPE_CHECKING:
    from sidecars.ambassador.admission.concurrency_limit import ConcurrencyLimit
    from sidecars.ambassador.balancing.failure_shares import FailureShares
    from sidecars.ambassador.config.upstream_settings import UpstreamSettings

_OVERLOADED: Final = frozenset({429, 502, 503, 504})
_SHORTEST_BY_SHARE: Final = 10.0  # seconds of an ejection by the share of failures
_NOT_A_FAILURE: Final = frozenset({501, 505})  # 5xx that blame the request, not the endpoint


class Balancer:
    """Chooses among the endpoints of one upstream, which owns it."""

    def __init__(
        self,
        settings: UpstreamSettings,
        rand: Callable[[], float] = random.random,
        on_state_change: Callable[[Endpoint], None] = lambda _: None,
    ) -> None:
        """`on_state_change` is called with an endpoint whose ejection state has changed."""
        self._settings = settings
        self._rand = rand
        self._on_state_change = on_state_change
        self._policy = make_policy(settings.balance, rand)
        self._has_checks = settings.check_every is not None
        self._endpoints: list[Endpoint] = []
        self._members: list[tuple[Endpoint, float, int]] = []  # the endpoints with their weights and priorities
        self.serving: list[Endpoint] = []  # only read elsewhere
        self.tier_since = 0.0  # when the priority that serves, or `in_panic`, changed last
        self._tier: tuple[int, bool] | None = None  # that priority, and `in_panic`
        self._probation: list[Endpoint] = []  # serving endpoints whose trial is due
        self._ticked_at = 0.0
        self.limit: ConcurrencyLimit | None = None  # gets a sample for each outcome, if there is one
        self._shares = _failure_shares(settings)
        self.ejections = 0  # ever
        self.in_panic = False

    # -- membership -----------------------------------------------------------------------------------------------

    def update(self, new: Sequence[Endpoint], gone: Collection[Endpoint], now: float) -> None:
        """Add and remove endpoints after a DNS answer, and take up weights and priorities that it has changed."""
        left = set(gone)
        members = [(one, one.full_weight, one.priority) for one in (*self._endpoints, *new) if one not in left]
        if members == self._members:
            return
        self._members = members
        known = [endpoint for endpoint in self._endpoints if endpoint not in left]
        slowly = self._settings.slow_start > 0 and bool(known)
        mean = _mean_cost(known)
        for endpoint in new:
            if not endpoint.attempts:
                endpoint.reset_cost(mean, now)
            endpoint.set_slow_start(now, enabled=slowly)
        self._endpoints = [*known, *new]
        self._rebuild(now)

    def _rebuild(self, now: float) -> None:
        """Find the serving endpoints and prepare the policy, after any change that the choice depends on."""
        for endpoint in self._endpoints:
            endpoint.update_weight(now, self._settings.slow_start)
        tier = choose_tier(self._endpoints, self._is_usable, self._settings.panic_threshold)
        self.in_panic = tier.in_panic
        self.serving = tier.serving
        present = (tier.serving[0].priority, tier.in_panic) if tier.serving else None
        if present != self._tier:
            self._tier, self.tier_since = present, now
        if self._has_checks or isinstance(self._policy, RingHash):
            self._probation = []
        else:
            self._probation = [one for one in self.serving if one.ejection.state is PROBATION]
        if self.serving:
            self._policy.rebuild(self.serving, tier.members)

    def _is_usable(self, endpoint: Endpoint) -> bool:
        """Return True if the endpoint may be chosen, as far as its own health is concerned."""
        if endpoint.unhealthy:
            return False
        state = endpoint.ejection.state
        return state is READY or (state is PROBATION and not self._has_checks)

    @property
    def down(self) -> int:
        """The number of endpoints that are unhealthy or not READY."""
        return sum(endpoint.unhealthy or endpoint.ejection.state is not READY for endpoint in self._endpoints)

    # -- the choice -----------------------------------------------------------------------------------------------

    def choose(self, now: float, tried: Collection[Endpoint] = (), key: bytes = b"") -> Endpoint | None:
        """Return the endpoint for the next attempt of a request; None without endpoints.

        An endpoint of `tried` is returned only if there is no other. `key` is the request's hash key, b"" for none.
        """
        if not self.serving:
            return None
        if tried:
            chosen = self._choose_untried(tried, key)
        elif self._probation:
            chosen = self._probation[0]
        else:
            chosen = self._policy.choose(key)
        if chosen.ejection.state is PROBATION and not self._has_checks:
            chosen.ejection.begin_trial(now)
            self._state_changed(chosen, now)
        return chosen

    def _choose_untried(self, tried: Collection[Endpoint], key: bytes) -> Endpoint:
        if key and isinstance(self._policy, RingHash):
            for endpoint in self._policy.owners(key):
                if endpoint not in tried:
                    return endpoint
        for candidates in (self.serving, self._endpoints):
            untried = [endpoint for endpoint in candidates if endpoint not in tried]
            if untried:
                return min(untried, key=_preference)
        return min(self.serving, key=_preference)

    # -- outcomes of attempts -------------------------------------------------------------------------------------

    def on_response(
        self, endpoint: Endpoint, status: int, started: float, now: float, retry_after: float = 0.0
    ) -> None:
        """Note the head of a response (for TCP: an open connection, with status 200).

        `started` is the time at which the attempt began. `retry_after` are the seconds of the response's Retry-After.
        """
        seconds = now - started
        endpoint.record_latency(seconds)
        if self.limit is not None:
            _sample(self.limit, status, seconds, now)
        if (status >= 500 and status not in _NOT_A_FAILURE) or status == 429:
            self._on_error_status(endpoint, status, started, now, retry_after)
            return
        endpoint.sample_cost(seconds, now)
        if endpoint.ejection.on_success(started, now):
            self._return(endpoint, now, seconds)

    def on_call_head(self, endpoint: Endpoint, started: float, now: float) -> None:
        """Note the head of a call's response, whose status follows at the end. For a trial it is a success."""
        seconds = now - started
        endpoint.record_latency(seconds)
        if self.limit is not None:
            self.limit.on_latency(seconds, now)
        endpoint.sample_cost(seconds, now)
        if endpoint.ejection.state is TRIAL and endpoint.ejection.on_success(started, now):
            self._return(endpoint, now, seconds)

    def on_call_end(self, endpoint: Endpoint, status: int, started: float, now: float) -> None:
        """Note the end of a call whose head was noted: `status` is that of HTTP which tells the same."""
        if (status >= 500 and status not in _NOT_A_FAILURE) or status == 429:
            self._on_error_status(endpoint, status, started, now, 0.0)
        elif endpoint.ejection.on_success(started, now):
            self._return(endpoint, now, endpoint.cost)

    def _on_error_status(self, endpoint: Endpoint, status: int, started: float, now: float, retry_after: float) -> None:
        if status in _OVERLOADED:
            endpoint.penalize(now, retry_after)
        else:
            endpoint.penalize_partly(now)
        if status != 429:
            endpoint.count_failure(now, "", status)
            self._judge_failure(endpoint, started, now, unreachable=False)

    def on_failure(
        self, endpoint: Endpoint, started: float, now: float, text: str = "", *, unreachable: bool = False
    ) -> None:
        """Note an attempt that failed without a response.

        `text` is the reason, a clause for people. `unreachable`: no connection could be opened.
        """
        if self.limit is not None and not unreachable:
            self.limit.on_failure(now - started, now)
        endpoint.penalize(now)
        endpoint.count_failure(now, text)
        self._judge_failure(endpoint, started, now, unreachable=unreachable)

    def _judge_failure(self, endpoint: Endpoint, started: float, now: float, *, unreachable: bool) -> None:
        """Eject the endpoint if this failure makes it due."""
        if endpoint.removed:
            return
        ejection = endpoint.ejection
        if ejection.on_failure(started, self._settings.eject_after, unreachable=unreachable) and (
            ejection.state is TRIAL or self._may_eject_another()
        ):
            cause = FAILED_TRIAL if ejection.state is TRIAL else UNREACHABLE if unreachable else IN_A_ROW
            self._eject(endpoint, now, cause)

    def on_inconclusive(self, endpoint: Endpoint, now: float) -> None:
        """Note an attempt that ended without information about the endpoint. A trial is then due again."""
        if endpoint.ejection.on_inconclusive(now):
            self._state_changed(endpoint, now)

    def on_abandoned(self, endpoint: Endpoint, started: float, now: float) -> None:
        """Note that the app did not wait for the response: it would have taken at least the time until now."""
        if self.limit is not None:
            self.limit.on_failure(now - started, now)
        endpoint.sample_cost(max(endpoint.cost, now - started), now)

    def on_health_check(self, endpoint: Endpoint, now: float, *, passed: bool) -> None:
        """Note the result of an active check, which also ends the probation of an ejected endpoint."""
        has_changed = endpoint.record_check(now, passed=passed)
        if endpoint.ejection.state is PROBATION and not endpoint.removed:
            if passed:
                endpoint.ejection.return_now(now)
                self._return(endpoint, now, _mean_cost(self._endpoints, but=endpoint))
            else:
                endpoint.note_failure(now, f"a health check failed: {endpoint.check_error}")
                self._eject(endpoint, now, FAILED_CHECK)
        elif has_changed:
            self._rebuild(now)

    # -- ejection -------------------------------------------------------------------------------------------------

    def _may_eject_another(self) -> bool:
        out = sum(one.ejection.state is not READY for one in self._endpoints)
        return may_eject_another(out, len(self._endpoints), self._settings.max_ejected)

    def _eject(self, endpoint: Endpoint, now: float, cause: str) -> None:
        seconds = self._settings.eject_for
        if cause is FAILING:
            seconds = max(seconds, _SHORTEST_BY_SHARE)
        endpoint.ejection.eject(now, seconds, self._rand(), cause)
        self.ejections += 1
        self._state_changed(endpoint, now)

    def _return(self, endpoint: Endpoint, now: float, cost: float) -> None:
        """Let a returned endpoint begin with this cost, and slowly if SLOW_START is set."""
        endpoint.reset_cost(cost, now)
        endpoint.set_slow_start(now, enabled=self._settings.slow_start > 0)
        self._state_changed(endpoint, now)

    def _state_changed(self, endpoint: Endpoint, now: float) -> None:
        self._rebuild(now)
        self._on_state_change(endpoint)

    def tick(self, now: float) -> None:
        """End ejections and trials whose time is over, and let costs decay. Call it a few times a second."""
        before, self._ticked_at = self._ticked_at, now
        for endpoint in self._endpoints:
            endpoint.decay_cost(before, now)
            if endpoint.ejection.end_if_over(now):
                self._state_changed(endpoint, now)
            elif endpoint.ejection.has_timed_out(now):
                endpoint.note_failure(now, SILENT_TRIAL)
                self._eject(endpoint, now, SILENT_TRIAL)
        if self._shares is not None:
            for endpoint in self._shares.due(self._endpoints, now):
                if self._may_eject_another():
                    self._eject(endpoint, now, FAILING)
        if any(endpoint.slow_start_at is not None for endpoint in self._endpoints):
            self._rebuild(now)


def _failure_shares(settings: UpstreamSettings) -> FailureShares | None:
    if settings.eject_failure_rate is None:
        return None
    from sidecars.ambassador.balancing.failure_shares import FailureShares  # noqa: PLC0415 - only where it is set

    return FailureShares(settings.eject_failure_rate, settings.eject_volume)


def _sample(limit: ConcurrencyLimit, status: int, seconds: float, now: float) -> None:
    """Give the limit the head of a response, unless it is an error that says nothing about latency."""
    if status in (429, 503):
        limit.on_refusal(seconds, now)
    elif status < 500:
        limit.on_latency(seconds, now)


def _mean_cost(endpoints: Collection[Endpoint], but: Endpoint | None = None) -> float:
    """Return the mean cost of the endpoints that have had requests.

    An endpoint without samples begins with it, so that it is neither avoided nor flooded.
    """
    costs = [endpoint.cost for endpoint in endpoints if endpoint is not but and endpoint.attempts]
    return sum(costs, 0.0) / len(costs) if costs else FIRST_COST


def _preference(endpoint: Endpoint) -> tuple[bool, int, float]:
    """Return the sort key for a retry: a healthy endpoint first, then a lower priority number, then less load."""
    is_down = endpoint.unhealthy or endpoint.ejection.state is not READY
    return is_down, endpoint.priority, endpoint.cost * (endpoint.pending + 1)
