"""HAProxy's agent-check: each connection gets the verdict in one line, and is closed.

(https://docs.haproxy.org/3.0/configuration.html#5.2-agent-check) The data that `agent-send` sends is not read.
At most 256 connections wait for the verdict. One more takes the place of the oldest one of the address that has most.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import cast

from sidecars.adapter.server.limits import MAX_AGENT_CONNECTIONS
from sidecars.adapter.verdict.dialects import agent_line
from sidecars.adapter.verdict.verdict import Verdict
from sidecars.chassis.accept import budget
from sidecars.chassis.accept.acceptor import Acceptor, PeerAddress, Starter
from sidecars.chassis.accept.budget import Budget, Ticket
from sidecars.chassis.accept.peers import peer_key
from sidecars.chassis.accept.starts import shut_down
from sidecars.chassis.runtime import logs

log = logs.get("agent")

_SLOW_READER = 2.0  # seconds that a client may take to read one line

VerdictSource = Callable[[], Awaitable[Verdict]]


@asynccontextmanager
async def serve(source: VerdictSource, sockets: list[socket.socket]) -> AsyncIterator[None]:
    """Serve on the sockets while the context is open. At its end connections get `_SLOW_READER` seconds to finish."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    starter = Starter(loop)
    places = Budget(MAX_AGENT_CONNECTIONS)
    budget.publish("agent", places)

    def take(accepted: socket.socket, address: PeerAddress) -> None:
        ticket = places.admit(peer_key(address), lambda: shut_down(accepted))
        if ticket is None:  # it never is: a connection that waits for the verdict may always be shed
            accepted.close()
        else:
            starter.start(accepted, lambda: _Connection(source, tasks, ticket), ticket.release)

    acceptors = [Acceptor(loop, bound, take, places.shed_one) for bound in sockets]
    try:
        yield
    finally:
        for acceptor in acceptors:
            acceptor.close()
        if tasks:
            await asyncio.wait(tasks, timeout=_SLOW_READER)
        for task in tasks:
            task.cancel()


class _Connection(asyncio.Protocol):
    """One connection. Received data is dropped; the transport keeps reading, so that it notices the end."""

    def __init__(self, source: VerdictSource, tasks: set[asyncio.Task[None]], ticket: Ticket) -> None:
        self._source = source
        self._ticket = ticket
        self._tasks = tasks
        self._lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)
        task = asyncio.get_running_loop().create_task(self._respond(stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def connection_lost(self, _error: Exception | None) -> None:
        self._ticket.release()
        self._lost.set()

    async def _respond(self, transport: asyncio.Transport) -> None:
        try:
            transport.write(agent_line(await self._source()))
            transport.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._lost.wait(), _SLOW_READER)
        except Exception as error:  # noqa: BLE001 - no other code waits for this task, so it logs its own defects
            log.defect("a defect in an agent-check: please report the traceback", error)
        finally:
            transport.abort()
