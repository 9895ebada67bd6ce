"""A newcomer takes the place of an idle connection, and unfinished requests have a limit for their sum."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from tests.ambassador.support import GET, Ambassador, Backend, Peer, answering, backends
from tests.conftest import Start
from tests.silent import OPEN, silent_connections
from tests.support import PATIENCE, wait_until

MIB = 1024 * 1024
HEAD = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
BUSY = b"error=connection_limit_reached"


def test_the_connection_that_was_idle_for_longest_makes_room_for_a_newcomer(start: Start) -> None:
    with backends(answering()) as (backend,):
        ambassador = Ambassador(start, backend.url, MAX_CONNECTIONS="2")
        with ambassador.connect() as one, ambassador.connect() as two:
            for peer in (two, one):
                peer.send(GET)
                assert peer.response()[0] == 200
            assert ambassador.ask()[0] == 200
            assert two.rest() == b""
            one.send(GET)
            assert one.response()[0] == 200
        assert ambassador.metric("ambassador_downstream_connections_shed_total") == 1


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"nonsense\r\n\r\n"])
def test_a_connection_without_a_request_makes_room(start: Start, sent: bytes) -> None:
    with backends(answering()) as (backend,):
        ambassador = Ambassador(start, backend.url, MAX_CONNECTIONS="1")
        with ambassador.connect() as silent:
            silent.send(sent)
            for _ in range(3):
                assert ambassador.ask()[0] == 200


def test_connections_at_work_are_kept_and_the_newcomer_is_told_so(start: Start) -> None:
    release = threading.Event()

    def wait(peer: Peer) -> None:
        while peer.head():
            release.wait(PATIENCE)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with backends(wait) as (backend,):
        ambassador = Ambassador(start, backend.url, MAX_CONNECTIONS="2")
        with ambassador.connect() as one, ambassador.connect() as two:
            for peer in (one, two):
                peer.send(GET)
            wait_until(lambda: backend.connections == 2, "both requests upstream")
            with ambassador.connect() as newcomer:
                assert BUSY in newcomer.rest()
            release.set()
            assert (one.response()[0], two.response()[0]) == (200, 200)
        assert ambassador.metric("ambassador_downstream_connections_shed_total") == 0


def test_tunnels_are_kept(start: Start) -> None:
    def echo(peer: Peer) -> None:
        while data := peer.socket.recv(65536):
            peer.send(data)

    with backends(echo) as (backend,):
        ambassador = Ambassador(start, f"tcp://127.0.0.1:{backend.port}", MAX_CONNECTIONS="1")
        with ambassador.connect() as tunnel:
            tunnel.send(b"a")
            assert tunnel.exactly(1) == b"a"
            with ambassador.connect() as newcomer, contextlib.suppress(ConnectionResetError):
                assert newcomer.rest() == b""
            tunnel.send(b"b")
            assert tunnel.exactly(1) == b"b"


def is_answered(ambassador: Ambassador) -> bool:
    """Send a request. Return False if its connection lost its place before it came: this client may get no CPU."""
    with contextlib.suppress(OSError), ambassador.connect() as peer:
        peer.send(GET)
        return peer.head().startswith(b"HTTP/1.1 200 ")
    return False


def test_thousands_of_silent_connections_keep_no_request_waiting(start: Start) -> None:
    with backends(answering()) as (backend,):
        ambassador = Ambassador(start, backend.url, MAX_CONNECTIONS="512")
        assert ambassador.ask()[0] == 200
        with silent_connections(ambassador.port, 1500, "nothing", 10) as holder:
            assert holder.stdout is not None
            for _ in range(20):
                wait_until(lambda: is_answered(ambassador), "a request, while connections are opened")
            assert holder.stdout.readline().strip() == OPEN
            wait_until(lambda: is_answered(ambassador), "a request behind all of them: now all are taken")
            statuses = [ambassador.ask()[0] for _ in range(40)]
        assert statuses == [200] * 40
        assert ambassador.metric("ambassador_downstream_connections_shed_total") >= 1500 - 512


def hold(stack: contextlib.ExitStack, ambassador: Ambassador, count: int, beginning: bytes) -> None:
    """Send the beginning of a request on so many connections."""
    for _ in range(count):
        own = stack.enter_context(socket.create_connection(("127.0.0.1", ambassador.port), PATIENCE))
        with contextlib.suppress(ConnectionError):
            own.sendall(beginning)


def test_unfinished_heads_have_a_limit_together_and_whole_requests_pass(start: Start) -> None:
    with backends(answering()) as (backend,), contextlib.ExitStack() as stack:
        ambassador = Ambassador(start, backend.url)
        assert ambassador.ask()[0] == 200
        before = ambassador.rss()
        hold(stack, ambassador, 600, HEAD + b"x" * 60_000)  # 34 MiB
        wait_until(lambda: ambassador.metric("ambassador_downstream_unfinished_ended_total") >= 400, "heads ended")
        assert ambassador.ask()[0] == 200
        assert ambassador.ask(HEAD + b"x" * 50_000 + b"\r\n\r\n")[0] == 200
        assert ambassador.rss() - before <= 16 * MIB  # 8 MiB of heads, and what the allocator keeps


def test_requests_that_wait_behind_another_have_a_limit_together(start: Start) -> None:
    release = threading.Event()

    def wait(peer: Peer) -> None:
        while head := peer.head():
            if b"/held" in head:
                release.wait(PATIENCE)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    backend = Backend(wait)
    with contextlib.ExitStack() as stack:
        ambassador = Ambassador(start, backend.url)
        hold(stack, ambassador, 60, b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n" + GET * 6000)  # 60 x 200 KiB
        wait_until(lambda: ambassador.metric("ambassador_downstream_unfinished_ended_total"), "some are ended")
        release.set()
        assert ambassador.ask()[0] == 200
    backend.stop()
