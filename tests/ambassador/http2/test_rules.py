"""The rules of RFC 9113 about frames, a row each: what a peer sends, and which error ends the connection or stream."""

from __future__ import annotations

import struct

import pytest

from sidecars.ambassador.http2 import frames
from sidecars.ambassador.http2.frames import (
    CANCEL,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    NO_ERROR,
    PADDED,
    PING,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    WITH_PRIORITY,
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

_OPEN = headers(1, POST, end=False)
_CLOSED = headers(1, GET)  # half-closed (remote)
_RESET = headers(1, POST, end=False) + number(RST_STREAM, 1, CANCEL)
_HUGE = b"\x01" * (frames.MAX_FRAME_SIZE + 1)

# What a client sends behind its preface, and the error code of our GOAWAY.
BROKEN_BY_A_CLIENT = {
    "4.2 a frame that is larger than 16,384 bytes": (_OPEN + frame(DATA, 0, 1, _HUGE), FRAME_SIZE_ERROR),
    "4.2 HEADERS that are larger": (frame(HEADERS, END_HEADERS, 1, _HUGE), FRAME_SIZE_ERROR),
    "4.3 a block that is no HPACK": (frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"), COMPRESSION_ERROR),
    "4.3 another frame within a block": (
        frame(HEADERS, 0, 1, block(GET)) + frame(PING, 0, 0, bytes(8)),
        PROTOCOL_ERROR,
    ),
    "4.3 a CONTINUATION of another stream within a block": (
        frame(HEADERS, 0, 1, block(GET)) + frame(CONTINUATION, END_HEADERS, 3),
        PROTOCOL_ERROR,
    ),
    "4.3 an unknown frame within a block": (
        frame(HEADERS, 0, 1, block(GET)) + frame(0xEE, 0, 1),
        PROTOCOL_ERROR,
    ),
    "5.1 DATA on an idle stream": (data(1, b"x"), PROTOCOL_ERROR),
    "5.1 RST_STREAM on an idle stream": (number(RST_STREAM, 1, CANCEL), PROTOCOL_ERROR),
    "5.1 WINDOW_UPDATE on an idle stream": (number(WINDOW_UPDATE, 1, 1), PROTOCOL_ERROR),
    "5.1 CONTINUATION on an idle stream": (frame(CONTINUATION, END_HEADERS, 1, block(GET)), PROTOCOL_ERROR),
    "5.1 DATA behind END_STREAM": (_CLOSED + data(1, b"x"), STREAM_CLOSED),
    "5.1 HEADERS behind END_STREAM": (_CLOSED + headers(1, GET), STREAM_CLOSED),
    "5.1 CONTINUATION behind END_HEADERS": (_CLOSED + frame(CONTINUATION, END_HEADERS, 1), PROTOCOL_ERROR),
    "5.1 DATA behind the client's RST_STREAM": (_RESET + data(1, b"x"), STREAM_CLOSED),
    "5.1 HEADERS behind the client's RST_STREAM": (_RESET + headers(1, GET), STREAM_CLOSED),
    "5.1.1 an even id": (headers(2, GET), PROTOCOL_ERROR),
    "5.1.1 an id below the highest one": (headers(5, GET) + headers(3, GET), PROTOCOL_ERROR),
    "6.1 DATA without a stream": (data(0, b"x"), PROTOCOL_ERROR),
    "6.1 padding as long as the frame": (_OPEN + frame(DATA, PADDED, 1, b"\x05xxxx"), PROTOCOL_ERROR),
    "6.1 padding without its length": (_OPEN + frame(DATA, PADDED, 1), PROTOCOL_ERROR),
    "6.2 HEADERS without a stream": (headers(0, GET), PROTOCOL_ERROR),
    "6.2 padding longer than HEADERS": (frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + block(GET)), PROTOCOL_ERROR),
    "6.2 HEADERS too short for their priority": (
        frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, b"abc"),
        PROTOCOL_ERROR,
    ),
    "6.3 PRIORITY without a stream": (frame(PRIORITY, 0, 0, bytes(5)), PROTOCOL_ERROR),
    "6.3 PRIORITY of 4 bytes": (frame(PRIORITY, 0, 1, bytes(4)), FRAME_SIZE_ERROR),
    "6.4 RST_STREAM without a stream": (number(RST_STREAM, 0, CANCEL), PROTOCOL_ERROR),
    "6.4 RST_STREAM of 3 bytes": (_OPEN + frame(RST_STREAM, 0, 1, bytes(3)), FRAME_SIZE_ERROR),
    "6.5 SETTINGS of a stream": (frame(SETTINGS, 0, 1), PROTOCOL_ERROR),
    "6.5 SETTINGS of 3 bytes": (frame(SETTINGS, 0, 0, bytes(3)), FRAME_SIZE_ERROR),
    "6.5 an acknowledgement with a payload": (frame(SETTINGS, frames.ACK, 0, bytes(6)), FRAME_SIZE_ERROR),
    "6.5.2 ENABLE_PUSH 2": (settings((2, 2)), PROTOCOL_ERROR),
    "6.5.2 INITIAL_WINDOW_SIZE 2^31": (settings((4, 2**31)), FLOW_CONTROL_ERROR),
    "6.5.2 MAX_FRAME_SIZE 16,383": (settings((5, 16_383)), PROTOCOL_ERROR),
    "6.5.2 MAX_FRAME_SIZE 2^24": (settings((5, 2**24)), PROTOCOL_ERROR),
    "RFC 8441: ENABLE_CONNECT_PROTOCOL 2": (settings((8, 2)), PROTOCOL_ERROR),
    "6.6 PUSH_PROMISE": (_OPEN + frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4) + block(GET)), PROTOCOL_ERROR),
    "6.7 a PING of a stream": (frame(PING, 0, 1, bytes(8)), PROTOCOL_ERROR),
    "6.7 a PING of 7 bytes": (frame(PING, 0, 0, bytes(7)), FRAME_SIZE_ERROR),
    "6.8 a GOAWAY of a stream": (frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL_ERROR),
    "6.8 a GOAWAY of 7 bytes": (frame(GOAWAY, 0, 0, bytes(7)), FRAME_SIZE_ERROR),
    "6.8 a GOAWAY whose last id rises": (
        frame(GOAWAY, 0, 0, struct.pack(">LL", 1, 0)) + frame(GOAWAY, 0, 0, struct.pack(">LL", 3, 0)),
        PROTOCOL_ERROR,
    ),
    "6.9 WINDOW_UPDATE of 0 for the connection": (number(WINDOW_UPDATE, 0, 0), PROTOCOL_ERROR),
    "6.9 WINDOW_UPDATE of 0 for a stream": (_OPEN + number(WINDOW_UPDATE, 1, 0), PROTOCOL_ERROR),
    "6.9 WINDOW_UPDATE of 3 bytes": (frame(WINDOW_UPDATE, 0, 0, bytes(3)), FRAME_SIZE_ERROR),
    "6.9.1 a window of the connection beyond 2^31-1": (number(WINDOW_UPDATE, 0, 2**31 - 1), FLOW_CONTROL_ERROR),
    "6.9.1 a stream's window beyond 2^31-1": (_OPEN + number(WINDOW_UPDATE, 1, 2**31 - 1), FLOW_CONTROL_ERROR),
    "6.9.2 a window beyond 2^31-1 by SETTINGS": (
        _OPEN + number(WINDOW_UPDATE, 1, 2**30) + settings((4, 2**31 - 1)),
        FLOW_CONTROL_ERROR,
    ),
}

