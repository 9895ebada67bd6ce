"""TLS towards the upstream: trust, the client certificate, and files that are replaced at run time."""

from __future__ import annotations

import hashlib
import random
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from tests.ambassador.loads import HeldUpload
from tests.ambassador.support import GET, Ambassador, Backend, Handler, Peer, answering
from tests.conftest import Start
from tests.support import peer, serving, wait_until

Serve = Callable[..., Backend]


class Secrets:
    """The files that a Pod mounts, and the authority that signs them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.write("ca", self.authority.cert_pem.bytes())

    def path(self, name: str) -> str:
        return str(self.folder / f"{name}.pem")

    def write(self, name: str, content: bytes) -> None:
        """Replace a file like the kubelet: the new file takes the name of the old one atomically."""
        new = self.folder / "new"
        new.write_bytes(content)
        new.rename(self.path(name))

    def server(self, name: str = "orders.test") -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name).configure_cert(context)
        return context


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    return Secrets(tmp_path)


@pytest.fixture
def serve(request: pytest.FixtureRequest) -> Serve:
    def begin(handler: Handler, context: ssl.SSLContext, port: int = 0) -> Backend:
        backend = Backend(handler, port, tls=context)
        request.addfinalizer(backend.stop)
        return backend

    return begin


def before(start: Start, backend: Backend, secrets: Secrets, scheme: str = "https", **environ: str) -> Ambassador:
    return Ambassador(
        start,
        f"{scheme}://127.0.0.1:{backend.port}",
        **{"TLS_CA": secrets.path("ca"), "TLS_SERVER_NAME": "orders.test", "RETRIES": "0", **environ},
    )


def test_an_https_upstream_is_asked_over_connections_that_are_kept(
    start: Start, secrets: Secrets, serve: Serve
) -> None:
    seen: list[bytes] = []
    names: list[str | None] = []
    context = secrets.server()
    context.set_alpn_protocols(["h2", "http/1.1"])

    def handle(peer: Peer) -> None:
        names.append(peer.socket.selected_alpn_protocol())  # type: ignore[attr-defined] # it is an SSLSocket
        answering(seen=seen)(peer)

    backend = serve(handle, context)
    ambassador = before(start, backend, secrets, PROTOCOL="http1")
    assert [ambassador.ask()[::2] for _ in range(5)] == [(200, b"ok")] * 5
    assert b"Host: 127.0.0.1:%d\r\n" % backend.port in seen[0]
    assert backend.connections == 1
    assert names == ["http/1.1"]


@pytest.mark.parametrize(
    ("environ", "error", "words"),
    [
        ({"TLS_SERVER_NAME": "stock.test"}, b"tls_certificate_error", b"Hostname mismatch"),
        ({"TLS_CA": ""}, b"tls_certificate_error", b"the certificate is not accepted"),
        ({"TLS_MIN_VERSION": "1.3"}, b"tls_", b"the TLS handshake"),
    ],
)
def test_an_upstream_that_cannot_be_trusted_is_a_502_that_says_why(
    start: Start, secrets: Secrets, serve: Serve, environ: dict[str, str], error: bytes, words: bytes
) -> None:
    context = secrets.server()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    ambassador = before(start, serve(answering(), context), secrets, **environ)
    status, head, body = ambassador.ask()
    assert status == 502
    assert b"Proxy-Status: ambassador; error=" + error in head
    assert words in body


def test_a_plain_upstream_behind_https_is_a_502(start: Start, secrets: Secrets) -> None:
    backend = Backend(lambda peer: peer.send(b"220 I speak first\r\n"))
    status, head, _ = before(start, backend, secrets).ask()
    backend.stop()
    assert status == 502
    assert b"error=tls_protocol_error" in head


def test_an_upstream_that_asks_who_we_are_is_shown_our_certificate(
    start: Start, secrets: Secrets, serve: Serve
) -> None:
    context = secrets.server()
    context.verify_mode = ssl.CERT_REQUIRED
    secrets.authority.configure_trust(context)
    mine = secrets.authority.issue_cert("the-app")
    secrets.write("cert", mine.cert_chain_pems[0].bytes())
    secrets.write("key", mine.private_key_pem.bytes())
    backend = serve(answering(), context)
    files = {"TLS_CERT": secrets.path("cert"), "TLS_KEY": secrets.path("key")}
    assert before(start, backend, secrets, **files).ask()[0] == 200
    assert before(start, backend, secrets).ask()[0] == 502


def test_files_that_are_replaced_are_taken_up_and_bad_ones_leave_the_old_ones_in_force(
    start: Start, secrets: Secrets, serve: Serve
) -> None:
    once = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

    def handle(peer: Peer) -> None:
        peer.head()
        peer.send(once)

    backend = serve(handle, secrets.server())
    ambassador = before(start, backend, secrets)
    assert ambassador.ask()[0] == 200
    secrets.write("ca", b"no certificate")
    assert ambassador.ask()[0] == 200
    assert "the earlier ones stay in force" in ambassador.program.wait_logged(
        "new TLS files cannot be used; the earlier ones stay in force"
    ).get("msg", "")
    secrets.authority = trustme.CA()
    backend.tls = secrets.server()
    assert ambassador.ask()[0] == 502
    secrets.write("ca", secrets.authority.cert_pem.bytes())
    assert ambassador.ask()[0] == 200


def test_tls_carries_any_protocol_and_what_it_offers(start: Start, secrets: Secrets, serve: Serve) -> None:
    context = secrets.server()
    context.set_alpn_protocols(["h2"])

    def echo(peer: Peer) -> None:
        peer.send(str(peer.socket.selected_alpn_protocol()).encode() + b"\n")  # type: ignore[attr-defined] # it is an SSLSocket
        while data := peer.exactly(1000):
            peer.send(data[::-1])
            if b"last" in data:
                peer.socket.unwrap()  # type: ignore[attr-defined] # it is an SSLSocket

    backend = serve(echo, context)
    with before(start, backend, secrets, "tls", TLS_ALPN="h2").connect() as app:
        assert app.until(b"\n") == b"h2\n"
        for _ in range(50):
            data = random.Random(1).randbytes(1000)
            app.send(data)
            assert app.exactly(1000) == data[::-1]
        app.send(b"last".ljust(1000))
        assert app.exactly(1000) == b"last".ljust(1000)[::-1]
        assert app.rest() == b""


def test_an_upgrade_passes_through_tls_as_well(start: Start, secrets: Secrets, serve: Serve) -> None:
    def switch(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
        peer.send(peer.exactly(4)[::-1])
        peer.socket.unwrap()  # type: ignore[attr-defined] # it is an SSLSocket

    backend = serve(switch, secrets.server())
    with before(start, backend, secrets).connect() as app:
        app.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nabcd")
        assert app.head().startswith(b"HTTP/1.1 101 ")
        assert app.rest() == b"hellodcba"


def test_a_large_upload_over_tls_waits_for_a_slow_upstream_with_little_memory(
    start: Start, secrets: Secrets, serve: Serve
) -> None:
    upload = HeldUpload(60_000_000)
    backend = serve(upload.handle, secrets.server())
    upload.send(before(start, backend, secrets), b"PUT / HTTP/1.1")


@pytest.mark.parametrize("scheme", ["tls", "https"])
def test_an_end_without_close_notify_may_be_an_attackers_and_arrives_as_a_break(
    start: Start, secrets: Secrets, serve: Serve, scheme: str
) -> None:
    """RFC 8446 section 6.1: only close_notify proves that all data has come."""

    def half(peer: Peer) -> None:
        peer.exactly(1)
        peer.send(b"HTTP/1.0 200 OK\r\n\r\nhalf")

    backend = serve(half, secrets.server())
    with before(start, backend, secrets, scheme).connect() as app:
        app.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        assert app.head().startswith(b"HTTP/1.")
        assert app.exactly(4) == b"half"
        with pytest.raises(ConnectionResetError):
            app.rest()


def test_a_file_that_is_no_certificate_ends_it_with_74_and_is_named(start: Start, secrets: Secrets) -> None:
    secrets.write("ca", b"no certificate")
    program = start("ambassador", AMBASSADOR_UPSTREAM="https://orders", AMBASSADOR_TLS_CA=secrets.path("ca"))
    assert program.wait() == 74
    assert f"AMBASSADOR_TLS_CA={secrets.path('ca')} has no certificate in PEM form" in program.logs[-1]["msg"]


def test_a_key_without_its_certificate_ends_it_with_78(start: Start) -> None:
    program = start("ambassador", AMBASSADOR_UPSTREAM="https://orders", AMBASSADOR_TLS_KEY="/key")
    assert program.wait() == 78
    assert "AMBASSADOR_TLS_KEY is set, but AMBASSADOR_TLS_CERT is not" in program.stderr


NGINX = """
user root; worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port} ssl; root {folder}; keepalive_requests 3; location = /said {{ return 200 "ok"; }} }}
}}
"""


def test_what_nginx_serves_over_tls_arrives_unchanged_also_after_its_certificate_is_renewed(
    start: Start, secrets: Secrets, tmp_path: Path
) -> None:
    content = random.Random(3).randbytes(20_000_000)
    (tmp_path / "large").write_bytes(content)
    secrets.write("server", secrets.authority.issue_cert("orders.test").private_key_and_cert_chain_pem.bytes())
    with serving(tmp_path, NGINX, [peer("nginx"), "-p", str(tmp_path), "-c"]) as (url, process):
        ambassador = Ambassador(
            start, url.replace("http:", "https:"), TLS_CA=secrets.path("ca"), TLS_SERVER_NAME="orders.test"
        )
        for _ in range(2):
            status, _, body = ambassador.ask(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            assert status == 200
            assert hashlib.sha256(body).digest() == hashlib.sha256(content).digest()
        with ambassador.connect() as app:
            for _ in range(20):  # longer than a connection of nginx lives
                app.send(GET.replace(b"/", b"/said", 1))
                assert app.response()[2] == b"ok"
        other = trustme.CA()
        secrets.write("ca", secrets.authority.cert_pem.bytes() + other.cert_pem.bytes())
        secrets.write("server", other.issue_cert("orders.test").private_key_and_cert_chain_pem.bytes())
        process.send_signal(1)
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:  # for either certificate of nginx
            assert ambassador.ask(GET.replace(b"/", b"/said", 1))[0] == 200
        secrets.write("ca", other.cert_pem.bytes())
        wait_until(
            lambda: ambassador.ask(GET.replace(b"/", b"/said", 1))[0] == 200, "a response under the new authority"
        )
