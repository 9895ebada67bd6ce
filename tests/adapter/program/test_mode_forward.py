"""The adapter as a process in the mode forward: the app's own response is forwarded, and nothing else."""

from __future__ import annotations

import gzip
import socket

import pytest

from tests.adapter.conftest import StartAdapter
from tests.adapter.support import METRICS, App, respond, send_raw


def test_health_is_answered_from_metrics_byte_for_byte(adapter: StartAdapter) -> None:
    with App({"/metrics": respond(METRICS)}) as app:
        response = adapter(app.url).get("/health")

    assert response.status_code == 200
    assert response.content == METRICS
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4"


def test_head_is_answered_like_get_but_without_the_body(adapter: StartAdapter) -> None:
    with App({"/metrics": respond(METRICS)}) as app:
        response = adapter(app.url).get("/health", method="HEAD")

        assert app.heads[0].startswith(b"GET /metrics HTTP/1.1\r\n")
    assert response.status_code == 200
    assert response.content == b""
    assert response.headers["Content-Length"] == str(len(METRICS))


@pytest.mark.parametrize("status", ["204 No Content", "404 Not Found", "429 Too Many", "500 Oops", "503 Starting"])
def test_a_status_of_the_app_is_handed_on(adapter: StartAdapter, status: str) -> None:
    body = b"" if status.startswith("204") else b"why: database is away"
    with App({"/metrics": respond(body, status)}) as app:
        response = adapter(app.url).get("/health")

    assert response.status_code == int(status[:3])
    assert response.content == body


def test_a_redirect_is_handed_on_and_never_followed(adapter: StartAdapter) -> None:
    with App({"/metrics": respond(b"", "302 Found", b"Location: /metrics\r\n")}) as app:
        response = adapter(app.url).get("/health")

        assert app.seen == {"/metrics": 1}
    assert response.status_code == 302
    assert response.headers["Location"] == "/metrics"


def test_nothing_of_a_probers_request_reaches_the_app(adapter: StartAdapter) -> None:
    with App({"/metrics": respond(METRICS)}) as app:
        adapter(app.url).send_raw(
            b"GET /health?path=/admin HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer hunter2\r\n"
            b"X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Host: evil.example\r\nCookie: a=b\r\nConnection: close\r\n\r\n"
        )
        head = app.heads[0].decode().lower()

    assert head.startswith("get /metrics http/1.1\r\n")
    assert f"host: 127.0.0.1:{app.port}\r\n" in head
    assert "accept-encoding: identity\r\n" in head
    for word in ("evil", "hunter2", "forwarded", "cookie", "authorization", "admin"):
        assert word not in head


def test_headers_of_the_connection_stay_on_it(adapter: StartAdapter) -> None:
    hop = b"Connection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nSet-Cookie: id=1\r\nContent-Type: text/html\r\n"
    with App({"/metrics": respond(METRICS, headers=hop)}) as app:
        response = adapter(app.url).get("/health")

    assert set(response.headers) <= {"content-type", "content-length", "date", "server", "connection"}
    assert response.headers["Content-Type"] == "text/html"
    assert response.headers["Server"] == "adapter"


def test_a_header_that_no_client_could_read_is_left_out(adapter: StartAdapter) -> None:
    with App({"/metrics": respond(METRICS, headers=b"Content-Type: text/\xff\xfe\r\n")}) as app:
        response = adapter(app.url).get("/health")

    assert response.status_code == 200
    assert response.content == METRICS


def test_an_app_of_http_1_0_is_understood(adapter: StartAdapter) -> None:
    with App({"/metrics": send_raw(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n", METRICS)}) as app:
        response = adapter(app.url).get("/health")

    assert (response.status_code, response.content) == (200, METRICS)


def test_a_body_in_chunks_is_handed_on_whole(adapter: StartAdapter) -> None:
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with App({"/metrics": send_raw(chunks)}) as app:
        response = adapter(app.url).get("/health")

    assert response.content == b"abcde"
    assert "Transfer-Encoding" not in response.headers


def test_what_comes_compressed_is_handed_on_compressed(adapter: StartAdapter) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    with App({"/metrics": respond(bomb, headers=b"Content-Encoding: gzip\r\n")}) as app:
        running = adapter(app.url, ADAPTER_MAX_BODY="1MiB")
        received = running.send_raw(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    head, _, body = received.partition(b"\r\n\r\n")
    assert b"Content-Encoding: gzip" in head
    assert body == bomb


def test_an_app_on_ipv6_is_reached(adapter: StartAdapter) -> None:
    try:
        app = App({"/metrics": respond(METRICS)}, host="::1")
        with socket.socket(socket.AF_INET6) as trial:
            trial.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with app:
        assert adapter(app.url).get("/health").content == METRICS
        assert f"host: [::1]:{app.port}" in app.heads[0].decode().lower()


# -- refusals ----------------------------------------------------------------------------------------------


def test_an_unknown_path_is_told_the_routes_and_a_wrong_method_the_right_ones(adapter: StartAdapter) -> None:
    with App({}) as app:
        running = adapter(app.url)

        unknown, wrong = running.get("/nowhere"), running.get("/health", method="DELETE")

        assert app.connections == 0
        assert running.metric("adapter_requests_total", route="other", code="404") == 1
        assert running.metric("adapter_requests_total", route="/health", code="405") == 1
    assert (unknown.status_code, unknown.text) == (404, "not found: the routes are /health\n")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "GET, HEAD")


def test_garbage_from_a_prober_is_refused_and_never_logged(adapter: StartAdapter) -> None:
    with App({"/metrics": respond(METRICS)}) as app:
        running = adapter(app.url)

        assert running.send_raw(b"hunter2 \x00\xff\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        assert running.send_raw(b"GET /health HTTP/1.1\r\nhunter2 header\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        assert running.get("/health").is_success
    assert "hunter2" not in running.program.stderr
    assert "Traceback" not in running.program.stderr
