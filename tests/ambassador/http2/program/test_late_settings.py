"""Endpoints of HTTP/2 that owe their SETTINGS: they send them late, never, or something else before them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from tests.ambassador.http2 import raw
from tests.ambassador.http2.raw import Connection, Message
from tests.ambassador.http2.raw_server import Session, answering
from tests.ambassador.support import Ambassador, Backend, Peer
from tests.conftest import Start
from tests.support import wait_until

PATH = b"/shop.v1.Orders/Get"


class Owing(Session):
    """A connection that answers nothing until it `speaks`, not even SETTINGS."""

    speaks = False

    def send(self, *frames: bytes) -> None:
        if self.speaks:
            super().send(*frames)


@contextlib.contextmanager
def owing(handler: Callable[[Owing], None]) -> Iterator[tuple[Backend, list[Owing]]]:
    """Run a server whose handler gets each connection when its preface has come, and nothing was sent."""
    sessions: list[Owing] = []

    def handle(peer: Peer) -> None:
        assert peer.exactly(len(raw.PREFACE)) == raw.PREFACE
        session = Owing(peer.socket)
        session.buffer = peer.buffer
        sessions.append(session)
        handler(session)

    backend = Backend(handle)
    try:
        yield backend, sessions
    finally:
        backend.stop()


def read_on(session: Session) -> None:
    while session.frame() is not None:
        pass


@contextlib.contextmanager
def calls(port: int, count: int) -> Iterator[list[Connection]]:
    """Begin a call on each of so many connections; enter once the ambassador has read all of them."""
    with contextlib.ExitStack() as stack:
        apps = [stack.enter_context(Connection.to(port)) for _ in range(count)]
        for app in apps:
            head = raw.headers(1, raw.call(PATH), raw.END_HEADERS)
            app.send(head, raw.data(1, raw.message(b"x"), raw.END_STREAM))
            assert app.round_trip()
        yield apps


def message_of(app: Connection) -> Message:
    message = app.message(1)
    assert message is not None
    return message


def test_calls_wait_for_settings_that_come_late_and_no_more_than_one_is_sent_before_them(start: Start) -> None:
    all_are_read = threading.Event()
    before: list[list[int]] = []

    def late(session: Owing) -> None:
        stream = session.request()
        if not stream:  # the others were served before this connection was open
            return
        assert all_are_read.wait(60)
        session.socket.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            read_on(session)
        session.socket.settimeout(60)
        before.append(list(session.heads))
        session.speaks = True
        session.send(raw.settings((raw.MAX_CONCURRENT_STREAMS, 2)))
        session.respond(stream, PATH)
        answering(session)

    with owing(late) as (backend, _):
        ambassador = Ambassador(start, f"h2c://127.0.0.1:{backend.port}")
        with calls(ambassador.port, 5) as apps:
            all_are_read.set()
            assert [message_of(app).grpc_status for app in apps] == [0] * 5
    assert before
    assert all(heads == [1] for heads in before)


def test_a_connection_whose_endpoint_never_sends_its_settings_ends_after_the_timeout_with_that_cause(
    start: Start,
) -> None:
    with owing(read_on) as (backend, sessions):
        ambassador = Ambassador(start, f"h2c://127.0.0.1:{backend.port}", RETRIES="0", TIMEOUT="3s")
        with calls(ambassador.port, 1) as (app,):
            message = message_of(app)
        assert message.grpc_status == 14
        told = message.field(b"grpc-message") or b""
        assert b"its SETTINGS, or the rest of a head, did not come in time" in told
        wait_until(lambda: sessions[0].is_over, "the connection has ended")
        assert [each.code for each in sessions[0].goaways] == [raw.SETTINGS_TIMEOUT]


def test_an_endpoint_that_answers_before_its_settings_is_not_believed(start: Start) -> None:
    def hasty(session: Owing) -> None:
        stream = session.request()
        session.speaks = True
        session.respond(stream, PATH)
        read_on(session)

    with owing(hasty) as (backend, _):
        ambassador = Ambassador(start, f"h2c://127.0.0.1:{backend.port}", RETRIES="0")
        with calls(ambassador.port, 1) as (app,):
            message = message_of(app)
    assert message.grpc_status == 14
    assert b"the first frame is not SETTINGS" in (message.field(b"grpc-message") or b"")
