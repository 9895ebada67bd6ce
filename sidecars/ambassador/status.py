"""The page `/status`, for people.

A count is an int and a measure is a float or a string: the supervisor adds up the counts of its workers only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidecars.ambassador.proxy import exchange

if TYPE_CHECKING:
    from sidecars.ambassador.balancing.endpoint import Endpoint
    from sidecars.ambassador.discovery.dns_target import DnsTarget
    from sidecars.ambassador.upstream.upstream import Upstream


def form() -> str:
    """Return the form of the data path: `compiled`, as in the images, or `plain` Python."""
    return "plain" if exchange.__file__.endswith(".py") else "compiled"


def upstream_status(upstream: Upstream, now: float) -> dict[str, Any]:
    """Return the state of one upstream, with its targets and their endpoints."""
    return {
        "upstream": str(upstream.settings.upstream),
        "balance": upstream.settings.balance,
        "panic": upstream.balancer.in_panic,
        "connections": len(upstream.clients.open),
        "connections_shed": upstream.clients.shed,
        "requests": upstream.counters.requests,
        "retries": upstream.counters.retries,
        "retry_budget_left": int(upstream.budget.saved),
        "idle_races": upstream.counters.races,
        "errors": {error: count for error, count in upstream.counters.errors.items() if count},
        "defects": upstream.defects.count,
        "targets": [_target(target, upstream, now) for target in upstream.dns_targets],
    }


def _target(target: DnsTarget, upstream: Upstream, now: float) -> dict[str, Any]:
    return {
        "target": str(target.target),
        "dns_age_seconds": None if target.answered_at is None else round(now - target.answered_at, 3),
        "dns_holds_seconds": target.valid_for,
        "dns_error": target.error,
        "endpoints": [_endpoint(endpoint, upstream) for endpoint in target.endpoints.values()],
        "leaving": [_endpoint(endpoint, upstream) for endpoint in target.leaving.values()],
    }


def _endpoint(endpoint: Endpoint, upstream: Upstream) -> dict[str, Any]:
    return {
        "address": endpoint.label,
        "state": endpoint.ejection.state,
        "health": "unhealthy" if endpoint.unhealthy else "healthy" if endpoint.checked else "unchecked",
        "check_error": endpoint.check_error,
        "weight": round(endpoint.weight, 3),
        "priority": str(endpoint.priority),
        "cost_seconds": round(endpoint.cost, 6),
        "connections": endpoint.connections,
        "idle": upstream.pool.idle.count(endpoint),
        "pending": endpoint.pending,
        "requests": endpoint.attempts,
        "failed": endpoint.failures,
        "failures_in_a_row": endpoint.ejection.consecutive_failures,
        "ejections": endpoint.ejection.count,
    }
