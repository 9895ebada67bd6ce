"""The cases of h2spec against the core of HTTP/2 in both roles. The program has them in `program/test_h2spec.py`."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.ambassador.http2 import core_peer, h2spec, raw
from tests.ambassador.http2.h2spec import Observed, Row
from tests.ambassador.http2.raw import Connection
from tests.ambassador.http2.raw_server import RawServer, Session
from tests.support import wait_until


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with core_peer.serving() as found:
        yield found


@pytest.mark.parametrize("row", h2spec.SERVER, ids=str)
def test_a_client_that_breaks_a_rule_is_answered_as_the_rfc_says(port: int, row: Row) -> None:
    with Connection.to(port) as app:
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
def test_a_server_that_breaks_a_rule_is_answered_as_the_rfc_says(row: Row) -> None:
    seen: list[Observed] = []
    answered: list[int] = []
    connected = threading.Event()

    def handle(session: Session) -> None:
        assert session.request() == 1
        seen.append(h2spec.observe(session, row))
        if seen[0].end != h2spec.CONNECTION:
            connected.wait()
            shell.ask()
            answered.append(session.request())
        session.close()

    server = RawServer(handle)
    shell = core_peer.connect(server.port)
    connected.set()
    try:
        wait_until(lambda: seen and (answered or seen[0].end == h2spec.CONNECTION), "the row has ended")
        reason = next((each for each in shell.outcomes if isinstance(each, str)), "")
        if row.end == h2spec.STREAM and seen[0].end == h2spec.FINE:
            assert reason, "the stream was closed by both sides, so only who asked can tell"
            return
        assert seen[0].is_exact(row), (seen, shell.outcomes)
        assert bool(reason) == (row.end != h2spec.FINE) or "unknown code" in row.name, shell.outcomes
    finally:
        server.stop()
