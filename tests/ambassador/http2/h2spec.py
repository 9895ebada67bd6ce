# ruff: noqa: E501 - a row is a line
# fmt: off
"""The cases of h2spec (and of h2specd) as rows: frames by hand, and how the other side must end them.

    section of RFC 9113   what is sent   the frames   ──▶   what must come: GOAWAY, RST_STREAM, or nothing

h2spec is a conformance test for HTTP/2, in Go; these are its cases for a server, and those for a client, as far as RFC
9113 still has them: the dependencies of streams on themselves (section 5.3.1 of RFC 7540) are gone. `observe` sends one
row and returns what came. Whoever is asked must answer a plain request first and, after a row without error, again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.ambassador.http2 import raw
from tests.ambassador.http2.raw import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
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
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    Connection,
    Fields,
    block,
    data,
    frame,
    goaway,
    headers,
    ping,
    request,
    rst_stream,
    settings,
    window_update,
)

FINE, STREAM, CONNECTION = "fine", "the stream ends", "the connection ends"

OPEN: Final = END_HEADERS  # the flags of HEADERS behind which more comes
GET: Final = headers(1, request())
POST: Final = headers(1, request(method=b"POST"), OPEN)
UNKNOWN_TYPE: Final = 0x16


@dataclass(frozen=True)
class Row:
    section: str
    name: str
    frames: tuple[bytes, ...]
    end: str
    codes: frozenset[int]

    def __str__(self) -> str:
        return f"{self.section} {self.name}"


def fine(section: str, name: str, *frames: bytes) -> Row:
    return Row(section, name, frames, FINE, frozenset())


def stream(section: str, name: str, code: int, *frames: bytes) -> Row:
    """A stream error (section 5.4.2); an implementation may make it one of the connection (section 5.4.1)."""
    return Row(section, name, frames, STREAM, frozenset({code}))


def broken(section: str, name: str, code: int, *frames: bytes) -> Row:
    return Row(section, name, frames, CONNECTION, frozenset({code}))


def number(value: int) -> bytes:
    return struct.pack(">I", value)


def malformed(section: str, name: str, *frames: bytes) -> Row:
    return stream(section, name, PROTOCOL_ERROR, *frames)


def without(*names: bytes) -> bytes:
    """Return a request without these fields."""
    return headers(1, [field for field in request() if field[0] not in names])


def replaced(name: bytes, value: bytes) -> bytes:
    """Return a request in which this field has another value."""
    return headers(1, [(key, value if key == name else kept) for key, kept in request()])


def framing(message: Callable[[int], bytes], section_of_trailers: Fields) -> list[Row]:
    """Return the rows that both roles have. `message(flags)` is the HEADERS of the stream 1."""
    whole, opened = message(END_HEADERS | END_STREAM), message(END_HEADERS)
    content = whole[9:]
    trailers = block(section_of_trailers)
    huffman = b"\0" + b"\x01x"  # a literal with the name x; its value is Huffman
    return [
        fine("4.1", "a frame of an unknown type", frame(UNKNOWN_TYPE, 0, 0, b"12345678"), whole),
        fine("4.1", "a PING with an undefined flag", ping(flags=0x16 & ~ACK), whole),
        fine("4.1", "a PING with the reserved bit", frame(PING, 0, 0x80000000, b"12345678"), whole),
        fine("4.2", "DATA of the largest size", opened, data(1, bytes(16_384)), data(1, flags=END_STREAM)),
        broken("4.2", "DATA that are too large", FRAME_SIZE_ERROR, opened, data(1, bytes(16_385), END_STREAM)),
        broken("4.2", "HEADERS that are too large", FRAME_SIZE_ERROR, frame(HEADERS, 5, 1, content + bytes(16_385))),
        broken("4.3", "a block that cannot be decoded", COMPRESSION_ERROR, frame(HEADERS, 5, 1, b"\xff\xff\xff\xff\xff")),
        broken("4.3", "PRIORITY within a block", PROTOCOL_ERROR, message(0), frame(PRIORITY, 0, 1, bytes(5))),
        broken("4.3", "HEADERS of another stream within a block", PROTOCOL_ERROR, message(0), headers(3, content)),
        broken("5.1", "DATA on an idle stream", PROTOCOL_ERROR, data(101, b"x", END_STREAM)),
        broken("5.1", "RST_STREAM on an idle stream", PROTOCOL_ERROR, rst_stream(101)),
        broken("5.1", "WINDOW_UPDATE on an idle stream", PROTOCOL_ERROR, window_update(101, 1)),
        broken("5.1", "CONTINUATION on an idle stream", PROTOCOL_ERROR, frame(CONTINUATION, 4, 101, content)),
        fine("5.1", "WINDOW_UPDATE and PRIORITY behind an end", whole, window_update(1, 1), frame(PRIORITY, 0, 1, bytes(5))),
        fine("5.1", "RST_STREAM behind an end", whole, rst_stream(1)),
        broken("5.1", "DATA behind RST_STREAM", STREAM_CLOSED, opened, rst_stream(1), data(1, b"x", END_STREAM)),
        broken("5.1", "HEADERS behind RST_STREAM", STREAM_CLOSED, opened, rst_stream(1), whole),
        broken("5.1", "CONTINUATION behind RST_STREAM", PROTOCOL_ERROR, opened, rst_stream(1), frame(9, 4, 1, content)),
        broken("5.4.1", "PING of a wrong size", FRAME_SIZE_ERROR, frame(PING, 0, 0, b"123456"), whole),
        fine("5.5", "an unknown frame behind an open head", opened, frame(UNKNOWN_TYPE, 0, 1), data(1, flags=1)),
        broken("5.5", "an unknown frame within a block", PROTOCOL_ERROR, message(0), frame(UNKNOWN_TYPE, 0, 1)),
        broken("6.1", "DATA on stream 0", PROTOCOL_ERROR, data(0, b"x")),
        broken("6.1", "padding that is longer than DATA", PROTOCOL_ERROR, opened, data(1, b"\x05test", PADDED | 1)),
        fine("6.1", "padding that is as long as it may be", opened, data(1, b"\x04test", PADDED | 1)),
        broken("6.2", "HEADERS on stream 0", PROTOCOL_ERROR, headers(0, content)),
        broken("6.2", "padding that is longer than HEADERS", PROTOCOL_ERROR, frame(HEADERS, 0xD, 1, b"\xff" + content)),
        fine("6.2", "HEADERS with padding and a priority", frame(HEADERS, 0x2D, 1, b"\2" + bytes(5) + content + b"\0\0")),
        broken("6.3", "PRIORITY on stream 0", PROTOCOL_ERROR, frame(PRIORITY, 0, 0, bytes(5))),
        broken("6.3", "PRIORITY of a wrong size", FRAME_SIZE_ERROR, opened, frame(PRIORITY, 0, 1, bytes(4))),
        broken("6.4", "RST_STREAM on stream 0", PROTOCOL_ERROR, rst_stream(0)),
        broken("6.4", "RST_STREAM of a wrong size", FRAME_SIZE_ERROR, opened, frame(RST_STREAM, 0, 1, bytes(3))),
        broken("6.5", "SETTINGS with ACK and a payload", FRAME_SIZE_ERROR, frame(SETTINGS, ACK, 0, bytes(6))),
        broken("6.5", "SETTINGS on a stream", PROTOCOL_ERROR, frame(SETTINGS, 0, 1)),
        broken("6.5", "SETTINGS of a wrong size", FRAME_SIZE_ERROR, frame(SETTINGS, 0, 0, bytes(3))),
        broken("6.5.2", "ENABLE_PUSH of 2", PROTOCOL_ERROR, settings((raw.ENABLE_PUSH, 2))),
        broken("6.5.2", "INITIAL_WINDOW_SIZE of 2^31", FLOW_CONTROL_ERROR, settings((4, 1 << 31))),
        broken("6.5.2", "MAX_FRAME_SIZE of 16383", PROTOCOL_ERROR, settings((5, 16_383))),
        broken("6.5.2", "MAX_FRAME_SIZE of 2^24", PROTOCOL_ERROR, settings((5, 1 << 24))),
        fine("6.5.3", "a setting that comes twice", settings((4, 100), (4, 1)), whole),
        fine("6.9.2", "a window that is lowered to nothing and raised", settings((4, 0)), settings((4, 1)), whole),
        fine("6.5.2", "an unknown setting", settings((0xFF, 0)), whole),
        broken("6.7", "PING on a stream", PROTOCOL_ERROR, frame(PING, 0, 1, bytes(8))),
        broken("6.7", "PING of 7 bytes", FRAME_SIZE_ERROR, frame(PING, 0, 0, bytes(7))),
        fine("6.7", "a PING with ACK that nobody waits for", ping(b"unasked!", ACK), whole),
        broken("6.8", "GOAWAY on a stream", PROTOCOL_ERROR, frame(GOAWAY, 0, 1, bytes(8))),
        broken("6.9", "WINDOW_UPDATE of 0", PROTOCOL_ERROR, window_update(0, 0)),
        broken("6.9", "WINDOW_UPDATE of 0 on a stream", PROTOCOL_ERROR, opened, window_update(1, 0)),
        broken("6.9", "WINDOW_UPDATE of a wrong size", FRAME_SIZE_ERROR, frame(WINDOW_UPDATE, 0, 0, bytes(3))),
        broken("6.9.1", "a window beyond 2^31-1", FLOW_CONTROL_ERROR, *[window_update(0, (1 << 31) - 1)] * 2),
        broken("6.9.1", "a stream's window beyond 2^31-1", FLOW_CONTROL_ERROR, opened, *[window_update(1, 2**31 - 1)] * 2),
        fine("6.10", "several CONTINUATIONs", *split(content)),
        broken("6.10", "DATA within a block", PROTOCOL_ERROR, message(0), data(1, b"x")),
        broken("6.10", "CONTINUATION on stream 0", PROTOCOL_ERROR, message(0), frame(CONTINUATION, 4, 0)),
        broken("6.10", "CONTINUATION behind a whole block", PROTOCOL_ERROR, opened, frame(CONTINUATION, 4, 1, trailers)),
        broken("6.10", "CONTINUATION behind DATA", PROTOCOL_ERROR, opened, data(1, b"x"), frame(9, 4, 1, trailers)),
        fine("7", "GOAWAY with an unknown code", goaway(1, 0xFF), whole),
        fine("7", "RST_STREAM with an unknown code", opened, rst_stream(1, 0xFF)),
        malformed("8.1", "a second head without END_STREAM", opened, headers(1, trailers, END_HEADERS)),
        malformed("8.1", "trailers with a pseudo-field", opened, headers(1, [(b":path", b"/")])),
        malformed("8.2.1", "trailers with upper case", opened, headers(1, [(b"X-Test", b"a")])),
        broken("HPACK 2.3.3", "an index beyond the table", COMPRESSION_ERROR, headers(1, content + raw.integer(70, 7, 0x80))),
        broken("HPACK 2.3.3", "a name's index beyond the table", COMPRESSION_ERROR, headers(1, content + b"\x7f\x0b\0")),
        broken("HPACK 4.2", "a size update behind a field", COMPRESSION_ERROR, headers(1, content + b"\x20")),
        broken("HPACK 5.2", "Huffman padding of 8 bits", COMPRESSION_ERROR, headers(1, content + huffman + b"\x82\x1f\xff")),
        broken("HPACK 5.2", "Huffman padding of zeros", COMPRESSION_ERROR, headers(1, content + huffman + b"\x81\x18")),
        broken("HPACK 5.2", "Huffman's EOS", COMPRESSION_ERROR, headers(1, content + huffman + b"\x84\xff\xff\xff\xff")),
        broken("HPACK 6.1", "the index 0", COMPRESSION_ERROR, headers(1, content + b"\x80")),
        broken("HPACK 6.3", "a size that was not allowed", COMPRESSION_ERROR, headers(1, raw.integer(4097, 5, 0x20) + content)),
    ]


def split(content: bytes) -> tuple[bytes, ...]:
    """Return a block in three frames, as HEADERS with END_STREAM and CONTINUATIONs."""
    first, second = len(content) // 3, len(content) // 3 * 2
    return (
        frame(HEADERS, END_STREAM, 1, content[:first]),
        frame(CONTINUATION, 0, 1, content[first:second]),
        frame(CONTINUATION, END_HEADERS, 1, content[second:]),
    )


def lengths(section: str, head: Fields) -> list[Row]:
    """Return the rows about Content-Length; `head` is that of a message."""
    opened = headers(1, [*head, (b"content-length", b"1")], OPEN)
    return [
        malformed(section, "a Content-Length below the body", opened, data(1, b"test", END_STREAM)),
        malformed(section, "a Content-Length below two DATA", opened, data(1, b"t"), data(1, b"est", END_STREAM)),
        malformed(section, "a Content-Length above the body", opened, data(1, b"", END_STREAM)),
        malformed(section, "two Content-Lengths", headers(1, [*head, (b"content-length", b"1"), (b"content-length", b"2")])),
        malformed(section, "a Content-Length that is no number", headers(1, [*head, (b"content-length", b"+0")])),
    ]


def fields(section: str, head: Fields) -> list[Row]:
    """Return the rows about fields that neither a request nor a response may have; `head` is that of a message."""
    more = {
        "an upper case name": (b"X-Test", b"ok"),
        "an empty name": (b"", b"ok"),
        "a name with a blank": (b"x test", b"ok"),
        "a name with a colon": (b"x:test", b"ok"),
        "a value with CR LF": (b"x-test", b"a\r\nb: c"),
        "a value with NUL": (b"x-test", b"a\0b"),
        "connection": (b"connection", b"keep-alive"),
        "proxy-connection": (b"proxy-connection", b"keep-alive"),
        "keep-alive": (b"keep-alive", b"timeout=1"),
        "transfer-encoding": (b"transfer-encoding", b"chunked"),
        "upgrade": (b"upgrade", b"websocket"),
        "an unknown pseudo-field": (b":test", b"ok"),
    }
    rows = [malformed(section, name, headers(1, [*head, field])) for name, field in more.items()]
    behind = [("a pseudo-field behind a field", [(b"x-test", b"ok"), *head])]
    return rows + [malformed(section, name, headers(1, found)) for name, found in behind]


SERVER: Final[list[Row]] = [
    *framing(lambda flags: headers(1, request(method=b"POST"), flags), [(b"x-test", b"ok")]),
    *fields("8.2", request()),
    *lengths("8.1.1", request(method=b"POST")),
    broken("5.1", "DATA behind the end of a request", STREAM_CLOSED, GET, data(1, b"x", END_STREAM)),
    broken("5.1", "HEADERS behind the end of a request", STREAM_CLOSED, GET, GET),
    broken("5.1", "CONTINUATION behind the end of a request", PROTOCOL_ERROR, GET, frame(CONTINUATION, 4, 1, GET[9:])),
    broken("5.1.1", "an even stream", PROTOCOL_ERROR, headers(2, request())),
    broken("5.1.1", "a lower stream", PROTOCOL_ERROR, headers(5, request()), headers(3, request())),
    stream("5.1.2", "more streams than allowed", REFUSED_STREAM, *[headers(number, request(method=b"POST"), OPEN) for number in range(1, 205, 2)]),
    fine("6.3", "PRIORITY on idle streams", *[frame(PRIORITY, 0, number, bytes(5)) for number in (3, 5, 7)], GET),
    broken("8.4", "PUSH_PROMISE of a client", PROTOCOL_ERROR, GET, frame(PUSH_PROMISE, 4, 1, number(2) + GET[9:])),
    malformed("8.2.2", "te that is not trailers", headers(1, [*request(), (b"te", b"trailers, deflate")])),
    malformed("8.3", "a pseudo-field of a response", headers(1, [*request(), (b":status", b"200")])),
    malformed("8.3.1", "an empty :path", replaced(b":path", b"")),
    malformed("8.3.1", "a :path that is none", replaced(b":path", b"test")),
    malformed("8.3.1", "no :method", without(b":method")),
    malformed("8.3.1", "no :scheme", without(b":scheme")),
    malformed("8.3.1", "no :path", without(b":path")),
    malformed("8.3.1", "two :method", headers(1, [*request(), (b":method", b"GET")])),
    malformed("8.3.1", "two :scheme", headers(1, [*request(), (b":scheme", b"http")])),
    malformed("8.3.1", "two :path", headers(1, [*request(), (b":path", b"/")])),
    malformed("8.3.1", "a :method with a blank", replaced(b":method", b"GET /")),
    malformed("8.3.1", "a :scheme that is none", replaced(b":scheme", b"http://a/?")),
    malformed("8.3.1", "an :authority with a user", replaced(b":authority", b"u:p@a")),
    malformed("8.3.1", "a host that is not the :authority", headers(1, [*request(), (b"host", b"b")])),
]

RESPONSE: Final = [(b":status", b"200")]
CLIENT: Final[list[Row]] = [
    *framing(lambda flags: headers(1, RESPONSE, flags), [(b"x-test", b"ok")]),
    *fields("8.2", RESPONSE),
    *lengths("8.1.1", RESPONSE),
    broken("5.1", "DATA behind the end of a response", STREAM_CLOSED, headers(1, RESPONSE), data(1, b"x", END_STREAM)),
    broken("5.1", "HEADERS behind the end of a response", STREAM_CLOSED, headers(1, RESPONSE), headers(1, RESPONSE)),
    broken("5.1.1", "a stream that the server opens", PROTOCOL_ERROR, headers(2, RESPONSE)),
    broken("8.4", "PUSH_PROMISE, which was not allowed", PROTOCOL_ERROR, frame(PUSH_PROMISE, 4, 1, number(2) + GET[9:])),
    malformed("8.1", "DATA before the head", data(1, b"x", END_STREAM)),
    malformed("8.1", "a 1xx that ends the stream", headers(1, [(b":status", b"103")])),
    malformed("8.3", "a pseudo-field of a request", headers(1, [*RESPONSE, (b":path", b"/")])),
    malformed("8.3.2", "no :status", headers(1, [(b"x-test", b"ok")])),
    malformed("8.3.2", "two :status", headers(1, [*RESPONSE, *RESPONSE])),
    malformed("8.3.2", "a :status that is none", headers(1, [(b":status", b"+20")])),
    malformed("8.6", "101", headers(1, [(b":status", b"101")])),
]


@dataclass(frozen=True)
class Observed:
    end: str
    code: int | None
    status: int | None = None  # of the response on the stream 1, if there was one

    def keeps(self, row: Row) -> bool:
        """True if a row ended as it must: RFC 9113 lets a stream error be one of the connection."""
        if row.end == FINE:
            return self.end == FINE
        if row.end == STREAM:
            return self.end in (STREAM, CONNECTION) or self.is_rejected
        return self.end == CONNECTION

    def is_exact(self, row: Row) -> bool:
        """True if it ended as we have decided, and with that code."""
        if row.end == STREAM and self.is_rejected:
            return self.end != CONNECTION
        return self.end == row.end and (row.end == FINE or self.code in row.codes)

    @property
    def is_rejected(self) -> bool:
        """True for a response that says so (section 8.1.1: a server may send one before it closes the stream)."""
        return self.status is not None and 400 <= self.status < 500


def observe(other: Connection, row: Row) -> Observed:
    """Send the frames of a row, and return what came until two PINGs were answered: the reports of one read are between."""
    other.send(*row.frames)
    code: int | None = None
    status: int | None = None
    for mark in (b"h2spec 1", b"h2spec 2"):
        other.send(ping(mark))
        while True:
            got = other.frame()
            if got is None:
                last = other.goaways[-1].code if other.goaways else None
                return Observed(CONNECTION, last, status)
            if got.kind == HEADERS and got.stream == 1:
                status = int(dict(other.head(got)).get(b":status", b"0"))
            elif got.kind == RST_STREAM and got.code != NO_ERROR:
                code = got.code
            elif got.kind == PING and got.flags & ACK and got.payload == mark:
                break
            elif got.kind == GOAWAY and got.code != NO_ERROR:
                while other.frame() is not None:
                    pass
                return Observed(CONNECTION, got.code, status)
    return Observed(FINE if code is None else STREAM, code, status)
