"""Attacks on HTTP/2: each finds a bound on the work that it causes, and another connection's calls do not notice.

The published ones: rapid reset (CVE-2023-44487), MadeYouReset (CVE-2025-8671), CONTINUATION floods, HPACK bombs, the
references to tiny fields of 2026 (CVE-2026-49975), floods of SETTINGS, PING and empty DATA (CVE-2019-9511 to 9518), and
peers that open no window. Honest clients that cancel much are no attack: no rate is limited.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ambassador.http2 import raw
from tests.ambassador.http2.raw import Connection, Message
from tests.ambassador.http2.raw_server import RESPONSE, RawServer, Session
from tests.ambassador.support import Ambassador
from tests.support import Program, wait_until

CALL = raw.block(raw.call(b"/shop.v1.Orders/Get"))
OPEN = raw.END_HEADERS
ODD = range(1, 1 << 30, 2)
MOST = 100  # streams that an app's connection may have open
GROWTH = 20_000_000  # bytes that the program may grow by while it is attacked


class Upstream:
    """A server that answers a path with `quiet` never, another one with as many bytes as its last part says."""

    def __init__(self) -> None:
        self.open: set[tuple[int, int]] = set()
        self.most = 0
        self.calls = 0
        self.server = RawServer(self._serve, (raw.MAX_CONCURRENT_STREAMS, 1000))

    def _serve(self, session: Session) -> None:
        heard: set[int] = set()
        while session.frame() is not None:
            for stream in session.heads.keys() - heard:
                heard.add(stream)
                self.calls += 1
                self.open.add((id(session), stream))
            self.open -= {(id(session), stream) for stream in session.resets}
            self.most = max(self.most, len(self.open))
            while session.has_request:
                self._answer(session, session.request())
        self.open = {each for each in self.open if each[0] != id(session)}

    def _answer(self, session: Session, stream: int) -> None:
        path = dict(session.heads[stream])[b":path"]
        if b"quiet" in path:
            return
        size = int(path.rpartition(b"/")[2]) if path[-1:].isdigit() else 2
        if b"endless" in path:  # as much as the window allows, and no more
            session.send(raw.headers(stream, RESPONSE, OPEN))
            session.send_data(stream, [bytes(16_384)] * 12)
            return
        self.open.discard((id(session), stream))
        session.respond(stream, bytes(size))


class World:
    def __init__(self, folder: Path) -> None:
        self.upstream = Upstream()
        self.programs: list[Program] = []

        def start(name: str, **environ: str) -> Program:
            self.programs.append(Program(["-m", f"sidecars.{name}"], environ, folder))
            return self.programs[-1]

        self.ambassador = Ambassador(start, self.upstream.server.url, IDLE_TIMEOUT="3s", RETRIES="0")

    def connect(self, *pairs: tuple[int, int], answers: bool = True) -> Connection:
        return Connection.to(self.ambassador.port, *pairs, answers=answers)

    def call(self, path: bytes = b"/shop.v1.Orders/Get") -> Message:
        with self.connect() as app:
            app.send(begin(1, path))
            message = app.message(1)
            assert message is not None
            return message


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    for program in made.programs:
        program.kill()
    made.upstream.server.stop()


@pytest.fixture
def world(running: World) -> Iterator[World]:
    """The world before and behind an attack: calls succeed, memory is bounded, and no call stays open."""
    assert running.call().grpc_status == 0
    before = running.ambassador.rss()
    running.upstream.most = 0
    yield running
    assert running.call().grpc_status == 0
    assert running.upstream.most <= MOST + 1
    assert running.ambassador.rss() - before <= GROWTH
    wait_until(lambda: not running.upstream.open, "the upstream has no call left")


def begin(stream: int, path: bytes) -> bytes:
    """Return a whole call."""
    return raw.headers(stream, raw.call(path), OPEN) + raw.data(stream, raw.message(b"x"), raw.END_STREAM)


def ended_with(app: Connection, code: int) -> None:
    """Check that the connection ends with GOAWAY and this code."""
    while app.frame() is not None:
        pass
    assert [each.code for each in app.goaways][-1:] == [code]


def test_requests_that_are_reset_in_the_same_read_never_reach_an_upstream(world: World) -> None:
    calls = world.upstream.calls
    with world.connect() as app:
        for start in range(0, 400, 100):
            streams = [2 * (start + number) + 1 for number in range(100)]
            app.send(*[raw.headers(stream, CALL) + raw.rst_stream(stream) for stream in streams])
        app.round_trip()
    assert world.upstream.calls - calls <= MOST * 2, "but for those that a read has cut in two"


def test_an_upstream_has_never_more_calls_than_one_connection_may_have(world: World) -> None:
    with world.connect() as app:
        for start in range(20):
            streams = [2 * (start * 50 + number) + 1 for number in range(50)]
            app.send(*[raw.headers(stream, raw.call(b"/quiet"), OPEN) for stream in streams])
            assert app.round_trip()
            app.send(*[raw.rst_stream(stream) for stream in streams])
        assert app.round_trip()
        assert app.goaways == []


def test_a_thousand_calls_that_are_cancelled_after_their_first_message_lose_no_connection(world: World) -> None:
    with world.connect() as app:
        for number in range(1000):
            stream = 2 * number + 1
            app.send(begin(stream, b"/big/70000"))
            assert app.until(raw.DATA, stream=stream) is not None, app.goaways
            app.send(raw.rst_stream(stream), raw.window_update(0, 65_535))
        assert app.round_trip()
        assert app.goaways == []


MADE_RESETS = {
    "WINDOW_UPDATE of 0": lambda stream: raw.window_update(stream, 0),
    "a window that overflows": lambda stream: raw.window_update(stream, 2**31 - 1),
    "PRIORITY of a wrong size": lambda stream: raw.frame(raw.PRIORITY, 0, stream, bytes(4)),
    "DATA behind the end": lambda stream: raw.data(stream, b"x"),
    "HEADERS behind the end": lambda stream: raw.headers(stream, CALL),
    "a frame of a wrong size": lambda stream: raw.frame(raw.RST_STREAM, 0, stream, bytes(3)),
}


@pytest.mark.parametrize("name", MADE_RESETS)
def test_a_client_cannot_make_us_reset_its_own_streams(world: World, name: str) -> None:
    with world.connect() as app:
        for number in range(200):
            stream = 2 * number + 1
            app.send(raw.headers(stream, raw.call(b"/quiet")), MADE_RESETS[name](stream))
            if app.is_over:
                break
        while app.frame() is not None:
            pass
        assert app.goaways, "such a frame ends the connection"


def test_a_block_of_too_many_frames_ends_the_connection(world: World) -> None:
    frames = [raw.headers(1, CALL, 0), *[raw.frame(raw.CONTINUATION, 0, 1, b"\0\1x\1y")] * 100_000]
    with world.connect() as app:
        app.send(*frames)
        ended_with(app, raw.ENHANCE_YOUR_CALM)


def test_a_block_of_empty_frames_ends_the_connection(world: World) -> None:
    with world.connect() as app:
        app.send(raw.headers(1, CALL, 0), *[raw.frame(raw.CONTINUATION, 0, 1)] * 1000)
        ended_with(app, raw.ENHANCE_YOUR_CALM)


def test_a_block_that_never_ends_ends_its_connection_in_time(world: World) -> None:
    with world.connect() as app:
        app.send(raw.headers(1, CALL, 0))
        while app.frame() is not None:
            pass


@pytest.mark.parametrize("references", [200, 2000, 16_000])
def test_references_to_a_field_are_counted_as_the_fields_that_they_stand_for(world: World, references: int) -> None:
    """A bomb: 16 KB of one-byte references stand for 64 MB."""
    calls = world.upstream.calls
    large = b"\x40\x01x" + raw.text(b"y" * 3900)
    with world.connect() as app:
        app.send(raw.frame(raw.HEADERS, OPEN | raw.END_STREAM, 1, CALL + large + b"\xbe" * (references - 1)))
        message = app.message(1)
        assert message is None or message.status == 431 or message.grpc_status == 8, message
    assert world.upstream.calls == calls


def test_thousands_of_tiny_fields_are_refused_by_their_number(world: World) -> None:
    calls = world.upstream.calls
    for tiny in (b"\x90", raw.integer(32, 7, 0x80)):  # accept-encoding, and an empty crumb of a cookie
        with world.connect((raw.INITIAL_WINDOW_SIZE, 0)) as app:
            for stream in ODD[:100]:
                app.send(raw.frame(raw.HEADERS, OPEN | raw.END_STREAM, stream, CALL + tiny * 4000))
            message = app.message(1)
            assert message is None or message.status == 431 or message.grpc_status == 8, message
    assert world.upstream.calls == calls


FLOODS = {
    "SETTINGS": raw.settings((raw.INITIAL_WINDOW_SIZE, 65_535)),
    "PING": raw.ping(),
    "PRIORITY": raw.frame(raw.PRIORITY, 0, 1, bytes(5)),
    "WINDOW_UPDATE": raw.window_update(0, 1),
    "frames of an unknown type": raw.frame(0x16, 0, 0, b"x"),
    "empty DATA": raw.data(1),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_frames_without_any_progress_ends_the_connection(world: World, name: str) -> None:
    with world.connect(answers=False) as app:
        app.send(raw.headers(1, raw.call(b"/quiet"), OPEN))
        for _ in range(100):
            app.send(FLOODS[name] * 1000)
        ended_with(app, raw.ENHANCE_YOUR_CALM)


def test_a_flood_whose_answers_nobody_reads_takes_no_memory(world: World) -> None:
    """Acknowledgements are written only while the app reads: then the flood is not read either."""
    before = world.ambassador.rss()
    with world.connect(answers=False) as app:
        app.socket.settimeout(1)
        with contextlib.suppress(OSError):  # it may be stopped, or ended
            for stream in ODD[:10_000]:
                app.socket.sendall(begin(stream, b"/shop.v1.Orders/Get") + raw.ping() * 500)
        assert world.call().grpc_status == 0
        assert world.ambassador.rss() - before <= GROWTH


def test_a_response_that_finds_no_window_is_reset_in_time(world: World) -> None:
    with world.connect((raw.INITIAL_WINDOW_SIZE, 0)) as app:
        for stream in ODD[:50]:
            app.send(begin(stream, b"/big/200000"))
        for _ in range(50):
            assert app.until(raw.RST_STREAM) is not None


def test_an_app_that_opens_its_window_by_a_byte_gets_its_response(world: World) -> None:
    with world.connect((raw.INITIAL_WINDOW_SIZE, 1)) as app:
        app.send(begin(1, b"/big/20"))
        message = app.message(1)
        assert message is not None
        assert (message.grpc_status, len(message.body)) == (0, 25)


def test_an_app_that_reads_nothing_stops_nobody_else(world: World) -> None:
    with world.connect((raw.INITIAL_WINDOW_SIZE, 1 << 24)) as app:
        app.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        app.send(raw.window_update(0, 1 << 24))
        for stream in ODD[:20]:
            app.send(begin(stream, b"/endless"))
        for _ in range(20):
            assert world.call().grpc_status == 0
