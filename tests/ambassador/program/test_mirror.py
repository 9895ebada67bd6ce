"""The real program with a mirror that is dead, silent or slow, and with secrets of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.ambassador.http2 import raw
from tests.ambassador.http2.raw_server import Session, serving
from tests.ambassador.http2.raw_server import answering as answering_calls
from tests.ambassador.support import GET, Ambassador, Backend, Handler, Peer, answering, backends, hanging
from tests.conftest import Start
from tests.support import free_port, wait_until

COPIES = "ambassador_mirror_copies_total"


class Mirrored(Ambassador):
    """The program with the upstreams `orders` and `shadow`; all requests to the first are copied to the second."""

    def __init__(self, start: Start, upstream: str, shadow: str, **environ: str) -> None:
        self.port, self.admin = free_port(), free_port()
        settings = {
            "ADMIN_LISTEN": f"127.0.0.1:{self.admin}",
            "ORDERS_UPSTREAM": upstream,
            "ORDERS_LISTEN": f"127.0.0.1:{self.port}",
            "ORDERS_MIRROR": "shadow",
            "SHADOW_UPSTREAM": shadow,
            "SHADOW_LISTEN": f"127.0.0.1:{free_port()}",
            **environ,
        }
        self.program = start("ambassador", **{f"AMBASSADOR_{name}": value for name, value in settings.items()})
        self.program.wait_ready(self.admin)

    def copies(self, outcome: str = "sent") -> float:
        return self.metric(COPIES, upstream="orders", outcome=outcome)


@contextmanager
def mirrored(start: Start, mirror: Handler, **environ: str) -> Iterator[tuple[Mirrored, Backend]]:
    """Yield the program in front of an upstream that answers, with a mirror that has this handler."""
    with backends(answering(), mirror) as (backend, shadow):
        yield Mirrored(start, backend.url, shadow.url, **environ), shadow


def ask(ambassador: Ambassador, count: int) -> None:
    """Send so many requests on one connection. Each has its whole response."""
    with ambassador.connect() as app:
        for _ in range(count):
            app.send(GET)
            status, _, body = app.response()
            assert (status, body) == (200, b"ok")


def test_the_app_has_all_of_its_responses_while_the_mirror_has_answered_nothing(start: Start) -> None:
    with mirrored(start, hanging, ORDERS_MIRROR_LIMIT="20", SHADOW_TIMEOUT="10m", DRAIN_TIMEOUT="10m") as (
        ambassador,
        _,
    ):
        ask(ambassador, 50)
        assert (ambassador.copies(), ambassador.copies("limit")) == (20, 30)
        assert ambassador.metric("ambassador_requests_total", upstream="shadow") == 0
        assert ambassador.metric("ambassador_requests_total", upstream="orders", code="200") == 50
        ambassador.program.process.terminate()
        assert ambassador.program.wait() == 0  # the drain waits for no copy


def test_a_mirror_that_is_dead_is_a_failure_of_its_own_upstream_alone(start: Start) -> None:
    with backends(answering()) as (backend,):
        ambassador = Mirrored(start, backend.url, f"http://127.0.0.1:{free_port()}")
        ask(ambassador, 20)
        wait_until(
            lambda: ambassador.metric("ambassador_requests_total", upstream="shadow", code="502") == 20, "copies"
        )
        assert ambassador.metric("ambassador_endpoint_failures_total", upstream="orders") == 0
        assert ambassador.metric("ambassador_errors_total", upstream="orders") == 0
        assert ambassador.metric("ambassador_upstream_retries_total") == 0


def test_responses_of_the_mirror_are_read_and_dropped_and_its_connections_are_used_again(start: Start) -> None:
    asked: list[bytes] = []
    with mirrored(start, answering(bytes(300_000), seen=asked)) as (ambassador, shadow):
        for count in range(1, 11):
            ask(ambassador, 1)
            wait_until(lambda: ambassador.metric("ambassador_requests_total", upstream="shadow") == count, "the copy")  # noqa: B023 - called at once
        assert len(asked) == 10
        assert shadow.connections == 1
        assert ambassador.metric("ambassador_upstream_received_bytes_total", upstream="shadow") > 3_000_000


def test_the_secrets_of_the_one_upstream_never_go_to_the_other(start: Start) -> None:
    own: list[bytes] = []
    copied: list[bytes] = []
    with backends(answering(seen=own), answering(seen=copied)) as (backend, shadow):
        ambassador = Mirrored(
            start,
            backend.url,
            shadow.url,
            ORDERS_TOKEN="own-token",
            ORDERS_HEADERS="Api-Key: own-key\n+X-More: own-more",
            SHADOW_TOKEN="shadow-token",
            SHADOW_HEADERS="Api-Key: shadow-key\n-Cookie",
        )
        with ambassador.connect() as app:
            app.send(b"GET /a?b HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nCookie: c\r\nAuthorization: Basic app\r\n\r\n")
            assert app.response()[0] == 200
        wait_until(lambda: copied, "the copy")
        host = f"127.0.0.1:{shadow.port}".encode()
        assert copied == [
            b"GET /a?b HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer shadow-token\r\nX-One: 1\r\n"
            b"Via: 1.1 ambassador\r\nApi-Key: shadow-key\r\nX-Shadow: orders\r\n\r\n" % host
        ]
        assert b"own-token" in own[0]
        assert b"own-key" in own[0]
        assert b"shadow" not in own[0]


def test_a_call_of_grpc_is_copied_with_its_message_over_http2(start: Start) -> None:
    arrived = threading.Event()
    release = threading.Event()

    def silent(session: Session) -> None:
        session.request()
        arrived.set()
        release.wait(20)

    with serving(answering_calls) as server, serving(silent) as shadow:
        ambassador = Mirrored(start, server.url, shadow.url)
        with raw.Connection.to(ambassador.port) as app:
            for stream in (1, 3, 5):
                head = raw.headers(stream, raw.call(b"/shop.v1.Orders/Get"), raw.END_HEADERS)
                app.send(head, raw.data(stream, raw.message(b"order"), raw.END_STREAM))
                got = app.message(stream)
                assert got is not None
                assert got.grpc_status == 0
        assert arrived.wait(20)
        (session,) = shadow.sessions
        assert session.bodies[1] == raw.message(b"order")
        fields = dict(session.heads[1])
        assert (fields[b":path"], fields[b"te"], fields[b"x-shadow"]) == (
            b"/shop.v1.Orders/Get",
            b"trailers",
            b"orders",
        )
        wait_until(lambda: ambassador.copies() == 3, "all copies")
        release.set()


def test_a_body_is_copied_whole_or_not_at_all(start: Start) -> None:
    bodies: list[bytes] = []

    def storing(peer: Peer) -> None:
        while head := peer.head():
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
            bodies.append(peer.exactly(length))
            peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    with backends(storing, storing) as (backend, shadow):
        ambassador = Mirrored(start, backend.url, shadow.url, SHADOW_RETRY_BUFFER="100KiB")
        for size in (100 * 1024, 100 * 1024 + 1):
            with ambassador.connect() as app:
                app.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
                assert app.response()[0] == 204
        wait_until(lambda: len(bodies) == 3, "two requests and one copy")
        assert sorted(map(len, bodies)) == [102400, 102400, 102401]
        assert (ambassador.copies(), ambassador.copies("body")) == (1, 1)
