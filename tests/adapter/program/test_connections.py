"""Connections of the adapter as a process: idle ones to the app, and a thousand probers at once."""

from __future__ import annotations

import asyncio
import socket
import threading

import aiohttp

from tests.adapter.conftest import StartAdapter
from tests.adapter.support import METRICS, App, close_on_second_request, hang, hold_until, probe_together, respond
from tests.support import free_port, wait_until


def test_an_app_that_closes_a_kept_connection_is_asked_on_a_fresh_one(adapter: StartAdapter) -> None:
    with App({"/metrics": close_on_second_request(METRICS)}) as app:
        running = adapter(app.url)

        assert [running.get("/health").content for _ in range(6)] == [METRICS] * 6
    assert running.metric("adapter_upstream_errors_total", app="default", reason="closed") == 0


def test_a_thousand_probes_at_once_are_one_request_to_the_app(adapter: StartAdapter) -> None:
    release = threading.Event()
    with App({"/metrics": hold_until(release, respond(METRICS))}) as app:
        running = adapter(app.url, "/health=/metrics,/live=/metrics", ADAPTER_TIMEOUT="5m")
        paths = ["/health", "/live"] * 500

        def all_are_waiting() -> None:
            release.set()

        statuses = asyncio.run(probe_together(running.port, paths, all_are_waiting))

        assert app.seen == {"/metrics": 1}
        assert running.metric("adapter_upstream_requests_total", app="default") == 1
        assert running.metric("adapter_requests_total", route="/health", code="200") == 500
        assert running.metric("adapter_requests_total", route="/live", code="200") == 500
    assert statuses == [200] * 1000


def test_a_thousand_probes_of_a_hung_app_are_all_answered_at_the_deadline(adapter: StartAdapter) -> None:
    async def probe(url: str) -> list[int]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

            async def one() -> int:
                async with client.get(url) as response:
                    return response.status

            return await asyncio.gather(*(one() for _ in range(1000)))

    with App({"/metrics": hang()}) as app:
        running = adapter(app.url, ADAPTER_TIMEOUT="2s")

        statuses = asyncio.run(probe(f"http://127.0.0.1:{running.port}/health"))

        assert statuses == [503] * 1000
        assert app.seen["/metrics"] < 20


def test_probes_go_on_while_the_app_is_restarted(adapter: StartAdapter) -> None:
    port = free_port()
    seen: list[int] = []
    running = None
    for body in (b"first", b"second", b"third"):
        with App({"/metrics": respond(body)}, port=port) as app:
            running = running or adapter(app.url)
            for _ in range(20):
                response = running.get("/health")
                assert (response.status_code, response.content) == (200, body)
        seen += [running.get("/health").status_code for _ in range(3)]
    assert seen == [503] * 9


def test_a_prober_that_leaves_does_not_spoil_the_answer_of_the_others(adapter: StartAdapter) -> None:
    release = threading.Event()
    with App({"/metrics": hold_until(release, respond(METRICS))}) as app:
        running = adapter(app.url, ADAPTER_TIMEOUT="5m")
        impatient = socket.create_connection(("127.0.0.1", running.port))
        impatient.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: app.seen["/metrics"], "the first request to reach the app")
        with socket.create_connection(("127.0.0.1", running.port)) as patient:
            patient.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert running.get("/nowhere").status_code == 404  # by then the request without a limit waits, too
            impatient.close()
            release.set()
            received = b""
            while part := patient.recv(65536):
                received += part

        assert received.endswith(METRICS)
        assert app.seen == {"/metrics": 1}


def test_a_connection_too_many_is_told_so_if_all_others_are_at_work(adapter: StartAdapter) -> None:
    release = threading.Event()
    with App({"/metrics": hold_until(release, respond(METRICS))}) as app:
        running = adapter(app.url, ADAPTER_MAX_CONNECTIONS="2", ADAPTER_TIMEOUT="5m")
        holders = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(2)]
        for holder in holders:
            holder.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")

        def at_work() -> bool:
            probes = running.status()["connections"]["probes"]
            return bool(probes["open"] == 2 and not probes["idle"])

        wait_until(at_work, "both requests at work")

        with socket.create_connection(("127.0.0.1", running.port), timeout=60) as one_more:
            assert one_more.recv(65536).startswith(b"HTTP/1.1 503 ")
        release.set()
        for holder in holders:
            assert holder.recv(65536).startswith(b"HTTP/1.1 200 ")
            holder.close()
        assert running.get("/health").status_code == 200


def test_a_request_with_a_length_and_an_encoding_is_the_last_of_its_connection(adapter: StartAdapter) -> None:
    """RFC 9112, section 6.1: bytes after such a request may be a smuggled request."""
    hidden = b"0\r\n\r\nGET /live HTTP/1.1\r\nHost: x\r\n\r\n"
    both = b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % len(hidden)
    with App({"/metrics": respond(METRICS)}) as app:
        running = adapter(app.url, "/health=/metrics,/live=/metrics")
        received = running.send_raw(b"GET /health HTTP/1.1\r\nHost: x\r\n" + both + b"\r\n" + hidden)

        assert running.metric("adapter_requests_total", route="/live", code="200") == 0
    assert received.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in received.lower()
