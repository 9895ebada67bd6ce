"""Every state of a connection and of an exchange has an end: the rows of the table in `timeouts`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sidecars.ambassador.admission.admission_queue import AT_ONCE
from sidecars.ambassador.proxy.exchange import Exchange
from sidecars.ambassador.upstream.upstream_connection import UpstreamConnection
from tests.ambassador.exchanges import Pair
from tests.ambassador.support import GET

UPLOAD = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234"
CHUNKED_UPLOAD = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
EXPECTING = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nabc"

# Settings that differ, so that each test knows which of them has ended something.
LIMITS = {
    "AMBASSADOR_IDLE_TIMEOUT": "100s",
    "AMBASSADOR_TIMEOUT": "200s",
    "AMBASSADOR_STREAM_IDLE_TIMEOUT": "300s",
}
IDLE, TIMEOUT, STREAM = 100.0, 200.0, 300.0


MOMENT = 0.001  # seconds; a sum of floats may be less than it should


def under_way(pair: Pair) -> Exchange:
    exchange = pair.client.exchange
    assert exchange is not None
    return exchange


def opening(pair: Pair) -> None:
    """Send a request whose connection never opens."""

    async def never(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    pair.idle.clear()
    pair.loop.create_connection = never  # type: ignore[assignment,method-assign] # no network
    pair.client.data_received(GET)


def waiting(pair: Pair) -> None:
    """Send a request that waits for admission."""
    pair.upstream.admission.under_way = AT_ONCE
    pair.client.data_received(GET)


def pausing(pair: Pair) -> None:
    """Send a request whose only endpoint fails, and gets another attempt after a pause."""
    pair.client.data_received(GET)
    pair.connection.data_received(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    assert pair.client.exchange is not None
    assert pair.client.exchange.connection is None


def blocked(pair: Pair) -> None:
    """Send an upload that the upstream does not take."""
    pair.client.data_received(UPLOAD)
    pair.connection.pause_writing()


def asked(*messages: bytes) -> Callable[[Pair], None]:
    """Return a state: a request is sent, and a part of its response has come."""

    def go(pair: Pair) -> None:
        pair.client.data_received(messages[0])
        for message in messages[1:]:
            pair.connection.data_received(message)

    return go


@pytest.mark.parametrize(
    ("state", "limit", "response"),
    [
        (waiting, TIMEOUT, b"HTTP/1.1 504 "),
        (opening, TIMEOUT, b"HTTP/1.1 504 "),
        (pausing, TIMEOUT, b"HTTP/1.1 504 "),
        (blocked, TIMEOUT, b"HTTP/1.1 504 "),
        (asked(UPLOAD), IDLE, b"HTTP/1.1 408 "),
        (asked(GET), TIMEOUT, b"HTTP/1.1 504 "),
        (asked(GET, b"HTTP/1.1 200 O"), TIMEOUT, b"HTTP/1.1 504 "),
        (asked(GET, SIZED), TIMEOUT, b"HTTP/1.1 200 "),
        (asked(GET, CHUNKED), STREAM, b"HTTP/1.1 200 "),
        (asked(GET, UNTIL_CLOSE), STREAM, b"HTTP/1.1 200 "),
        (asked(UPLOAD, CHUNKED), STREAM, b"HTTP/1.1 200 "),
    ],
    ids=[
        "waits for its turn",
        "a connection opens",
        "pauses before another try",
        "the upstream takes nothing of the body",
        "the app owes the rest of its body",
        "the upstream owes its answer",
        "the upstream owes the rest of a head",
        "the upstream owes the rest of a sized body",
        "the upstream owes the rest of a chunked body",
        "the upstream owes the rest of a body until close",
        "both owe the rest of a body",
    ],
)
def test_an_exchange_in_which_nothing_moves_has_an_end(
    state: Callable[[Pair], None], limit: float, response: bytes
) -> None:
    with Pair(**LIMITS) as pair:
        state(pair)
        exchange = under_way(pair)
        begun = exchange.progress.since
        exchange.tick(begun)
        exchange.tick(begun + limit - 1)
        assert not is_over(exchange)
        exchange.tick(begun + limit + MOMENT)
        assert is_over(exchange)
        assert pair.app.written.startswith(response)
        assert not pair.app.written.endswith(b"0\r\n\r\n")
        assert pair.endpoint.pending == 0
        assert pair.upstream.admission.under_way in (0, AT_ONCE)


def is_over(exchange: Exchange) -> bool:
    return exchange.over


@pytest.mark.parametrize(
    "state",
    [waiting, opening, pausing, blocked, asked(UPLOAD), asked(GET), asked(GET, SIZED), asked(GET, CHUNKED)],
)
def test_the_total_time_ends_an_exchange_in_each_state_though_all_moves(state: Callable[[Pair], None]) -> None:
    with Pair(**LIMITS, AMBASSADOR_TOTAL_TIMEOUT="50s") as pair:
        state(pair)
        exchange = under_way(pair)
        for seconds in (0, 20, 40, 49):
            exchange.progress.note()
            exchange.tick(exchange.started + seconds)
        assert not is_over(exchange)
        exchange.progress.note()
        exchange.tick(exchange.started + 50 + MOMENT)
        assert is_over(exchange)
        assert pair.app.written.startswith((b"HTTP/1.1 504 ", b"HTTP/1.1 200 OK"))
        assert pair.endpoint.pending == 0


def test_a_request_without_a_total_time_may_move_for_ever() -> None:
    with Pair() as pair:
        asked(GET, CHUNKED)(pair)
        exchange = under_way(pair)
        for hours in range(100):
            pair.connection.data_received(b"1\r\nx\r\n")
            exchange.tick(exchange.started + 3600.0 * hours)
        assert not is_over(exchange)


@pytest.mark.parametrize(
    ("state", "drip"),
    [
        (asked(GET), b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100),
        (asked(GET, CHUNKED), b"3;" + b"x" * 100),
        (asked(GET, CHUNKED), b"0\r\nX: " + b"y" * 100),
    ],
    ids=["a head", "the size of a chunk", "a trailer"],
)
def test_a_byte_now_and_then_of_what_is_no_payload_is_no_progress(state: Callable[[Pair], None], drip: bytes) -> None:
    with Pair(**LIMITS) as pair:
        state(pair)
        exchange = under_way(pair)
        begun = exchange.progress.since
        exchange.tick(begun)
        for number, byte in enumerate(drip):
            pair.connection.data_received(bytes([byte]))
            exchange.tick(begun + 10.0 * number)
            if exchange.over:
                break
        assert is_over(exchange)


def test_an_app_that_drips_what_is_no_payload_is_answered_408() -> None:
    with Pair(**LIMITS) as pair:
        pair.client.data_received(CHUNKED_UPLOAD)
        exchange = under_way(pair)
        begun = exchange.progress.since
        exchange.tick(begun)
        for number in range(50):
            pair.client.data_received(b"3;" if not number else b"x")
            pair.client.tick(begun + 10.0 * number)
            if exchange.over:
                break
        assert pair.app.written.startswith(b"HTTP/1.1 408 ")


def test_an_app_that_drips_a_head_is_answered_408() -> None:
    with Pair(**LIMITS) as pair:
        begun = pair.client.since
        for number in range(50):
            pair.client.data_received(b"G" if not number else b"X")
            pair.client.tick(begun + 10.0 * number)
            if pair.client.lingers:
                break
        assert pair.app.written.startswith(b"HTTP/1.1 408 ")


def test_an_interim_response_is_progress() -> None:
    with Pair(**LIMITS) as pair:
        asked(GET)(pair)
        exchange = under_way(pair)
        begun = exchange.progress.since
        for number in range(1, 5):
            pair.connection.data_received(b"HTTP/1.1 102 Processing\r\n\r\n")
            exchange.tick(begun + number * (TIMEOUT - 1))
        assert not is_over(exchange)


def test_an_app_that_expects_100_is_told_to_continue_and_then_has_its_idle_time() -> None:
    with Pair(**LIMITS) as pair:
        pair.client.data_received(EXPECTING)
        exchange = under_way(pair)
        begun = exchange.progress.since
        exchange.tick(begun + 2 + MOMENT)
        assert pair.app.written == b"HTTP/1.1 100 Continue\r\n\r\n"
        exchange.tick(begun + IDLE + MOMENT)
        assert b"HTTP/1.1 408 " in pair.app.written


def test_what_the_app_does_not_take_is_no_silence_of_the_upstreams() -> None:
    with Pair(**LIMITS) as pair:
        asked(GET, CHUNKED)(pair)
        exchange = under_way(pair)
        pair.client.pause_writing()
        begun = exchange.progress.since
        exchange.tick(begun)
        exchange.tick(begun + 10 * STREAM)
        assert not is_over(exchange)  # `watch` ends it, by what is unsent


def test_an_app_that_lingers_and_one_that_is_idle_are_closed() -> None:
    with Pair(**LIMITS) as pair:
        closing = []
        for seconds in (IDLE - 1, IDLE + MOMENT):
            pair.client.tick(pair.client.since + seconds)
            closing.append(pair.app.closing)
        assert closing == [False, True]
    with Pair(**LIMITS) as pair:
        pair.client.data_received(b"nonsense\r\n\r\n")
        aborted = []
        for seconds in (1, 2 + MOMENT):
            pair.client.tick(pair.client.since + seconds)
            aborted.append(pair.app.aborted)
        assert aborted == [False, True]


def test_an_idle_connection_to_an_endpoint_is_closed() -> None:
    with Pair(**LIMITS) as pair:
        aborted = []
        for seconds in (IDLE - 1, IDLE + MOMENT):
            pair.upstream.tick(pair.connection.idle_since + seconds)
            aborted.append(pair.there.aborted)
        assert aborted == [False, True]


# -- the attempts of a request share the app's patience ------------------------------------------------------------


def test_failed_tries_take_from_the_time_of_the_next() -> None:
    with Pair(**LIMITS, AMBASSADOR_RETRIES="9") as pair:
        pair.add_endpoints(4)
        pair.client.data_received(GET)
        exchange = under_way(pair)
        begun = exchange.progress.since
        for seconds in (0, 60, 120, 180):
            exchange.tick(begun + seconds)
            assert isinstance(exchange.connection, UpstreamConnection)
            exchange.connection.data_received(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        assert exchange.retries == 4
        exchange.tick(begun + TIMEOUT - 1)
        assert pair.app.written == b""
        exchange.tick(begun + TIMEOUT + MOMENT)
        assert pair.app.written.startswith(b"HTTP/1.1 504 ")


def test_a_request_that_is_slower_than_its_time_is_executed_once() -> None:
    """TIMEOUT is the whole patience of the app, for any number of endpoints and for each retry policy."""
    with Pair(**LIMITS) as pair:
        pair.add_endpoints(1)
        pair.client.data_received(GET)
        exchange = under_way(pair)
        exchange.tick(exchange.progress.since + TIMEOUT + MOMENT)
        assert is_over(exchange)
        assert pair.app.written.count(b"HTTP/1.1 504 ") == 1
        assert sorted(endpoint.attempts for endpoint in pair.upstream.endpoints) == [0, 1]
        assert sorted(endpoint.ejection.consecutive_failures for endpoint in pair.upstream.endpoints) == [0, 1]
