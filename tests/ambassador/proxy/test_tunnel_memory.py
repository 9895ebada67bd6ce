"""A tunnel that has ended is freed at once: none of its objects waits for the garbage collector, which may run late.

A TLS connection of uvloop has a buffer of 256 KB that the garbage collector does not count.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
import uvloop

from sidecars.ambassador.discovery.dns_target import DnsAnswer, ResolvedAddress
from sidecars.ambassador.proxy.client_connection import ClientConnection
from sidecars.ambassador.proxy.tcp.tcp_connection import TcpConnection
from sidecars.ambassador.proxy.tunnel import TunnelEnd
from sidecars.ambassador.settings import Settings
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.ambassador.upstream.upstream_connection import UpstreamConnection
from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime.health import ReadinessLatch
from tests.ambassador.support import Backend, Handler, Peer
from tests.support import PATIENCE

UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n"
OURS = (ClientConnection, UpstreamConnection, TunnelEnd)
UVLOOPS = ("SSLProtocol", "_SSLProtocolTransport", "TCPTransport")  # uvloop does not export these classes
RESET = b"\1\0\0\0\0\0\0\0"  # of SO_LINGER: closing resets


def switching(peer: Peer) -> None:
    """Accept the upgrade, and stay until the app leaves."""
    if peer.head():
        peer.send(SWITCHED)
        peer.rest()


def leaving(peer: Peer) -> None:
    """Accept the upgrade, and close."""
    if peer.head():
        peer.send(SWITCHED)


def breaking(peer: Peer) -> None:
    """Accept the upgrade, and reset the connection."""
    leaving(peer)
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def close(app: socket.socket) -> None:
    app.close()


def reset(app: socket.socket) -> None:
    app.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    app.close()


def end_sending(app: socket.socket) -> None:
    app.shutdown(socket.SHUT_WR)


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def held() -> Counter[str]:
    """Return the number of objects of connections, by their class."""
    return Counter(
        type(each).__name__ for each in gc.get_objects() if isinstance(each, OURS) or type(each).__name__ in UVLOOPS
    )


async def run_tunnels(
    scheme: str, port: int, ca: Path, end: Callable[[socket.socket], None], count: int
) -> tuple[Counter[str], Counter[str]]:
    """Return the numbers of objects before `count` tunnels, and after they have ended.

    The two are compared until they are equal, for up to `PATIENCE`.
    """
    loop = asyncio.get_running_loop()
    environ = {"AMBASSADOR_UPSTREAM": f"{scheme}://127.0.0.1:{port}", "AMBASSADOR_ACCESS_LOG": "all"}
    if scheme in ("https", "tls"):
        environ["AMBASSADOR_TLS_CA"] = str(ca)
    settings = load(Settings, environ)
    upstream = Upstream(settings.upstreams["default"], loop, ReadinessLatch("upstream", ""))
    upstream.on_dns_answer(upstream.dns_targets[0], DnsAnswer((ResolvedAddress("127.0.0.1"),), 3600.0), 0.0)
    made = TcpConnection if scheme in ("tcp", "tls") else ClientConnection
    server = await loop.create_server(lambda: made(upstream), "127.0.0.1", 0)  # type: ignore[arg-type,return-value] # an asyncio protocol by its methods
    before = held()
    for _ in range(count):
        with socket.socket() as app:
            app.setblocking(False)
            await loop.sock_connect(app, server.sockets[0].getsockname())
            await loop.sock_sendall(app, UPGRADE)
            assert (await loop.sock_recv(app, 65536)).startswith(b"HTTP/1.1 101 ")
            end(app)
            if end is end_sending:
                with contextlib.suppress(ConnectionResetError):
                    await loop.sock_recv(app, 65536)
    deadline = loop.time() + PATIENCE
    while (upstream.clients.open or held() != before) and loop.time() < deadline:  # noqa: ASYNC110 - no event announces that an object is freed
        await asyncio.sleep(0.01)
    after = held()
    assert not upstream.clients.open
    assert [(each.pending, each.connections) for each in upstream.endpoints] == [(0, 0)]
    server.close()
    upstream.close()
    upstream.disconnects.close()
    return before, after


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("scheme", ["https", "tls", "http", "tcp"])
@pytest.mark.parametrize(
    ("handler", "end"),
    [(switching, close), (switching, reset), (leaving, end_sending), (breaking, end_sending)],
    ids=["the app closes", "the app resets", "the upstream closes", "the upstream resets"],
)
def test_nothing_of_a_tunnel_that_has_ended_waits_for_the_garbage_collector(
    tmp_path: Path, scheme: str, handler: Handler, end: Callable[[socket.socket], None]
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = None
    if scheme in ("https", "tls"):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
    backend = Backend(handler, tls=tls)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            before, after = runner.run(run_tunnels(scheme, backend.port, tmp_path / "ca.pem", end, 5))
    finally:
        backend.stop()
    assert after == before
