"""The part of `/status` about the upstreams, as JSON values.

A count is an int and a measure is a float or a string: the supervisor adds up the counts of its workers only. The
exceptions are in `sidecars.ambassador.workers.pages`. A histogram (`latency`) has cumulative counts by their bounds in
seconds, so that two pages give the latencies between them.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from sidecars.ambassador.balancing.endpoint import BOUNDS
from sidecars.ambassador.discovery.dns_target import ApiState
from sidecars.ambassador.proxy import exchange
from sidecars.ambassador.proxy.http2_connection import Http2Connection
from sidecars.ambassador.status import conditions
from sidecars.ambassador.status.error_words import errors_by_reason
from sidecars.ambassador.status.selection import shares, worst

if TYPE_CHECKING:
    from sidecars.ambassador.balancing.endpoint import Endpoint
    from sidecars.ambassador.discovery.dns_target import DnsTarget
    from sidecars.ambassador.upstream.buffer_memory import BufferMemory
    from sidecars.ambassador.upstream.upstream import Upstream

_BUCKETS = (*map(str, BOUNDS), "+Inf")


def form() -> str:
    """Return the form of the data path: `compiled`, as in the images, or `plain` Python."""
    return "plain" if exchange.__file__.endswith(".py") else "compiled"


class UpstreamWatch:
    """The condition of one upstream, and the time since when it is so. The data path owns it, and ticks it."""

    def __init__(self, upstream: Upstream, now: float) -> None:
        self.upstream = upstream
        self.since = now
        self.state, self.reasons = conditions.of_upstream(upstream)

    def tick(self, now: float) -> None:
        """Note the condition. The time since when it is so is as accurate as the ticks are frequent."""
        state, self.reasons = conditions.of_upstream(self.upstream)
        if state != self.state:
            self.state, self.since = state, now


def page(watches: Iterable[UpstreamWatch], memory: BufferMemory, now: float, *, every: bool = False) -> dict[str, Any]:
    """Return the ambassador's part of `/status`. Without `every` only the worst endpoints are listed."""
    watches = tuple(watches)
    sizes = {watch.upstream.name: len(watch.upstream.endpoints_and_leaving) for watch in watches}
    places = sizes if every else shares(sizes)
    return {
        "form": form(),
        "notes": _notes(sizes, places, memory),
        "buffers": memory.status(),
        "upstreams": {watch.upstream.name: _upstream(watch, now, places[watch.upstream.name]) for watch in watches},
    }


def _notes(sizes: dict[str, int], places: dict[str, int], memory: BufferMemory) -> list[str]:
    found = []
    if memory.is_short:
        found.append("little of AMBASSADOR_BUFFER_MEMORY is left: reads are small, and bodies are not kept for a retry")
    return found + left_out_notes(sizes, places)


def left_out_notes(sizes: dict[str, int], places: dict[str, int]) -> list[str]:
    """Return a sentence for each upstream of which not all endpoints are listed."""
    return [
        f"{name}: the worst {places[name]:,} of {size:,} endpoints are listed; /metrics has all"
        for name, size in sizes.items()
        if size > places[name]
    ]


def _upstream(watch: UpstreamWatch, now: float, most: int) -> dict[str, Any]:
    """Return the state of one upstream, with its targets and at most `most` of their endpoints."""
    watch.tick(now)
    upstream = watch.upstream
    counters, clients, pool = upstream.counters, upstream.clients, upstream.pool
    has_clients = upstream.port is upstream  # else the connections of the app are the port's
    endpoints = upstream.endpoints_and_leaving
    leaving = sum(len(target.leaving) for target in upstream.dns_targets)
    listed = set(worst(endpoints, most))
    serving = set(upstream.balancer.serving)
    protocol = upstream.settings.upstream.protocol
    return {
        "state": watch.state,
        "reasons": watch.reasons,
        "state_seconds": round(now - watch.since, 3),
        "upstream": str(upstream.settings.upstream),
        "protocol": protocol,
        "balance": upstream.settings.balance,
        "panic": upstream.balancer.in_panic,
        "endpoints_known": len(endpoints) - leaving,
        "endpoints_down": upstream.balancer.down,
        "endpoints_leaving": leaving,
        "endpoints_left_out": len(endpoints) - len(listed),
        "connections": len(clients.open) if has_clients else 0,
        "connections_limit": clients.max_connections if has_clients else 0,
        "connections_accepted": counters.accepted,
        "connections_shed": clients.shed if has_clients else 0,
        "requests": counters.requests,
        "requests_under_way": upstream.admission.under_way,
        "requests_queued": upstream.admission.waiting,
        "retries": counters.retries,
        "retry_budget_left": int(upstream.budget.saved),
        "retry_budget_limit": int(upstream.budget.most),
        "idle_races": counters.races,
        "pool_open": sum(endpoint.connections for endpoint in endpoints),
        "pool_idle": sum(map(pool.count_idle, endpoints)),
        "pool_opening": pool.opening,
        "pool_opening_limit": upstream.settings.max_pending,
        "connects": pool.connects,
        "connect_failures": pool.connect_failures,
        "sent_bytes": counters.sent,
        "received_bytes": counters.received,
        "delivered_bytes": counters.delivered,
        "errors": {error: count for error, count in counters.errors.items() if count},
        "errors_by_reason": errors_by_reason(counters.errors),
        "defects": upstream.defects.count,
        **({"limits": upstream.limits.status()} if upstream.limits is not None else {}),
        **(upstream.companion.status() if upstream.companion is not None else {}),
        protocol: _http(upstream) if protocol == "http" else _tcp(endpoints),
        "targets": [_target(target, upstream, now, listed, serving) for target in upstream.dns_targets],
    }


