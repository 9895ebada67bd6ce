"""Nothing of a request is left for the garbage collection: its memory is free at once, and warm for the next one."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable

import pytest

from sidecars.ambassador.http2 import frames
from sidecars.ambassador.http2.encoder import encode_field
from sidecars.ambassador.proxy.client_connection import ClientConnection
from sidecars.ambassador.proxy.http2_connection import Http2Connection
from sidecars.ambassador.upstream.http2.endpoint_connection import EndpointConnection
from tests.ambassador.exchanges import Wire
from tests.ambassador.http2 import raw
from tests.ambassador.http2_exchanges import Http2Pair

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CALL = [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "1S")]
HEAD = encode_field(b":status", b"200") + encode_field(b"content-type", b"application/grpc")
TRAILERS = encode_field(b"grpc-status", b"0")


def objects() -> Counter[str]:
    """Return how many objects of our classes there are."""
    return Counter(type(each).__name__ for each in gc.get_objects() if _is_ours(type(each)))


def _is_ours(cls: type) -> bool:
    """Return True for a class of ours. Classes of extension modules may have anything for their module's name."""
    return str(cls.__module__).startswith("sidecars.")


def assert_nothing_is_left(serve: Callable[[], None]) -> None:
    for _ in range(3):  # what is kept for good is there then
        serve()
    gc.collect()
    gc.disable()
    try:
        before = objects()
        for _ in range(10):
            serve()
        assert objects() - before == Counter()
    finally:
        gc.enable()


def endpoint_of_http2(pair: Http2Pair) -> EndpointConnection:
    """Give the endpoint a connection of HTTP/2, with room for streams."""
    there = pair.upstream.pool.new_http2_connection(pair.endpoint)
    there.connection_made(Wire())  # type: ignore[arg-type] # a fake transport
    there.data_received(frames.settings_frame([]))
    pair.upstream.pool.streams.on_opened(there)
    return there


def test_a_request_of_http2_leaves_nothing() -> None:
    with Http2Pair() as pair:

        def serve() -> None:
            stream = pair.ask("/a", "PUT", b"order")  # a POST needs a connection that was used a second ago
            pair.connection.data_received(OK)
            pair.turn()
            assert pair.got[stream].body == b"ok"

        assert_nothing_is_left(serve)


@pytest.mark.parametrize("outcome", ["trailers", "reset", "cancel"])
def test_a_call_of_grpc_leaves_nothing(outcome: str) -> None:
    with Http2Pair(AMBASSADOR_UPSTREAM="h2c://orders:50051") as pair:
        there = endpoint_of_http2(pair)

        def serve() -> None:
            stream = pair.ask("/shop.v1.Orders/Get", "POST", b"\0\0\0\0\0", CALL)
            number = there.core.highest_id
            if outcome == "trailers":
                message = frames.frame_head(5, frames.DATA, 0, number) + bytes(5)
                there.data_received(
                    frames.head_frames(number, HEAD, end=False)
                    + message
                    + frames.head_frames(number, TRAILERS, end=True)
                )
            elif outcome == "reset":
                there.data_received(frames.rst_stream_frame(number, frames.INTERNAL_ERROR))
            else:
                pair.h2.reset_stream(stream)
                pair.flush()
            pair.turn()
            if outcome == "trailers":
                assert pair.got[stream].trailers == {"grpc-status": "0"}
            assert not there.core.streams
            assert not pair.server.sides

        assert_nothing_is_left(serve)


def begin_requests(pair: Http2Pair, count: int) -> Http2Connection:
    """Open another connection of an app, with so many requests under way."""
    wire = Wire()
    client = ClientConnection(pair.upstream)
    client.connection_made(wire)  # type: ignore[arg-type] # a fake transport
    heads = [raw.headers(2 * number + 1, raw.request()) for number in range(count)]
    client.data_received(raw.PREFACE + raw.settings() + b"".join(heads))
    connection, wire.protocol = wire.protocol, None  # as transports do when they are lost
    assert isinstance(connection, Http2Connection)
    assert len(connection.sides) == count
    return connection


@pytest.mark.parametrize("end", ["lost", "broken"])
def test_a_connection_of_an_app_that_ends_under_its_requests_leaves_nothing(end: str) -> None:
    with Http2Pair(AMBASSADOR_UPSTREAM="h2c://orders:50051") as pair:
        there = endpoint_of_http2(pair)

        def serve() -> None:
            connection = begin_requests(pair, 3)
            assert len(there.core.streams) == 3
            if end == "broken":
                connection.data_received(raw.window_update(0, 0))
            connection.connection_lost(None)
            pair.turn()
            assert not there.core.streams

        assert_nothing_is_left(serve)


def test_a_connection_to_an_endpoint_that_is_lost_under_its_requests_leaves_nothing() -> None:
    with Http2Pair(AMBASSADOR_UPSTREAM="h2c://orders:50051", AMBASSADOR_RETRIES="0") as pair:

        def serve() -> None:
            there = endpoint_of_http2(pair)
            streams = [pair.ask(), pair.ask()]
            there.connection_lost(None)
            pair.turn()
            assert [pair.got[stream].head[":status"] for stream in streams] == ["502"] * 2

        assert_nothing_is_left(serve)
