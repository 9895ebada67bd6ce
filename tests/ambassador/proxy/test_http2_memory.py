"""Bodies that wait in connections of HTTP/2 because nobody takes them: what becomes of them and their app."""

from __future__ import annotations

import pytest

from sidecars.ambassador.upstream.http2.endpoint_connection import EndpointConnection
from tests.ambassador.http2 import raw
from tests.ambassador.http2_exchanges import Http2Pair
from tests.ambassador.proxy.test_garbage import endpoint_of_http2
from tests.ambassador.proxy.test_short_memory import stall

HTTP2 = "h2c://orders:50051"
FRAME = bytes(16_000)


def respond(there: EndpointConnection, stream: int, count: int, *, end: bool) -> None:
    """Send a response with so many frames of a body, of which the app takes next to nothing."""
    there.data_received(raw.headers(stream, [(b":status", b"200")], raw.END_HEADERS))
    for number in range(1, count + 1):
        there.data_received(raw.data(stream, FRAME, raw.END_STREAM if end and number == count else 0))
    assert there.core.held > 65_536


def upload(pair: Http2Pair, stream: int, count: int) -> None:
    for _ in range(count):
        pair.h2.send_data(stream, FRAME)
        pair.flush()


def stalled_upload(pair: Http2Pair) -> int:
    """Begin an upload that the endpoint does not take, and return its stream."""
    stream = pair.begin()
    pair.flush()
    stall(pair.connection)
    upload(pair, stream, 8)
    assert pair.server.core.held > 4096
    return stream


def test_a_response_that_an_app_cancels_without_taking_it_counts_no_more() -> None:
    with Http2Pair(window=10, AMBASSADOR_UPSTREAM=HTTP2) as pair:
        there = endpoint_of_http2(pair)
        for end in (False, True):  # the endpoint is still sending, or has sent all of it
            stream = pair.ask()
            respond(there, there.core.highest_id, 12, end=end)
            pair.turn()
            assert pair.upstream.memory.held > 65_536
            pair.h2.reset_stream(stream)
            pair.flush()
            assert (there.core.held, pair.is_released) == (0, True)


@pytest.mark.parametrize("is_whole", [False, True])
def test_an_upload_that_is_answered_before_it_is_taken_counts_no_more(*, is_whole: bool) -> None:
    with Http2Pair() as pair:
        stream = stalled_upload(pair)
        if is_whole:
            pair.h2.end_stream(stream)
            pair.flush()
        assert pair.upstream.memory.held
        pair.connection.data_received(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        pair.connection.connection_lost(None)
        pair.turn()
        assert pair.got[stream].head[":status"] == "413"
        assert (pair.server.core.held, pair.is_released) == (0, True)


def test_an_app_gets_the_rest_of_a_response_that_came_whole_before_its_endpoint_left() -> None:
    with Http2Pair(window=10, AMBASSADOR_UPSTREAM=HTTP2) as pair:
        there = endpoint_of_http2(pair)
        stream = pair.ask()
        respond(there, 1, 12, end=True)
        there.connection_lost(None)
        pair.turn()
        assert pair.upstream.memory.held > 65_536
        pair.h2.increment_flow_control_window(1_000_000)
        pair.h2.increment_flow_control_window(1_000_000, stream)
        pair.flush()
        pair.turn()
        assert (len(pair.got[stream].body), pair.got[stream].ended) == (12 * len(FRAME), True)
        assert pair.is_released


def test_an_app_that_owes_credit_is_read_however_much_is_held() -> None:
    with Http2Pair(window=10) as pair:
        memory = pair.upstream.memory
        stream = stalled_upload(pair)
        pair.connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 50)
        memory.change(memory.limit)
        upload(pair, stream, 1)
        assert not pair.app.paused
        pair.h2.increment_flow_control_window(100, stream)
        pair.flush()
        assert pair.got[stream].body == b"x" * 50
        pair.h2.ping(b"anything")
        pair.flush()
        assert pair.app.paused


def test_an_upload_that_nobody_takes_is_lost_before_it_keeps_an_app_from_being_read_for_long() -> None:
    with Http2Pair() as pair:
        memory = pair.upstream.memory
        stream = stalled_upload(pair)
        memory.change(memory.limit)
        upload(pair, stream, 1)
        for _ in range(9):
            pair.server._end_rest()
        assert (pair.app.paused, pair.got[stream].head) == (True, {})
        pair.server._end_rest()
        pair.turn()
        assert (pair.app.paused, pair.got[stream].head[":status"]) == (False, "503")
        memory.change(-memory.limit)
        pair.connection.connection_lost(None)
        assert (pair.server.core.held, pair.is_released) == (0, True)


def test_streams_that_begin_while_memory_is_short_may_use_the_window_that_was_announced() -> None:
    with Http2Pair(AMBASSADOR_UPSTREAM=HTTP2) as pair:
        there = endpoint_of_http2(pair)
        pair.upstream.memory.change(pair.upstream.memory.limit)
        stream = pair.begin()
        pair.h2.send_data(stream, FRAME, end_stream=True)
        pair.flush()
        there.data_received(
            raw.headers(1, [(b":status", b"200")], raw.END_HEADERS) + raw.data(1, FRAME, raw.END_STREAM)
        )
        pair.turn()
        assert (pair.goaways, there.is_closed, pair.got[stream].body) == ([], False, FRAME)
