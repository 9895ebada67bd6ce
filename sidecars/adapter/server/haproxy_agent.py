"""HAProxy's agent-check: each connection gets the verdict in one line, and is closed.

(https://docs.haproxy.org/3.0/configuration.html#5.2-agent-check) The data that `agent-send` sends is not read.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import cast

from sidecars.adapter.verdict.dialects import agent_line
from sidecars.adapter.verdict.verdict import Verdict
from sidecars.chassis.accept.listen import BACKLOG
from sidecars.chassis.runtime import logs

log = logs.get("agent")

_MAX_CONNECTIONS = 256
_SLOW_READER = 2.0  # seconds that a client may take to read one line

VerdictSource = Callable[[], Awaitable[Verdict]]


@asynccontextmanager
async def serve(source: VerdictSource, sockets: list[socket.socket]) -> AsyncIterator[None]:
    """Serve on the sockets while the context is open. At its end connections get `_SLOW_READER` seconds to finish."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    listeners: list[asyncio.AbstractServer] = []
    for bound in sockets:
        create = loop.create_unix_server if bound.family == socket.AF_UNIX else loop.create_server
        listeners.append(await create(lambda: _Connection(source, tasks), sock=bound, backlog=BACKLOG))
    try:
        yield
    finally:
        for listener in listeners:
            listener.close()
        if tasks:
            await asyncio.wait(tasks, timeout=_SLOW_READER)
        for task in tasks:
            task.cancel()


class _Connection(asyncio.Protocol):
    """One connection. Received data is dropped; the transport keeps reading, so that it notices the end."""

    def __init__(self, source: VerdictSource, tasks: set[asyncio.Task[None]]) -> None:
        self._source = source
        self._tasks = tasks
        self._lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)
        if len(self._tasks) >= _MAX_CONNECTIONS:
            stream.abort()
            return
        task = asyncio.get_running_loop().create_task(self._respond(stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def connection_lost(self, _error: Exception | None) -> None:
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
