"""Metrics of each endpoint, read at scrape time. An endpoint that DNS does not name any more has no samples.

Two targets of an upstream may contain the same address. Their endpoints have common samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecars.ambassador.balancing.endpoint import BOUNDS, Endpoint
from sidecars.ambassador.balancing.outlier_ejection import READY
from sidecars.chassis.histogram import cumulative_buckets

if TYPE_CHECKING:
    from sidecars.ambassador.upstream.upstream import Upstream

_LABELS = ["upstream", "endpoint"]


class EndpointCollector(Collector):
    """The Prometheus collector of the endpoints of all upstreams. The data path owns it."""

    def __init__(self, upstreams: Iterable[Upstream]) -> None:
        self._upstreams = tuple(upstreams)

    def collect(self) -> Iterator[Metric]:
        known = [
            ([upstream.name, label], endpoints, upstream)
            for upstream in self._upstreams
            for label, endpoints in _by_address(upstream.endpoints).items()
        ]
        latencies = HistogramMetricFamily(
            "ambassador_endpoint_response_seconds",
            "From the start of an attempt to the head of its response.",
            labels=_LABELS,
        )
        for labels, endpoints, _ in known:
            counts = map(sum, zip(*(endpoint.latencies for endpoint in endpoints), strict=True))
            latencies.add_metric(
                labels, cumulative_buckets(BOUNDS, counts), sum(endpoint.latency_sum for endpoint in endpoints)
            )
        yield latencies
        for name, documentation, count in _COUNTS:
            counter = CounterMetricFamily(name, documentation, labels=_LABELS)
            for labels, endpoints, _ in known:
                counter.add_metric(labels, sum(map(count, endpoints)))
            yield counter
        for name, documentation, level, combine in _LEVELS:
            gauge = GaugeMetricFamily(name, documentation, labels=_LABELS)
            for labels, endpoints, _ in known:
                gauge.add_metric(labels, combine(map(level, endpoints)))
            yield gauge
        idle = GaugeMetricFamily("ambassador_endpoint_connections_idle", "Idle connections now.", labels=_LABELS)
        for labels, endpoints, upstream in known:
            idle.add_metric(labels, sum(map(upstream.pool.count_idle, endpoints)))
        yield idle


def _by_address(endpoints: Iterable[Endpoint]) -> dict[str, list[Endpoint]]:
    found: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        found.setdefault(endpoint.label, []).append(endpoint)
    return found


Combine = Callable[[Iterable[float]], float]
_COUNTS: tuple[tuple[str, str, Callable[[Endpoint], int]], ...] = (
    ("ambassador_endpoint_requests", "Attempts begun; for TCP: connections.", lambda it: it.attempts),
    ("ambassador_endpoint_failures", "Attempts that failed or got a 5xx.", lambda it: it.failures),
    ("ambassador_endpoint_retries", "Attempts begun after a failed one.", lambda it: it.retries),
    ("ambassador_endpoint_ejections", "Ejections.", lambda it: it.ejection.count),
)
_LEVELS: tuple[tuple[str, str, Callable[[Endpoint], float], Combine], ...] = (
    ("ambassador_endpoint_connections_open", "Connections now.", lambda it: it.connections, sum),
    ("ambassador_endpoint_pending", "Attempts without an outcome yet.", lambda it: it.pending, sum),
    ("ambassador_endpoint_weight", "Weight in force, a slow start included.", lambda it: it.weight, sum),
    ("ambassador_endpoint_cost_seconds", "Peak EWMA of its latency, failures included.", lambda it: it.cost, max),
    (
        "ambassador_endpoint_ejected",
        "1 from its ejection until it has returned.",
        lambda it: it.ejection.state is not READY,
        max,
    ),
    ("ambassador_endpoint_healthy", "0 while active checks fail.", lambda it: not it.unhealthy, min),
)
