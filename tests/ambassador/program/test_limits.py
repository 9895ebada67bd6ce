"""The real program with limits of requests and a deadline: what the app and the endpoints see, in HTTP and gRPC."""

from __future__ import annotations

import threading
from typing import Any

from tests.ambassador.http2 import raw
from tests.ambassador.http2.raw_server import Session, serving
from tests.ambassador.http2.raw_server import answering as answering_calls
from tests.ambassador.support import GET, Ambassador, Peer, answering, backends, hanging, joined
from tests.conftest import Start
from tests.support import get, wait_until

REFUSED = "ambassador_upstream_refused_requests_total"


def upstream(ambassador: Ambassador) -> dict[str, Any]:
    page = get(f"http://127.0.0.1:{ambassador.admin}/status").json()
    found: dict[str, Any] = page["upstreams"]["default"]
    return found


def field(head: bytes, name: bytes) -> bytes:
    """Return the value of a field, whose name is in lower case."""
    (found,) = [line.partition(b": ")[2] for line in head.split(b"\r\n") if line.lower().startswith(name + b": ")]
    return found


def test_requests_beyond_the_limit_wait_or_are_refused_with_a_time_to_come_again(start: Start) -> None:
    go_on = threading.Event()

    def late(peer: Peer) -> None:
        while peer.head():
            go_on.wait(60)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")

    with backends(late) as running:
        ambassador = Ambassador(start, joined(running), MAX_REQUESTS="1", MAX_QUEUED="1", QUEUE_TIMEOUT="60s")
        with ambassador.connect() as first, ambassador.connect() as second, ambassador.connect() as third:
            first.send(GET)
            wait_until(lambda: upstream(ambassador)["requests_under_way"] == 1, "the first request")
            second.send(GET)
            wait_until(lambda: upstream(ambassador)["requests_queued"] == 1, "the second request")
            state = upstream(ambassador)
            assert state["state"] == "limited"
            assert state["limits"] == {
                "at_once": 1,
                "refused": {"queue_full": 0, "queue_timeout": 0, "rate": 0},
            }
            third.send(GET)
            status, head, _ = third.response()
            assert status == 503
            assert field(head, b"retry-after") == b"1"
            assert b"error=connection_limit_reached" in field(head, b"proxy-status")
            go_on.set()
            assert first.response()[2] == second.response()[2] == b"late"
        assert ambassador.metric(REFUSED, limit="queue_full") == 1
        assert ambassador.metric("ambassador_upstream_concurrency_limit") == 1


def test_a_request_that_waits_for_too_long_is_refused(start: Start) -> None:
    with backends(hanging) as running:
        ambassador = Ambassador(start, joined(running), MAX_REQUESTS="1", QUEUE_TIMEOUT="50ms")
        with ambassador.connect() as first, ambassador.connect() as second:
            first.send(GET)
            wait_until(lambda: upstream(ambassador)["requests_under_way"] == 1, "the first request")
            second.send(GET)
            assert second.response()[0] == 503
        assert ambassador.metric(REFUSED, limit="queue_timeout") == 1


def test_requests_beyond_the_rate_get_429(start: Start) -> None:
    with backends(answering(b"ok")) as running:
        ambassador = Ambassador(start, joined(running), RATE_LIMIT="2/h")
        with ambassador.connect() as app:
            found = []
            for _ in range(4):
                app.send(GET)
                found.append(app.response())
        assert [status for status, _, _ in found] == [200, 200, 429, 429]
        assert 0 < int(field(found[2][1], b"retry-after")) <= 1800
        assert ambassador.metric("ambassador_errors_total", error="http_request_denied") == 2
        assert ambassador.metric("ambassador_endpoint_requests_total") == 2


def test_calls_of_grpc_get_a_status_and_a_time_to_come_again(start: Start) -> None:
    def silent(session: Session) -> None:
        while session.request():
            pass

    call = raw.call(b"/shop.v1.Orders/Get")
    with serving(answering_calls) as server, serving(silent) as hung:
        limited = Ambassador(start, hung.url, MAX_REQUESTS="1", MAX_QUEUED="0")
        rated = Ambassador(start, server.url, RATE_LIMIT="1/h")
        for ambassador, status, pushback in ((limited, 14, 1000), (rated, 8, 3_600_000)):
            with raw.Connection.to(ambassador.port) as app:
                for stream in (1, 3):
                    app.send(
                        raw.headers(stream, call, raw.END_HEADERS),
                        raw.data(stream, raw.message(b"order"), raw.END_STREAM),
                    )
                got = app.message(3)
                assert got is not None
                assert got.grpc_status == status
                assert 0 < int(got.field(b"grpc-retry-pushback-ms") or 0) <= pushback


def test_the_deadline_of_the_app_is_told_to_the_endpoint_and_ends_the_request(start: Start) -> None:
    seen: list[bytes] = []

    def silent(peer: Peer) -> None:
        while request := peer.head():
            seen.append(request)

    with backends(silent) as running:
        ambassador = Ambassador(start, joined(running), DEADLINE_HEADER="X-Timeout-Ms")
        with ambassador.connect() as app:
            app.send(b"GET / HTTP/1.1\r\nHost: orders\r\nx-timeout-ms: 1000\r\n\r\n")
            status, head, body = app.response()
        assert status == 504
        assert b"error=http_response_timeout" in field(head, b"proxy-status")
        assert b"the deadline of the app has passed" in body
        wait_until(lambda: seen, "the request upstream")
        (told,) = [line for line in seen[0].lower().split(b"\r\n") if line.startswith(b"x-timeout-ms: ")]
        assert 0 < int(told.partition(b": ")[2]) <= 1000
        assert ambassador.metric("ambassador_endpoint_failures_total") == 0
