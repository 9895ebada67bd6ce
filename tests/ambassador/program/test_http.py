"""HTTP through the real program, between a careful client and a careful server."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.ambassador.malformed import BODIES, REQUESTS, RESPONSES
from tests.ambassador.support import GET, Ambassador, Backend, Peer, answering, backends, saying
from tests.conftest import Start
from tests.support import PATIENCE, Program

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"


def test_requests_and_responses_pass_with_the_case_of_their_fields(start: Start) -> None:
    seen: list[bytes] = []
    with backends(answering(seen=seen)) as (backend,):
        ambassador = Ambassador(start, backend.url)
        status, head, body = ambassador.ask(b"GET /a?b HTTP/1.1\r\nhost: x\r\nX-CamelCase: 1\r\n\r\n")
    assert (status, body) == (200, b"ok")
    assert head == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 ambassador\r\n\r\n"
    host = b"127.0.0.1:%d" % backend.port
    assert seen == [b"GET /a?b HTTP/1.1\r\nHost: %b\r\nX-CamelCase: 1\r\nVia: 1.1 ambassador\r\n\r\n" % host]


def test_a_head_may_come_byte_by_byte_and_after_empty_lines(start: Start) -> None:
    def dribble(peer: Peer) -> None:
        while peer.head():
            for byte in b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 2\r\n\r\nok":
                peer.send(bytes([byte]))

    with backends(dribble) as (backend,), Ambassador(start, backend.url).connect() as peer:
        for _ in range(2):
            for byte in b"\r\n\r\n" + GET:
                peer.send(bytes([byte]))
            assert peer.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
            status, head, body = peer.response()
            assert (status, body) == (200, b"ok")
            assert b"X: y\r\n" in head


def test_connections_are_kept_alive_on_both_sides(start: Start) -> None:
    with backends(answering()) as (backend,):
        ambassador = Ambassador(start, backend.url)
        with ambassador.connect() as peer:
            for _ in range(20):
                peer.send(GET)
                assert peer.response()[0] == 200
        assert ambassador.ask()[0] == 200
        assert backend.connections == 1


def test_pipelined_requests_are_answered_in_their_order(start: Start) -> None:
    def echo(peer: Peer) -> None:
        while head := peer.head():
            path = head.split(b" ")[1]
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    with backends(echo) as (backend,), Ambassador(start, backend.url).connect() as peer:
        peer.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(3000)))
        for number in range(3000):
            assert peer.response()[2] == b"/%d" % number


@pytest.mark.parametrize("name", REQUESTS)
def test_a_malformed_request_never_reaches_the_upstream(refusing: tuple[Ambassador, list[bytes]], name: str) -> None:
    ambassador, seen = refusing
    message, status = REQUESTS[name]
    with ambassador.connect() as peer:
        peer.send(message + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        got = peer.rest()
    assert got.startswith(b"HTTP/1.1 %d " % status), name
    assert got.count(b"\r\nProxy-Status: ") == 1  # one response, and nothing after it
    assert not [head for head in seen if b"/smuggled" in head]


def test_whatever_its_pieces_a_malformed_request_is_refused_alike(refusing: tuple[Ambassador, list[bytes]]) -> None:
    ambassador, _ = refusing
    for name in ("CL.TE", "a bare LF in a value", "a size with 0x", "two Hosts", "NUL in a value"):
        message, status = REQUESTS[name]
        for at in range(1, len(message), 3):
            with ambassador.connect() as peer:
                peer.send(message[:at])
                peer.send(message[at:])
                assert peer.rest().startswith(b"HTTP/1.1 %d " % status), (name, at)


def test_every_malformed_response_becomes_a_502(start: Start) -> None:
    def chosen_by_path(peer: Peer) -> None:
        peer.send(RESPONSES[names[int(peer.head().split(b" ")[1][1:])]])

    names = list(RESPONSES)
    with backends(chosen_by_path) as (backend,):
        ambassador = Ambassador(start, backend.url, RETRIES="0")
        for number, name in enumerate(names):
            status, head, _ = ambassador.ask(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
            assert status == 502, name
            assert b"Proxy-Status: ambassador; error=http_protocol_error; next-hop=" in head, name


def test_every_body_that_is_malformed_breaks_off_and_never_ends(start: Start) -> None:
    def chosen_by_path(peer: Peer) -> None:
        peer.send(BODIES[names[int(peer.head().split(b" ")[1][1:])]])

    names = list(BODIES)
    with backends(chosen_by_path) as (backend,):
        ambassador = Ambassador(start, backend.url, RETRIES="0")
        for number, name in enumerate(names):
            with ambassador.connect() as peer:
                peer.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number + GET)
                got = peer.rest()
            assert got.startswith(b"HTTP/1.1 200 OK\r\n"), name
            assert got.count(b"HTTP/1.1") == 1, name  # the second request gets no response
            assert not got.endswith(b"0\r\n\r\n"), name
        assert ambassador.metric("ambassador_errors_total", error="http_response_incomplete") == len(names)
        assert ambassador.metric("ambassador_upstream_connections_open") == 0


def test_a_response_that_nobody_asked_for_poisons_no_queue(start: Start) -> None:
    def twice(peer: Peer) -> None:
        while peer.head():
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

    with backends(twice) as (backend,), Ambassador(start, backend.url).connect() as peer:
        for _ in range(5):
            peer.send(GET)
            assert peer.response()[2] == b"ok"


def test_interim_responses_pass_and_100_comes_once(start: Start) -> None:
    def handle(peer: Peer) -> None:
        head = peer.head()
        assert b"Expect: 100-continue" in head
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        body = peer.exactly(3)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + body)

    with backends(handle) as (backend,), Ambassador(start, backend.url).connect() as peer:
        peer.send(POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert peer.head() == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        assert peer.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.send(b"abc")
        assert peer.response()[2] == b"abc"


def test_a_client_that_expects_100_does_not_wait_for_ever(start: Start) -> None:
    def handle(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + peer.exactly(3))

    with backends(handle) as (backend,), Ambassador(start, backend.url).connect() as peer:
        peer.send(POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert peer.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.send(b"abc")
        assert peer.response()[2] == b"abc"


def test_an_answer_before_the_request_is_whole_arrives_and_ends_the_connection(start: Start) -> None:
    refusal = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"

    def handle(peer: Peer) -> None:
        peer.head()
        peer.send(refusal)
        peer.exactly(10**9)

    with backends(handle) as (backend,), Ambassador(start, backend.url).connect() as peer:
        peer.send(POST + b"Content-Length: 1000000000\r\n\r\n" + b"x" * 1000)
        status, head, body = peer.response()
        assert (status, body) == (413, b"big")
        assert b"Connection: close\r\n" in head
        assert peer.rest() == b""


def test_after_an_upgrade_bytes_pass_both_ways_until_each_side_ends(start: Start) -> None:
    def handle(peer: Peer) -> None:
        assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in peer.head()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello")
        while data := peer.exactly(4):
            peer.send(data[::-1])
        peer.send(b"bye")

    with backends(handle) as (backend,), Ambassador(start, backend.url).connect() as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x00\x01\x02\x03")
        head = peer.head()
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in head
        assert peer.exactly(9) == b"hello\x03\x02\x01\x00"
        peer.send(b"abcd")
        assert peer.exactly(4) == b"dcba"
        peer.socket.shutdown(1)
        assert peer.rest() == b"bye"


def test_an_upgrade_that_is_declined_is_an_ordinary_answer(start: Start) -> None:
    with backends(answering()) as (backend,), Ambassador(start, backend.url).connect() as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + GET)
        assert [peer.response()[2] for _ in range(2)] == [b"ok", b"ok"]


def test_it_is_no_open_proxy(start: Start) -> None:
    with backends(answering(b"target"), answering(b"elsewhere")) as (backend, elsewhere):
        ambassador = Ambassador(start, backend.url)
        assert ambassador.ask(b"GET %b/ HTTP/1.1\r\nHost: a\r\n\r\n" % elsewhere.url.encode())[0] == 421
        assert ambassador.ask(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: a\r\n\r\n" % elsewhere.port)[0] == 501
        assert ambassador.ask(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % elsewhere.port)[2] == b"target"
        own = b"GET http://localhost:%d/ HTTP/1.1\r\nHost: a\r\n\r\n" % ambassador.port
        assert ambassador.ask(own)[2] == b"target"
        assert elsewhere.connections == 0


def test_a_head_that_is_too_large_is_refused_either_way(start: Start) -> None:
    large = b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10000 + b"\r\nContent-Length: 0\r\n\r\n"
    with backends(saying(large)) as (backend,):
        ambassador = Ambassador(start, backend.url, MAX_HEADER_SIZE="8KiB", RETRIES="0")
        assert ambassador.ask(b"GET /" + b"x" * 10000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")[0] == 431
        status, head, _ = ambassador.ask()
    assert status == 502
    assert b"error=http_response_header_section_size" in head


def test_an_http_library_is_happy_with_it(start: Start) -> None:
    def echo(peer: Peer) -> None:
        while head := peer.head():
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = peer.exactly(length)
            peer.send(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\nX-A: 1\r\n\r\n%b" % (length, body))

    with backends(echo) as (backend,):
        ambassador = Ambassador(start, backend.url)
        with httpx.Client(trust_env=False, timeout=PATIENCE) as client:
            for _ in range(3):
                response = client.put(ambassador.url, content=b"x" * 5000)
                assert response.status_code == 201
                assert response.content == b"x" * 5000
                assert response.headers["x-a"] == "1"


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ambassador, list[bytes]]]:
    """An ambassador, and the list of heads that have reached its upstream."""
    seen: list[bytes] = []
    backend = Backend(answering(seen=seen))
    running: list[Program] = []

    def begin(name: str, **environ: str) -> Program:
        running.append(Program(["-m", f"sidecars.{name}"], environ, tmp_path_factory.mktemp("ambassador")))
        return running[-1]

    yield Ambassador(begin, backend.url), seen
    running[0].kill()
    backend.stop()
