"""The port of the live tail: one endpoint, which streams until the client leaves, has enough, or the process ends.

    GET /tail?input=NAME&match=REGEX&limit=N      200, then NDJSON in chunks

| refusal | because |
|---|---|
| 400 | the query has a mistake: the sentence names it |
| 401 | TAIL_TOKEN is set, and the request does not have it |
| 403 | without a token: `Host` is a name, so that a stranger's page could be behind it (`http.host_header`) |
| 404, 405 | another path; another method than GET |
| 503 | `MOST_VIEWERS` clients look already, or too many requests were made in a short time |

An empty line comes after each `_SILENCE` seconds without an event: so a client that is gone is noticed, and nothing on
the way ends the connection. A client that takes nothing for `LIMITS.write` seconds is reset.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from sidecars.chassis.accept.listen import bind, bound_address
from sidecars.chassis.config.setting_types import Secret
from sidecars.chassis.config.settings import variable
from sidecars.chassis.http import authorization, host_header, server
from sidecars.chassis.http.server import ClientLimits, Request, Response
from sidecars.chassis.http.streaming_connection import StreamedResponse, StreamingConnection
from sidecars.chassis.runtime import descriptors, logs
from sidecars.logshipper.live import tail_query
from sidecars.logshipper.live.live_tail import MOST_VIEWERS, LiveTail
from sidecars.logshipper.live.tail_query import TailQuery
from sidecars.logshipper.live.viewer import Viewer
from sidecars.logshipper.settings import Settings

log = logs.get("tail")

LIMITS = ClientLimits(
    connections=32,
    unfinished=64 * 1024,
    unsent=1024 * 1024,
    head=8 * 1024,
    fields=64,
    body=1024,
    pieces=16,
    idle=10.0,
    request=10.0,
    write=300.0,
)
_SOCKET_MODE = 0o600
_SILENCE = 15.0  # seconds
_TOGETHER = 0.1  # seconds in which lines are collected for one write
_GRACE = 0.1  # seconds at the end of the process, for clients that read what is left
_LOGGED_EACH = 60.0  # seconds between two lines of the log about clients
_HEADERS = {
    "Content-Type": "application/x-ndjson",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx on the way passes each line on
    "X-Content-Type-Options": "nosniff",
}


@contextlib.asynccontextmanager
async def serve(settings: Settings, tail: LiveTail) -> AsyncIterator[None]:
    """Serve the live tail while the context is open. Raises IOFailed or Unavailable if it cannot listen."""
    sockets = bind(settings.tail_listen, variable(Settings, "tail_listen"), _SOCKET_MODE)
    handler = TailServer(tail, settings.tail_token, is_unix=bool(settings.tail_listen.path))
    async with server.serve(
        handler.answer, sockets, name="tail", limits=LIMITS, grace=_GRACE, connection=StreamingConnection
    ):
        log.info("the live tail answers: it shows lines to who may reach it", address=bound_address(sockets))
        try:
            yield
        finally:
            tail.close()


class TailServer:
    """Answers the requests. `token`: what a client must send; None: nothing. `is_unix`: it listens on a unix socket."""

    def __init__(self, tail: LiveTail, token: Secret | None, *, is_unix: bool) -> None:
        self._tail = tail
        self._token = token
        self._is_unix = is_unix
        self._is_usable = True  # False while the token's file cannot be read
        self._logged_at = -_LOGGED_EACH

    async def answer(self, request: Request) -> Response:
        """Return the response: a stream, or a sentence why there is none."""
        if request.path != "/tail":
            return server.text(404, "not found: try /tail?input=&match=&limit=\n")
        if request.method != "GET":
            return server.text(405, "not allowed: the live tail is read with GET\n", {"Allow": "GET"})
        return self._refusal(request) or self._stream(request)

    def _refusal(self, request: Request) -> Response | None:
        """Return the response to a client that may not look, or None if it may."""
        if self._token is not None:
            return None if self._has_token(request, self._token) else _unauthorized()
        if not self._is_unix and not host_header.is_address(request.headers.get("host", "")):
            return server.text(
                403,
                "without a token /tail answers under an address or localhost alone, so that no stranger's page reads it"
                " by DNS rebinding: use http://127.0.0.1\n",
            )
        return None

    def _has_token(self, request: Request, token: Secret) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            with descriptors.reserved():
                wanted = token.reveal()
                found = authorization.is_same(given.strip(), wanted) and bool(wanted)
        except (OSError, UnicodeDecodeError) as error:
            self._note_problem(str(error))
            return False
        self._note_problem("")
        return found and scheme.lower() == "bearer"

    def _note_problem(self, problem: str) -> None:
        """Log that the token cannot be read, and that it can be again; not for each request."""
        if self._is_usable != bool(problem):
            return
        self._is_usable = not problem
        if problem:
            log.error(
                "no client may look: the token of the live tail cannot be read",
                code="tail-token-unusable",
                reason=problem,
            )
        else:
            log.info("the token of the live tail can be read again")

    def _stream(self, request: Request) -> Response:
        if self._tail.is_full:
            return _busy(f"{MOST_VIEWERS} clients look already")
        if not self._tail.begin_request():
            return _busy("too many requests in a short time")
        try:
            with descriptors.reserved():
                query = tail_query.parse(request.query, self._tail.inputs)
        except ValueError as error:
            return server.text(400, f"{error}\n")
        finally:
            self._tail.end_request()
        return StreamedResponse(headers=_HEADERS, begin=lambda: self._begin(query))

    def _begin(self, query: TailQuery) -> Lines:
        now = time.monotonic()
        if now - self._logged_at >= _LOGGED_EACH:
            self._logged_at = now
            log.info("a client looks at the live tail", input=query.input or "all", limit=query.limit)
        return Lines(self._tail, self._tail.join(query))


class Lines:
    """The body of one response: see `streaming_connection.Pieces`."""

    def __init__(self, tail: LiveTail, viewer: Viewer) -> None:
        self._tail = tail
        self._viewer = viewer
        self._sent_at = 0.0

    async def next(self) -> bytes:
        """Wait for lines, and return them; an empty line if there are none for long; b"" at the end."""
        viewer = self._viewer
        if (pause := self._sent_at + _TOGETHER - time.monotonic()) > 0:
            await _wait(viewer.ended, pause)
        if not await _wait(viewer.has_news, _SILENCE):
            return b"\n"
        self._sent_at = time.monotonic()
        return viewer.take()

    def close(self) -> None:
        self._viewer.end()
        self._tail.leave(self._viewer)


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set, and return True; False if that takes longer."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _unauthorized() -> Response:
    name = variable(Settings, "tail_token")
    return server.text(401, f"not authorized: send the token of {name}\n", {"WWW-Authenticate": "Bearer"})


def _busy(reason: str) -> Response:
    return server.text(503, f"{reason}: try again later\n", {"Retry-After": "5"})
