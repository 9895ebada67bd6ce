"""Streams and connections over time: late frames, refusals, GOAWAY, and early responses."""

from __future__ import annotations

import struct

from sidecars.ambassador.http2 import frames
from sidecars.ambassador.http2.frames import (
    CANCEL,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    NO_ERROR,
    PING,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
)
from tests.ambassador.http2_support import (
    GET,
    OK,
    POST,
    block,
    client,
    codes,
    data,
    frame,
    headers,
    number,
    open_stream,
    server,
    settings,
    written,
)


def test_frames_for_a_stream_that_we_have_reset_are_ignored_and_its_blocks_are_decoded() -> None:
    connection, recorder = server()
    connection.receive(headers(1, POST, end=False))
    connection.reset(recorder.streams[1], CANCEL)
    connection.receive(
        data(1, b"x" * 100) + frame(HEADERS, END_HEADERS | frames.END_STREAM, 1, b"\x40\x01a\x01b") + data(1, b"late")
    )
    # The late trailers have inserted `a: b` into the table, as index 62.
    connection.receive(frame(HEADERS, END_HEADERS | frames.END_STREAM, 3, block(GET) + b"\xbe"))
    head = recorder.messages[3].head
    assert head is not None
    assert [(each.name, each.value) for each in head.fields] == [(b"a", b"b")]
    assert recorder.broken is None


def test_a_stream_that_was_forgotten_is_no_error() -> None:
    """The last 256 ends are remembered. Frames for older ones are late, however wrong they would be."""
    connection, recorder = server()
    for stream_id in range(1, 2 * 300, 2):
        connection.receive(headers(stream_id, GET))
        stream = recorder.streams[stream_id]
        connection.send_head(stream, block(OK), end=True)
        connection.release(stream)
    connection.receive(data(1, b"late") + headers(1, GET) + number(WINDOW_UPDATE, 3, 1) + number(RST_STREAM, 5, 8))
    assert recorder.broken is None
    connection.receive(data(599, b"x"))
    assert codes(written(connection), GOAWAY) == [STREAM_CLOSED]


def test_the_hundred_and_first_request_is_refused_until_an_exchange_is_over() -> None:
    connection, recorder = server()
    for number_ in range(100):
        connection.receive(headers(2 * number_ + 1, POST, end=False))
    connection.receive(headers(201, GET))
    assert 201 not in recorder.messages
    assert [each.stream_id for each in written(connection) if each.kind == RST_STREAM] == [201]
    connection.receive(number(RST_STREAM, 1, CANCEL))  # the exchange at the other end goes on
    connection.receive(headers(203, GET))
    found = written(connection)
    assert codes(found, RST_STREAM) == [REFUSED_STREAM]
    connection.release(recorder.streams[1])
    connection.receive(headers(205, GET))
    assert 205 in recorder.messages


def test_a_request_that_is_reset_in_the_same_read_is_never_reported_and_counts_no_more() -> None:
    connection, recorder = server()
    connection.receive(b"".join(headers(at, GET) + number(RST_STREAM, at, CANCEL) for at in range(1, 801, 8)))
    assert recorder.messages == {}
    assert connection.busy == 0
    assert connection.streams == {}


def test_an_acknowledgement_answers_each_settings_and_each_ping_in_their_order() -> None:
    connection, _ = server()
    connection.receive(settings((3, 7)) + frame(PING, 0, 0, b"12345678") + settings())
    found = written(connection)
    assert [(each.kind, each.flags, each.payload) for each in found] == [
        (SETTINGS, frames.ACK, b""),
        (PING, frames.ACK, b"12345678"),
        (SETTINGS, frames.ACK, b""),
    ]
    connection, recorder = client()
    connection.ping(b"87654321")
    assert [each.payload for each in written(connection) if each.kind == PING] == [b"87654321"]
    connection.receive(frame(PING, frames.ACK, 0, b"87654321"))
    assert recorder.pongs == [b"87654321"]


def test_an_early_response_ends_with_no_error_and_the_rest_of_the_request_is_ignored() -> None:
    connection, recorder = server()
    connection.receive(headers(1, POST, end=False))
    stream = recorder.streams[1]
    connection.send_head(stream, block(OK), end=False)
    connection.send_body(stream, [b"enough"], end=True)
    found = written(connection)
    assert [each.kind for each in found] == [HEADERS, DATA, RST_STREAM]
    assert codes(found, RST_STREAM) == [NO_ERROR]
    connection.receive(data(1, b"more") + data(1, b"and more", end=True))
    assert recorder.broken is None
    assert recorder.messages[1].body == b""


def test_our_goaway_refuses_no_stream_before_its_final_form() -> None:
    connection, recorder = server()
    connection.receive(headers(1, GET))
    connection.go_away(NO_ERROR, "bye", is_final=False)
    connection.receive(headers(3, GET))
    assert 3 in recorder.messages
    connection.go_away(NO_ERROR, "bye")
    connection.receive(headers(5, GET))
    assert 5 not in recorder.messages
    lasts = [int.from_bytes(each.payload[:4], "big") for each in written(connection) if each.kind == GOAWAY]
    assert lasts == [2**31 - 1, 3]


def test_streams_above_the_last_one_of_a_goaway_are_unprocessed_and_the_others_go_on() -> None:
    connection, recorder = client()
    for _ in range(3):
        open_stream(connection)
    connection.receive(frame(GOAWAY, 0, 0, struct.pack(">LL", 2**31 - 1, 0)))
    assert recorder.goaways == [(2**31 - 1, 0)]
    assert recorder.messages == {}
    assert not connection.can_open()
    connection.receive(frame(GOAWAY, 0, 0, struct.pack(">LL", 3, 0) + b"max_age"))
    assert recorder.messages[5].unprocessed
    assert recorder.messages[5].reset == REFUSED_STREAM
    assert set(recorder.messages) == {5}
    connection.receive(headers(1, OK) + headers(3, OK))
    assert recorder.messages[1].ended
    assert recorder.messages[3].ended
    assert connection.busy == 0


def test_only_a_refused_stream_is_unprocessed() -> None:
    connection, recorder = client()
    open_stream(connection)
    open_stream(connection)
    connection.receive(number(RST_STREAM, 1, REFUSED_STREAM) + number(RST_STREAM, 3, CANCEL))
    assert recorder.messages[1].unprocessed
    assert not recorder.messages[3].unprocessed
    assert recorder.messages[3].reset == CANCEL


def test_a_client_opens_one_stream_before_the_settings_of_the_server_and_then_as_many_as_they_allow() -> None:
    connection, recorder = client(greeted=False)
    assert connection.can_open()
    open_stream(connection)
    assert not connection.can_open()
    connection.receive(settings((3, 3)))
    assert recorder.settings == 1
    open_stream(connection)
    open_stream(connection)
    assert not connection.can_open()
    connection.receive(headers(1, OK))
    assert connection.can_open()
    connection.receive(settings((3, 0)))
    assert not connection.can_open()


def test_a_response_that_is_complete_is_delivered_though_a_reset_follows_it() -> None:
    connection, recorder = client()
    open_stream(connection, POST, end=False)
    connection.receive(headers(1, OK, end=False) + data(1, b"early", end=True) + number(RST_STREAM, 1, NO_ERROR))
    assert recorder.messages[1].ended
    assert recorder.messages[1].body == b"early"
    assert recorder.messages[1].reset is None
    assert connection.streams == {}
