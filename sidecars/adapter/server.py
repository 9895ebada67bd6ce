"""The port that probers ask. It finds the route, has the app asked, and sends the verdict."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis import logs, web
from chassis.web import Limits, Request, Response
from sidecars.adapter.record import Record
from sidecars.adapter.routes import Route, Routes
from sidecars.adapter.upstream import Upstream
from sidecars.adapter.verdict import VERDICTS, Answer

log = logs.get("server")

_LIMITS = Limits(connections=4096)
_SLOW_READER = 1.0  # seconds that an answer may take to reach its prober while we leave


class Probes:
    """Answers probes."""

    def __init__(self, routes: Routes, upstream: Upstream, record: Record) -> None:
        self._routes = routes
        self._upstream = upstream
        self._record = record
        self._now = asyncio.get_running_loop().time

    async def answer(self, request: Request) -> Response:
        """The handler: one request, one answer."""
        began = self._now()
        found = self._routes.find(request.method, request.path)
        if not isinstance(found, Route):
            self._record.routes.get(found.label, self._record.other).refused(found.answer)
            return _response(found.answer)
        outcome = await self._upstream.ask(found.question)
        answer = VERDICTS[found.mode](found.question, outcome)
        if self._record.routes[found.path].answered(answer, self._now() - began):
            _log_turn(found.path, answer)
        return _response(answer)


def _log_turn(path: str, answer: Answer) -> None:
    """A line when a route turns bad or good again, not for every probe."""
    if answer.good:
        log.info("the route answers again", route=path, status=answer.status)
    else:
        log.warning("the route fails", route=path, status=answer.status, reason=answer.why or "the app says so")


def _response(answer: Answer) -> Response:
    return Response(answer.status, answer.body, {**answer.headers, "Server": "adapter"})


@asynccontextmanager
async def serve(probes: Probes, sockets: list[socket.socket], longest: float) -> AsyncIterator[None]:
    """Answer on the sockets while the context is open; at its end requests in progress are finished first.

    An answer takes `longest` seconds at most; a prober that does not read its own is not waited for much longer.
    """
    async with web.serve(probes.answer, sockets, limits=_LIMITS, grace=longest + _SLOW_READER):
        yield
