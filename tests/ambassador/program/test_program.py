"""The real program from start to end: addresses, admin pages, limits of clients, the drain."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
from pathlib import Path

import httpx
import pytest

from tests.ambassador.loads import sigterm_under_load
from tests.ambassador.support import GET, Ambassador, Peer, answering, backends, hanging, joined
from tests.conftest import Start
from tests.support import PATIENCE, free_port, get, wait_until


def test_a_client_that_stalls_in_a_head_or_a_body_is_answered_408(start: Start) -> None:
    with backends(hanging) as (backend,):
        ambassador = Ambassador(start, backend.url, IDLE_TIMEOUT="1s")
        for beginning in (GET[:20], b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"):
            with ambassador.connect() as peer:
                peer.send(beginning)
                assert peer.rest().startswith(b"HTTP/1.1 408 ")
        with ambassador.connect() as peer:
            assert peer.rest() == b""


def test_a_client_that_leaves_takes_its_request_with_it(start: Start) -> None:
    ended = threading.Event()

    def wait(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                peer.send(b"1\r\nx\r\n")
                if ended.wait(0.01):
                    return
        finally:
            ended.set()

    with backends(wait) as (backend,):
        ambassador = Ambassador(start, backend.url)
        with ambassador.connect() as peer:
            peer.send(GET)
            peer.head()
        assert ended.wait(30)
        wait_until(lambda: ambassador.metric("ambassador_requests_total", code="499") == 1, "the count of it")


# -- several upstreams, names, pages ------------------------------------------------------------------------------


def test_several_upstreams_each_have_their_address(start: Start) -> None:
    ports = {name: free_port() for name in ("orders", "stock", "admin")}
    with backends(answering(b"orders"), answering(b"stock")) as (orders, stock):
        program = start(
            "ambassador",
            AMBASSADOR_ADMIN_LISTEN=f"127.0.0.1:{ports['admin']}",
            AMBASSADOR_ORDERS_LISTEN=f"127.0.0.1:{ports['orders']}",
            AMBASSADOR_ORDERS_UPSTREAM=orders.url.replace("127.0.0.1", "localhost"),
            AMBASSADOR_STOCK_LISTEN=f"127.0.0.1:{ports['stock']}",
            AMBASSADOR_STOCK_UPSTREAM=stock.url,
        )
        program.wait_ready(ports["admin"])
        for name in ("orders", "stock"):
            assert get(f"http://127.0.0.1:{ports[name]}/").text == name
        page = get(f"http://127.0.0.1:{ports['admin']}/status").json()
    target = page["upstreams"]["orders"]["targets"][0]
    assert target["target"] == f"http://localhost:{orders.port}"
    assert target["dns_age_seconds"] >= 0
    assert "127.0.0.1" in json.dumps(target["endpoints"])


def test_the_app_may_reach_it_through_a_unix_socket(start: Start, tmp_path: Path) -> None:
    path, admin = tmp_path / "orders.sock", free_port()
    with backends(answering()) as (backend,):
        program = start(
            "ambassador",
            AMBASSADOR_LISTEN=f"unix:{path}",
            AMBASSADOR_ADMIN_LISTEN=f"127.0.0.1:{admin}",
            AMBASSADOR_UPSTREAM=backend.url,
        )
        program.wait_ready(admin)
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=PATIENCE) as client:
            assert [client.get("http://orders/").text for _ in range(3)] == ["ok"] * 3
        assert program.stop() == 0


def test_it_is_not_ready_and_says_why_while_a_name_has_no_address(start: Start) -> None:
    port, admin = free_port(), free_port()
    program = start(
        "ambassador",
        AMBASSADOR_LISTEN=f"127.0.0.1:{port}",
        AMBASSADOR_ADMIN_LISTEN=f"127.0.0.1:{admin}",
        AMBASSADOR_UPSTREAM="http://nowhere.invalid",
    )
    program.wait_logged("a name cannot be looked up")
    ready = get(f"http://127.0.0.1:{admin}/readyz")
    assert ready.status_code == 503
    assert "upstream default: it has no address yet: nowhere.invalid: " in ready.text
    response = get(f"http://127.0.0.1:{port}/")
    assert response.status_code == 503
    assert "error=dns_error" in response.headers["proxy-status"]


# -- the end ------------------------------------------------------------------------------------------------------


def test_an_idle_ambassador_stops_at_once(start: Start) -> None:
    with backends(answering()) as (backend,):
        ambassador = Ambassador(start, backend.url, DRAIN_TIMEOUT="60s")
        with ambassador.connect() as peer:
            peer.send(GET)
            peer.response()
            assert ambassador.program.stop(patience=30) == 0
            assert peer.rest() == b""


def test_after_sigterm_requests_in_flight_and_new_ones_are_served(start: Start) -> None:
    go = threading.Event()

    def slow(peer: Peer) -> None:
        while head := peer.head():
            if b"/slow" in head:
                go.wait(30)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with backends(slow) as (backend,):
        ambassador = Ambassador(start, backend.url)
        with ambassador.connect() as peer:
            peer.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_until(lambda: backend.connections, "the request upstream")
            ambassador.program.signal(signal.SIGTERM)
            ambassador.program.wait_logged("draining")
            status, head, _ = wait_until(ambassador.ask, "a response while draining")
            assert status == 200
            assert b"Connection: close\r\n" in head
            go.set()
            status, head, _ = peer.response()
            assert status == 200
            assert b"Connection: close\r\n" in head
        assert ambassador.program.wait() == 0
        assert ambassador.program.logged("drained")


def test_sigterm_under_load_fails_no_request(start: Start) -> None:
    with backends(*[answering()] * 2) as running:
        ambassador = Ambassador(start, joined(running))
        assert sigterm_under_load(ambassador, at=500, until=1500) == []
        assert ambassador.program.wait() == 0


def test_a_plain_container_serves_the_next_connection_of_an_app_that_is_stopped_with_it(start: Start) -> None:
    with backends(answering()) as (backend,):
        ambassador = Ambassador(start, backend.url, DRAIN_QUIET="3s")
        ambassador.program.signal(signal.SIGTERM)
        ambassador.program.wait_logged("draining")
        threading.Event().wait(0.7)  # longer than an ambassador waits without this setting
        assert ambassador.ask()[0] == 200
        assert ambassador.program.wait() == 0
        assert ambassador.program.logged("drained")


def test_the_drain_has_a_deadline(start: Start) -> None:
    with backends(hanging) as (backend,):
        ambassador = Ambassador(start, backend.url, DRAIN_TIMEOUT="200ms")
        with ambassador.connect() as peer:
            peer.send(GET)
            wait_until(lambda: backend.connections, "the request upstream")
            assert ambassador.program.stop() == 0
        assert ambassador.program.logged("the drain was cut short")


def test_a_port_in_use_ends_it_with_69_and_names_the_variable(start: Start) -> None:
    with backends(answering()) as (backend,):
        program = start(
            "ambassador",
            AMBASSADOR_LISTEN=f"127.0.0.1:{backend.port}",
            AMBASSADOR_ADMIN_LISTEN="off",
            AMBASSADOR_UPSTREAM="http://127.0.0.1:1",
        )
        assert program.wait() == 69
        last = program.logs[-1]["msg"]
    assert last.startswith(f"AMBASSADOR_LISTEN=127.0.0.1:{backend.port}: cannot listen there")


def test_bad_settings_end_it_with_78_and_are_all_told(start: Start) -> None:
    program = start("ambassador", AMBASSADOR_UPSTREAM="ftp://x", AMBASSADOR_RETRIES="many", AMBASSADOR_TIMOUT="1s")
    assert program.wait() == 78
    for name in ("AMBASSADOR_UPSTREAM=***", "AMBASSADOR_RETRIES=many", "did you mean AMBASSADOR_TIMEOUT"):
        assert name in program.stderr
    assert program.logged("listening") is None


# -- nobody waits for ever, and nothing that broke looks whole ----------------------------------------------------


def endless(peer: Peer) -> None:
    """Respond with more than all buffers on the way can hold."""
    if peer.head():
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 64000000\r\n\r\n" + b"x" * 64_000_000)


def test_an_app_that_never_reads_its_answer_is_let_go(start: Start) -> None:
    with backends(endless) as (backend,):
        ambassador = Ambassador(start, backend.url, IDLE_TIMEOUT="1s")
        with ambassador.connect() as peer:
            peer.send(GET)
            wait_until(lambda: ambassador.metric("ambassador_requests_total", code="499") == 1, "the app was let go")
            assert ambassador.metric("ambassador_upstream_connections_open") == 0
            with pytest.raises(ConnectionResetError):
                peer.rest()


def test_an_answer_without_length_that_the_drain_cuts_off_has_no_clean_end(start: Start) -> None:
    def half(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.0 200 OK\r\n\r\nhalf")
        peer.exactly(1)

    with backends(half) as (backend,):
        ambassador = Ambassador(start, backend.url, DRAIN_TIMEOUT="200ms")
        with ambassador.connect() as peer:
            peer.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
            peer.head()
            assert peer.exactly(4) == b"half"
            assert ambassador.program.stop() == 0
            with pytest.raises(ConnectionResetError):
                peer.rest()


def test_upgraded_connections_count_among_those_that_the_app_may_have(start: Start) -> None:
    def switch(peer: Peer) -> None:
        if peer.head():
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            peer.exactly(1)

    with backends(switch) as (backend,), contextlib.ExitStack() as stack:
        ambassador = Ambassador(start, backend.url, MAX_CONNECTIONS="2")
        for _ in range(2):
            peer = stack.enter_context(ambassador.connect())
            peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            assert peer.head().startswith(b"HTTP/1.1 101 ")
        assert stack.enter_context(ambassador.connect()).response()[0] == 503


@pytest.mark.skipif(not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists(), reason="no IPv6 on this machine")
def test_an_endpoint_may_be_given_by_its_ipv6_address(start: Start) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
        ambassador = Ambassador(start, f"http://[::1]:{port}")
        with ambassador.connect() as app:
            app.send(GET)
            with Peer(listener.accept()[0]) as peer:
                assert f"Host: [::1]:{port}\r\n".encode() in peer.head()
                peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
                assert app.response()[0] == 204
