"""The real program with an app that speaks HTTP/2, and endpoints that speak HTTP/1.1."""

from __future__ import annotations

import threading

from tests.ambassador.http2 import raw
from tests.ambassador.support import GET, Ambassador, Peer, answering, backends, joined
from tests.conftest import Start


def test_requests_of_one_connection_are_balanced_one_by_one(start: Start) -> None:
    with backends(*[answering(b"%d" % number) for number in range(3)]) as running:
        ambassador = Ambassador(start, joined(running), BALANCE="round_robin", ACCESS_LOG="all")
        with raw.Connection.to(ambassador.port) as app:
            bodies = []
            for number in range(30):
                stream = 1 + 2 * number
                app.send(raw.headers(stream, raw.request(b"/orders?secret")))
                got = app.message(stream)
                assert got is not None
                assert got.status == 200
                bodies.append(got.body)
        assert [bodies.count(b"%d" % number) for number in range(3)] == [10, 10, 10]
        line = ambassador.program.wait_logged("request")
        assert (line["protocol"], line["path"], line["status"]) == ("HTTP/2", "/orders", 200)
        assert ambassador.ask(GET)[0] == 200  # on the same port
        assert ambassador.metric("ambassador_requests_total", code="200") == 31


def test_many_streams_at_once_survive_a_replica_that_closes_every_connection(start: Start) -> None:
    def closing(peer: Peer) -> None:
        peer.head()

    with backends(answering(b"ok"), closing) as running:
        ambassador = Ambassador(start, joined(running))
        with raw.Connection.to(ambassador.port) as app:
            for turn in range(5):
                streams = [1 + 2 * (20 * turn + number) for number in range(20)]
                app.send(*(raw.headers(stream, raw.request()) for stream in streams))
                ended: dict[int, bytes] = {}
                while len(ended) < len(streams):
                    got = app.until(raw.HEADERS, raw.RST_STREAM)
                    assert got is not None
                    ended[got.stream] = dict(app.head(got))[b":status"] if got.kind == raw.HEADERS else b"reset"
                assert set(ended.values()) == {b"200"}


def test_after_sigterm_the_app_is_told_and_its_streams_go_on(start: Start) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(peer: Peer) -> None:
        while peer.head():
            asked.set()
            go_on.wait(20)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")

    with backends(slow) as (backend,):
        ambassador = Ambassador(start, backend.url)
        with raw.Connection.to(ambassador.port) as app:
            app.send(raw.headers(1, raw.request()))
            assert asked.wait(20)
            ambassador.program.process.terminate()
            goaway = app.until(raw.GOAWAY)
            assert goaway is not None
            assert (goaway.last, goaway.code) == (2**31 - 1, raw.NO_ERROR)
            goaway = app.until(raw.GOAWAY)  # after our answer to its PING
            assert goaway is not None
            assert goaway.last == 1
            go_on.set()
            got = app.message(1)
            assert got is not None
            assert (got.status, got.body) == (200, b"late")
            assert app.frame() is None  # it closes behind the last stream
        assert ambassador.program.wait() == 0
