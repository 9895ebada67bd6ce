"""Exchanges without a network: connections of the app and of the upstream on fake transports."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import h11

from sidecars.ambassador.discovery.dns_target import DnsAnswer, ResolvedAddress
from sidecars.ambassador.http.request_head import Http1Request, RequestParser
from sidecars.ambassador.proxy.client_connection import ClientConnection
from sidecars.ambassador.proxy.tunnel import TunnelEnd
from sidecars.ambassador.settings import Settings
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.ambassador.upstream.upstream_connection import UpstreamConnection
from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime.health import ReadinessLatch

# A POST is not sent on a connection that has been idle for a second. A busy machine may take longer to begin the test.
_FRESH = 60.0  # seconds


class Wire:
    """A fake transport that records what its protocol does."""

    def __init__(self) -> None:
        self.written = b""
        self.closing = self.aborted = self.ended = self.paused = False
        self.on_write: Callable[[], None] | None = None
        self.protocol: Any = None
        self.unsent = 0  # bytes that the kernel has not taken, set by a test
        self.socket: socket.socket | None = None  # a real socket, for tests that ask the kernel

    def write(self, data: bytes) -> None:
        assert not self.closing
        self.written += data
        if self.on_write:
            self.on_write()

    def writelines(self, pieces: Iterable[bytes]) -> None:
        self.write(b"".join(pieces))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def set_write_buffer_limits(self, high: int) -> None:
        assert high == 0

    def get_extra_info(self, name: str) -> Any:
        return self.socket if name == "socket" else None


class Pair:
    """A connection of the app, and an idle connection to the only endpoint."""

    def __init__(self, **environ: str) -> None:
        self.loop = asyncio.new_event_loop()
        settings = load(Settings, {"AMBASSADOR_UPSTREAM": "http://orders", **environ})
        self.upstream = Upstream(settings.upstreams["default"], self.loop, ReadinessLatch("upstream", ""))
        self.upstream.on_dns_answer(self.upstream.dns_targets[0], DnsAnswer((ResolvedAddress("10.0.0.1"),), 5.0), 0.0)
        self.endpoint = self.upstream.endpoints[0]
        self.app, self.there = Wire(), Wire()
        self.client = ClientConnection(self.upstream)
        self.client.connection_made(self.app)  # type: ignore[arg-type] # a fake transport
        self.connection = self.upstream.pool.new_connection(self.endpoint)
        self.connection.connection_made(self.there)  # type: ignore[arg-type] # a fake transport
        self.connection.keep_idle(self.client.since + _FRESH)

    def __enter__(self) -> Pair:  # noqa: PYI034 - a helper of one class
        return self

    def __exit__(self, *_: object) -> None:
        self.upstream.disconnects.close()
        if tasks := asyncio.all_tasks(self.loop):
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    @property
    def idle(self) -> list[UpstreamConnection]:
        """The idle connections to the endpoint, the newest last."""
        return self.upstream.pool.idle.of(self.endpoint)

    def add_endpoints(self, count: int) -> None:
        """Give the upstream `count` more endpoints, each with an idle connection."""
        known = [endpoint.ip for endpoint in self.upstream.endpoints]
        found = [*known, *(f"10.0.1.{number}" for number in range(count))]
        self.upstream.on_dns_answer(
            self.upstream.dns_targets[0], DnsAnswer(tuple(map(ResolvedAddress, found)), 5.0), 0.0
        )
        for endpoint in self.upstream.endpoints[len(known) :]:
            connection = self.upstream.pool.new_connection(endpoint)
            connection.connection_made(Wire())  # type: ignore[arg-type] # a fake transport
            connection.keep_idle(self.client.since)


def tunnel_end(upstream: Upstream, wire: Wire, *, inbound: bool) -> TunnelEnd:
    """Return an end of a tunnel whose connection is open."""
    end = TunnelEnd(upstream, inbound=inbound)
    end.connection_made(wire)  # type: ignore[arg-type] # a fake transport
    return end


def wire(end: TunnelEnd | ClientConnection | UpstreamConnection) -> Wire:
    """Return the fake transport of a protocol."""
    assert isinstance(end.transport, Wire)
    return end.transport


def tunnels(upstream: Upstream) -> set[TunnelEnd]:
    """Return the app's ends of the tunnels that are open."""
    return {each for each in upstream.clients.open if isinstance(each, TunnelEnd)}


def parse(head: bytes) -> Http1Request:
    return RequestParser(()).parse(head, len(head))


def pieces(message: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted({min(cut, len(message)) for cut in cuts}), len(message)]
    return [message[start:end] for start, end in itertools.pairwise(edges) if end > start]


def read(role: Any, wire: bytes, method: bytes = b"GET", *, closed: bool = False) -> list[tuple[Any, ...]]:
    """Return what h11 reads in the bytes: heads, and joined bodies."""
    oracle = h11.Connection(role)
    if role is h11.CLIENT:
        oracle.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        oracle.send(h11.EndOfMessage())
    oracle.receive_data(wire)
    if closed:
        oracle.receive_data(b"")
    seen: list[tuple[Any, ...]] = []
    body = b""
    while True:
        event = oracle.next_event()
        if isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return [*seen, (body, list(event.headers))]
        else:
            assert isinstance(event, h11.Request | h11.Response | h11.InformationalResponse), (event, seen, body)
            first = event.target if isinstance(event, h11.Request) else event.status_code
            seen.append((first, list(event.headers)))


REQUESTS = [
    b"GET /a HTTP/1.1\r\nHost: a\r\nX-One: 1\r\n\r\n",
    b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world",
    (
        b"PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n"
    ),
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
]
RESPONSES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-One: 1\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nX-One: 1\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
]
