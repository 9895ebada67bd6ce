"""Metrics of each upstream, read from its counters (`sidecars.ambassador.upstream.counters`) at scrape time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any

from prometheus_client.core import (
    CounterMetricFamily,
    Exemplar,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from sidecars.ambassador.balancing.endpoint import BOUNDS
from sidecars.chassis.histogram import cumulative_buckets

if TYPE_CHECKING:
    from sidecars.ambassador.discovery.dns_target import ApiState
    from sidecars.ambassador.upstream.buffer_memory import BufferMemory
    from sidecars.ambassador.upstream.upstream import Upstream

_OWN_STATUSES = (499, 500, 502, 503, 504)  # of local replies: their series exist before they count


class UpstreamCollector(Collector):
    """The Prometheus collector of all upstreams and ports. The data path owns it.

    A port is its upstream, unless it has routes: then it counts the app's connections, and requests that no upstream
    gets.
    """

    def __init__(self, upstreams: Iterable[Upstream], ports: Iterable[Upstream] = ()) -> None:
        self._only_upstreams = tuple(upstreams)
        self._ports = tuple(ports) or self._only_upstreams
        self._upstreams = tuple(dict.fromkeys((*self._only_upstreams, *self._ports)))

    def _with(self, metric: str) -> tuple[Upstream, ...]:
        """Return those that have this metric."""
        if metric.startswith("ambassador_downstream_"):
            return self._ports
        return self._only_upstreams if metric.startswith("ambassador_upstream_") else self._upstreams

    def collect(self) -> Iterator[Metric]:
        yield self._requests()
        yield self._durations()
        yield self._errors()
        yield self._calls()
        yield self._beside("hedges", "ambassador_upstream_hedges", "Hedges by their outcome (HEDGE_AFTER).")
        yield self._beside("copies", "ambassador_mirror_copies", "Requests chosen for MIRROR: sent, or why not.")
        yield from self._limits()
        for name, documentation, read in _COUNTS:
            counter = CounterMetricFamily(name, documentation, labels=["upstream"])
            for upstream in self._with(name):
                counter.add_metric([upstream.name], read(upstream))
            yield counter
        for name, documentation, read in _LEVELS:
            gauge = GaugeMetricFamily(name, documentation, labels=["upstream"])
            for upstream in self._with(name):
                gauge.add_metric([upstream.name], read(upstream))
            yield gauge

    def _requests(self) -> Metric:
        metric = CounterMetricFamily(
            "ambassador_requests",
            "Requests by the status delivered; 499: the app left before its response.",
            labels=["upstream", "code"],
        )
        for upstream in self._upstreams:
            for code, count in (dict.fromkeys(_OWN_STATUSES, 0) | dict(upstream.counters.codes)).items():
                metric.add_metric([upstream.name, str(code)], count)
        return metric

    def _durations(self) -> Metric:
        metric = HistogramMetricFamily(
            "ambassador_request_duration_seconds", "From a request's head to its response's end.", labels=["upstream"]
        )
        for upstream in self._upstreams:
            buckets: list[Any] = list(cumulative_buckets(BOUNDS, upstream.counters.durations))
            for interval, (trace_id, seconds, at) in upstream.counters.exemplars.items():  # in OpenMetrics alone
                buckets[interval] = (*buckets[interval], Exemplar({"trace_id": trace_id}, seconds, round(at, 3)))
            metric.add_metric([upstream.name], buckets, upstream.counters.seconds)
        return metric

    def _calls(self) -> Metric:
        metric = CounterMetricFamily(
            "ambassador_grpc_calls",
            "Calls of gRPC by the status delivered: a number from 0 to 16; 1: the app has cancelled it.",
            labels=["upstream", "grpc_status"],
        )
        for upstream in self._upstreams:
            if upstream.settings.upstream.protocol == "http":
                for status, count in enumerate(upstream.counters.calls):
                    metric.add_metric([upstream.name, str(status)], count)
        return metric

    def _beside(self, kind: str, name: str, documentation: str) -> Metric:
        """Return a count of an upstream's companion, by outcomes; without samples of upstreams that have none."""
        metric = CounterMetricFamily(name, documentation, labels=["upstream", "outcome"])
        for upstream in self._upstreams:
            if upstream.companion is not None:
                for outcome, count in upstream.companion.counts().get(kind, {}).items():
                    metric.add_metric([upstream.name, outcome], count)
        return metric

    def _limits(self) -> Iterator[Metric]:
        """Yield the metrics of the limits of requests, for the upstreams that have some."""
        limit = GaugeMetricFamily(
            "ambassador_upstream_concurrency_limit",
            "Requests that may be under way at once, by ADAPTIVE_CONCURRENCY and MAX_REQUESTS.",
            labels=["upstream"],
        )
        refused = CounterMetricFamily(
            "ambassador_upstream_refused_requests",
            "Requests refused by a limit: queue_full, queue_timeout (503) or rate (429).",
            labels=["upstream", "limit"],
        )
        for upstream in self._upstreams:
            if upstream.limits is not None:
                for name, count in upstream.limits.refusals().items():
                    refused.add_metric([upstream.name, name], count)
                if upstream.settings.limits_concurrency:
                    limit.add_metric([upstream.name], upstream.limits.limit)
        yield limit
        yield refused

    def _errors(self) -> Metric:
        metric = CounterMetricFamily(
            "ambassador_errors",
            "Responses of the ambassador itself and responses that broke off, by the error type of RFC 9209.",
            labels=["upstream", "error"],
        )
        for upstream in self._upstreams:
            for error, count in upstream.counters.errors.items():
                metric.add_metric([upstream.name, error], count)
        return metric


