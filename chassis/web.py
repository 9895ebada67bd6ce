"""A small HTTP/1.1 server, for short answers to probes and scrapes: the admin endpoints, and what an adapter answers.

The protocol is h11's; this is the I/O around it and the limits that keep a hostile or broken client from costing more
than its connection. One request of a connection is at work at a time and reading pauses meanwhile, so that whoever
pipelines or does not read its answers waits for nobody but itself. A request's body is never of use here: a short one
is read and dropped, a longer one is refused.

A connection is always in one of four states, and its deadline follows from that alone:

    idle      no byte of a request has come        closed after `Limits.idle`
    reading   a request has begun                  408 after `Limits.request`
    working   the handler has it                   the handler's own affair
    writing   the client does not take its answer  cut after `Limits.write`

One look over all connections a second keeps the deadlines: no timer is set for a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import h11

from chassis import logs
from chassis.acceptor import Acceptor
from chassis.listen import BACKLOG

if TYPE_CHECKING:
    from ssl import SSLContext

    from chassis.tls import Reloading

log = logs.get("web")

_LOOK = 1.0  # seconds between looks at the deadlines
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}
_LINGER = 2.0  # seconds that a client may take to see the end
_REQUEST_TIMEOUT = 408
_CONTENT_TOO_LARGE = 413
_DEFECT = 500
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_HAS_NO_BODY = (204, 304)  # RFC 9110, sections 15.3.5 and 15.4.5


@dataclass(frozen=True, slots=True)
class Request:
    """A request's head. `path` is not decoded. Header names are in lower case; the last of each counts."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer. Its length and date are added; `headers` must be clean, as h11 refuses what is not."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take. Times are in seconds."""

    connections: int = 512
    head: int = 16 * 1024  # bytes of a request's line and headers
    body: int = 64 * 1024  # bytes of a body that nobody wants
    idle: float = 75.0
    request: float = 10.0
    write: float = 10.0


