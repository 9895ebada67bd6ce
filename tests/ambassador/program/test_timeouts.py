"""The time-outs of the real program, with servers that let it wait."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.ambassador.support import GET, Ambassador, Peer, backends, joined
from tests.conftest import Start
from tests.support import wait_until

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nabc"


def test_a_slow_get_is_asked_once_and_answered_504(start: Start) -> None:
    heads: list[bytes] = []

    def slow(peer: Peer) -> None:
        while head := peer.head():
            heads.append(head)

    with backends(slow) as (backend,):
        ambassador = Ambassador(start, backend.url, TIMEOUT="1s")
        status, head, body = ambassador.ask()
        assert status == 504
        assert b"error=http_response_timeout" in head
        assert body.count(b"attempt ") == 1
        assert ambassador.metric("ambassador_upstream_retries_total") == 0
        wait_until(lambda: heads, "the request upstream")
    assert len(heads) == 1


def test_a_try_timeout_asks_each_endpoint_once(start: Start) -> None:
    heads: list[bytes] = []

    def slow(peer: Peer) -> None:
        while head := peer.head():
            heads.append(head)

    with backends(slow, slow) as running:
        ambassador = Ambassador(start, joined(running), TRY_TIMEOUT="500ms", TIMEOUT="10s", RETRIES="5")
        assert ambassador.ask()[0] == 504
        wait_until(lambda: len(heads) >= 2, "a request at each endpoint")
    assert len(heads) == 2


def drip(message: bytes) -> Callable[[Peer], None]:
    """Return a handler that begins its response with `message`, and then sends a letter now and then for ever."""

    def go(peer: Peer) -> None:
        peer.head()
        peer.send(message)
        while not over.wait(0.05):
            peer.send(b"x")

    over = threading.Event()
    return go


def test_an_answer_whose_head_drips_is_a_504(start: Start) -> None:
    with backends(drip(b"HTTP/1.1 200 OK\r\nX: ")) as (backend,):
        assert Ambassador(start, backend.url, TIMEOUT="500ms").ask()[0] == 504


@pytest.mark.parametrize("beginning", [CHUNKED, UNTIL_CLOSE])
def test_a_stream_that_stalls_breaks_off(start: Start, beginning: bytes) -> None:
    def stall(peer: Peer) -> None:
        peer.head()
        peer.send(beginning)
        peer.exactly(1)

    with backends(stall) as (backend,):
        ambassador = Ambassador(start, backend.url, STREAM_IDLE_TIMEOUT="300ms")
        with ambassador.connect() as peer:
            peer.send(GET)
            got = peer.rest()
        assert got.startswith(b"HTTP/1.1 200 OK\r\n")
        assert not got.endswith(b"0\r\n\r\n")
        assert ambassador.metric("ambassador_errors_total", error="http_response_incomplete") == 1
        assert ambassador.metric("ambassador_upstream_connections_open") == 0


def test_a_stream_that_never_ends_has_a_total_time(start: Start) -> None:
    with backends(drip(b"HTTP/1.1 200 OK\r\n\r\n")) as (backend,):
        ambassador = Ambassador(start, backend.url, TOTAL_TIMEOUT="500ms")
        with ambassador.connect() as peer:
            peer.send(GET)
            assert not peer.rest().endswith(b"0\r\n\r\n")
