"""The connections to one upstream's endpoints: opened, kept while idle, and closed.

One open connection of HTTP/1.1 is in exactly one place: with the exchange that it serves, or in `idle`. One that opens
for an exchange which has ended meanwhile becomes idle. Those of HTTP/2 are in `streams`, with streams or without.

    scheme      protocol
    http://     HTTP/1.1
    h2c://      HTTP/2, without asking (RFC 9113 section 3.3)
    https://    what the TLS handshake selects of the protocols that PROTOCOL allows; each endpoint may differ, and is
                asked again by each new connection

A request with Upgrade needs HTTP/1.1: over TLS it gets a connection that offers nothing else; h2c:// cannot serve it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from ssl import SSLContext
from typing import TYPE_CHECKING, TypedDict, TypeVar, cast

from sidecars.ambassador.balancing.balancer import Balancer
from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.config.setting_types import HTTP2_ALONE
from sidecars.ambassador.config.upstream_settings import UpstreamSettings
from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.messages import Request
from sidecars.ambassador.http2.work_limits import endpoint_connections
from sidecars.ambassador.transport import connect_errors, upstream_tls
from sidecars.ambassador.transport.defects import Defects
from sidecars.ambassador.transport.streams import Transport
from sidecars.ambassador.transport.tcp_keepalive import set_keepalive
from sidecars.ambassador.upstream.buffer_memory import BufferMemory
from sidecars.ambassador.upstream.counters import Counters
from sidecars.ambassador.upstream.http2.endpoint_connection import EndpointConnection
from sidecars.ambassador.upstream.http2.stream_pool import StreamPool
from sidecars.ambassador.upstream.http2.undecided import StreamProtocol, Undecided
from sidecars.ambassador.upstream.idle_connections import IdleConnections
from sidecars.ambassador.upstream.upstream_connection import UpstreamConnection
from sidecars.ambassador.upstream.upstream_side import ConnectionWaiter, UpstreamSide
from sidecars.ambassador.upstream.write_round import WriteRound
from sidecars.chassis.http.tls import ReloadingContext

if TYPE_CHECKING:
    from sidecars.ambassador.transport.ways.way import Way

P = TypeVar("P", bound=StreamProtocol)


class _TLSArguments(TypedDict, total=False):
    """The arguments of `create_connection` that ask for TLS."""

    ssl: SSLContext
    server_hostname: str


class ConnectionPool:
    """The connections to the endpoints of one upstream, which owns it."""

    def __init__(  # noqa: PLR0913, PLR0917 - the collaborators of all connections
        self,
        settings: UpstreamSettings,
        loop: asyncio.AbstractEventLoop,
        balancer: Balancer,
        counters: Counters,
        memory: BufferMemory,
        write_round: WriteRound,
        defects: Defects,
        on_no_descriptors: Callable[[], None],
        way: Way | None = None,
    ) -> None:
        """`on_no_descriptors` is called when a connection did not open for want of a descriptor.

        `way` is given if a connection is more than one of TCP, with or without TLS.
        """
        self.loop = loop
        self.idle: IdleConnections[UpstreamConnection] = IdleConnections()
        self.connects: int = 0
        self.connect_failures: int = 0
        self._draining = False
        self._settings = settings
        self._balancer = balancer
        self._counters = counters
        self._memory = memory
        self._round = write_round
        self._defects = defects
        self._on_no_descriptors = on_no_descriptors
        self._way = way
        self.streams: StreamPool = StreamPool(
            self._open_for_streams, settings.idle_timeout, endpoint_connections(settings.max_connections)
        )
        self._tls: ReloadingContext | None = upstream_tls.client(settings) if settings.upstream.tls else None
        self._http1_tls: ReloadingContext | None = None  # made when a request with Upgrade asks for it
        self._opening: set[asyncio.Task[None]] = set()

    @property
    def opening(self) -> int:
        """The number of attempts that wait for a connection to open, or for a stream."""
        return len(self._opening) + self.streams.waiting

    def count_idle(self, endpoint: Endpoint) -> int:
        """Return the number of connections to this endpoint that serve no exchange."""
        return self.idle.count(endpoint) + self.streams.count_idle(endpoint)

    def new_connection(self, endpoint: Endpoint) -> UpstreamConnection:
        """Return a connection of HTTP/1.1 that is not open yet, for the event loop to open."""
        return UpstreamConnection(
            self._settings, endpoint, self.idle, self._counters, self.loop.call_soon, self._memory
        )

    def new_http2_connection(self, endpoint: Endpoint) -> EndpointConnection:
        """Return a connection of HTTP/2 that is not open yet."""
        return EndpointConnection(
            self._settings, endpoint, self.streams, self._counters, self._memory, self._round, self._defects
        )

    def take(self, endpoint: Endpoint, request: Request, now: float, most_idle: float) -> UpstreamSide | None:
        """Return an upstream side that is there already for this request; None if a connection must be opened.

        `most_idle`: seconds of idleness from which on a connection that may have closed unnoticed is not taken.
        """
        if endpoint.http2 and not request.upgrade:
            return self.streams.take(endpoint)
        idle = self.idle.of(endpoint)
        while idle and now - idle[-1].idle_since < most_idle:
            connection = idle.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    def open(self, endpoint: Endpoint, waiter: ConnectionWaiter) -> None:
        """Open a connection for this attempt, or await a stream; it gets either, or the cause why there is none."""
        if endpoint.http2 and not waiter.request.upgrade:
            self.streams.wait(endpoint, waiter)
        elif endpoint.http2 and not endpoint.tls:
            waiter.on_connect_failed(local_replies.NO_UPGRADE)
        else:
            self._start(self._open(endpoint, waiter))

    def _open_for_streams(self, endpoint: Endpoint) -> None:
        self._start(self._open(endpoint, None))

    def _start(self, opening: Coroutine[None, None, None]) -> None:
        task = self.loop.create_task(opening)
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, endpoint: Endpoint, waiter: ConnectionWaiter | None) -> None:
        try:
            await self._open_for(endpoint, waiter)
        except Exception as error:  # noqa: BLE001 - the exchange must not wait for ever
            if waiter is not None:
                waiter.fail(error)
            else:
                self._defects.note(error)
                self.streams.on_open_failed(endpoint, local_replies.DEFECT)

    async def _open_for(self, endpoint: Endpoint, waiter: ConnectionWaiter | None) -> None:
        """Open a connection for this attempt, or (None) for all that wait for a stream."""
        started = time.monotonic()
        http1_alone = waiter is not None and bool(waiter.request.upgrade)
        opened = await self._open_either(endpoint, http1_alone=http1_alone)
        if isinstance(opened, Cause):
            self._report(endpoint, waiter, opened, started)
        elif opened.transport.is_closing():
            self._report(endpoint, waiter, local_replies.CONNECTION_CLOSED, started)
        elif isinstance(opened, EndpointConnection):
            endpoint.note_protocol(http2=True)
            self.streams.on_opened(opened, waiter)
        elif waiter is not None:
            if not http1_alone:
                endpoint.note_protocol(http2=False)
            self._give(opened, waiter)
        else:
            self._leave_http2(endpoint, opened)

    async def _open_either(
        self, endpoint: Endpoint, *, http1_alone: bool
    ) -> UpstreamConnection | EndpointConnection | Cause:
        """Open a connection of the endpoint's protocol."""
        if not endpoint.tls:
            if endpoint.http2:
                return await self.connect(endpoint, lambda: self.new_http2_connection(endpoint))
            return await self.connect(endpoint, lambda: self.new_connection(endpoint))
        if http1_alone:
            return await self.connect(endpoint, lambda: self.new_connection(endpoint), http1_alone=True)
        opened = await self.connect(
            endpoint,
            lambda: Undecided(lambda: self.new_connection(endpoint), lambda: self.new_http2_connection(endpoint)),
        )
        if isinstance(opened, Cause):
            return opened
        chosen = opened.chosen
        assert chosen is not None  # noqa: S101 - the handshake is over
        if self._settings.protocol == HTTP2_ALONE and isinstance(chosen, UpstreamConnection):
            chosen.discard()
            return local_replies.NO_HTTP2
        return chosen

    def _report(self, endpoint: Endpoint, waiter: ConnectionWaiter | None, cause: Cause, started: float) -> None:
        """Report that no connection has opened."""
        if waiter is None:
            self.streams.on_open_failed(endpoint, cause)
        elif not waiter.over:
            waiter.on_connect_failed(cause)
        else:  # the app did not wait for this outcome, but the next request profits from it
            self.note_unreachable(endpoint, cause, started)

    def _leave_http2(self, endpoint: Endpoint, opened: UpstreamConnection) -> None:
        """Serve the attempts that wait for streams of an endpoint that has selected HTTP/1.1 now."""
        endpoint.note_protocol(http2=False)
        waiting = self.streams.give_back(endpoint)
        if waiting:
            self._give(opened, waiting[0])
        elif self._draining:
            opened.discard()
        else:
            opened.keep_idle(time.monotonic())
        for waiter in waiting[1:]:
            self.open(endpoint, waiter)

    def _give(self, connection: UpstreamConnection, waiter: ConnectionWaiter) -> None:
        if not waiter.over:
            waiter.on_connected(connection)
        elif connection.endpoint.removed or self._draining:
            connection.discard()
        else:
            connection.keep_idle(time.monotonic())

    async def connect(
        self, endpoint: Endpoint, protocol: Callable[[], P], *, http1_alone: bool = False, app: Transport | None = None
    ) -> P | Cause:
        """Open a connection to the endpoint; return its protocol, or the cause why it did not open.

        `http1_alone` is True if TLS shall offer nothing but HTTP/1.1. `app` is the app's connection, if the new one is
        for it alone.
        """
        made = cast("Callable[[], asyncio.BaseProtocol]", protocol)
        steps = self._way.steps(endpoint, app) if self._way is not None else None
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                arguments = self._tls_arguments(endpoint, http1_alone=http1_alone)
                if steps is not None:
                    transport, opened = await steps.connect(made, **arguments)
                else:
                    transport, opened = await self.loop.create_connection(made, endpoint.ip, endpoint.port, **arguments)
        except TimeoutError:
            cause = local_replies.CONNECT_TIMEOUT if steps is None else steps.late
        except OSError as error:
            cause = connect_errors.of_connecting(error, endpoint.ip)
            if cause is local_replies.NO_DESCRIPTORS:
                self.close_oldest()
                self._on_no_descriptors()
        except ValueError as refusal:  # of ssl, about a host name: UnicodeError is one, too
            cause = Cause("tls_protocol_error", 502, f"no certificate can have this name: {refusal}")
        else:
            set_keepalive(transport.get_extra_info("socket"), self._settings.tcp_keepalive)
            self.connects += 1
            return cast("P", opened)
        self.connect_failures += 1
        return cause

    def _tls_arguments(self, endpoint: Endpoint, *, http1_alone: bool) -> _TLSArguments:
        if self._tls is None or not endpoint.tls:
            return {}
        name = self._settings.tls_server_name or endpoint.server_name
        reloading = self._tls
        if http1_alone:
            if self._http1_tls is None:
                self._http1_tls = upstream_tls.client(self._settings, http1_alone=True)
            reloading = self._http1_tls
        return {"ssl": reloading.context(), "server_hostname": name}

    def note_unreachable(self, endpoint: Endpoint, cause: Cause, started: float) -> None:
        """Report to the balancer that a connection to the endpoint, begun at `started`, did not open."""
        if cause.own_fault:
            self._balancer.on_inconclusive(endpoint, time.monotonic())
        else:
            self._balancer.on_failure(endpoint, started, time.monotonic(), cause.text, unreachable=True)

    def leave(self, endpoint: Endpoint) -> None:
        """Close the idle connections to an endpoint that DNS has removed; the others close with their last exchange."""
        self.idle.close_all(endpoint)
        self.streams.leave(endpoint)

    def close_expired(self, now: float) -> None:
        """Close the connections whose idle time-out is over."""
        self.idle.close_expired(now)
        self.streams.tick(now)

    def close_oldest(self) -> None:
        """Close a connection that has been idle for long, if there is one: descriptors are scarce."""
        if not self.streams.close_oldest():
            self.idle.close_oldest()

    def drain(self) -> None:
        """Keep no connection from now on that opens for an exchange which has ended."""
        self._draining = True
        self.streams.drain()

    def close(self) -> None:
        """Close the idle connections, and open none any more."""
        for task in self._opening:
            task.cancel()
        self.idle.close_every()
        self.streams.close()
