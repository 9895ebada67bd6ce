"""The condition of an endpoint and of an upstream: a word, and the reason in words. No I/O; time is passed in.

Conditions of an endpoint, the first that holds:

    leaving      DNS does not name it any more; its connections end
    unhealthy    its active health checks fail
    ejected, probation, trial    the states of `outlier_ejection`
    standby      it could serve, but endpoints of another priority do
    failing      it serves, and its last attempts failed: too few for an ejection, or no further one is allowed;
                 since the last failure
    slow start   it serves with a part of its weight
    serving

Conditions of an upstream, the worst that holds:

    no address   every request gets 503 (dns_error); before the first answer of DNS it waits
    panic        too few endpoints are usable, so health is ignored
    limited      a limit is reached at this moment: connections, pending requests, retries
    degraded     endpoints are down, or DNS does not answer; the others serve
    draining     the process ends with its last connections
    ready
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from sidecars.ambassador.balancing.outlier_ejection import EJECTED, IN_A_ROW, PROBATION, READY, TRIAL, UNREACHABLE
from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.settings import variable
from sidecars.chassis.runtime.light_dataclasses import dataclass

if TYPE_CHECKING:
    from sidecars.ambassador.balancing.endpoint import Endpoint
    from sidecars.ambassador.discovery.dns_target import DnsTarget
    from sidecars.ambassador.upstream.upstream import Upstream

LEAVING: Final = "leaving"
UNHEALTHY: Final = "unhealthy"
STANDBY: Final = "standby"
FAILING: Final = "failing"
SLOW_START: Final = "slow start"
SERVING: Final = "serving"
GOOD: Final = frozenset({STANDBY, FAILING, SLOW_START, SERVING})  # of an endpoint

NO_ADDRESS: Final = "no address"
PANIC: Final = "panic"
LIMITED: Final = "limited"
DEGRADED: Final = "degraded"
DRAINING: Final = "draining"
_OF_UPSTREAMS: Final = (NO_ADDRESS, PANIC, LIMITED, DEGRADED, DRAINING)
_OF_ENDPOINTS: Final = (LEAVING, UNHEALTHY, EJECTED, PROBATION, TRIAL, STANDBY, FAILING, SLOW_START, SERVING)
_EVIDENT: Final = frozenset({"", IN_A_ROW, UNREACHABLE})  # causes of an ejection that the failures tell, too
WORST_FIRST: Final = (*_OF_UPSTREAMS, *_OF_ENDPOINTS, READY)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition and its reason, "" for none.

    - `since`: when it began.
    - `ends_at`: when it ends by time; None if it does not.
    """

    word: str
    reason: str
    since: float
    ends_at: float | None = None


# -- an endpoint ---------------------------------------------------------------------------------------------------


def of_endpoint(endpoint: Endpoint, upstream: Upstream, serving: Collection[Endpoint]) -> Condition:
    """Return the condition of an endpoint. `serving` are those that get attempts at present."""
    if endpoint.removed:
        if endpoint.is_listed:
            reason = "Kubernetes lists it as terminating or not ready, or for another zone: its connections may go on"
            return Condition(LEAVING, reason, endpoint.removed_at)
        reason = f"DNS does not name it any more; its connections may go on for {upstream.drain_timeout:g} s"
        if upstream.settings.upstream.protocol == "http":
            reason = "DNS does not name it any more; the requests under way end"
        return Condition(LEAVING, reason, endpoint.removed_at)
    found = _of_member(endpoint, upstream, is_serving=endpoint in serving)
    if found.word not in GOOD and upstream.balancer.in_panic and endpoint in serving:
        return Condition(found.word, f"{found.reason}; it serves all the same: panic", found.since, found.ends_at)
    return found


def _of_member(endpoint: Endpoint, upstream: Upstream, *, is_serving: bool) -> Condition:
    """Return the condition of an endpoint that DNS names."""
    if endpoint.unhealthy:
        return Condition(UNHEALTHY, f"health checks fail: {endpoint.check_error}", endpoint.health_since)
    if endpoint.ejection.state is not READY:
        return _of_outlier(endpoint, has_checks=upstream.settings.check_every is not None)
    since = max(endpoint.added_at, endpoint.ejection.entered_at, endpoint.health_since)
    if not is_serving:
        reason = "it can serve; endpoints of another priority do"
        return Condition(STANDBY, reason, max(since, upstream.balancer.tier_since))
    number = endpoint.ejection.consecutive_failures
    reason = _failures(endpoint) if number else ""
    if number >= upstream.settings.eject_after:
        reason += f"; it is not ejected: {variable(Settings, 'max_ejected', upstream.name)} allows no further one"
    if reason:
        return Condition(FAILING, reason, endpoint.failed_at)
    if endpoint.slow_start_at is not None and endpoint.full_weight:
        share = f"{endpoint.weight / endpoint.full_weight:.0%} of its weight"
        return Condition(SLOW_START, share, endpoint.slow_start_at)
    return Condition(SERVING, "", since)