# What a client sends behind its preface without any error.
FINE_FROM_A_CLIENT = {
    "4.1 a frame of unknown type": frame(0xEE, 0xFF, 0, b"abc") + headers(1, GET),
    "4.1 undefined flags": frame(PING, 0xFE, 0, bytes(8)) + headers(1, GET, flags=END_HEADERS | 0xD2 & ~0x28),
    "4.1 the reserved bit": frame(PING, 0, 1 << 31, bytes(8)) + headers(1, GET),
    "5.1 PRIORITY on idle streams": b"".join(frame(PRIORITY, 0, idle, bytes(5)) for idle in (3, 5, 7))
    + headers(1, GET),
    "5.1 WINDOW_UPDATE, PRIORITY and RST_STREAM behind END_STREAM": _CLOSED
    + number(WINDOW_UPDATE, 1, 5)
    + frame(PRIORITY, 0, 1, bytes(5)),
    "5.1 WINDOW_UPDATE and PRIORITY behind RST_STREAM": _RESET
    + number(WINDOW_UPDATE, 1, 5)
    + frame(PRIORITY, 0, 1, bytes(5))
    + headers(3, GET),
    "5.1 a second RST_STREAM": _RESET + number(RST_STREAM, 1, NO_ERROR) + headers(3, GET),
    "5.1.1 ids that are skipped": headers(13, GET),
    "6.1 padding of all but the data": _OPEN + frame(DATA, PADDED, 1, b"\x03abc" + bytes(3)),
    "6.2 padding and priority": frame(
        HEADERS, END_HEADERS | PADDED | WITH_PRIORITY, 1, b"\x02" + bytes(5) + block(GET) + bytes(2)
    ),
    "6.2 a stream that depends on itself, which RFC 9113 does not judge": frame(
        HEADERS, END_HEADERS | WITH_PRIORITY, 1, bytes((0, 0, 0, 1, 15)) + block(GET)
    ),
    "6.5 unknown settings": settings((0xFE03, 1), (0x99, 2**32 - 1)) + headers(1, GET),
    "6.5.2 values at their limits": settings((2, 1), (3, 0), (4, 2**31 - 1), (5, 2**24 - 1), (6, 1)) + headers(1, GET),
    "6.5.3 the last of two values": settings((4, 0), (4, 2**31 - 1)) + headers(1, GET),
    "6.8 GOAWAYs whose last id sinks": frame(GOAWAY, 0, 0, struct.pack(">LL", 3, 0))
    + frame(GOAWAY, 0, 0, struct.pack(">LL", 1, 0))
    + headers(1, GET),
    "6.10 a block in many frames": frame(HEADERS, frames.END_STREAM, 1, block(GET)[:1])
    + frame(CONTINUATION, 0, 1, block(GET)[1:9])
    + frame(CONTINUATION, END_HEADERS, 1, block(GET)[9:]),
    "7 unknown error codes": _OPEN + number(RST_STREAM, 1, 0xFFFF) + headers(3, GET),
    "RFC 9218 PRIORITY_UPDATE": frame(0x10, 0, 0, bytes(4) + b"u=1") + headers(1, GET),
}


