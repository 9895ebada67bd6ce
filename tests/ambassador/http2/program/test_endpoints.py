"""The real program in front of endpoints that speak HTTP/2: a scripted server of raw frames, and TLS with ALPN."""

from __future__ import annotations

import threading

import pytest

from tests.ambassador.http2 import raw
from tests.ambassador.http2.raw_server import RawServer, Session, serving
from tests.ambassador.support import Ambassador, Backend, Peer
from tests.conftest import Start
from tests.support import wait_until

OK = [(b":status", b"200")]
POST = (
    b"POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Type: x/y\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
)


def respond(session: Session, stream: int, body: bytes = b"ok") -> None:
    session.send(raw.headers(stream, OK, raw.END_HEADERS))
    session.send_data(stream, [body[at : at + 16_384] for at in range(0, len(body), 16_384)])
    session.send(raw.data(stream, flags=raw.END_STREAM))


def echo(session: Session) -> None:
    while stream := session.request():
        respond(session, stream, session.bodies.get(stream, b"ok"))


def ambassador(start: Start, *servers: RawServer, **environ: str) -> Ambassador:
    return Ambassador(start, ",".join(server.url for server in servers), **environ)


def test_a_request_of_http1_reaches_an_endpoint_of_http2_in_its_words(start: Start) -> None:
    with serving(echo) as server:
        status, head, body = ambassador(start, server).ask(POST)
        assert (status, body) == (200, b"hello")
        assert b"\r\nVia: 2.0 ambassador\r\n" in head
        fields = dict(server.sessions[0].heads[1])
    assert fields[b":method"] == b"POST"
    assert fields[b":path"] == b"/a?b"
    assert fields[b":scheme"] == b"http"
    assert fields[b":authority"] == b"127.0.0.1:%d" % server.port
    assert fields[b"content-type"] == b"x/y"
    assert fields[b"via"] == b"1.1 ambassador"
    assert not fields.keys() & {b"host", b"transfer-encoding", b"connection"}


def test_many_requests_share_one_connection_and_each_body_is_whole(start: Start) -> None:
    large = bytes(range(256)) * 3000
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(large), large)
    with serving(echo) as server:
        proxy = ambassador(start, server)
        answers: list[tuple[int, bool]] = []

        def ask() -> None:
            status, _, body = proxy.ask(request)
            answers.append((status, body == large))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [(200, True)] * 8
        assert len(server.sessions) == 1


def test_at_the_limit_of_streams_attempts_wait_and_none_fails(start: Start) -> None:
    """The server allows one stream: more connections are opened, here at most eight, and the others wait."""
    together = threading.Semaphore(0)

    def handle(session: Session) -> None:
        while stream := session.request():
            together.acquire(timeout=60)
            respond(session, stream)

    with serving(handle, (raw.MAX_CONCURRENT_STREAMS, 1)) as server:
        proxy = ambassador(start, server, MAX_CONNECTIONS="200")
        statuses: list[int] = []
        threads = [threading.Thread(target=lambda: statuses.append(proxy.ask()[0])) for _ in range(20)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(server.sessions) == 8, "eight connections are open")
        for _ in threads:
            together.release()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 20
        assert len(server.sessions) == 8


def test_a_refused_stream_is_repeated_whatever_its_method(start: Start) -> None:
    refused = threading.Event()

    def handle(session: Session) -> None:
        while stream := session.request():
            if refused.is_set():
                respond(session, stream, session.bodies[stream])
            else:
                refused.set()
                session.send(raw.rst_stream(stream, raw.REFUSED_STREAM))

    with serving(handle) as server:
        status, _, body = ambassador(start, server, RETRIES="0").ask(POST)
    assert (status, body) == (200, b"hello")


def test_a_goaway_fails_no_request_and_the_next_connection_is_opened_before_it_is_needed(start: Start) -> None:
    """The server answers one request a connection, refuses the rest by GOAWAY, and closes."""

    def handle(session: Session) -> None:
        stream = session.request()
        if stream:
            session.send(raw.goaway(stream))
            respond(session, stream, session.bodies[stream])
            while session.frame() is not None:
                pass

    with serving(handle) as server:
        proxy = ambassador(start, server, RETRIES="0", RETRY_ON="none")
        assert [proxy.ask(POST)[::2] for _ in range(5)] == [(200, b"hello")] * 5
        wait_until(lambda: len(server.sessions) == 6, "the next connection is open")