def _http(upstream: Upstream) -> dict[str, Any]:
    """Return the members of an upstream of HTTP alone. Its latency is from a request's head to its response's end."""
    responses: dict[str, int] = {f"{digit}xx": 0 for digit in range(2, 6)}
    for code, count in upstream.counters.codes:
        name = f"{code // 100}xx"
        responses[name] = responses.get(name, 0) + count
    clients = upstream.clients.open if upstream.port is upstream else ()
    http2 = [connection for connection in clients if isinstance(connection, Http2Connection)]
    return {
        "responses": responses,
        "latency": _buckets(upstream.counters.durations),
        "http2_connections": len(http2),
        "http2_streams": sum(len(connection.sides) for connection in http2),
        "unprocessed": upstream.counters.unprocessed,
    }


def _tcp(endpoints: Collection[Endpoint]) -> dict[str, Any]:
    """Return the members of an upstream of TCP alone. Its latency is the time until a connection is open."""
    latencies = [0] * (len(BOUNDS) + 1)
    for endpoint in endpoints:
        latencies = [total + count for total, count in zip(latencies, endpoint.latencies, strict=True)]
    return {
        "tunnels": sum(endpoint.connections for endpoint in endpoints),
        "tunnels_opened": sum(endpoint.attempts for endpoint in endpoints),
        "latency": _buckets(latencies),
    }


def _target(
    target: DnsTarget, upstream: Upstream, now: float, listed: Collection[Endpoint], serving: Collection[Endpoint]
) -> dict[str, Any]:
    has_name = target.needs_lookup
    is_followed = target.api is not None and target.api.in_force

    def rows(endpoints: Iterable[Endpoint]) -> list[dict[str, Any]]:
        return [_endpoint(one, upstream, now, serving) for one in endpoints if one in listed]

    return {
        "target": str(target.target),
        **({"dns": {"answer": conditions.of_dns(target)}} if has_name and not is_followed else {}),
        **({"kubernetes": _api(target, now)} if target.api is not None else {}),
        "dns_age_seconds": round(now - target.answered_at, 3) if has_name and target.answered_at is not None else None,
        "dns_holds_seconds": target.valid_for,
        "dns_error": target.error,
        "endpoints": rows(target.endpoints.values()),
        "leaving": rows(target.leaving.values()),
    }


def _api(target: DnsTarget, now: float) -> dict[str, Any]:
    """Return the members of a `k8s://` target about the API server."""
    api = target.api or ApiState()
    return {
        "source": target.source,
        "answer": conditions.of_api(target),
        "age_seconds": None if api.heard_at is None else round(now - api.heard_at, 3),
        "slices": api.slices,
        "listed": api.listed,
        "failures": api.failures,
        "note": api.note,
        "error": api.error,
    }


def _endpoint(endpoint: Endpoint, upstream: Upstream, now: float, serving: Collection[Endpoint]) -> dict[str, Any]:
    condition = conditions.of_endpoint(endpoint, upstream, serving)
    ends_at = condition.ends_at
    return {
        "address": endpoint.label,
        "condition": condition.word,
        "reason": condition.reason,
        "condition_seconds": round(now - condition.since, 3),
        "ends_in_seconds": None if ends_at is None else max(0.0, round(ends_at - now, 3)),
        "state": endpoint.ejection.state,
        "health": "unhealthy" if endpoint.unhealthy else "healthy" if endpoint.checked else "unchecked",
        "check_error": endpoint.check_error,
        "weight": round(endpoint.weight, 3),
        "priority": str(endpoint.priority),
        "cost_seconds": round(endpoint.cost, 6),
        "connections": endpoint.connections,
        "idle": upstream.pool.count_idle(endpoint),
        "pending": endpoint.pending,
        "requests": endpoint.attempts,
        "retries": endpoint.retries,
        "failed": endpoint.failures,
        "failures_in_a_row": endpoint.ejection.consecutive_failures,
        "ejections": endpoint.ejection.count,
        "protocol": endpoint.selected or ("HTTP/2" if endpoint.http2 else ""),
        "ejected": _ejection(endpoint, now) if endpoint.ejection.count else None,
        "last_failures": [
            f"{_clock(at, now)} {conditions.words_of_failure(text, status) or 'a failure'}"
            for at, text, status in endpoint.last_failures
        ],
        # From the start of an attempt to the head of its response; TCP: until the connection is open.
        upstream.settings.upstream.protocol: {"latency": _buckets(endpoint.latencies)},
    }


def _ejection(endpoint: Endpoint, now: float) -> dict[str, Any]:
    """Return why, when, until when and how often the endpoint was ejected: the last ejection, also if it is over."""
    ejection = endpoint.ejection
    return {
        "cause": ejection.cause,
        "at": _clock(ejection.ejected_at, now),
        "until": _clock(ejection.ejected_at + ejection.ejected_for, now),
        "seconds": round(ejection.ejected_for, 3),
        "times": ejection.count,
    }


def _clock(at: float, now: float) -> str:
    """Return a time of the monotonic clock, as the wall clock of UTC shows it."""
    return datetime.fromtimestamp(time.time() + at - now, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _buckets(counts: Iterable[int]) -> dict[str, int]:
    return dict(zip(_BUCKETS, accumulate(counts), strict=True))
