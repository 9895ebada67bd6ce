"""The connections to one upstream's endpoints: opened, kept while idle, and closed.

One open connection is in exactly one place: with the exchange that it serves, or in `idle`. A connection that opens for
an exchange which has ended meanwhile becomes idle.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable
from ssl import SSLContext
from typing import Protocol, TypedDict, TypeVar, cast

from sidecars.ambassador.balancing.balancer import Balancer
from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.settings import UpstreamSettings
from sidecars.ambassador.transport import connect_errors, upstream_tls
from sidecars.ambassador.transport.tcp_keepalive import set_keepalive
from sidecars.ambassador.upstream.buffer_memory import BufferMemory
from sidecars.ambassador.upstream.counters import Counters
from sidecars.ambassador.upstream.idle_connections import IdleConnections
from sidecars.ambassador.upstream.response_receiver import ResponseReceiver
from sidecars.ambassador.upstream.upstream_connection import UpstreamConnection
from sidecars.chassis.http.tls import ReloadingContext


class ConnectionWaiter(ResponseReceiver):
    """An exchange that waits for a connection to open. It gets the connection, or the cause why there is none."""

    over: bool  # True if it has ended, maybe while it waited

    @abstractmethod
    def on_connected(self, connection: UpstreamConnection) -> None: ...

    @abstractmethod
    def on_connect_failed(self, cause: Cause) -> None: ...


class StreamProtocol(Protocol):
    """A protocol of the event loop, by its methods: a compiled class cannot inherit from asyncio's."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...

    def connection_lost(self, error: Exception | None, /) -> None: ...


P = TypeVar("P", bound=StreamProtocol)


class _TLSArguments(TypedDict, total=False):
    """The arguments of `create_connection` that ask for TLS."""

    ssl: SSLContext
    server_hostname: str


class ConnectionPool:
    """The connections to the endpoints of one upstream, which owns it."""

    def __init__(
        self,
        settings: UpstreamSettings,
        loop: asyncio.AbstractEventLoop,
        balancer: Balancer,
        counters: Counters,
        memory: BufferMemory,
        on_no_descriptors: Callable[[], None],
    ) -> None:
        """`on_no_descriptors` is called when a connection did not open for want of a descriptor."""
        self.loop = loop
        self.idle: IdleConnections[UpstreamConnection] = IdleConnections()
        self.connects: int = 0
        self.connect_failures: int = 0
        self._draining = False
        self._settings = settings
        self._balancer = balancer
        self._counters = counters
        self._memory = memory
        self._on_no_descriptors = on_no_descriptors
        self._tls: ReloadingContext | None = upstream_tls.client(settings) if settings.upstream.tls else None
        self._opening: set[asyncio.Task[None]] = set()

    @property
    def opening(self) -> int:
        """The number of connections that are being opened for attempts."""
        return len(self._opening)

    def new_connection(self, endpoint: Endpoint) -> UpstreamConnection:
        """Return a connection that is not open yet, for the event loop to open."""
        return UpstreamConnection(
            self._settings, endpoint, self.idle, self._counters, self.loop.call_soon, self._memory
        )

    def open(self, endpoint: Endpoint, waiter: ConnectionWaiter) -> None:
        """Open a connection for this attempt, which gets it, or the cause why there is none."""
        task = self.loop.create_task(self._open(endpoint, waiter))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, endpoint: Endpoint, waiter: ConnectionWaiter) -> None:
        try:
            await self._open_for(endpoint, waiter)
        except Exception as error:  # noqa: BLE001 - the exchange must not wait for ever
            waiter.fail(error)

    async def _open_for(self, endpoint: Endpoint, waiter: ConnectionWaiter) -> None:
        started = time.monotonic()
        connection = await self.connect(endpoint, lambda: self.new_connection(endpoint))
        cause: Cause | None = None
        if isinstance(connection, Cause):
            cause = connection
        elif connection.transport.is_closing():
            cause = local_replies.CONNECTION_CLOSED
        if cause is not None:
            if not waiter.over:
                waiter.on_connect_failed(cause)
            else:  # the app did not wait for this outcome, but the next request profits from it
                self.note_unreachable(endpoint, cause, started)
        elif isinstance(connection, UpstreamConnection):
            self._give(connection, waiter)

    def _give(self, connection: UpstreamConnection, waiter: ConnectionWaiter) -> None:
        if not waiter.over:
            waiter.on_connected(connection)
        elif connection.endpoint.removed or self._draining:
            connection.discard()
        else:
            connection.keep_idle(time.monotonic())

    async def connect(self, endpoint: Endpoint, protocol: Callable[[], P]) -> P | Cause:
        """Open a connection to the endpoint; return its protocol, or the cause why it did not open."""
        made = cast("Callable[[], asyncio.BaseProtocol]", protocol)
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                transport, opened = await self.loop.create_connection(
                    made, endpoint.ip, endpoint.port, **self._tls_arguments(endpoint)
                )
        except TimeoutError:
            cause = local_replies.CONNECT_TIMEOUT
        except OSError as error:
            cause = connect_errors.of_connecting(error, endpoint.ip)
            if cause is local_replies.NO_DESCRIPTORS:
                self.idle.close_oldest()
                self._on_no_descriptors()
        except ValueError as refusal:  # of ssl, about a host name: UnicodeError is one, too
            cause = Cause("tls_protocol_error", 502, f"no certificate can have this name: {refusal}")
        else:
            set_keepalive(transport.get_extra_info("socket"), self._settings.tcp_keepalive)
            self.connects += 1
            return cast("P", opened)
        self.connect_failures += 1
        return cause

    def _tls_arguments(self, endpoint: Endpoint) -> _TLSArguments:
        if self._tls is None or not endpoint.tls:
            return {}
        name = self._settings.tls_server_name or endpoint.server_name
        return {"ssl": self._tls.context(), "server_hostname": name}

    def note_unreachable(self, endpoint: Endpoint, cause: Cause, started: float) -> None:
        """Report to the balancer that a connection to the endpoint, begun at `started`, did not open."""
        if cause.own_fault:
            self._balancer.on_inconclusive(endpoint, time.monotonic())
        else:
            self._balancer.on_failure(endpoint, started, time.monotonic(), cause.text, unreachable=True)

    def drain(self) -> None:
        """Keep no connection from now on that opens for an exchange which has ended."""
        self._draining = True

    def close(self) -> None:
        """Close the idle connections, and open none any more."""
        for task in self._opening:
            task.cancel()
        self.idle.close_every()
