"""Rules that the heads of requests and responses share, for a strict intermediary (RFC 9110, RFC 9112). No I/O.

Theory of operation: the bytes of a head are parsed into a `Request` or a `Response`, and the head that is sent on is
written anew from that object. Parsing has two steps: the grammar of every line (`fields`), then the meaning of the
control fields together. A message that two parsers could understand differently, about its end or its destination,
raises `MessageRejected`. The connection that it came on is closed, because nothing after such a head can be trusted.

Decisions where the RFCs leave a choice:

- Content-Length twice, even with the same value, is rejected; so is Content-Length beside Transfer-Encoding (RFC 9112
  section 6.3).
- The only transfer coding is `chunked`. Another coding is 501; `chunked` in HTTP/1.0, or not last, is 400.
- A target in absolute form is served if its authority is ours or the upstream's; any other is 421, so that this is
  never an open proxy. CONNECT is 501. TRACE is 405, because it would reflect credentials.
- An upgrade to `h2c` is not forwarded: the tunnel would escape every check that is made here.
- A status from 600 to 999 is forwarded, and counts as a 5xx for its endpoint (RFC 9110 section 15).
- A 1xx ends with its head: its framing fields are removed, and its connection serves no further request.
"""

from __future__ import annotations

import re
from typing import Final

from sidecars.ambassador.http.fields import ControlField

CHUNKED: Final = -1  # a length: the body is chunked
UNTIL_CLOSE: Final = -2  # a length: the body ends with the connection (responses only)
MAX_HEADERS: Final = 1000  # fields of one head, unless the setting MAX_HEADERS gives another number
# The end of every head that we write, by the minor version of the message as it came to us (RFC 9110 section 7.6.3).
ENDS: Final = (b"Via: 1.0 ambassador\r\n\r\n", b"Via: 1.1 ambassador\r\n\r\n")

HTTP2: Final = "HTTP/2"
TLS: Final = "TLS"

_NEVER_IN_HEADS: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n|\Z)").search

_TLS_RECORD: Final = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]").match  # RFC 8446 section 5.1
_HTTP2_FRAME: Final = re.compile(rb"\0[\0-\xff]{2}[\x04\x07][\0\1]\0{4}", re.DOTALL).match  # SETTINGS or GOAWAY


class MessageRejected(Exception):
    """A message that is not forwarded: the status of the reply, and a sentence that gives the reason.

    `protocol` is HTTP2 or TLS if the peer's bytes are of that protocol, else "".
    """

    def __init__(self, status: int, reason: str, protocol: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.protocol = protocol


def never_in_heads(data: bytes, start: int = 0) -> bool:
    """Return True if a part of a head, from `start` on, holds a byte that no head may hold."""
    return _NEVER_IN_HEADS(data, start) is not None


def check_beginning(head: bytes, status: int) -> None:
    """Reject an unfinished head as soon as it holds a byte that no head may hold, without waiting for its end.

    Raises MessageRejected with `status`.
    """
    if never_in_heads(head):
        raise detect_protocol(head, status) or MessageRejected(
            status, "a head holds a control character, or a line that does not end in CR LF"
        )


def detect_protocol(data: bytes, status: int) -> MessageRejected | None:
    """Return the rejection of bytes that begin TLS or HTTP/2; None if they begin neither.

    `status` 400 stands for bytes of a client, any other for bytes of an upstream.
    """
    if _TLS_RECORD(data):
        if status == 400:
            return MessageRejected(
                status, "the client speaks TLS, but this port is plain HTTP: use http:// to reach it", TLS
            )
        return MessageRejected(status, "it speaks TLS: set an https:// UPSTREAM", TLS)
    if status == 400 and data.startswith(b"PRI * HTTP/2"):
        return MessageRejected(
            505,
            "HTTP/2's preface came behind a request of HTTP/1.1: a connection has one protocol from its first byte on",
            HTTP2,
        )
    if status != 400 and _HTTP2_FRAME(data):
        return MessageRejected(
            status,
            "it speaks HTTP/2 alone: set a tcp:// UPSTREAM, which passes HTTP/2 through, or let it speak HTTP/1.1",
            HTTP2,
        )
    return None


def check_transfer_codings(
    codings: tuple[bytes, ...], content_length: ControlField | None, minor: int, status: int
) -> None:
    """Check that the only transfer coding is one `chunked`, without Content-Length (RFC 9112 section 6).

    Raises MessageRejected with `status`, or with 501 for an unknown coding of a request.
    """
    if content_length is not None:
        raise MessageRejected(status, "Content-Length and Transfer-Encoding contradict each other")
    if not minor:
        raise MessageRejected(status, "HTTP/1.0 has no Transfer-Encoding")
    if set(codings) - {b"chunked"}:
        raise MessageRejected(
            501 if status == 400 else status,
            "a transfer coding is not known here: only chunked is",
        )
    if codings != (b"chunked",):
        raise MessageRejected(status, "a Transfer-Encoding is not exactly chunked, once")