@pytest.mark.parametrize("rule", BROKEN_BY_A_CLIENT)
def test_a_client_that_breaks_the_framing_gets_a_goaway_and_nothing_else(rule: str) -> None:
    sent, code = BROKEN_BY_A_CLIENT[rule]
    connection, recorder = server()
    connection.receive(sent)
    assert recorder.broken is not None
    assert recorder.broken[0] == code
    assert recorder.messages == {}  # nothing of the read was passed on
    found = written(connection)
    assert codes(found, GOAWAY) == [code]
    assert found[-1].kind == GOAWAY
    connection.receive(headers(99, GET))
    assert connection.output() == []


@pytest.mark.parametrize("rule", FINE_FROM_A_CLIENT)
def test_what_the_rfc_allows_ends_neither_the_connection_nor_a_request(rule: str) -> None:
    connection, recorder = server()
    connection.receive(FINE_FROM_A_CLIENT[rule])
    assert recorder.broken is None
    found = written(connection)
    assert codes(found, GOAWAY) == codes(found, RST_STREAM) == []
    assert len(recorder.messages) == 1
    connection.receive(headers(21, GET))
    assert 21 in recorder.messages


@pytest.mark.parametrize("part", [b"GET / HTTP/1.1\r\n", frames.PREFACE[:-1] + b"x", b"\0\0\0\x04\0\0\0\0\0", b"P\0"])
def test_a_connection_that_does_not_begin_with_the_preface_is_broken_at_the_first_wrong_byte(part: bytes) -> None:
    connection, recorder = server(greeted=False)
    connection.receive(part)
    assert recorder.broken is not None
    assert recorder.broken[0] == PROTOCOL_ERROR


