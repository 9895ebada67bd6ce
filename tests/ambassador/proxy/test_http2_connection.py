"""An app that speaks HTTP/2: its streams are exchanges, with an upstream of HTTP/1.1, on fake transports."""

from __future__ import annotations

import asyncio

import pytest

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.proxy.http2_connection import Http2Connection
from tests.ambassador.exchanges import Pair, wire
from tests.ambassador.http2 import raw
from tests.ambassador.http2_exchanges import Http2Pair

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_the_preface_makes_it_a_connection_of_http2_wherever_it_was_split() -> None:
    for at in range(1, len(PREFACE) + len(SETTINGS)):
        with Pair() as pair:
            for piece in ((PREFACE + SETTINGS)[:at], (PREFACE + SETTINGS)[at:]):
                (pair.app.protocol or pair.client).data_received(piece)
            assert isinstance(pair.app.protocol, Http2Connection), at
            assert list(pair.upstream.clients.open) == [pair.app.protocol]
            assert pair.app.written[3] == 4  # SETTINGS


def test_what_only_begins_like_the_preface_stays_http11() -> None:
    with Pair() as pair:
        pair.client.data_received(b"PRI / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert pair.there.written.startswith(b"PRI / HTTP/1.1\r\n")
    with Pair() as pair:
        pair.client.data_received(PREFACE[:-6] + b"XX\r\n\r\n" + SETTINGS)
        pair.loop.run_until_complete(asyncio.sleep(0))
        assert pair.app.ended  # GOAWAY, and the end


def test_a_stream_is_an_exchange() -> None:
    with Http2Pair() as pair:
        stream = pair.ask("/a?b", more=[("x-one", "1")])
        assert pair.there.written == b"GET /a?b HTTP/1.1\r\nHost: orders\r\nx-one: 1\r\nVia: 2.0 ambassador\r\n\r\n"
        pair.connection.data_received(OK)
        pair.turn()
        got = pair.got[stream]
        assert (got.head[":status"], got.head["via"], got.body, got.ended) == ("200", "1.1 ambassador", b"ok", True)
        assert pair.is_released
        assert pair.idle == [pair.connection]
        assert dict(pair.upstream.counters.codes) == {200: 1}


def test_streams_are_served_side_by_side_and_in_any_order() -> None:
    with Http2Pair() as pair:
        connections = pair.add_connections(2)
        streams = [pair.ask(f"/{number}") for number in range(3)]
        for number in (2, 0, 1):
            connections[number].data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
        pair.turn()
        assert [pair.got[stream].body for stream in streams] == [b"0", b"1", b"2"]
        assert pair.is_released


def test_bodies_stream_both_ways_with_trailers() -> None:
    with Http2Pair() as pair:
        stream = pair.begin()
        pair.h2.send_data(stream, b"ab")
        pair.flush()
        pair.h2.send_data(stream, b"cd")
        pair.flush()
        pair.h2.send_headers(stream, [("x-sum", "4")], end_stream=True)
        pair.flush()
        assert b"Transfer-Encoding: chunked\r\n" in pair.there.written
        assert pair.there.written.endswith(b"\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\nx-sum: 4\r\n\r\n")
        pair.connection.data_received(CHUNKED + b"1\r\nx\r\n")
        pair.turn()
        assert pair.got[stream].body == b"x"
        pair.connection.data_received(b"1\r\ny\r\n0\r\nX-Sum: 2\r\n\r\n")
        pair.turn()
        got = pair.got[stream]
        assert (got.body, got.trailers, got.ended) == (b"xy", {"x-sum": "2"}, True)
        assert pair.is_released


def test_a_body_that_came_whole_has_a_length_upstream() -> None:
    with Http2Pair() as pair:
        pair.ask(method="POST", body=b"hello")
        assert b"Content-Length: 5\r\n" in pair.there.written
        assert pair.there.written.endswith(b"\r\n\r\nhello")


def test_interim_responses_and_a_100_of_our_own() -> None:
    with Http2Pair() as pair:
        stream = pair.begin(more=[("expect", "100-continue")])
        pair.flush()
        pair.connection.data_received(b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
        pair.turn()
        assert pair.got[stream].interims == ["100", "103"]


def test_a_reset_abandons_the_exchange_and_closes_its_connection() -> None:
    with Http2Pair() as pair:
        stream = pair.ask()
        pair.h2.reset_stream(stream, 8)
        pair.flush()
        assert pair.there.aborted
        assert pair.is_released
        assert dict(pair.upstream.counters.codes) == {499: 1}
        assert not pair.app.closing


def test_resets_that_cost_many_connections_to_endpoints_let_the_app_wait_for_a_moment() -> None:
    with Http2Pair() as pair:
        pair.add_connections(110)
        for number in range(101):
            stream = 1 + 2 * number
            pair.server.data_received(raw.headers(stream, raw.request()))
            assert not pair.app.paused
            pair.server.data_received(raw.rst_stream(stream))
        paused = [pair.app.paused]
        pair.server._end_rest()
        paused.append(pair.app.paused)
        assert paused == [True, False]
        assert not pair.app.closing


def test_a_request_that_is_reset_in_the_same_read_reaches_nobody() -> None:
    with Http2Pair() as pair:
        for _ in range(200):
            pair.h2.reset_stream(pair.begin(), 8)
        pair.flush()
        assert pair.there.written == b""
        assert pair.upstream.counters.requests == 0
        assert pair.is_released


def test_the_loss_of_the_connection_abandons_all_exchanges() -> None:
    with Http2Pair() as pair:
        connections = pair.add_connections(2)
        for _ in connections:
            pair.ask()
        pair.server.connection_lost(None)
        assert all(wire(connection).aborted for connection in connections)
        assert pair.is_released
        assert pair.upstream.clients.open == {}
        assert dict(pair.upstream.counters.codes) == {499: 3}


def test_more_than_a_hundred_streams_at_once_are_refused() -> None:
    with Http2Pair() as pair:
        pair.add_connections(110)
        frames = [raw.headers(1 + 2 * number, raw.request()) for number in range(101)]
        pair.server.data_received(b"".join(frames))
        pair.loop.run_until_complete(asyncio.sleep(0))
        assert raw.rst_stream(201, raw.REFUSED_STREAM) in pair.app.written
        assert pair.endpoint.pending == 100
        pair.server.data_received(raw.rst_stream(1))
        pair.server.data_received(raw.headers(203, raw.request()))
        assert pair.endpoint.pending == 100


def test_our_own_replies_are_written_in_http2() -> None:
    with Http2Pair(AMBASSADOR_MAX_PENDING="1") as pair:
        stream = pair.ask(method="TRACE")
        got = pair.got[stream]
        assert (got.head[":status"], got.ended) == ("405", True)
        assert "details=" in got.head["proxy-status"]
        assert got.body.startswith(b"ambassador: TRACE")
        pair.connection.discard()
        pair.upstream.pool._opening.add(None)  # type: ignore[arg-type] # one opens already
        stream = pair.ask()
        pair.turn()
        assert (pair.got[stream].head[":status"], b"too many requests" in pair.got[stream].body) == ("503", True)
        call = [("content-type", "application/grpc"), ("te", "trailers")]
        stream = pair.ask(method="POST", body=b"", more=call)
        got = pair.got[stream]
        assert (got.head[":status"], got.head["grpc-status"], got.body) == ("200", "14", b"")
        assert "too many requests" in got.head["grpc-message"]
        pair.upstream.pool._opening.clear()
        assert pair.is_released


def test_a_call_of_grpc_is_refused_by_an_upstream_of_http11_with_a_reason() -> None:
    with Http2Pair() as pair:
        stream = pair.ask(method="POST", body=b"", more=[("content-type", "application/grpc")])
        assert pair.got[stream].head["grpc-status"] == "12"
        assert "HTTP/2" in pair.got[stream].head["grpc-message"]
        assert pair.there.written == b""
        assert pair.is_released


@pytest.mark.parametrize(
    ("more", "status"),
    [([("connection", "close")], "400"), ([("X-Upper", "1")], "400"), ([("content-length", "7")], "400")],
)
def test_a_malformed_request_ends_its_stream_alone(more: list[tuple[str, str]], status: str) -> None:
    with Http2Pair() as pair:
        other = pair.ask()
        stream = pair.begin(more=more, end=True)
        pair.flush()
        assert (pair.got[stream].head[":status"], pair.got[stream].ended) == (status, True)
        pair.connection.data_received(OK)
        pair.turn()
        assert pair.got[other].ended
        assert pair.is_released


def test_a_body_that_contradicts_its_length_never_ends_cleanly_upstream() -> None:
    with Http2Pair() as pair:
        stream = pair.begin(more=[("content-length", "5")])
        pair.h2.send_data(stream, b"ab")
        pair.flush()
        assert pair.there.written.endswith(b"Content-Length: 5\r\nVia: 2.0 ambassador\r\n\r\nab")
        pair.h2.send_data(stream, b"", end_stream=True)
        pair.flush()
        assert pair.there.aborted
        assert pair.got[stream].head[":status"] == "400"
        assert pair.is_released


def test_a_response_that_breaks_off_resets_its_stream_alone() -> None:
    with Http2Pair() as pair:
        (first, second) = pair.add_connections(1)
        streams = [pair.ask(), pair.ask()]
        first.data_received(CHUNKED + b"3\r\nabc\r\n")
        first.connection_lost(None)
        second.data_received(OK)
        pair.turn()
        assert (pair.got[streams[0]].body, pair.got[streams[0]].reset) == (b"abc", 2)  # INTERNAL_ERROR
        assert (pair.got[streams[1]].body, pair.got[streams[1]].ended) == (b"ok", True)
        assert pair.is_released


@pytest.mark.parametrize(("code", "told"), [(8, 8), (0, 0), (2, 2), (7, 2), (11, 2)])
def test_the_reset_of_an_endpoint_reaches_the_app_if_it_means_the_same_there(code: int, told: int) -> None:
    with Http2Pair() as pair:
        stream = pair.ask()
        pair.connection.data_received(CHUNKED)
        (side,) = pair.server.sides
        assert side.exchange is not None
        side.exchange.lose(local_replies.reset_by_endpoint(code, is_unprocessed=False))
        pair.turn()
        assert pair.got[stream].reset == told
        assert pair.is_released


def test_a_response_before_the_end_of_the_request_is_whole() -> None:
    with Http2Pair() as pair:
        stream = pair.begin()
        pair.h2.send_data(stream, b"ab")
        pair.flush()
        pair.connection.data_received(OK)
        pair.turn()
        got = pair.got[stream]
        assert (got.body, got.ended, got.reset) == (b"ok", True, 0)  # NO_ERROR: send no more
        assert pair.there.aborted  # the rest of the request never comes
        assert pair.is_released


def test_a_window_of_the_app_holds_its_stream_back_and_no_other() -> None:
    with Http2Pair(window=10) as pair:
        (first, second) = pair.add_connections(1)
        streams = [pair.ask(), pair.ask()]
        first.data_received(CHUNKED + b"30000\r\n" + b"x" * 0x30000 + b"\r\n")
        pair.turn()
        assert (pair.got[streams[0]].body, wire(first).paused) == (b"x" * 10, True)
        assert pair.upstream.memory.held > 100_000
        second.data_received(OK)
        pair.turn()
        assert pair.got[streams[1]].ended
        pair.gives_credit = True
        pair.h2.increment_flow_control_window(1 << 20)
        pair.h2.increment_flow_control_window(1 << 20, streams[0])
        pair.flush()
        assert not wire(first).paused
        first.data_received(b"0\r\n\r\n")
        pair.turn()
        assert (len(pair.got[streams[0]].body), pair.got[streams[0]].ended) == (0x30000, True)
        assert pair.is_released


def test_a_full_transport_is_not_read_and_holds_responses_back() -> None:
    with Http2Pair() as pair:
        stream = pair.ask()
        pair.server.pause_writing()
        pair.connection.data_received(CHUNKED + b"3\r\nabc\r\n")
        pair.turn()
        paused = [(pair.app.paused, pair.there.paused)]
        pair.server.resume_writing()
        paused.append((pair.app.paused, pair.there.paused))
        assert paused == [(True, True), (False, False)]
        pair.turn()
        assert pair.got[stream].body == b"abc"


def test_hints_for_an_app_that_takes_nothing_are_dropped_and_do_not_pile_up() -> None:
    with Http2Pair() as pair:
        stream = pair.ask()
        pair.server.pause_writing()
        pair.connection.data_received(
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + b"HTTP/1.1 100 Continue\r\n\r\n" + OK
        )
        pair.turn()
        pair.server.resume_writing()
        pair.turn()
        assert (pair.got[stream].interims, pair.got[stream].body) == (["100"], b"ok")


def test_an_upstream_that_takes_nothing_stops_the_credit_of_its_stream() -> None:
    with Http2Pair() as pair:
        stream = pair.begin()
        pair.h2.send_data(stream, b"a" * 10_000)
        pair.flush()
        pair.connection.pause_writing()
        sent = 10_000
        while pair.h2.local_flow_control_window(stream) >= 10_000:
            pair.h2.send_data(stream, b"a" * 10_000)
            pair.flush()
            sent += 10_000
        assert sent < 300_000  # the stream's window is 256 KiB
        pair.connection.resume_writing()
        pair.turn()
        assert pair.there.written.count(b"a" * 10_000) * 10_000 == sent
        assert pair.h2.local_flow_control_window(stream) > 100_000


def test_a_defect_ends_one_exchange() -> None:
    with Http2Pair() as pair:
        (first, second) = pair.add_connections(1)
        other = pair.ask()

        def fail() -> None:
            raise RuntimeError("a defect")

        wire(second).on_write = fail
        stream = pair.ask(method="POST", body=b"ab")
        assert pair.got[stream].head[":status"] == "500"
        first.data_received(OK)
        pair.turn()
        assert (pair.got[other].body, pair.got[other].ended) == (b"ok", True)
        assert pair.is_released
