"""Bodies of very small chunks, in both directions: some are read in each turn of the loop, and none is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sidecars.ambassador.http.bodies import _MOST_LINES as MOST
from tests.ambassador.exchanges import Pair, Wire

POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
TURNS = 5
BODY = b"1\r\nx\r\n" * (TURNS * MOST - 1) + b"0\r\n\r\n"


def turns_until(pair: Pair, is_true: Callable[[], bool]) -> int:
    """Run the loop until this is true, and return the number of its turns: other callbacks run in each."""
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        if is_true() or turns == 10 * TURNS:
            pair.loop.stop()
        else:
            pair.loop.call_soon(turn)

    pair.loop.call_soon(turn)
    pair.loop.run_forever()
    assert is_true()
    return turns


def is_paused(wire: Wire) -> bool:
    return wire.paused


def content(written: bytes) -> int:
    return written.partition(b"\r\n\r\n")[2].count(b"x")


def test_a_request_is_read_in_several_turns_and_nothing_more_is_read_meanwhile() -> None:
    with Pair() as pair:
        pair.client.data_received(POST + BODY)
        assert is_paused(pair.app)
        assert content(pair.there.written) == MOST
        assert turns_until(pair, lambda: pair.there.written.endswith(b"0\r\n\r\n")) >= TURNS - 1
        assert content(pair.there.written) == TURNS * MOST - 1
        assert not is_paused(pair.app)
        pair.connection.data_received(EMPTY)
        assert pair.client.exchange is None
        pair.client.data_received(GET)
        assert pair.client.exchange is not None


def test_a_request_behind_such_a_body_is_served() -> None:
    with Pair() as pair:
        pair.client.data_received(POST + BODY + GET)
        turns_until(pair, lambda: pair.there.written.endswith(b"0\r\n\r\n"))
        pair.connection.data_received(EMPTY)
        assert pair.there.written.count(b"GET / HTTP/1.1") == 1


def test_a_response_is_read_in_several_turns_and_its_connection_serves_on() -> None:
    with Pair() as pair:
        pair.client.data_received(GET)
        pair.connection.data_received(CHUNKED + BODY)
        assert is_paused(pair.there)
        assert content(pair.app.written) == MOST
        assert turns_until(pair, lambda: pair.client.exchange is None) >= TURNS - 1
        assert content(pair.app.written) == TURNS * MOST - 1
        assert not is_paused(pair.there)
        assert pair.idle == [pair.connection]


def test_a_response_that_came_whole_is_whole_though_its_connection_is_lost_meanwhile() -> None:
    with Pair() as pair:
        pair.client.data_received(GET)
        pair.connection.data_received(CHUNKED + BODY)
        pair.connection.connection_lost(ConnectionResetError())
        turns_until(pair, lambda: pair.client.exchange is None)
        assert content(pair.app.written) == TURNS * MOST - 1
        assert pair.app.written.endswith(b"0\r\n\r\n")
        assert pair.idle == []


def test_a_response_that_broke_off_is_none_once_its_bytes_are_read() -> None:
    with Pair() as pair:
        pair.client.data_received(GET)
        pair.connection.data_received(CHUNKED + BODY[:-5])
        pair.connection.connection_lost(ConnectionResetError())
        turns_until(pair, lambda: pair.client.exchange is None)
        assert not pair.app.written.endswith(b"0\r\n\r\n")
        assert pair.app.closing


@pytest.mark.parametrize("lost", ["app", "there"])
def test_a_connection_that_is_lost_in_the_middle_of_a_request_ends_the_exchange(lost: str) -> None:
    with Pair(AMBASSADOR_RETRIES="0") as pair:
        pair.client.data_received(POST + BODY)
        ended: Wire = getattr(pair, lost)
        ended.closing = True
        (pair.client if ended is pair.app else pair.connection).connection_lost(ConnectionResetError())
        turns_until(pair, lambda: pair.client.exchange is None)
        assert pair.upstream.admission.under_way == 0


def test_a_wrong_chunk_in_a_later_turn_is_a_400() -> None:
    with Pair() as pair:
        pair.client.data_received(POST + BODY[:-5] + b"no size\r\n")
        assert pair.client.exchange is not None
        turns_until(pair, lambda: pair.client.exchange is None)
        assert pair.app.written.startswith(b"HTTP/1.1 400 ")


def test_an_app_that_takes_no_more_pauses_the_response_also_between_two_turns() -> None:
    with Pair() as pair:
        pair.client.data_received(GET)
        pair.connection.data_received(CHUNKED + BODY[:-5])
        pair.client.pause_writing()
        turns_until(pair, lambda: content(pair.app.written) == TURNS * MOST - 1)
        assert is_paused(pair.there)
        pair.client.resume_writing()
        assert not is_paused(pair.there)