def _of_outlier(endpoint: Endpoint, *, has_checks: bool) -> Condition:
    """Return the condition of an endpoint that is not READY."""
    ejection, why = endpoint.ejection, _failures(endpoint)
    if ejection.cause not in _EVIDENT and not why.startswith(ejection.cause):
        why = f"{ejection.cause}: {why}"
    if ejection.count > 1:
        why += f"; ejected {ejection.count:,} times so far"
    if ejection.state is EJECTED:
        return Condition(EJECTED, why, ejection.entered_at, ejection.ends_at)
    if ejection.state is TRIAL:
        return Condition(TRIAL, f"one request tries it; before: {why}", ejection.entered_at, ejection.ends_at)
    trial = "health check decides" if has_checks else "request is its trial"
    return Condition(PROBATION, f"its ejection is over, the next {trial}; before: {why}", ejection.entered_at)


def _failures(endpoint: Endpoint) -> str:
    """Return the failures in a row and the reason of the last one, as a clause."""
    last = words_of_failure(endpoint.failure_text, endpoint.failure_status)
    number = endpoint.ejection.consecutive_failures
    if number > 1:
        return f"{number} failures in a row, the last: {last or 'unknown'}"
    return last or "a failure"


def words_of_failure(text: str, status: int) -> str:
    """Return the reason of one failure: its text, or the status of a response."""
    return f"it responded with {status}" if status else text


def of_api(target: DnsTarget) -> str:
    """Return the condition of the EndpointSlices: `ok`, `waiting` for the first list, `stale` or `failed`."""
    if target.api is None or target.api.error:
        return "stale" if target.source == "kubernetes" else "failed"
    return "ok" if target.api.in_force else "waiting"


def of_dns(target: DnsTarget) -> str:
    """Return the condition of the look-ups of a name: `ok`, `waiting` for the first answer, `stale` or `failed`."""
    if target.error:
        return "stale" if target.endpoints else "failed"
    return "waiting" if target.answered_at is None else "ok"


# -- an upstream ---------------------------------------------------------------------------------------------------


def of_upstream(upstream: Upstream) -> tuple[str, list[str]]:
    """Return the condition of an upstream, and a sentence for each that holds."""
    found = {
        NO_ADDRESS: _missing_addresses(upstream),
        PANIC: _panic(upstream),
        LIMITED: _limits(upstream),
        DEGRADED: _degradations(upstream),
        DRAINING: ["the process ends: each connection closes after its response"] if upstream.clients.draining else [],
    }
    word = next((word for word in _OF_UPSTREAMS if found[word]), READY)
    return word, [sentence for sentences in found.values() for sentence in sentences]


def _missing_addresses(upstream: Upstream) -> list[str]:
    if any(target.endpoints for target in upstream.dns_targets):
        return []
    return [f"{target.target.host}: {_no_answer(target)}" for target in upstream.dns_targets]


def _no_answer(target: DnsTarget) -> str:
    """Return why the target has no address."""
    if target.api is None:
        return target.error or "DNS has not answered yet, requests wait"
    if target.api.in_force:
        return target.error
    api = f"Kubernetes: {target.api.error}" if target.api.error else "Kubernetes has not answered yet"
    return f"{api}; DNS: {target.error or 'it has not answered yet, requests wait'}"


def _panic(upstream: Upstream) -> list[str]:
    if not upstream.balancer.in_panic:
        return []
    threshold = f"{upstream.settings.panic_threshold:.0%}"
    limit = variable(Settings, "panic_threshold", upstream.name)
    return [f"less than {threshold} ({limit}) of the endpoints are usable, so health is ignored"]


def _limits(upstream: Upstream) -> list[str]:
    settings, found = upstream.settings, []
    if len(upstream.clients.open) >= settings.max_connections:
        limit = variable(Settings, "max_connections", upstream.name)
        found.append(f"all {settings.max_connections:,} connections ({limit}) are in use: a new one needs an idle one")
    if upstream.pool.opening >= settings.max_pending:
        limit = variable(Settings, "max_pending", upstream.name)
        found.append(f"{settings.max_pending:,} requests ({limit}) wait for a connection: further ones get 503")
    limits = upstream.limits
    if limits is not None and limits.waiting:
        by = "adaptive_concurrency" if settings.adaptive_concurrency == "on" else "max_requests"
        limit = variable(Settings, by, upstream.name)
        found.append(f"{limits.limit:,} requests at once ({limit}) are under way, and {limits.waiting:,} wait")
    if settings.retries and upstream.budget.saved < 1:
        limit = variable(Settings, "retry_budget", upstream.name)
        found.append(f"the retry budget ({limit}) is used up: failures are not retried")
    return found


def _degradations(upstream: Upstream) -> list[str]:
    found = []
    down = upstream.balancer.down
    if down:
        known = sum(len(target.endpoints) for target in upstream.dns_targets)
        found.append(f"{down:,} of {known:,} endpoints {'is' if down == 1 else 'are'} ejected or unhealthy")
    for target in upstream.dns_targets:
        if target.api is not None and target.api.error and target.endpoints:
            source = "its last endpoints are used" if target.api.in_force else "DNS names its endpoints"
            found.append(f"{target.target.host} cannot be followed in Kubernetes, {source}: {target.api.error}")
        if target.error and target.endpoints:
            found.append(f"{target.target.host} cannot be looked up, its last addresses are used: {target.error}")
        elif target.error and any(other.endpoints for other in upstream.dns_targets):
            found.append(f"{target.target.host} has no address: {target.error}")
    return found