def text(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in plain words."""
    return Response(status, sentence.encode(), {**_TEXT, **(headers or {})})


@contextlib.asynccontextmanager
async def serve(
    handler: Handler,
    sockets: Sequence[socket.socket],
    *,
    limits: Limits | None = None,
    tls: Reloading | None = None,
    grace: float = 0.5,
    reserved: bool = False,
) -> AsyncIterator[None]:
    """Answer on the listening sockets while the context is open.

    With `tls` they speak TLS, with the files as they are at each handshake. With `reserved` (and without `tls`)
    connections are accepted even while the process has no free descriptor.
    At its end nothing new is accepted, idle connections are closed, and requests at work have `grace` seconds.
    """
    server = _Server(handler, limits or Limits())
    loop = asyncio.get_running_loop()
    listeners: list[asyncio.AbstractServer | Acceptor] = []
    context = _context(tls) if tls else None
    handshake = server.limits.request if tls else None
    for bound in sockets:
        if reserved and not tls:
            listeners.append(Acceptor(loop, bound, lambda: _Connection(server), server.shed))
            continue
        create = loop.create_unix_server if bound.family == socket.AF_UNIX else loop.create_server
        listeners.append(
            await create(
                lambda: _Connection(server), sock=bound, backlog=BACKLOG, ssl=context, ssl_handshake_timeout=handshake
            )
        )
    looking = asyncio.create_task(server.keep_deadlines())
    try:
        yield
    finally:
        for listener in listeners:
            listener.close()
        await server.drain(grace)
        looking.cancel()


def _context(tls: Reloading) -> SSLContext:
    from chassis.tls import following  # noqa: PLC0415 - only who speaks TLS pays for it

    return following(tls)


class _Server:
    """What the connections share."""

    def __init__(self, handler: Handler, limits: Limits) -> None:
        self.handler = handler
        self.limits = limits
        self.connections: set[_Connection] = set()
        self.draining = False
        self.tasks: set[asyncio.Task[None]] = set()
        self._none_left = asyncio.Event()
        self._date = (0, b"")

    def date(self) -> bytes:
        """The Date header's value, worked out once a second."""
        now = int(time.time())
        if now != self._date[0]:
            self._date = (now, formatdate(now, usegmt=True).encode())
        return self._date[1]

    def lost(self, connection: _Connection) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._none_left.set()

    def shed(self) -> None:
        """Close the connection that has waited longest for its next request, to free its descriptor."""
        idle = [one for one in self.connections if one.is_idle()]
        if idle:
            min(idle, key=lambda one: one.deadline).abort()

    async def keep_deadlines(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            now = time.monotonic()
            for connection in [one for one in self.connections if one.deadline <= now]:
                connection.expire()

    async def drain(self, grace: float) -> None:
        self.draining = True
        for connection in list(self.connections):
            connection.close_if_idle()
        if self.connections:
            self._none_left.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._none_left.wait()
        for connection in list(self.connections):
            connection.abort()
        for task in self.tasks:
            task.cancel()


class _Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=server.limits.head)
        self._transport: asyncio.Transport
        self._request: h11.Request | None = None  # whose head has come
        self._dropped = 0  # bytes of its body
        self._reading = False  # a request has begun to come
        self._working = False  # the handler has it
        self._write_paused = False
        self._ended = False  # the last answer was given
        self.deadline = math.inf

    # -- what the transport tells -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if len(self._server.connections) >= self._server.limits.connections or self._server.draining:
            self._transport.write(_BUSY)
            self._transport.close()
            return
        self._server.connections.add(self)
        self._owes(self._server.limits.idle)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return  # dropped, until the client has seen that we have ended
        if not self._reading and not self._working:
            self._reading = True
            self._owes(self._server.limits.request)
        self._h11.receive_data(data)
        if self._working:
            self._transport.pause_reading()  # the next request waits for the answer to this one
        self._advance()

    def eof_received(self) -> bool:
        """Half a close is no reason not to answer what was asked (over TLS there is no such thing)."""
        if not self._ended:
            self._h11.receive_data(b"")
            self._advance()
        return self._working and not self._is_secure()

    def connection_lost(self, _error: Exception | None) -> None:
        self._ended = True
        self._server.lost(self)

    def pause_writing(self) -> None:
        self._write_paused = True
        self._owes(self._server.limits.write)

    def resume_writing(self) -> None:
        self._write_paused = False
        if not self._working:
            self._next()

    # -- from bytes to a request --------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Go through what has come, up to a whole request or the need for more."""
        while not (self._working or self._write_paused or self._ended):
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                self._refuse(error.error_status_hint)
                return
            match event:
                case h11.Request():
                    self._request, self._dropped = event, 0
                case h11.Data(data=data):
                    self._dropped += len(data)
                    if self._dropped > self._server.limits.body:
                        self._refuse(_CONTENT_TOO_LARGE)
                case h11.EndOfMessage():
                    self._work()
                case h11.ConnectionClosed():
                    self._close()
                case _:  # h11.NEED_DATA
                    if self._h11.they_are_waiting_for_100_continue:
                        self._work()  # a final answer will do: the body is of no use
                    return

    def _work(self) -> None:
        assert self._request is not None  # noqa: S101 - h11 ends no message that has not begun
        self._working, self._reading = True, False
        self.deadline = math.inf
        task = asyncio.get_running_loop().create_task(self._handle(_request(self._request)))
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)

    async def _handle(self, request: Request) -> None:
        try:
            response = await self._server.handler(request)
        except Exception as error:  # noqa: BLE001 - a client is answered whatever happens, and we hear of it
            log.defect("a defect while answering: please report the traceback", error)
            response = text(_DEFECT, "a defect: see the log\n")
        self._working = False
        if not self._ended:
            self._send(response)

    # -- from an answer to bytes --------------------------------------------------------------------------------------

    def _send(self, response: Response) -> None:
        headers = [("Date", self._server.date()), *response.headers.items()]
        if response.status not in _HAS_NO_BODY:
            headers.append(("Content-Length", str(len(response.body))))
        if self._server.draining:
            headers.append(("Connection", "close"))
        send = self._h11.send
        reason = _REASONS.get(response.status, b"")
        head = send(h11.Response(status_code=response.status, headers=headers, reason=reason)) or b""  # type: ignore[arg-type] # text will do, too
        is_bodiless = response.status in _HAS_NO_BODY or (self._request and self._request.method == b"HEAD")
        body = b"" if is_bodiless else send(h11.Data(data=response.body)) or b""
        self._transport.write(head + body + (send(h11.EndOfMessage()) or b""))
        if self._h11.our_state is h11.MUST_CLOSE or self._h11.their_state is not h11.DONE:
            self._end()
        else:
            self._h11.start_next_cycle()
            self._next()

    def _next(self) -> None:
        """Turn to what has come of the next request, unless the client has to take its answer first."""
        if self._write_paused or self._ended:
            return
        self._request = None
        self._reading = bool(self._h11.trailing_data[0])
        self._owes(self._server.limits.request if self._reading else self._server.limits.idle)
        self._transport.resume_reading()
        self._advance()

    def _refuse(self, status: int) -> None:
        """Answer a request that is none, and end: what comes after it cannot be told apart."""
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._send(Response(status, _REASONS[status] + b"\n", {**_TEXT, "Connection": "close"}))
        self._end()

    # -- ending -------------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """No more answers. The client may still be sending, and a close would reset what it has not read yet."""
        if self._ended:
            return
        self._ended = True
        if self._h11.their_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED) or self._is_secure():
            self._transport.close()
        else:
            self._transport.write_eof()
            self._transport.resume_reading()
        self._owes(_LINGER)

    def _close(self) -> None:
        self._ended = True
        self._transport.close()
        self._owes(_LINGER)

    def abort(self) -> None:
        self._ended = True
        self._transport.abort()

    def is_idle(self) -> bool:
        """True if no byte of a request has come since the last answer."""
        return not (self._working or self._reading or self._ended)

    def close_if_idle(self) -> None:
        if self.is_idle():
            self._close()

    def expire(self) -> None:
        """The deadline has passed."""
        if self._ended or self._write_paused:
            self.abort()
        elif self._reading:
            self._refuse(_REQUEST_TIMEOUT)
        else:
            self._close()

    def _owes(self, seconds: float) -> None:
        """The client has to move on within so many seconds."""
        self.deadline = time.monotonic() + seconds

    def _is_secure(self) -> bool:
        return self._transport.get_extra_info("sslcontext") is not None


def _request(head: h11.Request) -> Request:
    target = head.target.decode("ascii")
    if not target.startswith("/"):  # absolute form (RFC 9112, section 3.2.2): the path is what counts
        _, _, rest = target.partition("://")
        target = f"/{rest.partition('/')[2]}"
    path, _, query = target.partition("?")
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
    return Request(head.method.decode("ascii"), path, query, headers)
