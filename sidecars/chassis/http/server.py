"""A small HTTP/1.1 server for short responses to probes and scrapes: the admin endpoints and the adapter's routes.

h11 has the protocol. This is the I/O around it, with limits: a hostile or broken client costs no more than its own
connection, and package `accept` bounds the number of those. The handler works on one request of a connection at a time,
and reading pauses meanwhile. So a client that pipelines requests, or does not read its responses, delays only itself.
No route uses a request's body: a short body is read and dropped; a longer one, or one in very many pieces, is
refused.

A connection whose first bytes have come is in one of four states, and its deadline follows from the state alone:

    state     meaning                            at the deadline
    idle      no byte of a request has arrived   closed after `ClientLimits.idle`
    reading   a request has begun                408 after `ClientLimits.request`
    working   the handler has the request        the handler has a deadline of its own
    writing   the client does not read           reset after `ClientLimits.write`

For the budget of connections all of them but `working` are idle: the next step is the client's.

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
from typing import TYPE_CHECKING, Any

from sidecars.chassis.accept import budget
from sidecars.chassis.accept.acceptor import Acceptor
from sidecars.chassis.accept.budget import Budget
from sidecars.chassis.accept.buffered_bytes import BufferedBytes
from sidecars.chassis.accept.gate import Gate
from sidecars.chassis.http.messages import ClientLimits, Handler, Request, Response, date_text, text
from sidecars.chassis.http.server_connection import BUSY, ServerConnection

if TYPE_CHECKING:
    from ssl import SSLContext

    from sidecars.chassis.http.tls import ReloadingContext

__all__ = ["ClientLimits", "Handler", "Request", "Response", "serve", "text"]

_DEADLINE_INTERVAL = 1.0  # seconds between two checks of the deadlines


@contextlib.asynccontextmanager
async def serve(  # noqa: PLR0913 - each is a choice of one listener
    handler: Handler,
    sockets: Sequence[socket.socket],
    *,
    name: str = "",
    limits: ClientLimits | None = None,
    tls: ReloadingContext | None = None,
    grace: float = 0.5,
    connection: type[ServerConnection] = ServerConnection,
) -> AsyncIterator[None]:
    """Serve requests on the listening sockets while the context is open, even while no file descriptor is free.

    `name` is the listener's, in the metrics and in `/status`. `tls` makes them TLS sockets; each handshake uses the
    files that are in force then. `connection` is the protocol of a connection, if its responses are streamed
    (`streaming_connection`).

    At the end of the context no connection is accepted, idle ones are closed, and requests in progress have `grace`
    seconds to end.
    """
    server = Server(handler, limits or ClientLimits())
    loop = asyncio.get_running_loop()
    gate = Gate(
        loop,
        server.budget,
        lambda ticket: connection(server, ticket),
        busy=BUSY,
        silence=server.limits.request if tls else server.limits.idle,
        tls=_context(tls) if tls else None,
    )
    if name:
        budget.publish(name, server.budget)
    acceptors = [Acceptor(loop, bound, gate.take, server.budget.shed_one) for bound in sockets]
    deadlines = asyncio.create_task(server.check_deadlines(gate))
    try:
        yield
    finally:
        for acceptor in acceptors:
            acceptor.close()
        gate.close()
        await server.drain(grace)
        deadlines.cancel()


def _context(tls: ReloadingContext) -> SSLContext:
    from sidecars.chassis.http.tls import context_for_listener  # noqa: PLC0415 - `ssl` is loaded only where it is used

    return context_for_listener(tls)


class Server:
    """The handler and the open connections of one `serve`. The connections report their events to it."""

    def __init__(self, handler: Handler, limits: ClientLimits) -> None:
        self.handler = handler
        self.limits = limits
        self.budget = Budget(limits.connections)
        self.unfinished = BufferedBytes(limits.unfinished)
        self.unsent = BufferedBytes(limits.unsent)
        self.draining = False
        self._connections: set[ServerConnection] = set()
        self._requests: set[asyncio.Task[None]] = set()
        self._all_closed = asyncio.Event()
        self._date = (0, b"")

    def add(self, connection: ServerConnection) -> None:
        """Take a new connection."""
        self._connections.add(connection)

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
            self._date = (now, date_text(now).encode())
        return self._date[1]

    async def check_deadlines(self, gate: Gate) -> None:
        """Expire the connections whose deadline has passed, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_DEADLINE_INTERVAL)
            gate.check_deadlines(loop.time())
            now = time.monotonic()
            for connection in [each for each in self._connections if each.deadline <= now]:
                connection.expire()

    async def drain(self, grace: float) -> None:
        """Close idle connections, wait `grace` seconds for the others, then reset the rest."""
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
