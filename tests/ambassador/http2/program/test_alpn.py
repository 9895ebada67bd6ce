"""The real program in front of endpoints with TLS, each of which selects its protocol by ALPN."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from tests.ambassador.http2 import raw
from tests.ambassador.http2.raw_server import RawServer, Session
from tests.ambassador.support import Ambassador, Backend, Peer, answering
from tests.conftest import Start

WEBSOCKET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class Secrets:
    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self.ca = str(folder / "ca.pem")
        self._authority.cert_pem.write_to_path(self.ca)

    def server(self, *protocols: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert("orders.test").configure_cert(context)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context


class Server(RawServer):
    """A server that speaks what the handshake has selected. `selected` has the protocols, in their order."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.selected: list[str | None] = []
        super().__init__(self._http2)

    def _serve(self, own: socket.socket) -> None:
        with contextlib.suppress(OSError), self.context.wrap_socket(own, server_side=True) as encrypted:
            self.selected.append(encrypted.selected_alpn_protocol())
            if encrypted.selected_alpn_protocol() == "h2":
                super()._serve(encrypted)
            else:
                self._http1(Peer(encrypted))

    @staticmethod
    def _http2(session: Session) -> None:
        while stream := session.request():
            session.send(raw.headers(stream, [(b":status", b"200")], raw.END_HEADERS))
            session.send(raw.data(stream, b"h2", raw.END_STREAM))

    @staticmethod
    def _http1(peer: Peer) -> None:
        while head := peer.head():
            if b"Upgrade: websocket" in head:
                peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi")
                peer.rest()
            else:
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhttp")


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    return Secrets(tmp_path)


def ambassador(start: Start, secrets: Secrets, *ports: int, **environ: str) -> Ambassador:
    urls = ",".join(f"https://127.0.0.1:{port}" for port in ports)
    return Ambassador(start, urls, TLS_CA=secrets.ca, TLS_SERVER_NAME="orders.test", **{"RETRIES": "0", **environ})


def test_http2_is_preferred_and_an_upgrade_gets_a_connection_of_http1(start: Start, secrets: Secrets) -> None:
    server = Server(secrets.server("h2", "http/1.1"))
    proxy = ambassador(start, secrets, server.port)
    assert [proxy.ask()[::2] for _ in range(3)] == [(200, b"h2")] * 3
    with proxy.connect() as peer:
        peer.send(WEBSOCKET)
        assert b"101 Switching Protocols" in peer.head()
        assert peer.exactly(2) == b"hi"
    assert proxy.ask()[::2] == (200, b"h2")
    assert server.selected == ["h2", "http/1.1"]
    server.stop()


def test_each_endpoint_speaks_what_it_selects(start: Start, secrets: Secrets) -> None:
    new, old = Server(secrets.server("h2")), Server(secrets.server())
    proxy = ambassador(start, secrets, new.port, old.port, BALANCE="round_robin")
    assert sorted(proxy.ask()[2] for _ in range(6)) == [b"h2"] * 3 + [b"http"] * 3
    assert (new.selected, old.selected) == (["h2"], [None])
    new.stop()
    old.stop()


def test_an_endpoint_may_select_another_protocol_after_its_restart(start: Start, secrets: Secrets) -> None:
    server = Server(secrets.server("h2"))
    proxy = ambassador(start, secrets, server.port, RETRIES="2", EJECT_FOR="100ms")
    assert proxy.ask()[2] == b"h2"
    server.context = secrets.server("http/1.1")
    for session in server.sessions:
        session.socket.shutdown(socket.SHUT_RDWR)
    assert proxy.ask()[2] == b"http"
    server.stop()


def test_a_protocol_that_is_fixed_is_the_only_one_that_is_offered(start: Start, secrets: Secrets) -> None:
    server = Server(secrets.server("h2", "http/1.1"))
    assert ambassador(start, secrets, server.port, PROTOCOL="http1").ask()[2] == b"http"
    assert ambassador(start, secrets, server.port, PROTOCOL="http2").ask()[2] == b"h2"
    server.stop()
    backend = Backend(answering(), tls=secrets.server())
    status, head, _ = ambassador(start, secrets, backend.port, PROTOCOL="http2").ask()
    backend.stop()
    assert status == 502
    assert b"does not select HTTP/2" in head


@pytest.mark.parametrize(
    ("upstream", "protocol", "words"),
    [
        ("http://orders", "http2", "speaks HTTP/1.1: write h2c://"),
        ("h2c://orders", "http1", "speaks HTTP/2: write http://"),
        ("tcp://orders:1", "http1", "is not HTTP: leave it unset"),
    ],
)
def test_a_protocol_that_contradicts_the_scheme_is_told_at_the_start(upstream: str, protocol: str, words: str) -> None:
    from tests.ambassador.refused_settings import problems  # noqa: PLC0415 - beside the program

    (problem,) = problems(AMBASSADOR_UPSTREAM=upstream, AMBASSADOR_PROTOCOL=protocol)
    assert words in problem