@pytest.mark.parametrize("first", [headers(1, GET), frame(PING, 0, 0, bytes(8)), frame(SETTINGS, frames.ACK, 0)])
def test_the_first_frame_is_settings_in_both_roles(first: bytes) -> None:
    connection, recorder = server(greeted=False)
    connection.receive(frames.PREFACE + first)
    assert recorder.broken is not None
    assert recorder.broken[0] == PROTOCOL_ERROR
    connection, recorder = client(greeted=False)
    connection.receive(first)
    assert recorder.broken is not None


# -- the client role ------------------------------------------------------------------------------------------------

_ONE = headers(1, OK, end=False)
BROKEN_BY_A_SERVER = {
    "5.1 HEADERS on an idle stream": (headers(3, OK), PROTOCOL_ERROR),
    "5.1 DATA on an idle stream": (data(3, b"x"), PROTOCOL_ERROR),
    "5.1 RST_STREAM on an idle stream": (number(RST_STREAM, 3, CANCEL), PROTOCOL_ERROR),
    "5.1 WINDOW_UPDATE on an idle stream": (number(WINDOW_UPDATE, 3, 1), PROTOCOL_ERROR),
    "5.1 DATA behind END_STREAM": (headers(1, OK) + data(1, b"x"), STREAM_CLOSED),
    "5.1 HEADERS behind END_STREAM": (headers(1, OK) + headers(1, OK), STREAM_CLOSED),
    "5.1.1 a stream that the server opens": (headers(2, OK), PROTOCOL_ERROR),
    "6.5.2 a server that enables push": (settings((2, 1)), PROTOCOL_ERROR),
    "6.6 PUSH_PROMISE": (frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4) + block(GET)), PROTOCOL_ERROR),
    "6.8 a GOAWAY whose last id rises": (
        frame(GOAWAY, 0, 0, struct.pack(">LL", 1, 0)) + frame(GOAWAY, 0, 0, struct.pack(">LL", 3, 0)),
        PROTOCOL_ERROR,
    ),
    "6.9 WINDOW_UPDATE of 0": (number(WINDOW_UPDATE, 1, 0), PROTOCOL_ERROR),
    "6.9.1 DATA beyond the stream's window": (
        _ONE + b"".join(data(1, bytes(16_384)) for _ in range(17)),
        FLOW_CONTROL_ERROR,
    ),
    "RFC 8441: ENABLE_CONNECT_PROTOCOL is taken back": (settings((8, 1)) + settings((8, 0)), PROTOCOL_ERROR),
}


@pytest.mark.parametrize("rule", BROKEN_BY_A_SERVER)
def test_a_server_that_breaks_the_framing_gets_a_goaway(rule: str) -> None:
    sent, code = BROKEN_BY_A_SERVER[rule]
    connection, recorder = client()
    open_stream(connection)
    connection.receive(sent)
    assert recorder.broken is not None
    assert recorder.broken[0] == code
    assert codes(written(connection), GOAWAY) == [code]


# What a server sends for stream 1, whose request is a GET; the stream is malformed, the connection is not.
MALFORMED_BY_A_SERVER = {
    "8.1 a second head without END_STREAM": _ONE + headers(1, OK, end=False),
    "8.1 a body before the head": data(1, b"x"),
    "8.1 an end before the head": data(1, b"", end=True),
    "8.1 pseudo-fields in the trailers": _ONE + headers(1, OK),
    "8.1 an interim response with END_STREAM": headers(1, ((b":status", b"103"),)),
    "8.1.1 a body that is longer than announced": headers(1, (*OK, (b"content-length", b"1")), end=False)
    + data(1, b"xx"),
    "8.1.1 a body that is shorter": headers(1, (*OK, (b"content-length", b"3")), end=False) + data(1, b"x", end=True),
    "8.1.1 no body, but a length": headers(1, (*OK, (b"content-length", b"3"))),
    "8.1.1 shorter, with trailers": headers(1, (*OK, (b"content-length", b"3")), end=False)
    + data(1, b"x")
    + headers(1, ((b"a", b"b"),)),
    "8.6 101": headers(1, ((b":status", b"101"),), end=False),
    "RFC 9110 6.5.1 a trailer that frames": _ONE + headers(1, ((b"content-length", b"0"),)),
    "204 with a body": headers(1, ((b":status", b"204"),), end=False) + data(1, b"x"),
    "204 with a length": headers(1, ((b":status", b"204"), (b"content-length", b"1"))),
    "304 with a body": headers(1, ((b":status", b"304"), (b"content-length", b"5")), end=False) + data(1, b"x"),
    "a head beyond the limit": headers(1, (*OK, *((b"a", b"b") for _ in range(130)))),
}


