"""Bodies through the real program: any framing and size, complete or visibly broken, forwarded piece by piece."""

from __future__ import annotations

import threading

import pytest

from tests.ambassador.loads import HeldUpload
from tests.ambassador.support import GET, Ambassador, Peer, backends, saying
from tests.conftest import Start

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"


def test_a_body_of_any_framing_arrives_whole(start: Start) -> None:
    def count(peer: Peer) -> None:
        while head := peer.head():
            if b"Transfer-Encoding: chunked" in head:
                body = b""
                while size := int(peer.until(b"\r\n"), 16):
                    body += peer.exactly(size)
                    peer.exactly(2)
                body += peer.head()  # the trailers
            else:
                body = peer.exactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
            peer.send(b"%x;x\r\n%b\r\n0\r\nX-Sum: 7\r\n\r\n" % (len(body), body))

    with backends(count) as (backend,), Ambassador(start, backend.url).connect() as peer:
        peer.send(POST + b"Content-Length: 100000\r\n\r\n" + b"x" * 100000)
        assert peer.response()[2] == b"x" * 100000
        peer.send(POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;e=1\r\nde\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n")
        assert b"Transfer-Encoding: chunked\r\n" in peer.head()
        size = int(peer.until(b"\r\n"), 16)
        assert peer.exactly(size) == b"abcdeX-T: 1\r\nX-U: 2\r\n\r\n"
        assert peer.head() == b"\r\n0\r\nX-Sum: 7\r\n\r\n"


def test_a_body_that_ends_with_the_connection_keeps_the_clients_alive(start: Start) -> None:
    with (
        backends(saying(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")) as (backend,),
        Ambassador(start, backend.url).connect() as peer,
    ):
        for _ in range(2):
            peer.send(GET)
            status, head, body = peer.response()
            assert (status, body) == (200, b"until the end")
            assert b"Transfer-Encoding: chunked" in head


def test_a_client_of_http_1_0_gets_no_chunks(start: Start) -> None:
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nX: y\r\n\r\n"
    with backends(saying(chunks)) as (backend,), Ambassador(start, backend.url).connect() as peer:
        peer.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        head, _, body = peer.rest().partition(b"\r\n\r\n")
    assert body == b"abc"
    assert b"Connection: close" in head


def test_events_arrive_one_by_one_as_they_are_sent(start: Start) -> None:
    """Server-sent events: nothing on the way waits for further bytes."""
    told = threading.Semaphore(0)

    def events(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(5):
            peer.send(b"8\r\ndata: %d\n\r\n" % number)
            told.acquire(timeout=30)
        peer.send(b"0\r\n\r\n")

    with backends(events) as (backend,), Ambassador(start, backend.url).connect() as peer:
        peer.send(GET)
        assert b"Content-Type: text/event-stream\r\n" in peer.head()
        for number in range(5):
            assert peer.exactly(13) == b"8\r\ndata: %d\n\r\n" % number
            told.release()
        assert peer.exactly(5) == b"0\r\n\r\n"


def test_a_stream_of_no_announced_length_may_be_silent_for_longer_than_the_timeout(start: Start) -> None:
    def slowly(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        threading.Event().wait(1.5)  # there is no event to wait for: the silence is tested
        peer.send(b"1\r\nb\r\n0\r\n\r\n")

    with backends(slowly) as (backend,), Ambassador(start, backend.url, TIMEOUT="1s").connect() as peer:
        peer.send(GET)
        assert peer.response()[2] == b"ab"


def test_trailers_pass_when_the_app_asks_for_them_and_the_request_says_so_upstream(start: Start) -> None:
    seen: list[bytes] = []

    def handle(peer: Peer) -> None:
        seen.append(peer.head())
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n0\r\nX-Sum: 1\r\n\r\n")

    with backends(handle) as (backend,), Ambassador(start, backend.url).connect() as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers, deflate\r\nConnection: TE\r\n\r\n")
        assert b"Trailer: X-Sum\r\n" in peer.head()
        assert peer.head() == b"0\r\nX-Sum: 1\r\n\r\n"
    assert b"Connection: TE\r\nTE: trailers\r\n" in seen[0]
    assert b"deflate" not in seen[0]


def test_head_and_304_have_no_body_and_keep_the_connection(start: Start) -> None:
    def handle(peer: Peer) -> None:
        while head := peer.head():
            if head.startswith(b"HEAD"):
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            else:
                peer.send(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n")

    with backends(handle) as (backend,), Ambassador(start, backend.url).connect() as peer:
        for method in (b"HEAD", b"GET", b"HEAD"):
            peer.send(method + GET[3:])
            assert b"Content-Length: 1000\r\n" in peer.head()


def test_a_truncated_response_never_ends_cleanly(start: Start) -> None:
    with backends(
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
        saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
    ) as (sized, chunked):
        with Ambassador(start, sized.url).connect() as peer:
            peer.send(GET)
            assert peer.rest().endswith(b"\r\n\r\nabc")
        ambassador = Ambassador(start, chunked.url)
        with ambassador.connect() as peer:
            peer.send(GET)
            assert peer.rest().endswith(b"3\r\nabc\r\n")
        with ambassador.connect() as peer:
            peer.send(b"GET / HTTP/1.0\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                peer.rest()
        assert ambassador.metric("ambassador_errors_total", error="http_response_incomplete") == 2


def test_a_large_body_streams_with_little_memory_to_a_slow_reader(start: Start) -> None:
    size = 200 * 1000 * 1000

    def large(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        piece = b"x" * 1_000_000
        for _ in range(size // len(piece)):
            peer.send(piece)

    with backends(large) as (backend,):
        ambassador = Ambassador(start, backend.url)
        before = ambassador.rss()
        with ambassador.connect() as peer:
            peer.send(GET)
            peer.head()
            got, most = len(peer.buffer), 0
            while got < size:
                got += len(peer.socket.recv(4_000_000))
                most = max(most, ambassador.rss())
        assert got == size
    assert most - before < 20_000_000


def test_a_large_upload_waits_for_a_slow_upstream_with_little_memory(start: Start) -> None:
    upload = HeldUpload(100 * 1000 * 1000)
    with backends(upload.handle) as (backend,):
        upload.send(Ambassador(start, backend.url), b"POST / HTTP/1.1")
