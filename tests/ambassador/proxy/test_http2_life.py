"""The ends of an app's connection of HTTP/2 and of its streams: time-outs, a drain, broken framing."""

from __future__ import annotations

import asyncio
import time

from sidecars.ambassador.upstream.upstream_connection import UpstreamConnection
from tests.ambassador.http2 import raw
from tests.ambassador.http2_exchanges import Http2Pair
from tests.ambassador.proxy.test_short_memory import stall

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_a_stream_whose_app_takes_nothing_is_reset() -> None:
    with Http2Pair(window=10) as pair:
        stream = pair.ask()
        pair.connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100)
        pair.turn()
        assert len(pair.server.sides) == 1  # it counts until the app has taken it
        now = time.monotonic()
        for seconds in (0, 59, 61):
            pair.server.tick(now + seconds)
        pair.turn()
        assert (pair.got[stream].body, pair.got[stream].reset) == (b"x" * 10, 8)  # CANCEL
        assert pair.is_released


def test_the_pings_of_an_app_end_no_connection_however_long_its_streams_are_quiet() -> None:
    with Http2Pair() as pair:
        stream = pair.ask()
        pair.connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        now = time.monotonic()
        for number in range(250):
            pair.server.data_received(raw.ping() * 10)
            pair.server.tick(now + number)
        pair.turn()
        assert (pair.goaways, pair.got[stream].reset) == ([], None)


def test_a_stream_that_waits_for_its_response_gets_a_504() -> None:
    with Http2Pair() as pair:
        stream = pair.ask()
        pair.server.tick(time.monotonic() + 61)
        pair.turn()
        assert pair.got[stream].head[":status"] == "504"
        assert pair.is_released


def test_an_idle_connection_ends_with_goaway() -> None:
    with Http2Pair() as pair:
        pair.server.tick(time.monotonic() + 59)
        pair.turn()
        assert not pair.app.ended
        pair.server.tick(time.monotonic() + 61)
        pair.turn()
        assert (pair.goaways, pair.app.ended) == ([0], True)
        assert not pair.app.closing
        pair.server.tick(time.monotonic() + 64)
        assert pair.app.aborted


def test_a_head_that_never_ends_ends_the_connection() -> None:
    with Http2Pair() as pair:
        pair.flush(b"\0\0\x01\x01\0\0\0\0\x01\x82")  # HEADERS without END_HEADERS
        now = time.monotonic()
        for seconds in (0, 61):
            pair.server.tick(now + seconds)
        pair.turn()
        assert (pair.goaways, pair.app.ended) == ([11], True)


def test_a_drain_tells_the_app_and_serves_what_it_still_sends() -> None:
    with Http2Pair() as pair:
        (first, second) = pair.add_connections(1)
        pair.ask()
        at = len(pair.app.written)
        pair.upstream.drain(time.monotonic())
        pair.loop.run_until_complete(asyncio.sleep(0))
        assert pair.app.written[at:].startswith(raw.goaway(2**31 - 1, 0, b"this process ends") + raw.ping(b"draining"))
        at = len(pair.app.written)
        pair.server.data_received(raw.headers(3, raw.request()))  # it was under way
        pair.server.data_received(raw.ping(b"draining", raw.ACK))
        assert pair.app.written[at:] == raw.goaway(3, 0, b"this process ends")
        pair.server.data_received(raw.headers(5, raw.request()))  # not served: its client sends it elsewhere
        assert pair.endpoint.pending == 2
        for connection in (first, second):
            assert not pair.app.ended
            connection.data_received(OK)
            for _ in range(3):
                pair.loop.run_until_complete(asyncio.sleep(0))
        assert pair.app.ended
        assert pair.app.written.count(b"ok") == 2
        assert not pair.server.eof_received()
        pair.server.connection_lost(None)
        assert not pair.upstream.clients.open


def test_a_drain_waits_no_more_than_a_second_for_the_answer_of_the_app() -> None:
    with Http2Pair() as pair:
        now = time.monotonic()
        for seconds in (0.0, 0.2, 0.7, 1.3):  # at first it may be new, with a request under way
            assert not pair.app.ended
            pair.upstream.drain(now + seconds)
            for _ in range(3):
                pair.loop.run_until_complete(asyncio.sleep(0))
        assert pair.app.ended


def test_broken_framing_ends_the_connection_and_abandons_its_exchanges() -> None:
    with Http2Pair() as pair:
        pair.ask()
        pair.server.data_received(b"\0\0\x04\x08\0\0\0\0\x01\0\0\0\0")  # WINDOW_UPDATE of 0
        pair.turn()
        assert (pair.goaways, pair.app.ended) == ([1], True)
        assert pair.there.aborted
        assert pair.is_released


def test_streams_that_were_never_reported_give_their_places_back_when_the_framing_breaks() -> None:
    with Http2Pair() as pair:
        begun = raw.headers(1, raw.request()) + raw.rst_stream(1) + raw.headers(3, raw.request())
        pair.server.data_received(begun + raw.window_update(3, 0))
        assert pair.is_released
        assert pair.upstream.counters.requests == 0


def test_an_app_that_half_closes_gets_the_responses_to_what_it_has_sent() -> None:
    with Http2Pair() as pair:
        pair.add_connections(1)
        whole = pair.ask()
        part = pair.begin()
        pair.flush()
        assert pair.server.eof_received()
        pair.turn()
        assert pair.got[part].head[":status"] == "400"
        pair.connection.data_received(OK)
        for connection in [side.exchange.connection for side in pair.server.sides if side.exchange]:
            assert isinstance(connection, UpstreamConnection)
            connection.data_received(OK)
        pair.turn()
        assert (pair.got[whole].body, pair.got[whole].ended) == (b"ok", True)
        assert pair.app.closing
        assert pair.is_released


def test_an_app_whose_bodies_nobody_takes_is_not_read_while_more_is_held_than_may_be() -> None:
    with Http2Pair() as pair:
        memory = pair.upstream.memory
        stream = pair.begin(more=[("content-length", "200000")])
        pair.flush()
        stall(pair.connection)
        for _ in range(8):
            pair.h2.send_data(stream, bytes(16_000))
            pair.flush()
        assert pair.server.core.held > 4096
        paused = [pair.app.paused]
        memory.change(memory.limit)
        pair.h2.send_data(stream, bytes(16_000))
        pair.flush()
        paused.append(pair.app.paused)
        pair.server._end_rest()
        paused.append(pair.app.paused)
        memory.change(-memory.limit)
        pair.server._end_rest()
        assert [*paused, pair.app.paused] == [False, True, True, False]


def test_while_memory_is_short_streams_get_little_credit_and_large_heads_are_refused() -> None:
    with Http2Pair(AMBASSADOR_MAX_HEADER_SIZE="32KiB") as pair:
        memory = pair.upstream.memory
        memory.change(memory.limit)
        stream = pair.ask(more=[("x-large", "x" * 10_000)])
        assert (pair.got[stream].head[":status"], memory.refused) == ("503", 1)
        stream = pair.ask()
        assert pair.there.written
        memory.change(-memory.limit)
        pair.connection.data_received(OK)
        pair.turn()
        assert pair.got[stream].ended
        assert pair.is_released