@pytest.mark.parametrize("rule", MALFORMED_BY_A_SERVER)
def test_a_malformed_response_ends_its_stream_alone_and_never_cleanly(rule: str) -> None:
    connection, recorder = client()
    first, second = open_stream(connection), open_stream(connection)
    connection.receive(MALFORMED_BY_A_SERVER[rule] + headers(3, OK))
    assert recorder.broken is None
    assert recorder.messages[1].malformed
    assert recorder.messages[1].status == (431 if rule == "a head beyond the limit" else 502)
    assert not recorder.messages[1].ended
    assert recorder.messages[3].ended
    connection.reset(first, PROTOCOL_ERROR)
    assert connection.streams == {}
    assert connection.busy == 0
    assert second.is_closed


@pytest.mark.parametrize(
    "answer",
    [
        headers(1, (*OK, (b"content-length", b"5"))),
        headers(1, ((b":status", b"304"), (b"content-length", b"5"))),
        headers(1, (*OK, (b"content-length", b"5")), end=False) + data(1, b"", end=True),
    ],
)
def test_no_body_is_owed_to_a_head_request(answer: bytes) -> None:
    connection, recorder = client()
    open_stream(connection, ((b":method", b"HEAD"), *GET[1:]))
    connection.receive(answer)
    assert recorder.messages[1].ended
    assert not recorder.messages[1].malformed


# -- what a client sends, and its stream alone ends --------------------------------------------------------------------

# The rest of a stream whose request (POST) has been reported.
MALFORMED_BY_A_CLIENT = {
    "8.1 a second head without END_STREAM": headers(1, ((b"a", b"b"),), end=False),
    "8.1 pseudo-fields in the trailers": headers(1, POST),
    "8.1.1 a body that is shorter than announced": data(1, b"x", end=True),
    "8.1.1 a body that is longer": data(1, b"xxxxx"),
    "8.2.2 a field of a connection in the trailers": data(1, b"xxx") + headers(1, ((b"connection", b"close"),)),
    "RFC 9110 6.5.1 a trailer that frames": data(1, b"xxx") + headers(1, ((b"transfer-encoding", b"chunked"),)),
}


@pytest.mark.parametrize("rule", MALFORMED_BY_A_CLIENT)
@pytest.mark.parametrize("in_one_read", [False, True])
def test_a_malformed_request_ends_its_stream_alone(rule: str, *, in_one_read: bool) -> None:
    connection, recorder = server()
    opening = headers(1, (*POST, (b"content-length", b"3")), end=False)
    if in_one_read:
        connection.receive(opening + MALFORMED_BY_A_CLIENT[rule] + headers(3, GET))
        assert recorder.messages[1].head is None  # it was never passed on
    else:
        connection.receive(opening)
        connection.receive(MALFORMED_BY_A_CLIENT[rule] + headers(3, GET))
        assert recorder.messages[1].head is not None
    message = recorder.messages[1]
    assert message.malformed
    assert message.status == 400
    assert not message.ended
    assert message.body == b""
    assert recorder.messages[3].ended
    connection.reset(recorder.streams[1], PROTOCOL_ERROR)
    assert PROTOCOL_ERROR in codes(written(connection), RST_STREAM) or connection.streams == {3: recorder.streams[3]}
