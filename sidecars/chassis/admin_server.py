"""The admin server. No endpoint changes state, and none shows a secret.

GET /livez     200 if every heartbeat is young enough; else 503 and the parts that have stopped
GET /readyz    200 if no part holds a readiness latch; else 503 and the reasons
GET /metrics   Prometheus text, or OpenMetrics by negotiation
GET /status    JSON for people: version, uptime, effective settings, and the sidecar's own status

`/status` answers clients on loopback only, unless `ADMIN_STATUS` is `any`: others get 403. Other Pods need health and
metrics, and no more. (The app beside us is on loopback, too, so `/status` shows nothing that the app may not know.)
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from sidecars import chassis
from sidecars.chassis.accept import budget
from sidecars.chassis.accept.listen import bind, bound_address
from sidecars.chassis.config.effective_settings import effective
from sidecars.chassis.config.settings import ServiceSettings, variable
from sidecars.chassis.http import server
from sidecars.chassis.http.server import Request, Response
from sidecars.chassis.isolation import confine
from sidecars.chassis.runtime import descriptors, logs, scrubber
from sidecars.chassis.runtime.health import Health

log = logs.get("admin")

_METHODS = ("GET", "HEAD")
Status = Callable[[], Mapping[str, Any]]


def registry() -> CollectorRegistry:
    """Return a registry with the metrics of the process and those that all sidecars share."""
    fresh = CollectorRegistry()
    ProcessCollector(registry=fresh)
    fresh.register(_SharedCollector())
    return fresh


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


@asynccontextmanager
async def serve(
    settings: ServiceSettings, health: Health, metrics: CollectorRegistry, status: Status = dict
) -> AsyncIterator[None]:
    """Serve the endpoints on `settings.admin_listen` while the context is open. Raises IOFailed if it cannot listen.

    They also work while the process has no free file descriptor: an operator needs them then.
    """
    if not settings.admin_listen:
        yield
        return
    name = settings.PREFIX.lower()
    Gauge("sidecar_build_info", "What runs here.", ["name", "version"], registry=metrics).labels(
        name, chassis.__version__
    ).set(1)
    sockets = bind(settings.admin_listen, variable(type(settings), "admin_listen"))
    metrics.register(_ReadinessCollector(health))
    async with server.serve(_Endpoints(settings, health, metrics, status).answer, sockets, name="admin"):
        log.info("admin endpoints answer", address=bound_address(sockets))
        yield


class _Endpoints:
    """The endpoints: one method for each path."""

    def __init__(self, settings: ServiceSettings, health: Health, metrics: CollectorRegistry, status: Status) -> None:
        self._settings = settings
        self._health = health
        self._metrics = metrics
        self._status = status
        self._started = time.monotonic()
        self._by_path: dict[str, Callable[[Request], Response]] = {
            "/livez": lambda _: _result("alive", self._health.not_alive()),
            "/readyz": lambda _: _result("ready", self._health.not_ready()),
            "/metrics": self._exposition,
            "/status": self._status_page,
        }

    async def answer(self, request: Request) -> Response:
        """Return the response of the path's endpoint. It is never cached. A 404 lists the paths."""
        endpoint = self._by_path.get(request.path)
        if endpoint is None:
            *most, last = self._by_path
            response = server.text(404, f"not found: try {', '.join(most)} or {last}\n")
        elif request.method not in _METHODS:
            allowed = {"Allow": ", ".join(_METHODS)}
            response = server.text(405, "not allowed: no endpoint changes anything\n", allowed)
        else:
            with descriptors.reserved():  # the metrics of the process come from files in /proc
                response = endpoint(request)
        return replace(response, headers={**response.headers, "Cache-Control": "no-store"})

    def _exposition(self, request: Request) -> Response:
        try:
            encode, content_type = choose_encoder(request.headers.get("accept", ""))
        except (TypeError, ValueError):  # the library converts a version to numbers without a check
            encode, content_type = choose_encoder("")
        return Response(body=encode(self._metrics), headers={"Content-Type": content_type})

    def _status_page(self, request: Request) -> Response:
        if not request.is_local and self._settings.admin_status != "any":
            name = variable(type(self._settings), "admin_status")
            return server.text(403, f"/status answers loopback alone: use kubectl port-forward, or set {name}=any\n")
        page = {
            "name": self._settings.PREFIX.lower(),
            "version": chassis.__version__,
            "pid": os.getpid(),
            "uptime_seconds": round(time.monotonic() - self._started, 3),
            "not_alive": self._health.not_alive(),
            "not_ready": self._health.not_ready(),
            "descriptors": descriptors.status(),
            "confinement": confine.status(),
            "connections": budget.status(),
            "settings": effective(self._settings),
            **self._status(),
        }
        body = logs.scrubbed(json.dumps(page, indent=2, default=str), "/status") + "\n"
        return Response(body=body.encode(), headers={"Content-Type": "application/json; charset=utf-8"})


def _result(state: str, problems: list[str]) -> Response:
    if problems:
        text = "".join(f"not {state}: {problem}\n" for problem in problems)
        return server.text(503, logs.scrubbed(text, f"not {state}"))
    return server.text(200, f"{state}\n")
