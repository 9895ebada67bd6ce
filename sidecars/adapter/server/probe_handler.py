"""The HTTP port for probers: authentication, the route, its handler, and the statistics of each request."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from sidecars.adapter.app_client.client import ScrapeTimeout
from sidecars.adapter.server.auth import Authenticator
from sidecars.adapter.server.route_handlers import RouteHandler
from sidecars.adapter.server.route_statistics import ServerStatistics
from sidecars.adapter.server.routes import Route, Routes
from sidecars.adapter.verdict.probe_response import ProbeResponse, text_response
from sidecars.chassis.http import server
from sidecars.chassis.http.server import ClientLimits, Request, Response
from sidecars.chassis.http.tls import ReloadingContext
from sidecars.chassis.runtime import logs

log = logs.get("server")

_SLOW_READER = 1.0  # seconds that a prober may take to read its response while the adapter stops
_SCRAPE_TIMEOUT = "x-prometheus-scrape-timeout-seconds"
_SHARE = 0.9  # of a scraper's timeout; the rest is for the way back


class ProbeHandler:
    """Handles the requests of probers."""

    def __init__(
        self,
        routes: Routes,
        handlers: Mapping[str, RouteHandler],
        statistics: ServerStatistics,
        authenticator: Authenticator,
    ) -> None:
        """`handlers` are by the route's path."""
        self._routes = routes
        self._handlers = handlers
        self._statistics = statistics
        self._authenticator = authenticator
        self._now = asyncio.get_running_loop().time

    async def handle(self, request: Request) -> Response:
        began = self._now()
        if self._authenticator.required:
            refusal = await self._authenticator.refusal(request.headers.get("authorization", ""))
            if refusal:
                self._statistics.other.record_refusal(refusal)
                return _http_response(refusal)
        found = self._routes.find(request.method, request.path)
        if not isinstance(found, Route):
            self._statistics.of(found.label).record_refusal(found.response)
            return _http_response(found.response)
        statistics = self._statistics.routes[found.path]
        try:
            response = await self._handlers[found.path].handle(request, scrape_timeout_of(request.headers))
        except ScrapeTimeout as error:
            response = text_response(503, error.sentence)
            statistics.record_refusal(response)
            return _http_response(response)
        if statistics.record_response(response, self._now() - began):
            _log_change(found.path, response)
        return _http_response(response)


def scrape_timeout_of(headers: Mapping[str, str]) -> float | None:
    """Return the seconds in which a scraper needs the response; None without its header, or with a bad one."""
    raw = headers.get(_SCRAPE_TIMEOUT)
    if raw is None:
        return None
    try:
        seconds = float(raw)
    except ValueError:
        return None
    return seconds * _SHARE if math.isfinite(seconds) and seconds > 0 else None


def _log_change(path: str, response: ProbeResponse) -> None:
    """Log that a route fails, or that it passes again. There is no line for every probe."""
    if response.passing:
        log.info("the route passes again", route=path, status=response.status)
    else:
        reason = response.reason or "the app reports it"
        log.warning("the route fails", code="route-fails", route=path, status=response.status, reason=reason)


def _http_response(response: ProbeResponse) -> Response:
    body = response.body
    if response.reason:  # the text is ours; a peer's words may be in it
        body = logs.scrubbed(body.decode(errors="surrogateescape"), "response").encode(errors="surrogateescape")
    return Response(response.status, body, {**response.headers, "Server": "adapter"})


@asynccontextmanager
async def serve(
    probes: ProbeHandler,
    sockets: list[socket.socket],
    limits: ClientLimits,
    longest: float,
    tls: ReloadingContext | None,
) -> AsyncIterator[None]:
    """Serve probers on the sockets while the context is open. At its end requests in progress are finished first.

    A response takes `longest` seconds at most, and after that a prober has
    `_SLOW_READER` seconds to read it.
    """
    grace = longest + _SLOW_READER
    async with server.serve(probes.handle, sockets, name="probes", limits=limits, tls=tls, grace=grace):
        yield
