"""Exchanges while the memory for buffered bytes is short."""

from __future__ import annotations

from typing import Any

import pytest

from sidecars.ambassador.transport.small_reads import SIZE, SmallReads
from tests.ambassador.exchanges import Pair, tunnel_end, wire
from tests.ambassador.support import GET

LARGE = b"x" * 100_000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UPLOAD = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
DOWNLOAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


def make_short(pair: Pair) -> int:
    """Take all of the memory, and return the number of bytes to give back."""
    size = pair.upstream.memory.limit
    pair.upstream.memory.change(size)
    assert pair.upstream.memory.is_short
    return size


def stall(protocol: Any) -> None:
    """Let the peer take nothing of what is written next."""

    def full() -> None:
        protocol.transport.on_write = None
        protocol.pause_writing()

    protocol.transport.on_write = full


def test_what_the_app_does_not_take_counts_until_it_does() -> None:
    with Pair() as pair:
        memory = pair.upstream.memory
        pair.client.data_received(GET)
        stall(pair.client)
        pair.connection.data_received(DOWNLOAD + LARGE[:50_000])
        assert pair.there.paused
        assert 50_000 <= memory.held <= 51_000
        pair.client.resume_writing()
        assert memory.held == 0
        assert not pair.there.paused


def test_what_the_endpoint_does_not_take_counts_until_the_connection_is_lost() -> None:
    with Pair(AMBASSADOR_RETRY_BUFFER="0") as pair:
        memory = pair.upstream.memory
        pair.client.data_received(UPLOAD)
        stall(pair.connection)
        pair.client.data_received(LARGE[:50_000])
        assert pair.app.paused
        assert memory.held == 50_000
        pair.connection.connection_lost(None)
        assert memory.held == 0


@pytest.mark.parametrize("end", ["response", "app", "endpoint"])
def test_a_body_that_is_kept_for_a_retry_counts_until_its_exchange_ends(end: str) -> None:
    with Pair() as pair:
        memory = pair.upstream.memory
        pair.client.data_received(UPLOAD + LARGE[:50_000])
        assert memory.held == 50_000
        if end == "response":
            pair.connection.data_received(OK)
        elif end == "app":
            pair.client.connection_lost(None)
        else:
            pair.client.data_received(LARGE[:50_000])  # more than RETRY_BUFFER
        assert memory.held == 0


def test_a_body_is_not_kept_while_memory_is_short_and_its_request_is_not_sent_again() -> None:
    with Pair() as pair:
        held = make_short(pair)
        pair.client.data_received(UPLOAD + LARGE[:SIZE])
        pair.client.data_received(LARGE[:SIZE])
        assert pair.upstream.memory.unkept == 1
        assert pair.upstream.memory.held == held
        pair.connection.connection_lost(None)
        assert b" 502 " in pair.app.written
        assert pair.upstream.counters.retries == 0


def test_all_connections_at_work_read_little_while_memory_is_short() -> None:
    with Pair() as pair:
        pair.client.data_received(GET)
        held = make_short(pair)
        for transport in (pair.app, pair.there):
            assert isinstance(transport.protocol, SmallReads)
            assert not transport.paused
        reads = pair.there.protocol
        reads.get_buffer(-1)[: len(OK)] = OK
        reads.buffer_updated(len(OK))
        assert pair.app.written.startswith(b"HTTP/1.1 200 ")
        pair.upstream.memory.change(-held)
        assert pair.app.protocol is pair.client
        assert pair.there.protocol is pair.connection


def test_a_side_that_is_not_read_is_not_read_with_small_reads_either() -> None:
    with Pair() as pair:
        pair.client.data_received(GET)
        stall(pair.client)
        pair.connection.data_received(DOWNLOAD + LARGE[:50_000])
        held = make_short(pair)
        assert pair.there.paused
        pair.upstream.memory.change(-held)
        assert pair.there.paused
        pair.client.resume_writing()
        assert not pair.there.paused


def test_large_heads_are_refused_while_memory_is_short() -> None:
    with Pair() as pair:
        make_short(pair)
        pair.client.data_received(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + LARGE[:9000] + b"\r\n\r\n")
        assert pair.app.written.startswith(b"HTTP/1.1 503 ")
        assert b"memory" in pair.app.written


def test_a_response_with_a_large_head_is_refused_while_memory_is_short_and_no_endpoint_is_blamed() -> None:
    with Pair(AMBASSADOR_RETRIES="0") as pair:
        make_short(pair)
        pair.client.data_received(GET)
        pair.connection.data_received(b"HTTP/1.1 200 OK\r\nX: " + LARGE[:9000] + b"\r\nContent-Length: 0\r\n\r\n")
        assert pair.app.written.startswith(b"HTTP/1.1 503 ")
        assert pair.endpoint.failures == 0


def test_large_heads_count_while_their_exchange_is_under_way() -> None:
    with Pair() as pair:
        pair.client.data_received(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + LARGE[:9000] + b"\r\n\r\n")
        assert pair.upstream.memory.held >= 9000
        pair.connection.data_received(OK)
        assert pair.upstream.memory.held == 0


def test_unfinished_heads_of_responses_and_chunks_of_which_too_many_came_count() -> None:
    with Pair() as pair:
        unfinished = pair.upstream.memory.unfinished
        pair.client.data_received(GET)
        pair.connection.data_received(b"HTTP/1.1 200 OK\r\nX: " + LARGE[:9000])
        assert unfinished.held >= 9000
        pair.connection.data_received(b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert unfinished.held == 0
        pair.connection.data_received(b"1\r\na\r\n" * 2000)
        assert unfinished.held >= 12_000
        pair.connection.connection_lost(None)
        pair.client.connection_lost(None)


def test_a_tunnel_reads_little_while_memory_is_short_and_what_waits_counts() -> None:
    with Pair() as pair:
        memory = pair.upstream.memory
        app, there = (tunnel_end(pair.upstream, wire(pair.client), inbound=inbound) for inbound in (True, False))
        app.take(LARGE[:5000])
        assert memory.held == 5000
        app.join(there, pair.endpoint)
        assert memory.held == 0
        stall(app)
        there.take(LARGE[:7000])
        assert memory.held == 7000
        assert len(there.get_buffer(-1)) > SIZE
        held = make_short(pair)
        assert len(there.get_buffer(-1)) == SIZE
        app.connection_lost(None)
        assert memory.held == held
