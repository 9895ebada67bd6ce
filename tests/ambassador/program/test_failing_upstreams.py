"""The real program while its upstreams fail or are slow: the app does not notice."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from tests.ambassador.support import (
    GET,
    Ambassador,
    Backend,
    Peer,
    answering,
    backends,
    hanging,
    joined,
    load,
    resetting,
)
from tests.conftest import Start
from tests.support import free_port, wait_until

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"


# -- replicas that fail -------------------------------------------------------------------------------------------


def test_load_is_spread_over_all_replicas(start: Start) -> None:
    with backends(*[answering(body) for body in (b"a", b"b", b"c")]) as running:
        ambassador = Ambassador(start, joined(running))
        bodies: list[bytes] = []

        def all_have_some() -> bool:
            """Ask once more: one that was late on a busy machine is avoided for some time."""
            bodies.append(ambassador.ask()[2])
            return all(bodies.count(body) >= 5 for body in (b"a", b"b", b"c"))

        wait_until(all_have_some, "five responses of each")


def test_a_replica_that_is_killed_under_load_is_not_noticed(start: Start) -> None:
    with backends(*[answering()] * 3) as running:
        ambassador = Ambassador(start, joined(running))
        killed = False

        def enough(count: int) -> bool:
            nonlocal killed
            if count > 500 and not killed:
                killed = True
                running[0].stop()
            return count > 3000

        assert load(ambassador, clients=8, until=enough) == []
        assert ambassador.metric("ambassador_upstream_endpoints_down") == 1


def test_a_replica_that_resets_everything_is_not_noticed(start: Start) -> None:
    with backends(answering(), resetting, answering()) as running:
        ambassador = Ambassador(start, joined(running))
        assert load(ambassador, clients=8, until=lambda count: count > 2000) == []
        assert ambassador.metric("ambassador_upstream_retries_total") >= 1


def test_a_replica_that_hangs_costs_time_but_no_request(start: Start) -> None:
    with backends(answering(), hanging, answering()) as running:
        ambassador = Ambassador(start, joined(running), TRY_TIMEOUT="1s")
        assert load(ambassador, clients=8, until=lambda count: count > 2000) == []
        assert ambassador.metric("ambassador_upstream_retries_total") >= 1
        assert running[1].connections < 20


def test_replicas_restarted_one_after_the_other_are_not_noticed(start: Start) -> None:
    with backends(*[answering()] * 3) as running:
        ambassador = Ambassador(start, joined(running))
        steps = iter(range(300, 10**6, 300))
        at, turn = next(steps), 0

        def restart(count: int) -> bool:
            nonlocal at, turn
            if count > at and turn < 6:
                at = count + 300
                port = running[turn % 3].port
                running[turn % 3].stop()
                running[turn % 3] = Backend(answering(), port)
                turn += 1
            return turn == 6 and count > at

        assert load(ambassador, clients=8, until=restart) == []


def test_a_killed_replica_is_used_again_when_it_is_back(start: Start) -> None:
    with backends(answering(b"a"), answering(b"b")) as running:
        ambassador = Ambassador(start, joined(running))
        port = running[0].port
        running[0].stop()
        assert {ambassador.ask()[2] for _ in range(20)} == {b"b"}
        running[0] = Backend(answering(b"a"), port)
        wait_until(lambda: ambassador.ask()[2] == b"a", "a response of the replica that is back")


# -- what is repeated and what is not -----------------------------------------------------------------------------


@pytest.mark.parametrize("retries", ["0", "2"])
def test_an_idle_connection_that_closes_under_a_request_is_not_noticed(start: Start, retries: str) -> None:
    def once_then_close(peer: Peer) -> None:
        """Respond to one request; read the second one and close without a response: the keep-alive race."""
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        peer.head()

    with backends(once_then_close) as (backend,):
        ambassador = Ambassador(start, backend.url, RETRIES=retries)
        with ambassador.connect() as peer:
            for _ in range(20):
                peer.send(GET)
                assert peer.response()[0] == 200
        assert ambassador.metric("ambassador_upstream_idle_races_total") >= 5


def test_a_request_that_is_not_idempotent_is_never_sent_twice(start: Start) -> None:
    heads: list[bytes] = []

    def count(peer: Peer) -> None:
        heads.append(peer.head())

    with backends(count, count) as running:
        status, head, body = Ambassador(start, joined(running)).ask(POST)
    assert status == 502
    assert len(heads) == 1
    assert b"error=connection_terminated" in head
    assert b"attempt 1: 127.0.0.1:" in body


def test_a_request_that_was_never_written_may_go_elsewhere_whatever_its_method(start: Start) -> None:
    with backends(answering()) as running:
        ambassador = Ambassador(start, f"{joined(running)},http://127.0.0.1:{free_port()}")
        body = b"x" * 50_000
        for _ in range(10):
            head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
            assert ambassador.ask(head + body)[0] == 200
        assert ambassador.metric("ambassador_upstream_connect_failures_total") >= 1


def test_the_body_of_a_repeated_request_is_sent_again(start: Start) -> None:
    got: list[bytes] = []

    def take(peer: Peer) -> None:
        peer.head()
        got.append(peer.exactly(20_000))
        if len(got) > 1:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with backends(take, take) as running:
        head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n"
        assert Ambassador(start, joined(running)).ask(head + b"y" * 20_000)[0] == 200
    assert got == [b"y" * 20_000] * 2


def test_when_everything_is_refused_the_answer_says_what_was_tried(start: Start) -> None:
    ports = [free_port(), free_port()]
    ambassador = Ambassador(start, ",".join(f"http://127.0.0.1:{port}" for port in ports), RETRIES="1")
    status, head, body = ambassador.ask()
    assert status == 502
    assert b"Proxy-Status: ambassador; error=connection_refused" in head
    assert all(b"127.0.0.1:%d: the connection was refused" % port in body for port in ports)
    assert ambassador.metric("ambassador_requests_total", code="502") == 1
    assert ambassador.metric("ambassador_errors_total", error="connection_refused") == 1


def test_an_upstream_that_never_answers_becomes_a_504(start: Start) -> None:
    with backends(hanging) as (backend,):
        ambassador = Ambassador(start, backend.url, TIMEOUT="200ms", RETRIES="0")
        with ambassador.connect() as peer:
            for _ in range(2):  # and the app's connection is kept
                peer.send(GET)
                status, head, _ = peer.response()
                assert status == 504
                assert b"error=http_response_timeout" in head


# -- limits -------------------------------------------------------------------------------------------------------


def test_more_requests_than_may_wait_for_a_connection_are_told_so(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        where = full.getsockname()
        for _ in range(4):  # nobody accepts: from here on a connection neither opens nor fails
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(where)
        ambassador = Ambassador(start, f"http://127.0.0.1:{where[1]}", MAX_PENDING="2", CONNECT_TIMEOUT="20s")
        for _ in range(2):
            stack.enter_context(ambassador.connect()).send(GET)
        status, head, _ = wait_until(lambda: responded(ambassador), "a request that need not wait")
        assert status == 503
        assert b"too many requests wait for a connection" in head


def responded(ambassador: Ambassador) -> tuple[int, bytes, bytes] | None:
    with ambassador.connect() as peer, contextlib.suppress(TimeoutError):
        peer.socket.settimeout(1.0)
        peer.send(GET)
        return peer.response()
    return None


def test_a_try_that_takes_too_long_is_given_up_for_another_one(start: Start) -> None:
    with backends(hanging, answering()) as running:
        ambassador = Ambassador(start, joined(running), TRY_TIMEOUT="500ms", TIMEOUT="60s")
        assert {ambassador.ask()[0] for _ in range(10)} == {200}
        assert ambassador.metric("ambassador_upstream_retries_total") >= 1


def test_a_request_that_cannot_be_repeated_has_more_time_than_one_try(start: Start) -> None:
    def slow(peer: Peer) -> None:
        peer.head()
        late.wait(1.0)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    late = threading.Event()
    with backends(slow) as (backend,):
        ambassador = Ambassador(start, backend.url, TRY_TIMEOUT="50ms")
        assert ambassador.ask(POST)[0] == 200


def test_a_body_beyond_the_retry_buffer_is_sent_once(start: Start) -> None:
    heads: list[bytes] = []

    def take(peer: Peer) -> None:
        heads.append(peer.head())
        peer.exactly(2000)

    with backends(take, take) as running:
        ambassador = Ambassador(start, joined(running), RETRY_BUFFER="1KiB")
        request = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000
        assert ambassador.ask(request)[0] == 502
    assert len(heads) == 1