class BufferCollector(Collector):
    """The Prometheus collector of the memory for buffered bytes. The data path owns it."""

    def __init__(self, memory: BufferMemory) -> None:
        self._memory = memory

    def collect(self) -> Iterator[Metric]:
        memory = self._memory
        yield GaugeMetricFamily(
            "ambassador_buffer_bytes",
            "Buffered bytes that count for BUFFER_MEMORY.",
            memory.held + memory.unfinished.held,
        )
        yield GaugeMetricFamily("ambassador_buffer_limit_bytes", "BUFFER_MEMORY.", memory.total)
        yield GaugeMetricFamily("ambassador_buffer_short", "1 while little of BUFFER_MEMORY is left.", memory.is_short)
        yield CounterMetricFamily(
            "ambassador_buffer_shortages", "Times that little of BUFFER_MEMORY was left.", memory.shortages
        )
        yield CounterMetricFamily(
            "ambassador_buffer_refused_heads",
            "Messages refused because of a large head while memory was short.",
            memory.refused,
        )
        yield CounterMetricFamily(
            "ambassador_buffer_unkept_bodies",
            "Requests not kept for a retry while memory was short.",
            memory.unkept,
        )


def _followed(upstream: Upstream) -> list[ApiState]:
    return [target.api for target in upstream.dns_targets if target.api is not None]


def _over_endpoints(read: Callable[..., int]) -> Callable[[Upstream], int]:
    return lambda upstream: sum(read(endpoint) for endpoint in upstream.endpoints_and_leaving)


_COUNTS: tuple[tuple[str, str, Callable[[Upstream], float]], ...] = (
    ("ambassador_downstream_connections", "Connections from the app.", lambda it: it.counters.accepted),
    (
        "ambassador_downstream_connections_shed",
        "Idle connections from the app that were closed for newer ones.",
        lambda it: it.clients.shed,
    ),
    (
        "ambassador_downstream_unfinished_ended",
        "Connections from the app that were ended because unfinished requests took too much memory.",
        lambda it: it.counters.unfinished_ended,
    ),
    ("ambassador_upstream_connects", "Connections opened to endpoints.", lambda it: it.pool.connects),
    ("ambassador_upstream_connect_failures", "Connections that did not open.", lambda it: it.pool.connect_failures),
    ("ambassador_upstream_retries", "Attempts after a failure.", lambda it: it.counters.retries),
    ("ambassador_upstream_ejections", "Ejections of endpoints after failures.", lambda it: it.balancer.ejections),
    ("ambassador_upstream_dns_lookups", "DNS look-ups of its names.", lambda it: it.lookups),
    (
        "ambassador_upstream_kubernetes_failures",
        "Lists and watches of EndpointSlices that failed.",
        lambda it: sum(api.failures for api in _followed(it)),
    ),
    ("ambassador_upstream_dns_failures", "DNS look-ups without a good answer.", lambda it: it.lookup_failures),
    (
        "ambassador_upstream_idle_races",
        "Requests repeated because an idle connection closed under them.",
        lambda it: it.counters.races,
    ),
    (
        "ambassador_upstream_unprocessed",
        "Requests repeated because an endpoint had provably not processed them.",
        lambda it: it.counters.unprocessed,
    ),
    (
        "ambassador_defects",
        "Unexpected exceptions in handling a message; each ended at most its exchange.",
        lambda it: it.defects.count,
    ),
    ("ambassador_upstream_sent_bytes", "Bytes sent to endpoints.", lambda it: it.counters.sent),
    ("ambassador_upstream_received_bytes", "Bytes received from endpoints.", lambda it: it.counters.received),
    ("ambassador_downstream_sent_bytes", "Bytes sent to the app.", lambda it: it.counters.delivered),
)
_LEVELS: tuple[tuple[str, str, Callable[[Upstream], float]], ...] = (
    (
        "ambassador_downstream_connections_limit",
        "Connections from the app that are admitted at most.",
        lambda it: it.clients.max_connections,
    ),
    ("ambassador_downstream_connections_open", "Connections from the app now.", lambda it: len(it.clients.open)),
    (
        "ambassador_upstream_connections_open",
        "Connections to endpoints now.",
        _over_endpoints(lambda endpoint: endpoint.connections),
    ),
    (
        "ambassador_upstream_connections_idle",
        "Idle connections to endpoints now.",
        lambda it: sum(map(it.pool.count_idle, it.endpoints_and_leaving)),
    ),
    ("ambassador_upstream_endpoints", "Endpoints known.", lambda it: len(it.endpoints)),
    (
        "ambassador_upstream_endpoints_leaving",
        "Endpoints removed from DNS, with connections that have not ended.",
        lambda it: len(it.endpoints_and_leaving) - len(it.endpoints),
    ),
    (
        "ambassador_upstream_panic",
        "1 while too few are usable and health is ignored.",
        lambda it: it.balancer.in_panic,
    ),
    ("ambassador_upstream_endpoints_down", "Endpoints unhealthy or ejected.", lambda it: it.balancer.down),
    (
        "ambassador_upstream_kubernetes_away",
        "Services in Kubernetes whose EndpointSlices are not followed at present.",
        lambda it: sum(bool(api.error) for api in _followed(it)),
    ),
    (
        "ambassador_upstream_kubernetes_by_dns",
        "Services in Kubernetes whose endpoints DNS names, because the API is away.",
        lambda it: sum(target.api is not None and target.source == "dns" for target in it.dns_targets),
    ),
    (
        "ambassador_upstream_kubernetes_age_seconds",
        "Longest time since the API server has sent something.",
        lambda it: max((monotonic() - api.heard_at for api in _followed(it) if api.heard_at is not None), default=0.0),
    ),
    ("ambassador_upstream_dns_age_seconds", "Age of the oldest of the last good DNS answers.", lambda it: it.dns_age),
)
