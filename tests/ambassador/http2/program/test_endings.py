"""Replicas that end while calls are under way, and the end of the ambassador itself, as a real client of gRPC sees it.

`tests.ambassador.grpc_chaos` has the long form of the first ones: `make chaos-grpc`.
"""

from __future__ import annotations

import threading
from pathlib import Path

from tests.ambassador import grpc_chaos
from tests.ambassador.http2 import interop_client, raw
from tests.ambassador.http2.raw import Connection
from tests.ambassador.http2.raw_server import RESPONSE, Session, serving
from tests.ambassador.nameserver import name_server
from tests.ambassador.support import Ambassador
from tests.conftest import Start
from tests.support import wait_until

GET, WATCH = b"/shop.v1.Orders/Get", b"/shop.v1.Orders/Watch"


def test_replicas_that_restart_gracefully_fail_no_call_and_execute_none_twice(tmp_path: Path) -> None:
    assert "0 failed, 0 executed twice" in grpc_chaos.restart(tmp_path, 200)


def test_of_replicas_that_are_killed_only_calls_in_flight_fail_with_unavailable(tmp_path: Path) -> None:
    assert "0 executed twice" in grpc_chaos.kill(tmp_path, 200)


def test_after_sigterm_calls_in_flight_are_answered_and_the_process_ends(start: Start) -> None:
    """A real client obeys GOAWAY: each of its calls is answered, and no other one is opened here."""
    in_flight, go_on = threading.Event(), threading.Event()

    def late(session: Session) -> None:
        streams = [session.request() for _ in range(20)]
        in_flight.set()
        go_on.wait(60)
        for stream in streams:
            session.respond(stream, b"late")
        assert session.request() == 0

    with serving(late) as server:
        ambassador = Ambassador(start, server.url)
        with interop_client.channel(ambassador.port) as channel:
            call = channel.unary_unary("/shop.v1.Orders/Get")
            calls = [call.future(b"order") for _ in range(20)]
            assert in_flight.wait(60)
            ambassador.program.process.terminate()
            ambassador.program.wait_logged("draining")
            go_on.set()
            assert [each.result() for each in calls] == [b"late"] * 20
        assert ambassador.program.wait() == 0


def test_an_address_that_dns_has_removed_gets_no_call_and_ends_those_in_flight(start: Start, tmp_path: Path) -> None:
    """Its call is answered; its quiet stream has DRAIN_TIMEOUT, and ends with UNAVAILABLE."""
    go_on = threading.Event()

    def serve(session: Session) -> None:
        while stream := session.request():
            if dict(session.heads[stream])[b":path"] == WATCH:
                session.send(raw.headers(stream, RESPONSE, raw.END_HEADERS))
            else:
                go_on.wait(60)
                session.respond(stream, b"late")

    with serving(serve) as server, name_server() as zone:
        zone.set_records("orders", "127.0.0.1")
        environ = {"DNS_MAX_TTL": "100ms", "DNS_MIN_TTL": "100ms", "DRAIN_TIMEOUT": "3s"}
        environ["RESOLV_CONF"] = str(zone.resolv_conf(tmp_path))
        ambassador = Ambassador(start, f"h2c://orders:{server.port}", **environ)
        with Connection.to(ambassador.port) as app:
            for stream, path in ((1, WATCH), (3, GET)):
                app.send(raw.headers(stream, raw.call(path), raw.END_HEADERS))
                app.send(raw.data(stream, raw.message(b"x"), raw.END_STREAM))
            wait_until(lambda: server.sessions and len(server.sessions[0].heads) == 2, "both are in flight")
            zone.set_records("orders", "127.0.0.9")
            ambassador.program.wait_logged("endpoints changed")
            wait_until(lambda: [each["address"] for each in ambassador.endpoints()] != [], "the new address is known")
            go_on.set()
            answered, ended = app.message(3), app.message(1)
            assert answered is not None
            assert (answered.grpc_status, raw.messages(answered.body)) == (0, [b"late"])
            assert ended is not None
            assert ended.grpc_status == 14
            app.send(raw.headers(5, raw.call(GET), raw.END_HEADERS), raw.data(5, flags=raw.END_STREAM))
            other = app.message(5)
            assert other is not None
            assert other.grpc_status == 14
            assert len(server.sessions) == 1
            assert set(server.sessions[0].heads) == {1, 3}
