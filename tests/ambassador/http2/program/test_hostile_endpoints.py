"""Hostile endpoints of HTTP/2: each finds a bound on the work that it causes, and no call waits for ever.

The attacks are those of `test_attacks`, from the other side: the hostile server is the upstream. Behind the same port
there is a good server, whose calls do not notice.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ambassador.http2 import raw
from tests.ambassador.http2.raw import Connection, Message
from tests.ambassador.http2.raw_server import OK, RESPONSE, RawServer, Session, answering, serving
from tests.ambassador.support import Ambassador
from tests.conftest import Start
from tests.support import Program, wait_until

GROWTH = 20_000_000  # bytes that the program may grow by while it is attacked
HEAD = raw.block(RESPONSE)
OPEN = raw.END_HEADERS


def call(port: int, path: bytes = b"/shop.v1.Orders/Get") -> Message:
    with Connection.to(port) as app:
        head = raw.headers(1, raw.call(path), OPEN)
        app.send(head, raw.data(1, raw.message(b"x"), raw.END_STREAM))
        message = app.message(1)
        assert message is not None
        return message


class World:
    """An ambassador with two endpoints by turns: a good one, and one that runs `attack` when it gets a call."""

    def __init__(self, folder: Path) -> None:
        self.attack: Callable[[Session, int], None] | None = None
        self.ended: list[Session] = []
        self.bad, self.good = RawServer(self._serve), RawServer(answering)
        self.programs: list[Program] = []

        def start(name: str, **environ: str) -> Program:
            self.programs.append(Program(["-m", f"sidecars.{name}"], environ, folder))
            return self.programs[-1]

        upstream = f"{self.bad.url},{self.good.url}"
        settings = {"BALANCE": "round_robin", "RETRIES": "0", "EJECT_AFTER": "1000", "TIMEOUT": "3s"}
        self.ambassador = Ambassador(start, upstream, **settings)

    def _serve(self, session: Session) -> None:
        stream = session.request()
        if stream and self.attack is not None:
            self.attack(session, stream)
            while session.frame() is not None:
                pass
            self.ended.append(session)

    def run(self, attack: Callable[[Session, int], None]) -> tuple[Message, Session]:
        """Let the bad endpoint attack; return what its call got, and the connection, which has ended."""
        self.attack = attack
        self.ended = []
        before = self.ambassador.rss()
        got = [call(self.ambassador.port) for _ in range(2)]  # one of them comes to the good endpoint
        assert sorted(each.grpc_status == 0 for each in got) == [False, True], got
        wait_until(lambda: bool(self.ended), "the connection of the attack has ended")
        assert [call(self.ambassador.port).grpc_status for _ in range(2)].count(0) == 1
        assert self.ambassador.rss() - before <= GROWTH
        assert self.ambassador.metric("ambassador_defects_total") == 0
        return next(each for each in got if each.grpc_status != 0), self.ended[0]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    for program in made.programs:
        program.kill()
    made.bad.stop()
    made.good.stop()


def calm(session: Session) -> bool:
    return [each.code for each in session.goaways][-1:] == [raw.ENHANCE_YOUR_CALM]


FLOODS: dict[str, Callable[[int], bytes]] = {
    "SETTINGS": lambda _: raw.settings((raw.INITIAL_WINDOW_SIZE, 65_535)),
    "PING": lambda _: raw.ping(),
    "PRIORITY": lambda stream: raw.frame(raw.PRIORITY, 0, stream, bytes(5)),
    "WINDOW_UPDATE": lambda _: raw.window_update(0, 1),
    "frames of an unknown type": lambda _: raw.frame(0x16, 0, 0, b"x"),
    "empty DATA": raw.data,
    "DATA of padding": lambda stream: raw.data(stream, b"\x07" + bytes(7), raw.PADDED),
    "GOAWAY": raw.goaway,
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_frames_without_any_progress_ends_the_connection(world: World, name: str) -> None:
    def flood(session: Session, stream: int) -> None:
        session.send(raw.headers(stream, RESPONSE, OPEN))
        for _ in range(100):
            session.send(FLOODS[name](stream) * 1000)

    message, session = world.run(flood)
    assert calm(session)
    assert message.grpc_status == 14


def test_a_flood_of_heads_for_a_call_that_is_over_ends_the_connection(world: World) -> None:
    def flood(session: Session, stream: int) -> None:
        session.send(raw.headers(stream, [(b":status", b"200"), (b"connection", b"close")]))  # so it is reset
        for _ in range(100):
            session.send(raw.headers(stream, HEAD, OPEN) * 1000)

    _, session = world.run(flood)
    assert session.goaways


@pytest.mark.parametrize("more", [b"\0\1x\1y", b""], ids=["fields", "nothing"])
def test_a_block_of_too_many_frames_ends_the_connection(world: World, more: bytes) -> None:
    def flood(session: Session, stream: int) -> None:
        session.send(raw.headers(stream, HEAD, 0), *[raw.frame(raw.CONTINUATION, 0, stream, more)] * 10_000)

    message, session = world.run(flood)
    assert calm(session)
    assert message.grpc_status == 14


@pytest.mark.parametrize("references", [200, 2000, 16_000])
def test_references_to_a_field_are_counted_as_the_fields_that_they_stand_for(world: World, references: int) -> None:
    large = b"\x40\x01x" + raw.text(b"y" * 3900)

    def bomb(session: Session, stream: int) -> None:
        session.send(raw.headers(stream, HEAD + large + b"\xbe" * (references - 1)))
        session.send(raw.goaway(stream))

    message, _ = world.run(bomb)
    assert message.grpc_status == 14
    assert b"malformed" in (message.field(b"grpc-message") or b"")


@pytest.mark.parametrize("where", ["head", "trailers"])
@pytest.mark.parametrize(("count", "status"), [(1500, 8), (4000, 14)])  # far beyond the limit the connection ends
def test_tiny_fields_are_refused_by_their_number(world: World, where: str, count: int, status: int) -> None:
    tiny = b"\x90" * count  # accept-encoding

    def bomb(session: Session, stream: int) -> None:
        if where == "head":
            session.send(raw.headers(stream, HEAD + tiny))
        else:
            session.send(raw.headers(stream, RESPONSE, OPEN), raw.headers(stream, raw.block(OK) + tiny))
        session.send(raw.goaway(stream))

    message, _ = world.run(bomb)
    assert message.grpc_status == status


def test_interim_responses_are_counted(world: World) -> None:
    def flood(session: Session, stream: int) -> None:
        hint = raw.headers(stream, [(b":status", b"103"), (b"link", b"x" * 8000)], OPEN)
        session.send(*[hint] * 500, raw.goaway(stream))

    message, session = world.run(flood)
    assert len(message.heads) <= 65
    assert b"64 interim responses" in (message.field(b"grpc-message") or b"")
    assert session.resets


def test_a_head_that_never_ends_ends_the_call_and_the_connection_in_time(world: World) -> None:
    message, session = world.run(lambda session, stream: session.send(raw.headers(stream, HEAD, 0)))
    assert message.grpc_status == 14
    assert b"did not come in time" in (message.field(b"grpc-message") or b"")
    assert [each.code for each in session.goaways] == [raw.SETTINGS_TIMEOUT]


def test_acknowledgements_that_an_endpoint_does_not_read_take_no_memory(world: World) -> None:
    """PINGs with progress, and nothing of what comes is read: then the ambassador reads no more either."""

    def flood(session: Session, stream: int) -> None:
        session.socket.settimeout(1)
        session.send(raw.headers(stream, RESPONSE, OPEN))
        with contextlib.suppress(OSError):  # it may be stopped
            for _ in range(1000):
                session.socket.sendall(raw.ping() * 500 + raw.data(stream, b"\0"))
        session.socket.shutdown(socket.SHUT_RDWR)

    world.run(flood)


# -- one endpoint alone -----------------------------------------------------------------------------------------------


def test_an_endpoint_that_sends_goaway_on_each_connection_is_not_connected_to_again_and_again(start: Start) -> None:
    def leave(session: Session) -> None:
        session.send(raw.goaway(0))
        while session.frame() is not None:
            pass

    with serving(leave) as server:
        ambassador = Ambassador(start, server.url, RETRIES="0")
        assert call(ambassador.port).grpc_status == 14
        for _ in range(100):
            with Connection.to(ambassador.port) as app:
                assert app.round_trip()
        assert len(server.sessions) <= 4, "three attempts, and one connection ahead"


def test_an_endpoint_that_opens_no_window_ends_the_call_in_time(start: Start) -> None:
    def stall(session: Session) -> None:
        while session.frame() is not None:
            pass

    with serving(stall, (raw.INITIAL_WINDOW_SIZE, 0)) as server:
        ambassador = Ambassador(start, server.url, RETRIES="0", STREAM_IDLE_TIMEOUT="1s")
        with Connection.to(ambassador.port) as app:
            app.send(raw.headers(1, raw.call(b"/shop.v1.Orders/Put"), OPEN), *[raw.data(1, bytes(16_000))] * 8)
            message = app.message(1)
        assert message is not None
        assert message.grpc_status == 14
        wait_until(lambda: server.sessions[0].resets, "its stream is reset")


def test_calls_go_elsewhere_if_an_endpoint_allows_no_stream(start: Start) -> None:
    def refuse(session: Session) -> None:
        while stream := session.request():
            session.send(raw.rst_stream(stream, raw.REFUSED_STREAM))

    with serving(refuse, (raw.MAX_CONCURRENT_STREAMS, 0)) as closed, serving(answering) as good:
        settings = {"BALANCE": "round_robin", "RETRIES": "0", "MAX_CONNECTIONS": "40", "TIMEOUT": "1h"}
        ambassador = Ambassador(start, f"{closed.url},{good.url}", **settings)
        assert [call(ambassador.port).grpc_status for _ in range(60)] == [0] * 60
        assert len(closed.sessions) <= 3
