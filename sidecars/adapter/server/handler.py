"""The port that probers ask. It finds the route, lets it answer, and keeps the record."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from sidecars.adapter.app_client.client import ScrapeTimeout
from sidecars.adapter.server.auth import Authenticator
from sidecars.adapter.server.route_handlers import RouteHandler
from sidecars.adapter.server.routes import Route, Routes
from sidecars.adapter.statistics import Statistics
from sidecars.adapter.verdict.probe_response import SERVICE_UNAVAILABLE, ProbeResponse, text_response
from sidecars.chassis.http import server
from sidecars.chassis.http.server import ClientLimits, Request, Response
from sidecars.chassis.http.tls import ReloadingContext
from sidecars.chassis.runtime import logs

log = logs.get("server")

_SLOW_READER = 1.0  # seconds that an answer may take to reach its prober while we leave
_SCRAPE_TIMEOUT = "x-prometheus-scrape-timeout-seconds"
_OURS = 0.9  # of a scrape's own timeout; the rest is for the way back


class ProbeHandler:
    """Answers probes."""

    def __init__(
        self, routes: Routes, handlers: Mapping[str, RouteHandler], record: Statistics, authenticator: Authenticator
    ) -> None:
        self._routes = routes
        self._handlers = handlers
        self._record = record
        self._authenticator = authenticator
        self._now = asyncio.get_running_loop().time

    async def answer(self, request: Request) -> Response:
        """The handler: one request, one answer."""
        began = self._now()
        if self._authenticator.demands:
            refusal = await self._authenticator.refusal(request.headers.get("authorization", ""))
            if refusal:
                self._record.other.refused(refusal)
                return _response(refusal)
        found = self._routes.find(request.method, request.path)
        if not isinstance(found, Route):
            self._record.routes.get(found.label, self._record.other).refused(found.answer)
            return _response(found.answer)
        try:
            answer = await self._handlers[found.path].answer(request, patience(request.headers))
        except ScrapeTimeout as error:
            answer = text_response(SERVICE_UNAVAILABLE, error.sentence)
            self._record.routes[found.path].refused(answer)
            return _response(answer)
        if self._record.routes[found.path].answered(answer, self._now() - began):
            _log_turn(found.path, answer)
        return _response(answer)


def patience(headers: Mapping[str, str]) -> float | None:
    """How long a scraper waits, less the way back; None where it does not say."""
    raw = headers.get(_SCRAPE_TIMEOUT)
    if raw is None:
        return None
    try:
        seconds = float(raw)
    except ValueError:
        return None
    return seconds * _OURS if math.isfinite(seconds) and seconds > 0 else None


def _log_turn(path: str, answer: ProbeResponse) -> None:
    """A line when a route turns bad or good again, not for every probe."""
    if answer.good:
        log.info("the route answers again", route=path, status=answer.status)
    else:
        log.warning("the route fails", route=path, status=answer.status, reason=answer.why or "the app says so")


def _response(answer: ProbeResponse) -> Response:
    return Response(answer.status, answer.body, {**answer.headers, "Server": "adapter"})


@asynccontextmanager
async def serve(
    probes: ProbeHandler, sockets: list[socket.socket], connections: int, longest: float, tls: ReloadingContext | None
) -> AsyncIterator[None]:
    """Answer on the sockets while the context is open; at its end requests in progress are finished first.

    An answer takes `longest` seconds at most; a prober that does not read its own is not waited for much longer.
    """
    limits = ClientLimits(connections=connections)
    # With the reserve: a prober that is reset while no descriptor is free would take the app for dead.
    serving = server.serve(probes.answer, sockets, limits=limits, tls=tls, grace=longest + _SLOW_READER, reserved=True)
    async with serving:
        yield
