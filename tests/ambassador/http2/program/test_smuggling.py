"""No request can be smuggled from HTTP/2 into HTTP/1.1, or through: the table of attacks, against the program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h11
import pytest

from tests.ambassador.http2 import raw, smuggling
from tests.ambassador.http2.raw import Connection
from tests.ambassador.http2.raw_server import RawServer, answering
from tests.ambassador.http2.smuggling import MARK, Row
from tests.ambassador.support import Ambassador, Backend, Peer
from tests.support import Program, wait_until


class Recorder:
    """An upstream of HTTP/1.1 that reads with h11, keeps the requests that it has read, and answers each."""

    def __init__(self) -> None:
        self.requests: list[h11.Request] = []
        self.backend = Backend(self._serve)

    def _serve(self, peer: Peer) -> None:
        oracle = h11.Connection(h11.SERVER)
        while data := peer.socket.recv(65536):
            oracle.receive_data(data)
            while (event := oracle.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.Request):
                    self.requests.append(event)
                elif isinstance(event, h11.EndOfMessage):
                    response = h11.Response(status_code=200, headers=[("Content-Length", "2")])
                    body = b"" if self.requests[-1].method == b"HEAD" else b"ok"
                    parts = (response, h11.Data(data=body), h11.EndOfMessage())
                    peer.send(b"".join(oracle.send(part) or b"" for part in parts))
                    oracle.start_next_cycle()


class World:
    """An ambassador with an upstream of HTTP/1.1 and one of HTTP/2, both of which keep what they get."""

    def __init__(self, folder: Path) -> None:
        self.old = Recorder()
        self.new = RawServer(answering)
        self.programs: list[Program] = []
        self.late = [0, 0]  # heads of attacks that may still come, to each upstream: they were passed on, and reset

        def start(name: str, **environ: str) -> Program:
            self.programs.append(Program(["-m", f"sidecars.{name}"], environ, folder))
            return self.programs[-1]

        self.to_old = Ambassador(start, self.old.backend.url, HOST="preserve", EJECT_AFTER="1000")
        self.to_new = Ambassador(start, self.new.url, HOST="preserve", EJECT_AFTER="1000")

    def heads(self) -> list[list[tuple[bytes, bytes]]]:
        return [head for session in self.new.sessions for head in session.heads.values()]

    def stop(self) -> None:
        for program in self.programs:
            program.kill()
        self.old.backend.stop()
        self.new.stop()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.stop()


def attack(ambassador: Ambassador, row: Row, *, slowly: bool) -> raw.Message | None:
    """Send a row, at once or a frame at a time, and return what the app got."""
    with Connection.to(ambassador.port) as app:
        assert app.round_trip()
        for frame in row.frames if slowly else [b"".join(row.frames)]:
            app.send(frame)
            if slowly and not app.round_trip():
                return None
        return app.message(1)


@pytest.mark.parametrize("slowly", [False, True], ids=["at once", "by frames"])
@pytest.mark.parametrize("row", smuggling.ROWS, ids=str)
def test_what_would_be_two_requests_elsewhere_is_none_here(world: World, row: Row, *, slowly: bool) -> None:
    old, new = len(world.old.requests), list(map(id, world.heads()))
    for ambassador in (world.to_old, world.to_new):
        message = attack(ambassador, row, slowly=slowly)
        is_answered = slowly and row.may_begin  # before the rest came: what came first was a whole request
        assert message is None or message.code or message.status >= 400 or is_answered, message
    assert ask(world.to_old) == ask(world.to_new) == 200
    heads = [[(b":method", each.method), (b":path", each.target), *each.headers] for each in world.old.requests[old:]]
    for number, found in enumerate((heads, [head for head in world.heads() if id(head) not in new])):
        methods = [dict(head)[b":method"] for head in found]
        world.late[number] += int(row.may_begin and slowly) - methods.count(b"POST")
        assert world.late[number] >= 0
        assert [method for method in methods if method != b"POST"] == [b"GET"]
        assert not any(MARK in name + value for head in found for name, value in head)


def ask(ambassador: Ambassador) -> int:
    with Connection.to(ambassador.port) as app:
        app.send(raw.headers(1, raw.request(b"/plain")))
        message = app.message(1)
        assert message is not None
        return message.status


@pytest.mark.parametrize("name", smuggling.DROPPED)
def test_trailers_set_no_field_that_a_head_alone_may_have(world: World, name: str) -> None:
    before = len(world.heads())
    for ambassador in (world.to_old, world.to_new):
        with Connection.to(ambassador.port) as app:
            trailers = [(name.encode(), b"4"), (b"x-kept", b"yes")]
            app.send(raw.headers(1, smuggling.POST, raw.END_HEADERS), raw.data(1, b"body"), raw.headers(1, trailers))
            message = app.message(1)
            assert message is not None
            assert message.status in {200, 400}, message
    heads = [dict(each) for each in world.heads()[before:]]
    assert not any(head.get(name.encode()) == b"4" for head in heads)


def test_a_head_with_a_body_is_no_tunnel(world: World) -> None:
    """HEAD with a body: its response has none, so what follows on the upstream's connection is the next one's."""
    for ambassador in (world.to_old, world.to_new):
        with Connection.to(ambassador.port) as app:
            head = raw.headers(1, raw.request(method=b"HEAD"), raw.END_HEADERS)
            app.send(head, raw.data(1, b"x" * 41, raw.END_STREAM))
            message = app.message(1)
            assert message is not None
            assert message.body == b""
        assert ask(ambassador) == 200


def test_an_upgrade_to_http2_is_not_passed_on(world: World) -> None:
    for ambassador in (world.to_old, world.to_new):
        status, _, _ = ambassador.ask(smuggling.UPGRADE)
        assert status == 200
    wait_until(lambda: world.old.requests[-1].target == b"/first", "the request has come")
    names = {name for head in [world.old.requests[-1].headers, *world.heads()] for name, _ in head}
    assert not names & {b"upgrade", b"http2-settings", b"connection"}
