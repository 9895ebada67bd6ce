"""The eight negative interop tests of gRPC through the ambassador: its upstream behaves as few servers do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from tests.ambassador.http2 import interop_client as client
from tests.ambassador.http2 import negative, raw
from tests.ambassador.http2.protobuf import encode
from tests.ambassador.http2.raw_server import serving
from tests.ambassador.support import Ambassador
from tests.conftest import Start


def large(channel: client.Channel) -> int:
    """Make the call of all these tests, and return the size of its answer. Raises grpc.RpcError."""
    request = encode({2: negative.SIZE, 3: client.sized(271_828)})
    return client.size_of(client.unary(channel, "UnaryCall", request)[0])


@pytest.mark.parametrize("name", negative.SUCCEEDING)
def test_calls_succeed_although_their_server_is_odd(start: Start, name: str) -> None:
    with serving(negative.SUCCEEDING[name]) as server:
        ambassador = Ambassador(start, server.url)
        with client.channel(ambassador.port) as channel:
            assert [large(channel) for _ in range(2)] == [negative.SIZE] * 2
        assert sum(bool(session.heads) for session in server.sessions) == (2 if name == "goaway" else 1)


@pytest.mark.parametrize("name", negative.FAILING)
def test_a_call_whose_stream_breaks_fails_and_can_be_tried_again(start: Start, name: str) -> None:
    with serving(negative.FAILING[name]) as server:
        ambassador = Ambassador(start, server.url)
        with client.channel(ambassador.port, ("grpc.enable_retries", 0)) as channel:
            client.fails(grpc.StatusCode.UNAVAILABLE, lambda: large(channel))
        assert sum(len(session.heads) for session in server.sessions) == 1, "it is not repeated: it was passed on"


def test_ten_calls_at_once_succeed_at_a_server_that_allows_one(start: Start) -> None:
    with serving(negative.max_streams, (raw.MAX_CONCURRENT_STREAMS, 1)) as server:
        ambassador = Ambassador(start, server.url)
        with client.channel(ambassador.port) as channel, ThreadPoolExecutor(10) as pool:
            assert list(pool.map(lambda _: large(channel), range(10))) == [negative.SIZE] * 10
