"""The real program with apps that close their connections, and with apps that only end their sending direction."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ambassador.support import GET, Ambassador, Peer, backends
from tests.conftest import Start
from tests.support import free_port, wait_until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
POST = b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n01234"
PUT = b"PUT /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n0\r\n\r\n"


class Working:
    """A server that works on each request until the test lets it respond, and notices the end of its connection."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)

    def __call__(self, peer: Peer) -> None:
        while peer.head():
            self.asked.release()
        self.ended.release()


@pytest.fixture(params=["127.0.0.1:", "[::1]:", ":"])
def listen(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_leaving_of_an_app_is_told_to_the_upstream(start: Start, listen: str) -> None:
    server, port = Working(), free_port()
    with backends(server) as (backend,):
        ambassador = Ambassador(start, backend.url, LISTEN=f"{listen}{port}", DRAIN_TIMEOUT="10m", ACCESS_LOG="errors")
        peer = Peer(socket.create_connection(("::1" if "[" in listen else "127.0.0.1", port)))
        peer.send(GET)
        assert server.asked.acquire(timeout=30)
        peer.close()
        assert server.ended.acquire(timeout=30)
        wait_until(lambda: ambassador.metric("ambassador_requests_total", code="499") == 1, "the count of it")
        assert ambassador.metric("ambassador_requests_total") == 1  # and no 200
        assert ambassador.program.stop(patience=60) == 0
    (logged,) = [line for line in ambassador.program.logs if line["logger"] == "ambassador.access"]
    assert (logged["status"], logged["whole"]) == (499, False)


def test_an_app_that_ends_its_direction_first_and_leaves_later_is_noticed(start: Start) -> None:
    server = Working()
    with backends(server) as (backend,):
        ambassador = Ambassador(start, backend.url)
        with ambassador.connect() as peer:
            peer.send(GET)
            assert server.asked.acquire(timeout=30)
            peer.socket.shutdown(socket.SHUT_WR)
            assert not server.ended.acquire(timeout=0.5)
        assert server.ended.acquire(timeout=30)
        wait_until(lambda: ambassador.metric("ambassador_requests_total", code="499") == 1, "the count of it")


def test_an_app_that_leaves_a_unix_socket_is_noticed(start: Start, tmp_path: Path) -> None:
    server, path = Working(), tmp_path / "app.sock"
    with backends(server) as (backend,):
        ambassador = Ambassador(start, backend.url, LISTEN=f"unix:{path}")
        with socket.socket(socket.AF_UNIX) as own:
            own.connect(str(path))
            Peer(own).send(GET)
            assert server.asked.acquire(timeout=30)
        assert server.ended.acquire(timeout=30)
        wait_until(lambda: ambassador.metric("ambassador_requests_total", code="499") == 1, "the count of it")


def test_an_app_that_leaves_while_its_upload_is_not_read_is_noticed(start: Start) -> None:
    """The end of the connection is behind bytes that are not read, because the upstream reads no more."""
    ended = threading.Event()

    def takes_nothing(peer: Peer) -> None:
        peer.head()
        ended.wait(60)

    with backends(takes_nothing) as (backend,):
        ambassador = Ambassador(start, backend.url, TIMEOUT="10m", IDLE_TIMEOUT="10m")
        with ambassador.connect() as peer:
            peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
            peer.socket.settimeout(1.0)
            with contextlib.suppress(TimeoutError):  # more than all buffers on the way can hold
                peer.send(b"x" * 100_000_000)
        wait_until(lambda: ambassador.metric("ambassador_requests_total", code="499") == 1, "the count of it")
        ended.set()


def test_a_client_that_half_closes_gets_its_answer(start: Start) -> None:
    go = threading.Event()

    def late(peer: Peer) -> None:
        peer.head()
        go.wait(1.5)  # longer than the time between two checks
        peer.send(OK)

    with backends(late) as (backend,), Ambassador(start, backend.url).connect() as peer:
        peer.send(GET)
        peer.socket.shutdown(socket.SHUT_WR)
        status, head, body = peer.response()
        assert (status, body) == (200, b"ok")
        assert b"Connection: close\r\n" in head
        assert peer.rest() == b""


@pytest.mark.parametrize("count", [3, 500])
def test_pipelined_requests_before_a_half_close_are_all_answered(start: Start, count: int) -> None:
    def echo(peer: Peer) -> None:
        while head := peer.head():
            path = head.split(b" ")[1]
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    with backends(echo) as (backend,), Ambassador(start, backend.url).connect() as peer:
        peer.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(count)))
        peer.socket.shutdown(socket.SHUT_WR)
        responses = [peer.response() for _ in range(count)]
        assert [body for _, _, body in responses] == [b"/%d" % number for number in range(count)]
        assert peer.rest() == b""


def test_a_half_close_within_a_body_is_refused(start: Start) -> None:
    with backends(Working()) as (backend,):
        ambassador = Ambassador(start, backend.url)
        with ambassador.connect() as peer:
            peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
            peer.socket.shutdown(socket.SHUT_WR)
            assert peer.rest().startswith(b"HTTP/1.1 400 ")
        assert [line for line in ambassador.program.logs if line["level"] == "error"] == []


