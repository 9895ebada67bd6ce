"""The real program while its surroundings fail: what the app sees must not show it."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
from pathlib import Path

import httpx
import pytest

from tests.ambassador.support import GET, Ambassador, Backend, Peer, answering, backends, joined, load
from tests.conftest import Start
from tests.support import free_port, wait_until

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"


def hanging(peer: Peer) -> None:
    """Reads and never answers."""
    while peer.head():
        pass


def resetting(peer: Peer) -> None:
    """Reads a request, and resets the connection."""
    peer.head()
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


# -- replicas that fail -------------------------------------------------------------------------------------------


def test_load_is_spread_over_all_replicas(start: Start) -> None:
    with backends(*[answering(body) for body in (b"a", b"b", b"c")]) as running:
        ambassador = Ambassador(start, joined(running))
        bodies = [ambassador.ask()[2] for _ in range(60)]
    assert all(bodies.count(body) >= 5 for body in (b"a", b"b", b"c"))


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
        ambassador = Ambassador(start, joined(running), TIMEOUT="300ms")
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
        wait_until(lambda: ambassador.ask()[2] == b"a", "an answer of the replica that is back")


# -- what is repeated and what is not -----------------------------------------------------------------------------


@pytest.mark.parametrize("retries", ["0", "2"])
def test_an_idle_connection_that_closes_under_a_request_is_not_noticed(start: Start, retries: str) -> None:
    def once_then_close(peer: Peer) -> None:
        """Answers one request; the second it reads, and closes without a word: the keep-alive race."""
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
    assert b"try 1: 127.0.0.1:" in body


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


def test_a_client_that_stalls_in_a_head_or_a_body_is_answered_408(start: Start) -> None:
    with backends(hanging) as (backend,):
        ambassador = Ambassador(start, backend.url, IDLE_TIMEOUT="300ms")
        for beginning in (GET[:20], b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"):
            with ambassador.connect() as peer:
                peer.send(beginning)
                assert peer.rest().startswith(b"HTTP/1.1 408 ")
        with ambassador.connect() as peer:
            assert peer.rest() == b""


def test_one_connection_too_many_is_told_so(start: Start) -> None:
    with backends(answering()) as (backend,):
        ambassador = Ambassador(start, backend.url, MAX_CONNECTIONS="2")
        with ambassador.connect() as one, ambassador.connect() as two:
            for peer in (one, two):
                peer.send(GET)
                assert peer.response()[0] == 200
            with ambassador.connect() as peer:
                assert b"error=connection_limit_reached" in peer.rest()
        wait_until(lambda: ambassador.ask()[0] == 200, "a connection within the limit")


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


# -- TCP ----------------------------------------------------------------------------------------------------------


def test_tcp_passes_any_bytes_and_each_end_by_itself(start: Start) -> None:
    def reverse(peer: Peer) -> None:
        peer.send(b"220 I speak first\r\n")
        peer.send(peer.rest()[::-1])

    with backends(reverse) as (backend,):
        ambassador = Ambassador(start, f"tcp://127.0.0.1:{backend.port}")
        with ambassador.connect() as peer:
            assert peer.until(b"\n") == b"220 I speak first\r\n"
            peer.send(bytes(range(256)) * 5000)
            peer.socket.shutdown(socket.SHUT_WR)
            assert peer.rest() == (bytes(range(256)) * 5000)[::-1]
        wait_until(lambda: ambassador.metric("ambassador_upstream_connections_open") == 0, "no connection left")


def test_tcp_goes_to_another_replica_when_one_refuses(start: Start) -> None:
    with backends(lambda peer: peer.send(b"hello")) as (backend,):
        ambassador = Ambassador(start, f"tcp://127.0.0.1:{free_port()},tcp://127.0.0.1:{backend.port}")
        for _ in range(6):
            with ambassador.connect() as peer:
                assert peer.rest() == b"hello"


def test_tcp_breaks_on_one_side_when_it_breaks_on_the_other(start: Start) -> None:
    with backends(resetting) as (backend,):
        ambassador = Ambassador(start, f"tcp://127.0.0.1:{backend.port}")
        with ambassador.connect() as peer:
            peer.send(GET)
            with contextlib.suppress(ConnectionResetError):
                assert peer.rest() == b""
        wait_until(lambda: ambassador.metric("ambassador_downstream_connections_open") == 0, "no connection left")


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
            assert httpx.get(f"http://127.0.0.1:{ports[name]}/", trust_env=False).text == name
        page = httpx.get(f"http://127.0.0.1:{ports['admin']}/status", trust_env=False).json()
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
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
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
    ready = httpx.get(f"http://127.0.0.1:{admin}/readyz", trust_env=False)
    assert ready.status_code == 503
    assert "upstream default: it has no address yet: nowhere.invalid: " in ready.text
    answer = httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
    assert answer.status_code == 503
    assert "error=dns_error" in answer.headers["proxy-status"]


# -- the end ------------------------------------------------------------------------------------------------------


def test_an_idle_ambassador_stops_at_once(start: Start) -> None:
    with backends(answering()) as (backend,):
        ambassador = Ambassador(start, backend.url, DRAIN_TIMEOUT="60s")
        with ambassador.connect() as peer:
            peer.send(GET)
            peer.response()
            assert ambassador.program.stop(patience=10) == 0
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
            status, head, _ = wait_until(ambassador.ask, "an answer while draining")
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
        told = False

        def enough(count: int) -> bool:
            nonlocal told
            if count > 500 and not told:
                told = True
                ambassador.program.signal(signal.SIGTERM)
            return count > 1500

        assert load(ambassador, clients=8, until=enough) == []
        assert ambassador.program.wait() == 0


def test_a_plain_container_serves_the_next_connection_of_an_app_that_is_stopped_with_it(start: Start) -> None:
    with backends(answering()) as (backend,):
        ambassador = Ambassador(start, backend.url, DRAIN_QUIET="2s")
        ambassador.program.signal(signal.SIGTERM)
        ambassador.program.wait_logged("draining")
        threading.Event().wait(0.7)  # longer than an ambassador without this setting waits
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


def test_a_port_in_use_ends_it_with_74_and_names_the_variable(start: Start) -> None:
    with backends(answering()) as (backend,):
        program = start(
            "ambassador",
            AMBASSADOR_LISTEN=f"127.0.0.1:{backend.port}",
            AMBASSADOR_ADMIN_LISTEN="off",
            AMBASSADOR_UPSTREAM="http://127.0.0.1:1",
        )
        assert program.wait() == 74
        last = program.logs[-1]["msg"]
    assert last.startswith(f"AMBASSADOR_LISTEN=127.0.0.1:{backend.port}: cannot listen there")


def test_bad_settings_end_it_with_78_and_are_all_told(start: Start) -> None:
    program = start("ambassador", AMBASSADOR_UPSTREAM="ftp://x", AMBASSADOR_RETRIES="many", AMBASSADOR_TIMOUT="1s")
    assert program.wait() == 78
    for name in ("AMBASSADOR_UPSTREAM=ftp://x", "AMBASSADOR_RETRIES=many", "did you mean AMBASSADOR_TIMEOUT"):
        assert name in program.stderr
    assert program.logged("listening") is None


# -- nobody waits for ever, and nothing that broke looks whole ----------------------------------------------------


def endless(peer: Peer) -> None:
    """Answers with more than any buffer on the way holds."""
    if peer.head():
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 64000000\r\n\r\n" + b"x" * 64_000_000)


def test_an_app_that_never_reads_its_answer_is_let_go(start: Start) -> None:
    with backends(endless) as (backend,):
        ambassador = Ambassador(start, backend.url, IDLE_TIMEOUT="300ms")
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


def test_a_reset_in_a_tunnel_arrives_as_a_reset(start: Start) -> None:
    def half_then_reset(peer: Peer) -> None:
        peer.send(b"half")
        peer.exactly(1)
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    with backends(half_then_reset) as (backend,):
        ambassador = Ambassador(start, f"tcp://127.0.0.1:{backend.port}")
        with ambassador.connect() as peer:
            assert peer.exactly(4) == b"half"
            peer.send(b"x")
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
        status, head, _ = wait_until(lambda: answered(ambassador), "a request that need not wait")
        assert status == 503
        assert b"too many requests wait for a connection" in head


def answered(ambassador: Ambassador) -> tuple[int, bytes, bytes] | None:
    with ambassador.connect() as peer, contextlib.suppress(TimeoutError):
        peer.socket.settimeout(1.0)
        peer.send(GET)
        return peer.response()
    return None


def test_a_try_that_takes_too_long_is_given_up_for_another_one(start: Start) -> None:
    with backends(hanging, answering()) as running:
        ambassador = Ambassador(start, joined(running), TRY_TIMEOUT="100ms", TIMEOUT="60s")
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
