"""HAProxy's agent-check: whoever connects is told the verdict in one line, and that is all.

(https://docs.haproxy.org/3.0/configuration.html#5.2-agent-check) What the agent is sent, by `agent-send`, is not read.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import cast

from sidecars.adapter.verdict.dialects import agent_line
from sidecars.adapter.verdict.verdict import Verdict
from sidecars.chassis.http.listen import BACKLOG
from sidecars.chassis.runtime import logs

log = logs.get("agent")

_MOST_CONNECTIONS = 256
_SLOW_READER = 2.0  # seconds that a client may take to read one line

Judge = Callable[[], Awaitable[Verdict]]


@asynccontextmanager
async def serve(judge: Judge, sockets: list[socket.socket]) -> AsyncIterator[None]:
    """Answer on the sockets while the context is open."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    listeners: list[asyncio.AbstractServer] = []
    for bound in sockets:
        create = loop.create_unix_server if bound.family == socket.AF_UNIX else loop.create_server
        listeners.append(await create(lambda: _Connection(judge, tasks), sock=bound, backlog=BACKLOG))
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
    """One check. What comes is dropped unread: the transport reads on only to see the end."""

    def __init__(self, judge: Judge, tasks: set[asyncio.Task[None]]) -> None:
        self._judge = judge
        self._tasks = tasks
        self._lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)
        if len(self._tasks) >= _MOST_CONNECTIONS:
            stream.abort()
            return
        task = asyncio.get_running_loop().create_task(self._answer(stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def connection_lost(self, _error: Exception | None) -> None:
        self._lost.set()

    async def _answer(self, transport: asyncio.Transport) -> None:
        try:
            transport.write(agent_line(await self._judge()))
            transport.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._lost.wait(), _SLOW_READER)
        except Exception as error:  # noqa: BLE001 - nobody waits for this task, and we hear of it
            log.defect("a defect while answering an agent-check: please report the traceback", error)
        finally:
            transport.abort()
