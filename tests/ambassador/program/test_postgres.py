"""The real program between apps that speak PostgreSQL in plain text and servers that want TLS."""

from __future__ import annotations

import contextlib
import signal
import ssl
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.ambassador.postgres import (
    GSS_REQUEST,
    NAME,
    SSL_REQUEST,
    Server,
    cancel_request,
    error_of,
    postgres,
    psql,
    session,
    startup,
)
from tests.ambassador.support import Ambassador, Backend, Peer, backends
from tests.conftest import Start
from tests.support import PATIENCE, wait_until

_WHO = "select ssl, version like 'TLS%' from pg_stat_ssl where pid = pg_backend_pid()"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as running:
        yield running


def ask(port: int, statement: str, **parameters: str) -> str:
    done = subprocess.run(psql(port, statement, **parameters), check=False, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip()


def test_an_app_without_tls_has_sessions_with_tls_at_a_real_server(start: Start, server: Server) -> None:
    ambassador = Ambassador(
        start,
        f"tls+postgres://127.0.0.1:{server.port},tls+postgres://127.0.0.2:{server.port}",
        TLS_CA=server.ca,
        TLS_SERVER_NAME=NAME,
        TLS_ALPN="postgresql",
        HEALTH_INTERVAL="100ms",
        CONFINEMENT="required",
    )
    assert ask(ambassador.port, _WHO, sslmode="disable") == "t|t"
    assert ask(ambassador.port, _WHO, sslmode="prefer") == "t|t"
    assert ask(ambassador.port, "select repeat('x', 1000000)", sslmode="prefer") == "x" * 1_000_000
    assert "server does not support SSL" in ask(ambassador.port, _WHO, sslmode="require")
    wait_until(lambda: {each["health"] for each in ambassador.endpoints()} == {"healthy"}, "checks that pass")

    sleeping = subprocess.Popen(
        psql(ambassador.port, "select pg_sleep(3600)", application_name="sleeper"),
        stderr=subprocess.PIPE,
        text=True,
    )
    seen = "select count(*) from pg_stat_activity where application_name = 'sleeper' and query like '%sleep%'"
    wait_until(lambda: ask(ambassador.port, seen) == "1", "the statement under way")
    sleeping.send_signal(signal.SIGINT)
    assert "canceling statement due to user request" in sleeping.communicate(timeout=PATIENCE)[1]


def test_a_certificate_of_another_name_is_refused_before_anything_is_said(start: Start, server: Server) -> None:
    ambassador = Ambassador(
        start, f"tls+postgres://127.0.0.1:{server.port}", TLS_CA=server.ca, TLS_SERVER_NAME="stock.test", RETRIES="0"
    )
    told = ask(ambassador.port, _WHO)
    assert "ambassador: the certificate is not accepted: Hostname mismatch" in told


def silent(peer: Peer) -> None:
    peer.rest()


ANSWERS = {
    b"N": b"the server offers no TLS (it refused SSLRequest)",
    b"E\0\0\0\x10Mhello\0\0": b"the server answered SSLRequest with an error",
    b"HTTP/1.1 400 Bad Request\r\n": b"the server does not speak PostgreSQL's protocol",
    b"S" + session(1, 2): b"the server sent more than its answer before TLS began",
    b"": b"the connection was closed before a response came",
    b"S\n": b"the server sent more than its answer before TLS began",
}


def test_a_server_without_tls_gets_nothing_but_the_question(start: Start) -> None:
    got: list[bytes] = []
    answers = iter(ANSWERS)

    def handle(peer: Peer) -> None:
        got.append(peer.exactly(8))
        peer.send(next(answers))
        if peer.buffer:
            got.append(peer.buffer)

    with backends(handle) as (backend,):
        ambassador = Ambassador(start, f"tls+postgres://127.0.0.1:{backend.port}", RETRIES="0")
        for reason in ANSWERS.values():
            with ambassador.connect() as peer:
                peer.send(GSS_REQUEST)
                assert peer.exactly(1) == b"N"
                peer.send(SSL_REQUEST)
                assert peer.exactly(1) == b"N"
                peer.send(startup())
                assert error_of(peer) == b"ambassador: " + reason
        wait_until(lambda: ambassador.metric("ambassador_upstream_connections_open") == 0, "no connection left")
    assert got == [SSL_REQUEST] * len(ANSWERS)


def test_a_silent_server_costs_the_connect_timeout_and_no_descriptor(start: Start) -> None:
    with backends(silent) as (backend,):
        ambassador = Ambassador(start, f"tls+postgres://127.0.0.1:{backend.port}", CONNECT_TIMEOUT="1s", RETRIES="0")
        with ambassador.holding_no_more(attempts=6):
            with ambassador.connect() as peer:
                peer.send(startup())
                assert error_of(peer) == b"ambassador: the server did not answer SSLRequest in time"
            for _ in range(5):
                with ambassador.connect() as peer:
                    peer.send(startup())  # and leaves
            wait_until(lambda: backend.connections == 6, "all attempts")


WRONG_BEGINNINGS = {
    "TLS": b"\x16\x03\x01\x02\x00\x01",
    "more than the request": SSL_REQUEST + startup(),
    "a wrong length": struct.pack("!II", 9, 80877103) + b"x",
    "no whole packet": b"\0\0",
    "a third request": GSS_REQUEST,
}


def test_an_app_that_does_not_begin_as_it_should_reaches_no_server(start: Start) -> None:
    with backends(silent) as (backend,):
        ambassador = Ambassador(start, f"tls+postgres://127.0.0.1:{backend.port}", IDLE_TIMEOUT="1s")
        for beginning in WRONG_BEGINNINGS.values():
            with ambassador.connect() as peer, contextlib.suppress(ConnectionResetError):
                for request in (GSS_REQUEST, SSL_REQUEST) if beginning == GSS_REQUEST else ():
                    peer.send(request)
                    assert peer.exactly(1) == b"N"
                peer.send(beginning)
                assert peer.rest() == b""
        assert backend.connections == 0
        assert ambassador.metric("ambassador_errors_total", error="http_request_error") == len(WRONG_BEGINNINGS)


class Replica:
    """A server that begins a session with its own key, and notes what it is asked to cancel."""

    def __init__(self, context: ssl.SSLContext, number: int) -> None:
        self.cancelled: list[bytes] = []
        self._context = context
        self._number = number
        self.backend = Backend(self._serve, host=f"127.0.0.{number}")

    def _serve(self, peer: Peer) -> None:
        assert peer.exactly(8) == SSL_REQUEST
        peer.send(b"S")
        with Peer(self._context.wrap_socket(peer.socket, server_side=True)) as inside:
            first = inside.exactly(16)
            if first.startswith(cancel_request(0, 0)[:8]):
                self.cancelled.append(first[8:])
                return
            for byte in session(self._number, 77):  # the key comes in pieces
                inside.send(bytes([byte]))
            inside.rest()


def test_a_cancel_request_goes_to_the_server_of_its_session(start: Start, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(context)
    replicas = {number: Replica(context, number) for number in (2, 3, 4)}
    targets = ",".join(f"tls+postgres://127.0.0.{n}:{each.backend.port}" for n, each in replicas.items())
    ambassador = Ambassador(
        start, targets, BALANCE="round_robin", TLS_CA=str(tmp_path / "ca.pem"), TLS_SERVER_NAME=NAME
    )
    sessions = [ambassador.connect() for _ in range(6)]
    for each in sessions:
        each.send(startup())
        told = each.exactly(len(session(0, 0)))
        key = told[told.index(b"K\0\0\0\x0c") + 5 :][:8]
        with ambassador.connect() as cancelling:
            cancelling.send(SSL_REQUEST)
            assert cancelling.exactly(1) == b"N"
            cancelling.send(cancel_request(*struct.unpack("!II", key)))
            assert cancelling.rest() == b""
    for number, replica in replicas.items():
        assert replica.cancelled == [struct.pack("!II", number, 77)] * 2
        replica.backend.stop()
    for each in sessions:
        each.close()
