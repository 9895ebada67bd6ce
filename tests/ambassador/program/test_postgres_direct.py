"""The real program in front of servers that have TLS from the first byte, as PostgreSQL 17 can."""

from __future__ import annotations

import ssl
import struct
from pathlib import Path

import pytest
import trustme

from tests.ambassador.postgres import NAME, SSL_REQUEST, error_of, session, startup
from tests.ambassador.support import Ambassador, Backend, Peer
from tests.conftest import Start

SASL = struct.pack("!I", 10)
OFFER = b"R" + struct.pack("!I", 42) + SASL + b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"
PLAIN_OFFER = b"R" + struct.pack("!I", 23) + SASL + b"SCRAM-SHA-256\0\0"


class Server:
    """A server that has TLS at once, and begins a session with an offer of both kinds of SCRAM."""

    def __init__(self, folder: Path, *protocols: str) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if protocols:
            self._context.set_alpn_protocols(list(protocols))
        authority.issue_cert(NAME).configure_cert(self._context)
        self.got: list[bytes] = []
        self.backend = Backend(self._serve, tls=self._context)
        self.settings = {"TLS_CA": str(folder / "ca.pem"), "TLS_SERVER_NAME": NAME, "RETRIES": "0"}
        self.url = f"tls+postgres://127.0.0.1:{self.backend.port}"

    def _serve(self, peer: Peer) -> None:
        if first := peer.exactly(len(startup())):
            self.got.append(first)
            peer.send(OFFER + session(1, 2))
            peer.rest()


def test_an_app_without_tls_has_a_session_with_a_server_that_wants_tls_from_the_first_byte(
    start: Start, tmp_path: Path
) -> None:
    server = Server(tmp_path, "postgresql")
    ambassador = Ambassador(start, server.url, TLS_NEGOTIATION="direct", **server.settings)
    with ambassador.connect() as app:
        app.send(SSL_REQUEST)
        assert app.exactly(1) == b"N"
        app.send(startup())
        expected = PLAIN_OFFER + session(1, 2)
        assert app.exactly(len(expected)) == expected
    server.backend.stop()
    assert server.got == [startup()]


@pytest.mark.parametrize("protocols", [(), ("h2",)])
def test_a_server_that_does_not_select_postgresql_gets_nothing(
    start: Start, tmp_path: Path, protocols: tuple[str, ...]
) -> None:
    server = Server(tmp_path, *protocols)
    ambassador = Ambassador(start, server.url, TLS_NEGOTIATION="direct", **server.settings)
    with ambassador.connect() as app:
        app.send(startup())
        assert b"TLS_NEGOTIATION=direct needs PostgreSQL 17" in error_of(app)
    server.backend.stop()
    assert server.got == []


def test_a_server_that_waits_for_the_question_is_told_to_be_no_postgresql_17(start: Start, tmp_path: Path) -> None:
    """An older one takes the beginning of TLS for the length of a packet, and closes."""
    server = Server(tmp_path, "postgresql")
    old = Backend(lambda peer: peer.close() if peer.exactly(8) != SSL_REQUEST else None)
    ambassador = Ambassador(start, f"tls+postgres://127.0.0.1:{old.port}", TLS_NEGOTIATION="direct", **server.settings)
    with ambassador.connect() as app:
        app.send(startup())
        assert error_of(app).startswith(b"ambassador: ")
    old.stop()
    server.backend.stop()
