"""The admin server. No endpoint changes state, and none shows a secret.

GET /livez     200 while every part of this process keeps moving; 503 and which has stopped
GET /readyz    200 when no part holds readiness back; 503 and why not
GET /metrics   Prometheus text, or OpenMetrics by negotiation
GET /status    JSON for people: version, uptime, effective settings, and what the sidecar says of itself
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client.exposition import choose_encoder

import chassis
from chassis import logs
from chassis.health import Health
from chassis.listen import BACKLOG, bind, bound_address
from chassis.settings import ServiceSettings, effective, variable

log = logs.get("admin")

_SHUTDOWN = 0.5  # seconds that a running scrape may take while we leave
Status = Callable[[], Mapping[str, Any]]


def registry() -> CollectorRegistry:
    """A registry that already knows the process and the build."""
    fresh = CollectorRegistry()
    ProcessCollector(registry=fresh)
    return fresh


@asynccontextmanager
async def serve(
    settings: ServiceSettings, health: Health, metrics: CollectorRegistry, status: Status = dict
) -> AsyncIterator[None]:
    """Answer on `settings.admin_listen` for as long as the context is open. Raises IOFailed when it cannot listen."""
    if not settings.admin_listen:
        yield
        return
    name = settings.PREFIX.lower()
    Gauge("sidecar_build_info", "What runs here.", ["name", "version"], registry=metrics).labels(
        name, chassis.__version__
    ).set(1)
    sockets = bind(settings.admin_listen, variable(type(settings), "admin_listen"))
    runner = web.AppRunner(_app(_Pages(settings, health, metrics, status)), access_log=None, shutdown_timeout=_SHUTDOWN)
    await runner.setup()
    try:
        for bound in sockets:
            await web.SockSite(runner, bound, backlog=BACKLOG).start()
        log.info("admin endpoints answer", address=bound_address(sockets))
        yield
    finally:
        await runner.cleanup()


class _Pages:
    """What the endpoints say."""

    def __init__(self, settings: ServiceSettings, health: Health, metrics: CollectorRegistry, status: Status) -> None:
        self._settings = settings
        self._health = health
        self._metrics = metrics
        self._status = status
        self._started = time.monotonic()

    async def livez(self, _request: web.Request) -> web.Response:
        return _verdict("alive", self._health.not_alive())

    async def readyz(self, _request: web.Request) -> web.Response:
        return _verdict("ready", self._health.not_ready())

    async def metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._metrics), headers={"Content-Type": content_type})

    async def status(self, _request: web.Request) -> web.Response:
        page = {
            "name": self._settings.PREFIX.lower(),
            "version": chassis.__version__,
            "pid": os.getpid(),
            "uptime_seconds": round(time.monotonic() - self._started, 3),
            "not_alive": self._health.not_alive(),
            "not_ready": self._health.not_ready(),
            "settings": effective(self._settings),
            **self._status(),
        }
        return web.json_response(page, dumps=lambda value: json.dumps(value, indent=2, default=str) + "\n")


def _verdict(good: str, problems: list[str]) -> web.Response:
    if problems:
        return web.Response(status=503, text="".join(f"not {good}: {problem}\n" for problem in problems))
    return web.Response(text=f"{good}\n")


def _app(pages: _Pages) -> web.Application:
    app = web.Application(middlewares=[_no_store])
    app.add_routes(
        [
            web.get("/livez", pages.livez),
            web.get("/readyz", pages.readyz),
            web.get("/metrics", pages.metrics),
            web.get("/status", pages.status),
        ]
    )
    return app


@web.middleware
async def _no_store(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    """An answer about now is never cached; a wrong path is told the right ones."""
    try:
        response: web.StreamResponse = await handler(request)
    except web.HTTPNotFound:
        response = web.Response(status=404, text="not found: try /livez, /readyz, /metrics or /status\n")
    except web.HTTPMethodNotAllowed as refused:
        response = web.Response(status=405, text="not allowed: no endpoint changes anything\n")
        response.headers["Allow"] = ", ".join(sorted(refused.allowed_methods))
    response.headers["Cache-Control"] = "no-store"
    return response
