"""One port of the real program before nginx, HAProxy (h2c) and a server of gRPC: two workers, confined."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.ambassador.http2 import raw
from tests.ambassador.http2.raw_server import answering as answering_calls
from tests.ambassador.http2.raw_server import serving as serving_calls
from tests.ambassador.support import Ambassador, Peer, answering, backends
from tests.conftest import Start
from tests.support import free_port, peer, serving, wait_until
from tests.support import get as get_page

COMMON = ("time", "level", "msg", "logger")  # members of each log line
NGINX = """
user root; worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location = /api/v2/old {{ add_header Set-Cookie "cart=7; Path=/api/v2"; return 302 /api/v2/new?x=1; }}
    location = /api/v2/away {{ return 302 http://elsewhere.example/api/v2/new; }}
    location / {{ return 200 "orders $request_uri"; }}
  }}
}}
"""
HAPROXY = """
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend app
  bind 127.0.0.1:{port} proto h2
  http-request return status 200 content-type text/plain lf-string "users %[pathq] %[req.hdr(x-team)]"
"""


@pytest.fixture
def ambassador(start: Start, tmp_path: Path) -> Iterator[Ambassador]:
    """Run one port: nginx below a base, HAProxy by host and by a field, and calls of gRPC by their service."""
    with ExitStack() as stack:
        orders, _ = stack.enter_context(serving(tmp_path, NGINX, [peer("nginx"), "-p", str(tmp_path), "-c"]))
        users, _ = stack.enter_context(serving(tmp_path, HAPROXY, [peer("haproxy"), "-db", "-f"]))
        calls = stack.enter_context(serving_calls(answering_calls))
        yield Ambassador(
            start,
            "",
            ORDERS_UPSTREAM=f"{orders}/api/v2",
            ORDERS_ROUTE="/orders",
            ORDERS_STRIP_PREFIX="true",
            USERS_UPSTREAM=users.replace("http:", "h2c:"),
            USERS_ROUTE="host=users.local, header:x-tenant=blue",
            USERS_HEADERS="X-Team: shop\n-X-Tenant",
            CALLS_UPSTREAM=calls.url,
            CALLS_ROUTE="/shop.v1.Orders/",
            WORKERS="2",
            ACCESS_LOG="all",
            CONFINEMENT="required",
        )


def get(target: bytes, *more: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % (target, b"".join(line + b"\r\n" for line in more))


def status(ambassador: Ambassador) -> Any:
    return get_page(f"http://127.0.0.1:{ambassador.admin}/status").json()


def test_each_request_of_a_kept_connection_goes_to_its_own_upstream(ambassador: Ambassador) -> None:
    with ambassador.connect() as app:

        def ask(request: bytes) -> tuple[int, bytes, bytes]:
            app.send(request)
            return app.response()

        assert ask(get(b"/orders/7?x=/orders"))[2] == b"orders /api/v2/7?x=/orders"
        assert ask(get(b"/any/../x?y", b"X-Tenant: blue"))[0] == 400
        assert ask(get(b"/any?y", b"X-Tenant: blue"))[2] == b"users /any?y shop"
        assert ask(b"GET http://users.local/x HTTP/1.1\r\nHost: a\r\n\r\n")[2] == b"users /x shop"
        for target in (
            b"/orders/../admin",
            b"/orders/%2e%2e/admin",
            b"/orders/..;/admin",
            b"//orders/7",
            b"/orders%2f7",
        ):
            code, head, body = ask(get(target))
            assert (code, b"Connection: close" in head) == (400, False)
            assert b"ambassador: the path " in body
        code, head, body = ask(get(b"/nothing"))
        assert (code, b"error=destination_not_found" in head) == (404, True)
        assert b"no upstream of this port has a route" in body
        code, head, _ = ask(get(b"/orders/old"))
        assert code == 302
        assert b"\r\nSet-Cookie: cart=7; Path=/orders\r\n" in head
        # nginx has made a URL of it, with the Host that it got.
        assert b"\r\nLocation: http://localhost/orders/new?x=1\r\n" in head
        assert b"Location: http://elsewhere.example/api/v2/new\r\n" in ask(get(b"/orders/away"))[1]
        pipelined = [get(b"/orders/1"), get(b"/nothing"), get(b"/", b"X-Tenant: blue"), get(b"/orders/2")]
        app.send(b"".join(pipelined))
        assert [app.response()[2][:12] for _ in pipelined] == [
            b"orders /api/",
            b"ambassador: ",
            b"users / shop",
            b"orders /api/",
        ]
    line = ambassador.program.wait_logged("request")
    assert (line["upstream"], line["path"]) == ("orders", "/orders/7")  # as the app has asked


def messages(app: raw.Connection, streams: set[int]) -> dict[int, raw.Message]:
    """Return what came on these streams, in whatever order they end."""
    found = {stream: raw.Message([], b"", None) for stream in streams}
    while streams:
        got = app.until(raw.HEADERS, raw.DATA, raw.RST_STREAM)
        assert got is not None
        one = found[got.stream]
        if got.kind == raw.HEADERS:
            one.heads.append(app.head(got))
        elif got.kind == raw.DATA:
            one.body += got.payload
        if got.ends:
            streams = streams - {got.stream}
    return found


def test_each_stream_goes_to_its_own_upstream_and_a_call_by_its_service(ambassador: Ambassador) -> None:
    with raw.Connection.to(ambassador.port) as app:
        users = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/x"), (b":authority", b"users.local:1")]
        app.send(  # in one read
            raw.headers(1, raw.request(b"/orders/7")),
            raw.headers(3, users),
            raw.headers(5, raw.call(b"/shop.v1.Orders/Get"), raw.END_HEADERS),
            raw.data(5, raw.message(b"order"), raw.END_STREAM),
            raw.headers(7, raw.request(b"/orders/%2e%2e/x")),
            raw.headers(9, raw.request(b"/nothing")),
            raw.headers(11, raw.call(b"/shop.v1.Users/Get"), raw.END_HEADERS),
            raw.data(11, raw.message(b"user"), raw.END_STREAM),
            raw.headers(13, raw.request(b"/orders/old")),
        )
        found = messages(app, {1, 3, 5, 7, 9, 11, 13})
    assert (found[1].body, found[3].body) == (b"orders /api/v2/7", b"users /x shop")
    assert (found[5].grpc_status, raw.messages(found[5].body)) == (0, [b"/shop.v1.Orders/Get"])
    assert (found[7].status, found[9].status) == (400, 404)
    assert b"destination_not_found" in (found[9].field(b"proxy-status") or b"")
    assert (found[11].status, found[11].grpc_status) == (200, 12)
    assert found[13].field(b"location") == b"http://a/orders/new?x=1"


def test_what_is_counted_is_counted_once(ambassador: Ambassador) -> None:
    for request in (get(b"/orders/1"), get(b"/orders/2"), get(b"/x", b"X-Tenant: blue"), get(b"/nothing")):
        ambassador.ask(request)
    port = f"127.0.0.1:{ambassador.port}"
    wait_until(lambda: ambassador.metric("ambassador_requests_total") == 4, "the reports of both workers")
    assert [
        ambassador.metric("ambassador_requests_total", upstream=name) for name in ("orders", "users", "calls", port)
    ] == [2, 1, 0, 1]
    assert ambassador.metric("ambassador_errors_total", error="destination_not_found", upstream=port) == 1
    assert ambassador.metric("ambassador_downstream_connections_total") == 4
    assert ambassador.metric("ambassador_downstream_connections_total", upstream=port) == 4
    assert ambassador.metric("ambassador_upstream_endpoints", upstream=port) == 0
    shown = status(ambassador)
    assert [(each["route"], each["upstream"], each["sent_as"], each["requests"]) for each in shown["routes"]] == [
        ("host=users.local", "users", "/", 0),
        ("/shop.v1.Orders", "calls", "/shop.v1.Orders", 0),
        ("/orders", "orders", "/api/v2", 2),
        ("header:x-tenant=blue", "users", "/", 1),
    ]
    assert shown["ports"][port]["unrouted"] == 1
    assert shown["ports"][port]["connections_accepted"] == 4
    assert {name: each["connections_accepted"] for name, each in shown["upstreams"].items()} == dict.fromkeys(
        ("calls", "orders", "users"), 0
    )
    ambassador.program.signal(signal.SIGTERM)
    assert ambassador.program.wait() == 0


def test_a_request_that_no_upstream_gets_is_logged_and_traced_as_all_of_its_port_are(start: Start) -> None:
    alike = {"ACCESS_LOG": "all", "ACCESS_LOG_FIELDS": "upstream,status,trace_id,request_id,error", "TRACES": "context"}
    with backends(answering(b"ok")) as (running,):
        both = {"A_UPSTREAM": running.url, "A_ROUTE": "/a", "B_UPSTREAM": running.url + "/base", "B_ROUTE": "/b"}
        for more, fields in (
            ({"REQUEST_ID_HEADER": "x-request-id"}, ["error", "request_id", "status", "trace_id", "upstream"]),
            ({"REQUEST_ID_HEADER": "x-request-id", "B_TRACES_RATIO": "5%"}, []),  # they differ: the default fields
        ):
            ambassador = Ambassador(start, "", **both, **alike, **more)
            for target, code in ((b"/nothing", 404), (b"/a/../b", 400)):
                trace = b"traceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
                assert ambassador.ask(get(target, trace, b"X-Request-Id: seven"))[0] == code
            for line in both_logged(ambassador):
                if fields:
                    assert sorted(line) == fields
                    assert (line["request_id"], line["trace_id"]) == ("seven", "a" * 32)
                else:
                    assert line["path"] in ("/nothing", "/a/../b")


def both_logged(ambassador: Ambassador) -> list[dict[str, Any]]:
    return wait_until(lambda: found if len(found := logged(ambassador)) == 2 else None, "two lines")


def logged(ambassador: Ambassador) -> list[dict[str, Any]]:
    """Return the fields of the lines of the access log."""
    lines = [json.loads(line) for line in ambassador.program.stderr.splitlines()]
    ours = [line for line in lines if line["logger"] == "ambassador.access"]
    return [{name: value for name, value in line.items() if name not in COMMON} for line in ours]


def test_a_path_that_is_refused_is_not_copied_to_a_mirror_and_is_logged_by_its_fields(start: Start) -> None:
    with backends(answering(b"ok"), answering(b"copy")) as (running, shadow):
        ambassador = Ambassador(
            start,
            "",
            A_UPSTREAM=running.url + "/base",
            A_MIRROR="shadow",
            SHADOW_UPSTREAM=shadow.url,
            SHADOW_LISTEN="127.0.0.1:0",
            ACCESS_LOG="all",
            ACCESS_LOG_FIELDS="path,status",
        )
        assert ambassador.ask(get(b"/x/../y"))[0] == 400
        assert wait_until(lambda: logged(ambassador), "its line") == [{"path": "/x/../y", "status": 400}]
        assert ambassador.ask(get(b"/x"))[0] == 200
        wait_until(lambda: shadow.connections == 1, "the copy of the other request")
        assert ambassador.metric("ambassador_mirror_copies_total", outcome="sent") == 1


def test_a_route_counts_the_requests_that_were_for_it_and_none_that_was_rejected(start: Start) -> None:
    with backends(answering(b"ok")) as (running,):
        ambassador = Ambassador(start, "", A_UPSTREAM=running.url, A_ROUTE="/a", B_UPSTREAM=running.url)
        with raw.Connection.to(ambassador.port) as app:
            bad = [*raw.request(b"/a"), (b"connection", b"close")]
            app.send(raw.headers(1, bad))
            assert app.until(raw.HEADERS, raw.RST_STREAM) is not None
        assert ambassador.ask(get(b"/a"))[0] == 200
        shown = {each["route"]: each["requests"] for each in status(ambassador)["routes"]}
        assert shown == {"/a": 1, "/": 0}


def test_a_url_may_name_each_host_that_a_route_takes(start: Start) -> None:
    with backends(answering(b"ok")) as (running,):
        ambassador = Ambassador(start, "", A_UPSTREAM=running.url, A_ROUTE="host=*.local, host=exact.test")
        for host, code in (
            (b"orders.local", 200),
            (b"a.b.local", 200),
            (b"orders.local:%d" % ambassador.port, 200),
            (b"exact.test", 200),
            (b"local", 421),
            (b"xlocal", 421),
            (b"orders.local.evil", 421),
            (b"orders.local:1", 421),
        ):
            answer = ambassador.ask(b"GET http://%b/x HTTP/1.1\r\nHost: a\r\n\r\n" % host)
            assert (host, answer[0]) == (host, code)


def test_options_of_the_whole_server_stay_below_the_base(start: Start) -> None:
    seen: list[bytes] = []
    with backends(answering(b"ok", seen=seen)) as (running,):
        ambassador = Ambassador(start, running.url + "/base")
        assert ambassador.ask(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")[0] == 200
    assert seen[0].startswith(b"OPTIONS /base HTTP/1.1\r\n")


def test_settings_and_failures_are_those_of_the_upstream_and_the_connection_is_that_of_the_port(start: Start) -> None:
    with backends(answering(b"ok")) as (running,):
        ambassador = Ambassador(
            start,
            "",
            A_UPSTREAM=running.url,
            B_UPSTREAM=f"http://127.0.0.1:{free_port()}",
            B_ROUTE="/b",
            B_RETRIES="0",
            MAX_CONNECTIONS="1",
        )
        with ambassador.connect() as app:
            app.send(get(b"/b"))
            code, head, body = app.response()
            assert (code, b"upstream b" in head, b"upstream: b\n" in body) == (502, True, True)
            app.send(get(b"/b2"))  # no whole segment
            assert app.response()[0] == 200
            with ambassador.connect() as newcomer:
                newcomer.send(get(b"/"))
                assert newcomer.response()[0] == 200
            assert app.rest() == b""  # it was idle, and the port has one place
        endpoints = status(ambassador)["upstreams"]
        assert [endpoints[name]["targets"][0]["endpoints"][0]["failed"] for name in ("a", "b")] == [0, 1]


def test_an_upgrade_on_a_shared_port_is_a_tunnel_to_its_upstream_and_counts_for_the_port(start: Start) -> None:
    def switching(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello")
        peer.exactly(3)
        peer.send(b"bye")

    with backends(switching, answering()) as (one, other):
        ambassador = Ambassador(start, "", A_UPSTREAM=one.url, A_ROUTE="/ws", B_UPSTREAM=other.url)
        with ambassador.connect() as app:
            app.send(get(b"/ws", b"Connection: Upgrade", b"Upgrade: x"))
            assert app.head().startswith(b"HTTP/1.1 101 ")
            assert app.exactly(5) == b"hello"
            assert ambassador.metric("ambassador_downstream_connections_open") == 1
            app.send(b"abc")
            assert app.exactly(3) == b"bye"
        wait_until(lambda: ambassador.metric("ambassador_downstream_connections_open") == 0, "the end of the tunnel")


def test_a_base_alone_needs_no_route_and_is_never_left(start: Start) -> None:
    seen: list[bytes] = []
    with backends(answering(seen=seen)) as (running,):
        ambassador = Ambassador(start, f"{running.url}/api/v2", HEALTH_PATH="/healthz", HEALTH_INTERVAL="1h")
        assert ambassador.ask(get(b"/x?y"))[0] == 200
        assert ambassador.ask(get(b"/x/../../secret"))[0] == 400
        assert ambassador.ask(get(b"/a//b%2Fc"))[0] == 200
        expected = {b"GET /healthz", b"GET /api/v2/x?y", b"GET /api/v2/a//b%2Fc"}
        wait_until(lambda: {head.partition(b" HTTP/")[0] for head in seen} == expected, "the check of the endpoint")
        assert ambassador.metric("ambassador_requests_total", upstream="default", code="400") == 1
