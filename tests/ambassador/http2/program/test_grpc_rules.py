"""gRPC's rules in the program: replies of its own, deadlines, repeats, outcomes, metrics, health checks, ages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from sidecars.ambassador.http2 import grpc
from tests.ambassador.http2 import raw
from tests.ambassador.http2.protobuf import encode
from tests.ambassador.http2.raw import Connection, Message
from tests.ambassador.http2.raw_server import RESPONSE, Handler, RawServer, Session, answering, serving
from tests.ambassador.support import Ambassador, backends
from tests.ambassador.support import answering as answering_http1
from tests.conftest import Start
from tests.support import free_port, wait_until

GET, PUT = b"/shop.v1.Orders/Get", b"/shop.v1.Orders/Put"


@contextmanager
def calling(ambassador: Ambassador) -> Iterator[Callable[..., Message]]:
    """Yield a function that makes a call on one connection and returns what came, without ever cancelling."""
    with Connection.to(ambassador.port) as app:
        number = -1

        def call(path: bytes = GET, *more: tuple[bytes, bytes]) -> Message:
            nonlocal number
            number += 2
            head = raw.headers(number, raw.call(path, *more), raw.END_HEADERS)
            app.send(head, raw.data(number, raw.message(b"order"), raw.END_STREAM))
            message = app.message(number)
            assert message is not None, app.goaways
            return message

        yield call


def ending(status: int, *more: tuple[bytes, bytes]) -> Handler:
    """Return a handler that answers each call with this status and no message."""

    def handle(session: Session) -> None:
        while stream := session.request():
            session.send(raw.headers(stream, [*RESPONSE, (b"grpc-status", b"%d" % status), *more]))

    return handle


def dropping(session: Session) -> None:
    """Read a call, and lose the connection."""
    session.request()


def calls_of(*servers: RawServer) -> list[dict[bytes, bytes]]:
    """Return the heads of the calls that came, by server and in their order."""
    return [dict(head) for server in servers for session in server.sessions for head in session.heads.values()]


@contextmanager
def world(start: Start, *handlers: Handler, **settings: str) -> Iterator[tuple[Ambassador, list[RawServer]]]:
    """Run servers with these handlers, and an ambassador that takes them in their order."""
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(handler)) for handler in handlers]
        upstream = ",".join(server.url for server in servers)
        yield Ambassador(start, upstream, BALANCE="round_robin", **settings), servers


# -- replies of its own -----------------------------------------------------------------------------------------------


def test_a_call_without_a_server_ends_with_unavailable_and_a_sentence(start: Start) -> None:
    ambassador = Ambassador(start, f"h2c://127.0.0.1:{free_port()}", RETRIES="0")
    with calling(ambassador) as call:
        message = call()
    assert (message.status, message.grpc_status, len(message.heads), message.body) == (200, 14, 1, b"")
    assert message.field(b"content-type") == b"application/grpc"
    assert b"the connection was refused" in (message.field(b"grpc-message") or b"")
    assert b"error=connection_refused" in (message.field(b"proxy-status") or b"")
    assert ambassador.metric("ambassador_grpc_calls_total", grpc_status="14") == 1


def test_a_call_to_an_upstream_of_http1_is_told_that_it_needs_http2(start: Start) -> None:
    with backends(answering_http1()) as (backend,):
        ambassador = Ambassador(start, backend.url)
        with calling(ambassador) as call:
            message = call()
        assert message.grpc_status == grpc.UNIMPLEMENTED
        assert b"HTTP/2" in (message.field(b"grpc-message") or b"")
        assert backend.heads == []


def test_a_response_that_breaks_off_ends_with_unavailable_in_its_trailers(start: Start) -> None:
    def break_off(session: Session) -> None:
        if stream := session.request():
            session.send(raw.headers(stream, RESPONSE, raw.END_HEADERS), raw.data(stream, raw.message(b"first")))
            assert session.round_trip()

    with world(start, break_off) as (ambassador, _), calling(ambassador) as call:
        message = call()
    assert (message.code, message.grpc_status) == (None, 14)
    assert raw.messages(message.body) == [b"first"]
    assert ambassador.metric("ambassador_grpc_calls_total", grpc_status="14") == 1


def test_a_response_without_a_status_of_grpc_is_passed_on_as_it_is(start: Start) -> None:
    def refuse(session: Session) -> None:
        while stream := session.request():
            session.send(raw.headers(stream, [(b":status", b"401"), (b"content-type", b"text/html")], raw.END_HEADERS))
            session.send(raw.data(stream, b"<html>", raw.END_STREAM))

    with world(start, refuse) as (ambassador, _), calling(ambassador) as call:
        message = call()
    assert (message.status, message.grpc_status, message.body) == (401, None, b"<html>")
    assert ambassador.metric("ambassador_grpc_calls_total", grpc_status="16") == 1


# -- deadlines --------------------------------------------------------------------------------------------------------


def test_the_deadline_of_a_call_is_told_to_the_endpoint_and_ends_the_call(start: Start) -> None:
    def never(session: Session) -> None:
        while session.request():
            pass

    with world(start, never) as (ambassador, servers), calling(ambassador) as call:
        message = call(GET, (b"grpc-timeout", b"2S"))
        assert message.grpc_status == grpc.DEADLINE_EXCEEDED
        (seen,) = calls_of(*servers)
        told = grpc.parse_timeout(seen[b"grpc-timeout"])
        assert told is not None
        assert 0 < told <= 2
        wait_until(
            lambda: servers[0].sessions[0].resets or servers[0].sessions[0].is_over, "it is told that it is over"
        )


def test_a_deadline_ends_a_stream_with_its_status(start: Start) -> None:
    def one(session: Session) -> None:
        while stream := session.request():
            session.send(raw.headers(stream, RESPONSE, raw.END_HEADERS), raw.data(stream, raw.message(b"first")))

    with world(start, one) as (ambassador, _), calling(ambassador) as call:
        message = call(GET, (b"grpc-timeout", b"2S"))
    assert (message.grpc_status, raw.messages(message.body)) == (grpc.DEADLINE_EXCEEDED, [b"first"])


def test_without_a_deadline_no_time_out_ends_a_quiet_stream(start: Start) -> None:
    over = threading.Event()

    def quiet(session: Session) -> None:
        while stream := session.request():
            if not over.is_set():
                over.wait()
                session.respond(stream, b"late")

    quick = {"TIMEOUT": "1s", "STREAM_IDLE_TIMEOUT": "1s", "IDLE_TIMEOUT": "1s"}
    with world(start, quiet, **quick) as (ambassador, _), Connection.to(ambassador.port) as app:
        app.send(raw.headers(1, raw.call(GET), raw.END_HEADERS), raw.data(1, raw.message(b"x"), raw.END_STREAM))
        until = time.monotonic() + 3.0
        wait_until(lambda: time.monotonic() >= until, "three times each of them")
        over.set()
        message = app.message(1)
        assert message is not None
        assert message.grpc_status == 0


# -- repeats ----------------------------------------------------------------------------------------------------------


def test_a_call_is_repeated_for_a_status_that_the_settings_name(start: Start) -> None:
    with world(start, ending(14), answering, GRPC_RETRY_ON="unavailable") as (ambassador, servers):
        with calling(ambassador) as call:
            assert [call(PUT).grpc_status for _ in range(4)] == [0] * 4
        seen = calls_of(servers[1])
        assert len(seen) == 4
        assert any(head.get(b"grpc-previous-rpc-attempts") == b"1" for head in seen)
        assert ambassador.metric("ambassador_upstream_retries_total") == len(calls_of(servers[0]))


def test_without_that_setting_the_status_of_the_endpoint_is_passed_on(start: Start) -> None:
    with world(start, ending(14, (b"grpc-message", b"full"))) as (ambassador, servers):
        with calling(ambassador) as call:
            message = call()
        assert (message.grpc_status, message.field(b"grpc-message")) == (14, b"full")
        assert len(calls_of(*servers)) == 1


@pytest.mark.parametrize("value", [b"-1", b"soon"])
def test_an_endpoint_can_forbid_that_a_call_is_repeated(start: Start, value: bytes) -> None:
    handler = ending(14, (b"grpc-retry-pushback-ms", value))
    with world(start, handler, handler, GRPC_RETRY_ON="unavailable") as (ambassador, servers):
        with calling(ambassador) as call:
            assert call().grpc_status == 14
        assert len(calls_of(*servers)) == 1


def test_an_endpoint_says_when_a_call_may_be_repeated(start: Start) -> None:
    with (
        world(start, ending(14, (b"grpc-retry-pushback-ms", b"50")), answering, GRPC_RETRY_ON="unavailable") as (
            ambassador,
            _,
        ),
        calling(ambassador) as call,
    ):
        assert [call().grpc_status for _ in range(2)] == [0, 0]


def test_a_call_that_may_be_repeated_only_after_its_deadline_is_not(start: Start) -> None:
    handler = ending(14, (b"grpc-retry-pushback-ms", b"3600000"))
    with world(start, handler, handler, GRPC_RETRY_ON="unavailable") as (ambassador, servers):
        with calling(ambassador) as call:
            assert call(GET, (b"grpc-timeout", b"60S")).grpc_status == 14
        assert len(calls_of(*servers)) == 1


def test_a_lost_call_is_repeated_only_if_its_method_may_be_executed_twice(start: Start) -> None:
    settings = {"GRPC_IDEMPOTENT": "/shop.v1.Orders/Get*", "RETRIES": "1", "EJECT_AFTER": "1000"}
    with world(start, dropping, answering, **settings) as (ambassador, servers), calling(ambassador) as call:
        assert [call(GET).grpc_status for _ in range(4)] == [0] * 4
        assert {call(PUT).grpc_status for _ in range(4)} == {0, 14}
        lost = [head for head in calls_of(servers[0]) if head[b":path"] == PUT]
        served = [head for head in calls_of(servers[1]) if head[b":path"] == PUT]
        assert len(lost) + len(served) == 4, "none was sent twice"


def test_a_call_that_is_refused_is_repeated_whatever_it_is(start: Start) -> None:
    def refusing(session: Session) -> None:
        while stream := session.request():
            session.send(raw.rst_stream(stream, raw.REFUSED_STREAM))

    with world(start, refusing, answering, RETRIES="0") as (ambassador, servers), calling(ambassador) as call:
        assert [call(PUT).grpc_status for _ in range(4)] == [0] * 4
        assert len(calls_of(servers[1])) == 4
        assert ambassador.metric("ambassador_upstream_retries_total") == 0


@pytest.mark.parametrize("code", [raw.NO_ERROR, raw.INTERNAL_ERROR, raw.CANCEL, raw.ENHANCE_YOUR_CALM])
def test_a_call_that_is_reset_otherwise_is_not_repeated(start: Start, code: int) -> None:
    def reset(session: Session) -> None:
        while stream := session.request():
            session.send(raw.rst_stream(stream, code))

    with world(start, reset, reset) as (ambassador, servers), calling(ambassador) as call:
        assert call(PUT).grpc_status == 14
        assert len(calls_of(*servers)) == 1


# -- outcomes ---------------------------------------------------------------------------------------------------------


def test_an_endpoint_that_answers_with_unavailable_is_ejected(start: Start) -> None:
    settings = {"EJECT_AFTER": "3", "EJECT_FOR": "1h", "RETRIES": "0"}
    with world(start, ending(14), answering, **settings) as (ambassador, servers), calling(ambassador) as call:
        statuses = [call().grpc_status for _ in range(20)]
        assert statuses.count(14) == 3
        assert len(calls_of(servers[0])) == 3


def test_an_endpoint_is_not_blamed_for_what_the_caller_did(start: Start) -> None:
    def as_asked(session: Session) -> None:
        while stream := session.request():
            status = dict(session.heads[stream])[b":path"].rpartition(b"/")[2]
            session.send(raw.headers(stream, [*RESPONSE, (b"grpc-status", status)]))

    with world(start, as_asked, EJECT_AFTER="1") as (ambassador, _), calling(ambassador) as call:
        for status in (1, 3, 5, 6, 7, 9, 10, 11, 12, 16):
            assert call(b"/shop.v1.Orders/%d" % status).grpc_status == status
            assert ambassador.metric("ambassador_grpc_calls_total", grpc_status=str(status)) == 1
        (endpoint,) = ambassador.endpoints()
        assert (endpoint["failed"], ambassador.metric("ambassador_upstream_ejections_total")) == (0, 0)


def test_a_status_behind_messages_is_the_outcome_of_the_endpoint(start: Start) -> None:
    def fail_late(session: Session) -> None:
        while stream := session.request():
            session.send(raw.headers(stream, RESPONSE, raw.END_HEADERS), raw.data(stream, raw.message(b"x")))
            assert session.round_trip()
            session.send(raw.headers(stream, [(b"grpc-status", b"13")]))

    settings = {"EJECT_AFTER": "3", "EJECT_FOR": "1h"}
    with world(start, fail_late, answering, **settings) as (ambassador, servers), calling(ambassador) as call:
        statuses = [call().grpc_status for _ in range(20)]
        assert statuses.count(13) == 3
        assert len(calls_of(servers[0])) == 3


def test_a_client_that_cancels_at_its_deadline_counts_against_the_endpoint_as_a_time_out(start: Start) -> None:
    def never(session: Session) -> None:
        while session.request():
            pass

    with world(start, never) as (ambassador, _), Connection.to(ambassador.port) as app:
        app.send(raw.headers(1, raw.call(GET, (b"grpc-timeout", b"20m"))))
        assert app.round_trip()
        over = time.monotonic() + 0.02
        wait_until(lambda: time.monotonic() >= over, "its deadline")
        app.send(raw.rst_stream(1))
        wait_until(lambda: ambassador.metric("ambassador_grpc_calls_total", grpc_status="4") == 1, "it is counted")


# -- health checks and ages -------------------------------------------------------------------------------------------


def health(state: int) -> Handler:
    def handle(session: Session) -> None:
        while stream := session.request():
            path = dict(session.heads[stream])[b":path"]
            session.respond(stream, encode({1: state}) if path == grpc.HEALTH_PATH else b"served")

    return handle


def test_an_endpoint_that_says_that_it_does_not_serve_gets_no_call(start: Start) -> None:
    settings = {"HEALTH_GRPC": "shop.v1.Orders", "HEALTH_INTERVAL": "100ms"}
    with world(start, health(2), health(1), **settings) as (ambassador, servers):
        wait_until(
            lambda: [each["health"] for each in ambassador.endpoints()] == ["unhealthy", "healthy"], "both are checked"
        )
        with calling(ambassador) as call:
            assert [call().grpc_status for _ in range(6)] == [0] * 6
        assert [head for head in calls_of(servers[0]) if head[b":path"] == GET] == []
        (asked, *_) = [body for session in servers[0].sessions for body in session.bodies.values()]
        assert asked == grpc.health_request("shop.v1.Orders")


def test_an_endpoint_without_that_check_counts_as_healthy(start: Start) -> None:
    with world(start, ending(12), HEALTH_GRPC="on", HEALTH_INTERVAL="100ms") as (ambassador, servers):
        wait_until(lambda: len(calls_of(*servers)) > 2, "it is checked")
        assert [each["health"] for each in ambassador.endpoints()] == ["healthy"]


def test_a_stream_that_is_too_old_ends_with_unavailable_so_that_the_app_opens_another_one(start: Start) -> None:
    def one(session: Session) -> None:
        while stream := session.request():
            session.send(raw.headers(stream, RESPONSE, raw.END_HEADERS), raw.data(stream, raw.message(b"first")))

    with world(start, one, MAX_STREAM_AGE="1s") as (ambassador, _), calling(ambassador) as call:
        message = call()
    assert (message.grpc_status, raw.messages(message.body)) == (14, [b"first"])
    assert b"MAX_STREAM_AGE" in (message.field(b"grpc-message") or b"")
