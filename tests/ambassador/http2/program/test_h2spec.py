"""The cases of h2spec against the program, in both roles: an app that breaks a rule, and an endpoint that does."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ambassador.http2 import h2spec, raw
from tests.ambassador.http2.h2spec import Observed, Row
from tests.ambassador.http2.raw import Connection, Message
from tests.ambassador.http2.raw_server import RawServer, Session
from tests.ambassador.support import Ambassador
from tests.support import Program, wait_until


class Upstream:
    """A server that answers each request, or sends the frames of `row` to the next one and notes what came then."""

    def __init__(self) -> None:
        self.row: Row | None = None
        self.observed: Observed | None = None
        self.done = threading.Event()
        self.server = RawServer(self._serve)

    def _serve(self, session: Session) -> None:
        while stream := session.request():
            row, self.row = self.row, None
            if row is None:
                session.send(raw.headers(stream, h2spec.RESPONSE))
                continue
            assert stream == 1, "it is the first one of its connection"
            self.observed = h2spec.observe(session, row)
            session.close()
            self.done.set()
            return

    def reset(self) -> None:
        """Close the connections of earlier rows, so that the next request opens one."""
        for session in self.server.sessions:
            with contextlib.suppress(OSError):  # it is closed already
                session.socket.shutdown(socket.SHUT_RDWR)  # a close alone waits for the thread that reads
        self.done.clear()
        self.observed = None


class World:
    def __init__(self, folder: Path) -> None:
        self.upstream = Upstream()
        self.programs: list[Program] = []

        def start(name: str, **environ: str) -> Program:
            self.programs.append(Program(["-m", f"sidecars.{name}"], environ, folder))
            return self.programs[-1]

        settings = {"RETRIES": "0", "EJECT_AFTER": "1000", "RETRY_ON": "none"}
        self.ambassador = Ambassador(start, self.upstream.server.url, **settings)

    def is_unconnected(self) -> bool:
        return self.ambassador.metric("ambassador_upstream_connections_open") == 0

    def ask(self) -> Message:
        with Connection.to(self.ambassador.port) as app:
            app.send(raw.headers(1, raw.request()))
            message = app.message(1)
            assert message is not None
            return message


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    for program in made.programs:
        program.kill()
    made.upstream.server.stop()


@pytest.mark.parametrize("row", h2spec.SERVER, ids=str)
def test_an_app_that_breaks_a_rule_is_answered_as_the_rfc_says(world: World, row: Row) -> None:
    with Connection.to(world.ambassador.port) as app:
        assert app.round_trip()
        seen = h2spec.observe(app, row)
        assert seen.is_exact(row), seen
        if seen.end != h2spec.CONNECTION:
            app.send(raw.rst_stream(1))  # for one that was refused
            assert app.round_trip()
            app.send(raw.headers(2001, raw.request()))
            message = app.message(2001)
            assert message is not None
            assert message.status == 200


@pytest.mark.parametrize("row", h2spec.CLIENT, ids=str)
def test_an_endpoint_that_breaks_a_rule_never_ends_a_response_for_the_app(world: World, row: Row) -> None:
    world.upstream.reset()
    wait_until(world.is_unconnected, "the connection of the row before is closed")
    world.upstream.row = row
    message = world.ask()
    assert world.upstream.done.wait(30)
    seen = world.upstream.observed
    assert seen is not None
    if row.name.startswith("GOAWAY with an unknown"):
        assert seen.code in {None, raw.NO_ERROR}, "the connection is left in order"
    elif row.end != h2spec.STREAM or seen.end != h2spec.FINE:  # a stream that both sides have closed is not reset
        assert seen.is_exact(row), seen
    if row.end == h2spec.STREAM:
        assert message.code is not None or message.status == 502, message
    assert world.ambassador.metric("ambassador_defects_total") == 0
