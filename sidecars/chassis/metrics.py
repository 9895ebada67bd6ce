"""The metrics that every sidecar has, and the answer to a scrape. Loaded at the first scrape.

prometheus-client is a quarter of the modules of a service: 40 ms of CPU time and 3 MB. No probe needs it, so a start
does not wait for it, and a Pod that nobody scrapes never has it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from sidecars import chassis
from sidecars.chassis.accept import budget
from sidecars.chassis.isolation import confine
from sidecars.chassis.runtime import descriptors, logs, scrubber
from sidecars.chassis.runtime.health import Health

_KNOWN = re.compile(
    r"(application/openmetrics-text; version=1\.0\.0|text/plain; version=(0\.0\.4|1\.0\.0)); charset=utf-8"
    r"(; escaping=(underscores|allow-utf-8|dots|values))?"
)


def registry() -> CollectorRegistry:
    """Return a registry with the metrics of the process and those that all sidecars share."""
    fresh = CollectorRegistry()
    ProcessCollector(registry=fresh)
    fresh.register(_SharedCollector())
    return fresh


def complete(metrics: CollectorRegistry, name: str, health: Health) -> CollectorRegistry:
    """Add what runs here and whether it is ready: what the admin server knows of the sidecar `name`."""
    Gauge("sidecar_build_info", "What runs here.", ["name", "version"], registry=metrics).labels(
        name, chassis.__version__
    ).set(1)
    metrics.register(_ReadinessCollector(health))
    return metrics


def encoder(accept: str) -> tuple[Callable[[CollectorRegistry], bytes], str]:
    """Return the function that makes the page of a scrape, and its type, of which there are few whatever is sent.

    It is Prometheus text, or OpenMetrics if the header `Accept` prefers that.
    """
    with contextlib.suppress(TypeError, ValueError):  # the library converts a version to numbers without a check
        encode, content_type = choose_encoder(accept)
        if _KNOWN.fullmatch(content_type):  # it may have any version that the client has sent
            return encode, content_type
    return choose_encoder("")


class _ReadinessCollector(Collector):
    """The answer of `/readyz` as a number, for a dashboard. The reasons are in `/readyz` itself."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("sidecar_ready", "1 while /readyz answers 200, else 0.", not self._health.not_ready())


class _SharedCollector(Collector):
    """The counters of the chassis, the same in every sidecar."""

    def collect(self) -> Iterator[Metric]:
        used_up = CounterMetricFamily(
            "sidecar_resource_exhausted",
            "Times that a resource of this process or its node was found used up.",
            labels=["resource"],
        )
        for resource, times in descriptors.exhaustion_counts().items():
            used_up.add_metric([resource], times)
        yield used_up
        confinement = GaugeMetricFamily(
            "sidecar_confinement", "1 if this layer of the process's confinement is in force.", labels=["layer"]
        )
        for layer, in_force in confine.layers().items():
            confinement.add_metric([layer], in_force)
        yield confinement
        shed = CounterMetricFamily(
            "sidecar_connections_shed", "Idle connections that were closed for newer ones.", labels=["listener"]
        )
        refused = CounterMetricFamily(
            "sidecar_connections_refused",
            "Connections that were refused because all that are allowed were at work.",
            labels=["listener"],
        )
        for listener, of_listener in budget.published().items():
            shed.add_metric([listener], of_listener.shed)
            refused.add_metric([listener], of_listener.refused)
        yield from (shed, refused)
        messages = CounterMetricFamily("sidecar_log_messages", "Lines of the log, by level.", labels=["level"])
        for level, lines in logs.counts().items():
            messages.add_metric([level], lines)
        yield messages
        yield CounterMetricFamily(
            "sidecar_log_lines_dropped", "Lines of the log that stderr's reader was too slow for.", logs.dropped_lines()
        )

        yield CounterMetricFamily(
            "sidecar_secrets_scrubbed", "Secrets that were replaced in an output; each is a defect.", scrubber.net.hits
        )