def test_a_reset_after_the_head_breaks_the_response_off_and_the_connection_goes_on(start: Start) -> None:
    seen = threading.Event()

    def handle(session: Session) -> None:
        first = session.request()
        session.send(raw.headers(first, OK, raw.END_HEADERS), raw.data(first, b"part"))
        assert seen.wait(60)
        session.send(raw.rst_stream(first, raw.INTERNAL_ERROR))
        echo(session)

    with serving(handle) as server:
        proxy = ambassador(start, server, RETRIES="0")
        with proxy.connect() as peer:
            peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"200" in peer.head()
            seen.set()
            assert not peer.rest().endswith(b"0\r\n\r\n")
        assert proxy.ask()[0] == 200
        assert len(server.sessions) == 1


def test_a_reset_before_the_head_is_a_failed_attempt_with_its_reason(start: Start) -> None:
    def handle(session: Session) -> None:
        while stream := session.request():
            session.send(raw.rst_stream(stream, raw.INTERNAL_ERROR))

    with serving(handle) as server:
        status, head, _ = ambassador(start, server).ask(POST)
    assert status == 502
    assert b"it reset the stream (INTERNAL_ERROR)" in head


def test_an_app_that_leaves_resets_its_stream_alone(start: Start) -> None:
    def handle(session: Session) -> None:
        session.request()
        while not session.resets and session.frame() is not None:
            pass
        echo(session)

    with serving(handle) as server:
        proxy = ambassador(start, server)
        with proxy.connect() as peer:
            peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_until(lambda: bool(server.sessions and server.sessions[0].heads), "the request has come")
        wait_until(lambda: server.sessions[0].resets == {1: raw.CANCEL}, "its stream is reset")
        assert proxy.ask()[0] == 200
        assert len(server.sessions) == 1


@pytest.mark.parametrize("response", [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"<!DOCTYPE HTML>\n"])
def test_an_endpoint_that_speaks_http1_behind_h2c_is_told(start: Start, response: bytes) -> None:
    def handle(peer: Peer) -> None:
        peer.until(b"PRI * HTTP/2.0\r\n\r\n")
        peer.send(response)

    backend = Backend(handle)
    proxy = Ambassador(start, f"h2c://127.0.0.1:{backend.port}")
    status, head, _ = proxy.ask()
    backend.stop()
    assert status == 502
    assert b"it speaks HTTP/1.1" in head


def test_an_upgrade_is_a_501_behind_h2c(start: Start) -> None:
    with serving(echo) as server:
        proxy = ambassador(start, server)
        status, head, body = proxy.ask(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
    assert status == 501
    assert b"error=http_upgrade_failed" in head
    assert b"use http://" in body


def test_a_health_check_asks_in_http2(start: Start) -> None:
    paths: list[bytes] = []

    def handle(session: Session) -> None:
        while stream := session.request():
            fields = dict(session.heads[stream])
            paths.append(fields[b":path"])
            assert fields.get(b"user-agent") == b"ambassador-health"
            session.send(raw.headers(stream, [(b":status", b"503")]))

    with serving(handle) as server:
        proxy = ambassador(start, server, HEALTH_PATH="/up", HEALTH_INTERVAL="100ms")
        wait_until(lambda: proxy.endpoints()[0]["health"] == "unhealthy", "it is unhealthy")
    assert set(paths) == {b"/up"}


def test_an_idle_connection_is_closed_in_order(start: Start) -> None:
    ended = threading.Event()

    def handle(session: Session) -> None:
        stream = session.request()
        respond(session, stream)
        while (frame := session.frame()) is not None:
            if frame.kind == raw.GOAWAY:
                ended.set()

    with serving(handle) as server:
        assert ambassador(start, server, IDLE_TIMEOUT="1s").ask()[0] == 200
        assert ended.wait(60)
