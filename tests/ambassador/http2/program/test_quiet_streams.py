"""Streams that live for days: as many as the memory is for, on one connection of the app and to one endpoint."""

from __future__ import annotations

from tests.ambassador.http2 import raw
from tests.ambassador.http2.raw import Connection
from tests.ambassador.http2.raw_server import RESPONSE, Session, serving
from tests.ambassador.support import Ambassador
from tests.conftest import Start
from tests.support import wait_until

WATCH, GET = b"/shop.v1.Orders/Watch", b"/shop.v1.Orders/Get"
EACH = 50  # streams that the endpoint allows on a connection


def watched(session: Session) -> None:
    """Answer a Watch with a head and then be quiet; answer everything else."""
    while stream := session.request():
        if dict(session.heads[stream])[b":path"] == WATCH:
            session.send(raw.headers(stream, RESPONSE, raw.END_HEADERS))
        else:
            session.respond(stream, b"order")


class Watcher:
    """An app that opens streams as the SETTINGS allow it, and counts those whose heads came."""

    def __init__(self, app: Connection) -> None:
        self.app = app
        self.allowed = 0
        self.opened = 0
        self.answered = 0
        self.refused = 0

    def open(self, count: int) -> None:
        """Open streams until so many are answered."""
        while self.answered < count:
            more = min(self.allowed, count) - self.opened
            for number in range(self.opened, self.opened + max(0, more)):
                stream = 2 * number + 1
                self.app.send(raw.headers(stream, raw.call(WATCH), raw.END_HEADERS))
                self.app.send(raw.data(stream, raw.message(b"x"), raw.END_STREAM))
                self.opened += 1
            self._note(self.app.frame())

    def _note(self, got: raw.Frame | None) -> None:
        assert got is not None, self.app.goaways
        if got.kind == raw.SETTINGS and not got.flags & raw.ACK:
            pairs = [got.payload[at : at + 6] for at in range(0, len(got.payload), 6)]
            values = {int.from_bytes(pair[:2], "big"): int.from_bytes(pair[2:], "big") for pair in pairs}
            self.allowed = values.get(raw.MAX_CONCURRENT_STREAMS, self.allowed)
        self.answered += got.kind == raw.HEADERS
        self.refused += got.kind == raw.RST_STREAM


def test_an_app_has_as_many_quiet_streams_on_one_connection_as_the_memory_is_for(start: Start) -> None:
    with serving(watched, (raw.MAX_CONCURRENT_STREAMS, EACH)) as server:
        ambassador = Ambassador(start, server.url)
        with Connection.to(ambassador.port) as app:
            watcher = Watcher(app)
            watcher.open(600)
            assert watcher.refused == 0
            assert len(server.sessions) == 600 // EACH
            app.send(raw.headers(2001, raw.call(GET), raw.END_HEADERS), raw.data(2001, flags=raw.END_STREAM))
            message = app.message(2001)
            assert message is not None
            assert message.grpc_status == 0
        wait_until(lambda: sum(len(each.resets) for each in server.sessions) == 600, "all streams are over")


def test_streams_whose_responses_have_not_begun_stay_at_a_hundred(start: Start) -> None:
    """The bound on work: an app that floods is allowed no more than one that has begun."""

    def never(session: Session) -> None:
        while session.request():
            pass

    with serving(never) as server, Connection.to(Ambassador(start, server.url).port) as app:
        watcher = Watcher(app)
        for number in range(150):
            app.send(raw.headers(2 * number + 1, raw.call(WATCH)))
        for _ in range(50):
            got = app.until(raw.RST_STREAM)
            assert got is not None
            assert got.code == raw.REFUSED_STREAM
        assert app.round_trip()
        assert watcher.answered == 0
        wait_until(lambda: sum(len(each.heads) for each in server.sessions) == 100, "a hundred have come")


def test_the_streams_of_an_upstream_are_no_more_than_its_memory_is_for(start: Start) -> None:
    """MAX_CONNECTIONS of 50 leaves room for 150 streams: an app is never promised more."""
    with serving(watched) as server:
        ambassador = Ambassador(start, server.url, MAX_CONNECTIONS="50")
        with Connection.to(ambassador.port) as app:
            watcher = Watcher(app)
            watcher.open(110)
            assert watcher.allowed < 150
            assert watcher.refused == 0
