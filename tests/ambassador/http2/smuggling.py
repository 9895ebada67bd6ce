"""Requests that a careless proxy would turn into two, or into another one: none may reach an upstream as it was meant.

The classes are those of the published attacks on the translation of HTTP/2 to HTTP/1.1 (H2.CL, H2.TE, injection into
names, values and pseudo-fields, tunnels by HEAD, trailers), and an upgrade to HTTP/2 that is passed on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.ambassador.http2.raw import END_HEADERS, END_STREAM, Fields, data, headers, request

MARK: Final = b"smuggled"
INNER: Final = b"GET /smuggled HTTP/1.1\r\nHost: evil\r\nX: "
POST: Final = request(method=b"POST")


@dataclass(frozen=True)
class Row:
    name: str
    frames: tuple[bytes, ...]
    may_begin: bool = False  # True if the head alone is a good request, which may have gone on before the rest came

    def __str__(self) -> str:
        return self.name


def head(name: str, fields: Fields) -> Row:
    """Return a row whose head is malformed; a body with a request stands behind it."""
    return Row(name, (headers(1, fields, END_HEADERS), data(1, INNER, END_STREAM)))


def field(name: str, key: bytes, value: bytes) -> Row:
    return head(name, [*POST, (key, value)])


def pseudo(name: str, key: bytes, value: bytes) -> Row:
    return head(name, [(each, value if each == key else kept) for each, kept in POST])


def body(name: str, length: int, *pieces: bytes) -> Row:
    frames = [data(1, piece) for piece in pieces]
    return Row(
        name,
        (headers(1, [*POST, (b"content-length", b"%d" % length)], END_HEADERS), *frames, data(1, flags=END_STREAM)),
        may_begin=True,
    )


def trailers(name: str, key: bytes, value: bytes) -> Row:
    return Row(name, (headers(1, POST, END_HEADERS), data(1, b"body"), headers(1, [(key, value)])), may_begin=True)


LINE: Final = b" HTTP/1.1\r\nHost: evil\r\n\r\nGET /smuggled"

ROWS: Final = [
    body("H2.CL: a length of 0 and a body that is a request", 0, INNER),
    body("H2.CL: a length that ends before the inner request", 4, b"body", INNER),
    body("H2.CL: a length that is longer than the body", 400, INNER),
    head("H2.CL: two lengths", [*POST, (b"content-length", b"0"), (b"content-length", b"41")]),
    field("H2.CL: a list of lengths", b"content-length", b"0, 41"),
    field("H2.CL: a length with a sign", b"content-length", b"+0"),
    field("H2.CL: a length in hexadecimal", b"content-length", b"0x29"),
    field("H2.TE: chunked", b"transfer-encoding", b"chunked"),
    field("H2.TE: chunked with a blank", b"transfer-encoding", b" chunked"),
    field("H2.TE: identity", b"transfer-encoding", b"identity"),
    field("H2.TE: with a trailing blank in the name", b"transfer-encoding ", b"chunked"),
    field("H2.TE: in a value behind CR LF", b"x", b"y\r\ntransfer-encoding: chunked"),
    field("H2.TE: in a name behind CR LF", b"x: y\r\ntransfer-encoding", b"chunked"),
    field("H2.TE: in a name behind a colon", b"transfer-encoding: chunked\r\nx", b"y"),
    field("a request in a value", b"x", b"y\r\n\r\n" + INNER),
    field("a value with LF alone", b"x", b"y\ntransfer-encoding: chunked"),
    field("a value with CR alone", b"x", b"y\rtransfer-encoding: chunked"),
    field("a value with NUL", b"x", b"y\0z"),
    field("a value with a leading blank", b"x", b" y"),
    field("a value with a trailing tab", b"x", b"y\t"),
    field("a name with a colon", b"host: evil", b""),
    field("a name in upper case", b"Content-Length", b"0"),
    field("an empty name", b"", b"y"),
    field("a name beyond ASCII", b"x\xff", b"y"),
    pseudo("a request in :method", b":method", b"POST /" + LINE),
    pseudo("a :method with a blank", b":method", b"POST /smuggled"),
    pseudo("a request in :path", b":path", b"/" + LINE),
    pseudo("a :path with a blank", b":path", b"/ HTTP/1.1 /smuggled"),
    pseudo("a :path with a tab", b":path", b"/\t"),
    pseudo("a :path with a fragment's sign", b":path", b"/#"),
    pseudo("a :path in absolute form", b":path", b"http://evil/smuggled"),
    pseudo("an empty :path", b":path", b""),
    pseudo("a :path that is *", b":path", b"*"),
    pseudo("a request in :scheme", b":scheme", b"http://evil/smuggled?"),
    pseudo("a :scheme with CR LF", b":scheme", b"http\r\nx: y"),
    pseudo("a request in :authority", b":authority", b"a\r\n\r\n" + INNER),
    pseudo("an :authority with a user", b":authority", b"user@evil"),
    pseudo("an :authority with a path", b":authority", b"a/smuggled"),
    pseudo("an empty :authority", b":authority", b""),
    head("two :path", [*POST, (b":path", b"/smuggled")]),
    head("two :method", [*POST, (b":method", b"GET")]),
    head("two :authority", [*POST, (b":authority", b"evil")]),
    head("a pseudo-field behind a field", [*POST[:2], (b"x", b"y"), *POST[2:]]),
    field("a host that is not the :authority", b"host", b"evil"),
    head("two hosts", [*POST, (b"host", b"a"), (b"host", b"a")]),
    field("connection", b"connection", b"close, x"),
    field("proxy-connection", b"proxy-connection", b"keep-alive"),
    field("keep-alive", b"keep-alive", b"timeout=5"),
    field("upgrade", b"upgrade", b"h2c"),
    field("te", b"te", b"chunked"),
    trailers("trailers with a pseudo-field", b":path", b"/smuggled"),
    trailers("trailers with CR LF in a value", b"x", b"y\r\n\r\n" + INNER),
    trailers("trailers with CR LF in a name", b"x\r\n\r\n" + INNER, b"y"),
    trailers("trailers with transfer-encoding", b"transfer-encoding", b"chunked"),
    head("CONNECT", [(b":method", b"CONNECT"), (b":authority", b"smuggled:80")]),
    head("CONNECT with a path", request(b"/smuggled", b"CONNECT")),
]

DROPPED: Final = ["content-length", "host", "authorization", "content-encoding"]
"""Fields that trailers may not set: a request with such trailers passes, and they do not."""

UPGRADE: Final = (
    b"GET /first HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
)
