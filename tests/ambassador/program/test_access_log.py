"""The access log: each line has the outcome of a request, and nothing of its content."""

from __future__ import annotations

from typing import Any

from tests.ambassador.support import GET, Ambassador, Peer, answering, backends, joined
from tests.conftest import Start
from tests.support import free_port, wait_until

SECRET = b"GET /orders/7?token=hidden HTTP/1.1\r\nHost: a\r\nAuthorization: Basic hidden\r\nCookie: hidden\r\n\r\n"


def lines(ambassador: Ambassador, count: int) -> list[dict[str, Any]]:
    def seen() -> list[dict[str, Any]] | None:
        found = [line for line in ambassador.program.logs if line["logger"] == "ambassador.access"]
        return found if len(found) >= count else None

    return wait_until(seen, f"{count} lines of the access log")


def test_it_is_off_unless_told_otherwise(start: Start) -> None:
    with backends(answering()) as (backend,):
        ambassador = Ambassador(start, backend.url)
        assert ambassador.ask()[0] == 200
        assert ambassador.program.stop() == 0
    assert not [line for line in ambassador.program.logs if line["logger"] == "ambassador.access"]


def test_a_request_is_told_with_its_endpoint_its_tries_and_its_times_and_no_secret(start: Start) -> None:
    with backends(answering(b"hidden")) as (backend,):
        nobody = free_port()
        ambassador = Ambassador(start, f"http://127.0.0.1:{nobody},{backend.url}", ACCESS_LOG="all")
        while ambassador.metric("ambassador_upstream_retries_total") == 0:
            assert ambassador.ask(SECRET)[0] == 200
        line = wait_until(lambda: next((line for line in lines(ambassador, 1) if line["failed"]), None), "its line")
    assert (line["msg"], line["method"], line["path"]) == ("request", "GET", "/orders/7")
    assert line["protocol"] == "HTTP/1.1"
    assert (line["status"], line["whole"], line["tries"]) == (200, True, 2)
    assert line["endpoint"] == f"127.0.0.1:{backend.port}"
    assert line["failed"] == [f"127.0.0.1:{nobody}: the connection was refused"]
    assert 0 <= line["before_try_seconds"] <= line["until_answer_seconds"] <= line["seconds"]
    assert "hidden" not in ambassador.program.stderr


def test_errors_alone_are_told_when_that_is_asked(start: Start) -> None:
    def half(peer: Peer) -> None:
        if b"/half" in peer.head():
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        else:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    with backends(half) as (backend,):
        ambassador = Ambassador(start, backend.url, ACCESS_LOG="errors", RETRIES="0")
        assert ambassador.ask()[0] == 200
        with ambassador.connect() as peer:
            peer.send(b"GET /half HTTP/1.1\r\nHost: a\r\n\r\n")
            peer.rest()
        assert ambassador.ask(b"GET / HTTP/1.1\r\n\r\n")[0] == 400
        backend.stop()
        assert ambassador.ask()[0] == 502
        broken, refused, failed = lines(ambassador, 3)
    assert (broken["path"], broken["status"], broken["whole"]) == ("/half", 200, False)
    assert (refused["status"], refused["reason"]) == (400, "malformed request: it has no Host")
    assert (failed["status"], failed["tries"], failed["endpoint"]) == (502, 1, "")


def test_a_connection_of_another_protocol_is_told_with_its_bytes(start: Start) -> None:
    with backends(lambda peer: peer.send(peer.exactly(1000)[:10])) as running:
        ambassador = Ambassador(start, joined(running).replace("http:", "tcp:"), ACCESS_LOG="all")
        with ambassador.connect() as peer:
            peer.send(b"x" * 1000)
            assert peer.rest() == b"x" * 10
        (line,) = lines(ambassador, 1)
    assert (line["msg"], line["tries"], line["sent_bytes"], line["received_bytes"]) == (
        "connection",
        1,
        1000,
        10,
    )
    assert line["endpoint"] == f"127.0.0.1:{running[0].port}"


def test_a_connection_that_was_never_made_is_an_error(start: Start) -> None:
    ambassador = Ambassador(start, f"tcp://127.0.0.1:{free_port()}", ACCESS_LOG="errors", RETRIES="0")
    with ambassador.connect() as peer:
        peer.send(GET)
        (line,) = lines(ambassador, 1)
    assert line["error"] == "connection_refused"
    assert line["endpoint"] == ""
