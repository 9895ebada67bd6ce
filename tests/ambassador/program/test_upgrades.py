"""Upgrades behind a request with a body, as the Docker engine's clients ask for them to exec and attach."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.ambassador.engine_messages import BODY, CHUNKS, RAW, SIZED, SWITCHED
from tests.ambassador.support import Ambassador, Peer, answering, backends
from tests.conftest import Start


def take(peer: Peer) -> tuple[bytes, bytes]:
    """Read the head and the body of a request."""
    head = peer.head()
    if b"chunked" not in head:
        return head, peer.exactly(len(BODY))
    body = b""
    while size := int(peer.until(b"\r\n"), 16):
        body += peer.exactly(size)
        assert peer.exactly(2) == b"\r\n"
    assert peer.until(b"\r\n") == b"\r\n"
    return head, body


def test_an_upgraded_connection_that_is_silent_ends_with_tunnel_idle_timeout(start: Start) -> None:
    def agree(peer: Peer) -> None:
        take(peer)
        peer.send(SWITCHED)
        peer.rest()

    with backends(agree) as (backend,), Ambassador(start, backend.url, TUNNEL_IDLE_TIMEOUT="1s").connect() as peer:
        peer.send(SIZED)
        assert peer.head().startswith(b"HTTP/1.1 101 ")
        with pytest.raises(ConnectionResetError):
            peer.rest()


@pytest.mark.parametrize("request_", [SIZED, CHUNKS], ids=["Content-Length", "chunked"])
def test_a_post_with_a_body_is_upgraded(start: Start, request_: bytes) -> None:
    seen: list[tuple[bytes, bytes]] = []

    def engine(peer: Peer) -> None:
        """Echo the input and end with it, like `docker exec -i … cat`."""
        seen.append(take(peer))
        peer.send(SWITCHED + b"first")
        peer.send(peer.rest())

    with backends(engine) as (backend,), Ambassador(start, backend.url).connect() as peer:
        peer.send(request_)
        head = peer.head()
        assert head.startswith(b"HTTP/1.1 101 ")
        for field in (b"Connection: Upgrade\r\n", b"Upgrade: tcp\r\n", b"Content-Type: %b\r\n" % RAW):
            assert field in head
        assert peer.exactly(5) == b"first"
        peer.send(bytes(range(256)) * 1000)
        peer.socket.shutdown(socket.SHUT_WR)
        assert peer.rest() == bytes(range(256)) * 1000
    ((head, body),) = seen
    assert head.count(b"Connection: Upgrade\r\nUpgrade: tcp\r\n") == 1
    assert body == BODY


def test_an_upgrade_with_a_body_that_is_declined_is_an_ordinary_answer(start: Start) -> None:
    def declines(peer: Peer) -> None:
        while take(peer)[0]:
            peer.send(b"HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno")

    with backends(declines) as (backend,), Ambassador(start, backend.url).connect() as peer:
        for _ in range(2):
            peer.send(SIZED)
            assert peer.response()[2] == b"no"


def test_an_upgrade_that_nobody_asked_for_is_refused_behind_a_body_too(start: Start) -> None:
    def insists(peer: Peer) -> None:
        take(peer)
        peer.send(SWITCHED)
        peer.rest()

    with backends(insists) as (backend,), Ambassador(start, backend.url).connect() as peer:
        peer.send(SIZED.replace(b"Connection: Upgrade\r\nUpgrade: tcp\r\n", b""))
        assert peer.response()[0] == 502


def test_h2c_is_not_passed_on_beside_a_body(start: Start) -> None:
    seen: list[bytes] = []
    with backends(answering(seen=seen)) as (backend,), Ambassador(start, backend.url).connect() as peer:
        peer.send(SIZED.replace(b"Upgrade: tcp", b"Upgrade: h2c"))
        assert peer.response()[0] == 200
    assert b"Upgrade" not in seen[0]


def test_a_raw_stream_without_an_upgrade_arrives_as_it_is_sent(start: Start) -> None:
    """The engine responds to a client without an upgrade with 200, and a body that ends with the connection."""
    told = threading.Semaphore(0)

    def engine(peer: Peer) -> None:
        take(peer)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n" % RAW)
        for number in range(3):
            peer.send(b"line %d\n" % number)
            assert told.acquire(timeout=30)

    with backends(engine) as (backend,), Ambassador(start, backend.url).connect() as peer:
        peer.send(SIZED.replace(b"Connection: Upgrade\r\nUpgrade: tcp\r\n", b""))
        head = peer.head()
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"Transfer-Encoding: chunked\r\n" in head
        for number in range(3):
            assert peer.exactly(12) == b"7\r\nline %d\n\r\n" % number
            told.release()
        assert peer.exactly(5) == b"0\r\n\r\n"
