"""A small HTTP/1.1 server for short responses to probes and scrapes: the admin endpoints and the adapter's routes.

h11 has the protocol. This is the I/O around it, with limits: a hostile or broken client costs no more than its own
connection. The handler works on one request of a connection at a time, and reading pauses meanwhile. So a client that
pipelines requests, or does not read its responses, delays only itself. No route uses a request's body: a short body is
read and dropped; a longer one, or one in very many pieces, is refused.

A connection is in one of four states, and its deadline follows from the state alone:

    state     meaning                            at the deadline
    idle      no byte of a request has arrived   closed after `ClientLimits.idle`
    reading   a request has begun                408 after `ClientLimits.request`
    working   the handler has the request        the handler has a deadline of its own
    writing   the client does not read           reset after `ClientLimits.write`

    idle -> reading      the first byte arrives
    reading -> working   the request is whole
    working -> idle      the response is sent; -> reading if bytes of the next request are there already
    any -> writing       the transport's buffer is full; back when it has room

A task checks all deadlines once a second, so no request needs a timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from sidecars.chassis.accept.acceptor import Acceptor, Starter
from sidecars.chassis.accept.listen import BACKLOG
from sidecars.chassis.http.messages import ClientLimits, Handler, Request, Response, text
from sidecars.chassis.http.server_connection import ServerConnection

if TYPE_CHECKING:
    from ssl import SSLContext

    from sidecars.chassis.http.tls import ReloadingContext

__all__ = ["ClientLimits", "Handler", "Request", "Response", "serve", "text"]

_DEADLINE_INTERVAL = 1.0  # seconds between two checks of the deadlines


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
    """Serve requests on the listening sockets while the context is open.

    `tls` makes them TLS sockets; each handshake uses the files that are in force then. `reserved` (not with `tls`)
    accepts connections even while the process has no free file descriptor.

    At the end of the context no connection is accepted, idle ones are closed, and requests in progress have `grace`
    seconds to end.
    """
    server = Server(handler, limits or ClientLimits())
    loop = asyncio.get_running_loop()
    listeners: list[asyncio.AbstractServer | Acceptor] = []
    context = _context(tls) if tls else None
    handshake = server.limits.request if tls else None
    for bound in sockets:
        if reserved and not tls:
            starter = Starter(loop, lambda: ServerConnection(server))
            listeners.append(Acceptor(loop, bound, starter, server.close_longest_idle))
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
    deadlines = asyncio.create_task(server.check_deadlines())
    try:
        yield
    finally:
        for listener in listeners:
            listener.close()
        await server.drain(grace)
        deadlines.cancel()


def _context(tls: ReloadingContext) -> SSLContext:
    from sidecars.chassis.http.tls import context_for_listener  # noqa: PLC0415 - `ssl` is loaded only where it is used

    return context_for_listener(tls)


class Server:
    """The handler and the open connections of one `serve`. The connections report to it what they do."""

    def __init__(self, handler: Handler, limits: ClientLimits) -> None:
        self.handler = handler
        self.limits = limits
        self.draining = False
        self._connections: set[ServerConnection] = set()
        self._requests: set[asyncio.Task[None]] = set()
        self._all_closed = asyncio.Event()
        self._date = (0, b"")

    def admit(self, connection: ServerConnection) -> bool:
        """Take a new connection and return True, or return False if there are too many or the server drains."""
        if len(self._connections) >= self.limits.connections or self.draining:
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: ServerConnection) -> None:
        """Note that the connection is lost."""
        self._connections.discard(connection)
        if not self._connections:
            self._all_closed.set()

    def start(self, request: Coroutine[Any, Any, None]) -> None:
        """Run the work on one request as a task."""
        task = asyncio.get_running_loop().create_task(request)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    def date(self) -> bytes:
        """Return the value of the Date header, which is made once a second."""
        now = int(time.time())
        if now != self._date[0]:
            self._date = (now, formatdate(now, usegmt=True).encode())
        return self._date[1]

    def close_longest_idle(self) -> None:
        """Close the connection that has waited longest for its next request, to free its file descriptor."""
        idle = [connection for connection in self._connections if connection.is_idle()]
        if idle:
            min(idle, key=lambda connection: connection.deadline).abort()

    async def check_deadlines(self) -> None:
        """Expire the connections whose deadline has passed, until cancelled."""
        while True:
            await asyncio.sleep(_DEADLINE_INTERVAL)
            now = time.monotonic()
            for connection in [each for each in self._connections if each.deadline <= now]:
                connection.expire()

    async def drain(self, grace: float) -> None:
        """Close idle connections, wait `grace` seconds for the others, then reset what is left."""
        self.draining = True
        for connection in list(self._connections):
            connection.close_if_idle()
        if self._connections:
            self._all_closed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._all_closed.wait()
        for connection in list(self._connections):
            connection.abort()
        for task in self._requests:
            task.cancel()
