"""A small HTTP/1.1 server, for short answers to probes and scrapes: the admin endpoints, and what an adapter answers.

The protocol is h11's; this is the I/O around it and the limits that keep a hostile or broken client from costing more
than its connection. One request of a connection is at work at a time and reading pauses meanwhile, so that whoever
pipelines or does not read its answers waits for nobody but itself. A request's body is never of use here: a short one
is read and dropped; a longer one, or one in very many pieces, is refused.

A connection is always in one of four states, and its deadline follows from that alone:

    idle      no byte of a request has come        closed after `ClientLimits.idle`
    reading   a request has begun                  408 after `ClientLimits.request`
    working   the handler has it                   the handler's own affair
    writing   the client does not take its answer  cut after `ClientLimits.write`

One look over all connections a second keeps the deadlines: no timer is set for a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Sequence
from email.utils import formatdate
from typing import TYPE_CHECKING

from sidecars.chassis.http.acceptor import Acceptor
from sidecars.chassis.http.listen import BACKLOG
from sidecars.chassis.http.messages import ClientLimits, Handler, Request, Response, text
from sidecars.chassis.http.server_connection import ServerConnection

if TYPE_CHECKING:
    from ssl import SSLContext

    from sidecars.chassis.http.tls import ReloadingContext

__all__ = ["ClientLimits", "Handler", "Request", "Response", "serve", "text"]

_LOOK = 1.0  # seconds between looks at the deadlines


@contextlib.asynccontextmanager
async def serve(
    handler: Handler,
    sockets: Sequence[socket.socket],
    *,
    limits: ClientLimits | None = None,
    tls: ReloadingContext | None = None,
    grace: float = 0.5,
    reserved: bool = False,
) -> AsyncIterator[None]:
    """Answer on the listening sockets while the context is open.

    With `tls` they speak TLS, with the files as they are at each handshake. With `reserved` (and without `tls`)
    connections are accepted even while the process has no free descriptor.
    At its end nothing new is accepted, idle connections are closed, and requests at work have `grace` seconds.
    """
    server = Server(handler, limits or ClientLimits())
    loop = asyncio.get_running_loop()
    listeners: list[asyncio.AbstractServer | Acceptor] = []
    context = _context(tls) if tls else None
    handshake = server.limits.request if tls else None
    for bound in sockets:
        if reserved and not tls:
            listeners.append(Acceptor(loop, bound, lambda: ServerConnection(server), server.shed))
            continue
        create = loop.create_unix_server if bound.family == socket.AF_UNIX else loop.create_server
        listeners.append(
            await create(
                lambda: ServerConnection(server),
                sock=bound,
                backlog=BACKLOG,
                ssl=context,
                ssl_handshake_timeout=handshake,
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


def _context(tls: ReloadingContext) -> SSLContext:
    from sidecars.chassis.http.tls import context_for_listener  # noqa: PLC0415 - only who speaks TLS pays for it

    return context_for_listener(tls)


class Server:
    """What the connections share."""

    def __init__(self, handler: Handler, limits: ClientLimits) -> None:
        self.handler = handler
        self.limits = limits
        self.connections: set[ServerConnection] = set()
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

    def lost(self, connection: ServerConnection) -> None:
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
