"""The real program before servers that listen on unix sockets, confined to the roots of its settings."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.ambassador.http2.core_peer import Shell
from tests.ambassador.support import GET, Ambassador, Handler, Peer, answering
from tests.conftest import Start
from tests.support import wait_until


class UnixServer:
    """A server on a unix socket that runs the handler in a thread for each connection."""

    def __init__(self, path: Path, handler: Handler) -> None:
        self.path = path
        self._handler = handler
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                own, _ = self._listener.accept()
                self._open.append(own)
                threading.Thread(target=self._serve, args=(own,), daemon=True).start()

    def _serve(self, own: socket.socket) -> None:
        with contextlib.suppress(OSError), own:
            self._handler(Peer(own))

    def stop(self) -> None:
        """End like a server that is restarted: its socket's name is gone."""
        self.path.unlink()
        for own in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                own.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def servers() -> Iterator[list[UnixServer]]:
    running: list[UnixServer] = []
    yield running
    for each in running:
        with contextlib.suppress(OSError):
            each.stop()


def test_http_goes_to_unix_sockets_that_are_balanced_ejected_and_replaced(
    start: Start, tmp_path: Path, servers: list[UnixServer]
) -> None:
    seen: list[bytes] = []
    paths = [tmp_path / "one.sock", tmp_path / "two.sock"]
    servers += [UnixServer(path, answering(path.stem.encode(), seen=seen)) for path in paths]
    targets = ",".join(f"http+unix://{path}" for path in paths)
    ambassador = Ambassador(
        start, targets, BALANCE="round_robin", EJECT_FOR="100ms", HEALTH_INTERVAL="100ms", CONFINEMENT="required"
    )
    assert {ambassador.ask()[2] for _ in range(4)} == {b"one", b"two"}
    assert b"\r\nHost: localhost\r\n" in seen[0]
    assert {each["address"] for each in ambassador.endpoints()} == {str(path) for path in paths}
    assert ambassador.metric("ambassador_endpoint_requests_total", upstream="default", endpoint=str(paths[0])) > 0

    servers[0].stop()
    assert {ambassador.ask()[2] for _ in range(6)} == {b"two"}
    wait_until(lambda: any("there is none" in each["check_error"] for each in ambassador.endpoints()), "a failed check")

    servers.append(UnixServer(paths[0], answering(b"new")))
    wait_until(lambda: b"new" in {ambassador.ask()[2] for _ in range(4)}, "the new server of the same name")


def test_a_socket_that_is_missing_or_that_nobody_serves_is_a_502_that_says_so(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    ambassador = Ambassador(start, f"http+unix://{path}", RETRIES="0")
    status, head, body = ambassador.ask()
    assert status == 502
    assert b"Proxy-Status: ambassador; error=connection_refused; next-hop=" in head
    assert b"the unix socket: there is none" in body

    with contextlib.closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(str(path))
    assert b"the unix socket: nobody listens on it" in ambassador.ask()[2]


def test_every_protocol_passes_to_a_unix_socket(start: Start, tmp_path: Path, servers: list[UnixServer]) -> None:
    def reverse(peer: Peer) -> None:
        peer.send(b"220 I speak first\r\n")
        peer.send(peer.rest()[::-1])

    def answer_in_http2(peer: Peer) -> None:
        Shell(peer.socket, is_client=False).run()

    def answer_in_tls(peer: Peer) -> None:
        answer_in_http2(Peer(context.wrap_socket(peer.socket, server_side=True)))

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2"])
    authority.issue_cert("localhost").configure_cert(context)
    handlers = {"tcp": reverse, "h2c": answer_in_http2, "https": answer_in_tls}
    servers += [UnixServer(tmp_path / f"{scheme}.sock", handler) for scheme, handler in handlers.items()]
    upstreams = {f"{each.path.stem.upper()}_UPSTREAM": f"{each.path.stem}+unix://{each.path}" for each in servers}
    listen = {f"{scheme.upper()}_LISTEN": f"unix:{tmp_path}/app-{scheme}.sock" for scheme in handlers}
    ambassador = Ambassador(start, "", **upstreams, **listen, TLS_CA=str(tmp_path / "ca.pem"), CONFINEMENT="required")

    def connected(scheme: str) -> Peer:
        own = socket.socket(socket.AF_UNIX)
        own.connect(f"{tmp_path}/app-{scheme}.sock")
        return Peer(own)

    for scheme in ("h2c", "https"):
        with connected(scheme) as peer:
            peer.send(GET)
            assert peer.response()[0] == 200, scheme
    with connected("tcp") as peer:
        assert peer.until(b"\n") == b"220 I speak first\r\n"
        peer.send(b"abc" * 100_000)
        peer.socket.shutdown(socket.SHUT_WR)
        assert peer.rest() == b"cba" * 100_000
    wait_until(lambda: ambassador.metric("ambassador_upstream_connections_open", upstream="tcp") == 0, "none left")
