"""The port that probers ask. It finds the route, has the app asked, and sends the verdict."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from chassis import logs
from chassis.listen import BACKLOG
from sidecars.adapter.record import Record
from sidecars.adapter.routes import Route, Routes
from sidecars.adapter.upstream import Upstream
from sidecars.adapter.verdict import VERDICTS, Answer

log = logs.get("server")

_LINGER = 0.2  # seconds that are spent on the rest of a request's body, which no route wants
_SLOW_READER = 1.0  # seconds that an answer may take to reach its prober while we leave


class Probes:
    """Answers probes."""

    def __init__(self, routes: Routes, upstream: Upstream, record: Record) -> None:
        self._routes = routes
        self._upstream = upstream
        self._record = record
        self._now = asyncio.get_running_loop().time

    async def answer(self, request: web.BaseRequest) -> web.Response:
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


def _response(answer: Answer) -> web.Response:
    response = web.Response(status=answer.status, headers=answer.headers, body=answer.body)
    response.headers["Server"] = "adapter"
    return response


@asynccontextmanager
async def serve(probes: Probes, sockets: list[socket.socket], longest: float) -> AsyncIterator[None]:
    """Answer on the sockets while the context is open; at its end requests in progress are finished first.

    An answer takes `longest` seconds at most; a prober that does not read its own is not waited for much longer.
    """
    server = web.Server(
        probes.answer,
        access_log=None,
        auto_decompress=False,  # a request's body is never looked at
        lingering_time=_LINGER,
    )
    runner = web.ServerRunner(server, shutdown_timeout=longest + _SLOW_READER)
    await runner.setup()
    try:
        for bound in sockets:
            await web.SockSite(runner, bound, backlog=BACKLOG).start()
        yield
    finally:
        await runner.cleanup()
