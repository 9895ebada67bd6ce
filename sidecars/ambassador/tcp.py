"""An upstream of any protocol: each connection from the app becomes one connection to an endpoint.

Nothing is read from the app before the endpoint's connection is open, so that trying another endpoint is always safe,
and a server that speaks first is heard at once: no protocol is guessed.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from chassis import logs
from sidecars.ambassador.answers import NO_ADDRESS, TOO_MANY, Cause
from sidecars.ambassador.relay import Relay

if TYPE_CHECKING:
    from sidecars.ambassador.endpoints import Endpoint
    from sidecars.ambassador.upstream import Upstream

log = logs.get("ambassador.tcp")


class TcpClient(asyncio.Protocol):
    """A connection from the app until it has its other half."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.transport: Any = None
        self.lost = False
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.pause_reading()
        self.upstream.counters.accepted += 1
        self.upstream.waiting.add(self)
        if self.upstream.open_clients > self.upstream.settings.max_connections:
            self._give_up(TOO_MANY)
            return
        self._task = self.upstream.loop.create_task(self._connect())

    def connection_lost(self, _error: Exception | None) -> None:
        self.lost = True
        self.upstream.waiting.discard(self)

    async def _connect(self) -> None:
        tried: list[Endpoint] = []
        cause = NO_ADDRESS
        for _ in range(self.upstream.settings.retries + 1):
            now = time.monotonic()
            endpoint = self.upstream.balancer.choose(now, tried)
            if endpoint is None or self.lost:
                break
            tried.append(endpoint)
            endpoint.pending += 1
            endpoint.requests += 1
            made = await self.upstream.connect(endpoint, _Waiting)
            if not isinstance(made, Cause):
                if endpoint.failures or endpoint.trial:
                    self.upstream.balancer.succeeded(endpoint)
                self._join(made.transport, endpoint)
                return
            cause = made
            endpoint.pending -= 1
            self.upstream.balancer.failed(endpoint, time.monotonic())
            self.upstream.counters.retries += 1
        self._give_up(cause)

    def _join(self, there: Any, endpoint: Endpoint) -> None:
        endpoint.connections += 1
        ours, theirs = Relay.pair(self.transport, there, self.upstream, endpoint)
        self.upstream.waiting.discard(self)
        there.set_protocol(theirs)
        if self.lost:
            self.upstream.relays.discard(ours)
            ours.lost = True
            there.abort()
            return
        self.transport.set_protocol(ours)
        self.transport.resume_reading()
        there.resume_reading()

    def _give_up(self, cause: Cause) -> None:
        self.upstream.counters.fail(cause.error)
        log.warning("a connection could not be made", upstream=self.upstream.name, reason=cause.text)
        self.transport.abort()


class _Waiting(asyncio.Protocol):
    """An endpoint's connection that has just opened: it is not read before it has its other half."""

    def __init__(self) -> None:
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.pause_reading()