def test_an_app_that_leaves_a_tunnel_ends_it_although_the_server_says_nothing(start: Start) -> None:
    ended = threading.Event()
    got: list[bytes] = []

    def stubborn(peer: Peer) -> None:
        got.append(peer.rest())
        ended.wait(60)  # it neither responds nor closes

    with backends(stubborn) as (backend,):
        ambassador = Ambassador(start, f"tcp://127.0.0.1:{backend.port}", IDLE_TIMEOUT="10m", DRAIN_TIMEOUT="10m")
        with ambassador.connect() as peer:
            peer.send(b"last words")
        wait_until(lambda: got == [b"last words"], "all that the app has sent")
        assert ambassador.program.stop(patience=60) == 0
        ended.set()


def test_an_app_that_is_killed_is_noticed(start: Start) -> None:
    server = Working()
    script = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); "
    script += "s.sendall(b'GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'); s.recv(1)"
    with backends(server) as (backend,):
        ambassador = Ambassador(start, backend.url)
        with subprocess.Popen([sys.executable, "-c", script, str(ambassador.port)]) as app:
            assert server.asked.acquire(timeout=30)
            app.kill()
        assert server.ended.acquire(timeout=30)
        wait_until(lambda: ambassador.metric("ambassador_requests_total", code="499") == 1, "the count of it")


def test_an_app_that_leaves_while_the_connection_upstream_opens_is_noticed(start: Start) -> None:
    with silent_port() as port:
        ambassador = Ambassador(start, f"http://127.0.0.1:{port}", CONNECT_TIMEOUT="5m", DRAIN_TIMEOUT="10m")
        with ambassador.connect() as peer:
            peer.send(GET)
            wait_until(lambda: ambassador.endpoints()[0]["pending"], "the try")
        wait_until(lambda: ambassador.metric("ambassador_requests_total", code="499") == 1, "the count of it")
        assert ambassador.endpoints()[0]["pending"] == 0
        assert ambassador.program.stop(patience=60) == 0


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """Yield a port to which a connection neither opens nor fails, because nobody accepts there."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield full.getsockname()[1]


def test_a_tunnel_looks_for_an_endpoint_no_longer_than_the_timeout(start: Start) -> None:
    with silent_port() as one, silent_port() as other:
        places = f"tcp://127.0.0.1:{one},tcp://127.0.0.1:{other}"
        ambassador = Ambassador(
            start, places, CONNECT_TIMEOUT="200ms", TIMEOUT="100ms", RETRIES="9", ACCESS_LOG="errors"
        )
        with ambassador.connect() as peer, contextlib.suppress(ConnectionResetError):
            assert peer.rest() == b""
        logged = wait_until(lambda: ambassador.program.logged("connection"), "its line")
    assert (logged["tries"], logged["error"]) == (1, "connection_timeout")


@pytest.mark.parametrize("closing", [False, True], ids=["kept", "closed after each answer"])
def test_requests_with_bodies_before_a_half_close_are_all_answered(start: Start, *, closing: bool) -> None:
    def echo(peer: Peer) -> None:
        while head := peer.head():
            if b"chunked" in head:
                peer.until(b"0\r\n\r\n")
            elif b"Content-Length" in head:
                peer.exactly(5)
            path = head.split(b" ")[1]
            close = b"Connection: close\r\n" if closing else b""
            peer.send(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (close, len(path), path))
            if closing:
                return

    with backends(echo) as (backend,), Ambassador(start, backend.url).connect() as peer:
        kinds = (POST, PUT, b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n")
        peer.send(b"".join(kinds[number % 3] % number for number in range(9)))
        peer.socket.shutdown(socket.SHUT_WR)
        assert [peer.response()[2] for _ in range(9)] == [b"/%d" % number for number in range(9)]
        assert peer.rest() == b""


def test_answers_before_a_request_that_is_cut_off_by_a_half_close_arrive(start: Start) -> None:
    def echo(peer: Peer) -> None:
        while head := peer.head():
            if b"Content-Length" in head and len(peer.exactly(5)) < 5:
                return  # and no response: the request was not complete
            peer.send(OK)

    with backends(echo) as (backend,), Ambassador(start, backend.url).connect() as peer:
        peer.send(GET + GET + POST[:-2] % 3)
        peer.socket.shutdown(socket.SHUT_WR)
        assert [peer.response()[0] for _ in range(3)] == [200, 200, 400]
        assert peer.rest() == b""


def test_an_upgrade_behind_pipelined_requests_and_before_a_half_close_passes(start: Start) -> None:
    def engine(peer: Peer) -> None:
        while b"Upgrade" not in peer.head():
            peer.send(OK)
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        peer.send(peer.rest()[::-1])

    with backends(engine) as (backend,), Ambassador(start, backend.url).connect() as peer:
        peer.send(GET + GET + GET[:-2] + b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\nabc")
        peer.socket.shutdown(socket.SHUT_WR)
        assert [peer.response()[0] for _ in range(2)] == [200, 200]
        assert peer.head().startswith(b"HTTP/1.1 101 ")
        assert peer.rest() == b"cba"
