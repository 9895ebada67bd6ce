"""What the heads of requests and responses have in common for a strict intermediary (RFC 9110, RFC 9112). No I/O.

Theory of operation: the bytes of a head are judged, become a `Request` or a `Response` of ours, and what is sent on is
written anew from that. A head is judged in two steps: first the grammar of every line (`fields`),
then what the acted-on fields mean together. Nothing that could be read in two ways is passed on: where two parsers
could disagree on where a message ends or for whom it is, the message is refused (`Refused`), and whoever sent it loses
the connection, since nothing after such a head can be trusted.

What is decided where the RFCs leave a choice:

- Content-Length twice, even with the same value, is refused; so is it beside Transfer-Encoding (RFC 9112 section 6.3).
- The only transfer coding is `chunked`. Another one is 501; `chunked` in HTTP/1.0 or not last is 400.
- A target in absolute form is served when its authority is ours or the upstream's, else 421: never an open proxy.
  CONNECT is 501, TRACE 405 (it would reflect credentials).
- An upgrade to `h2c` is not passed on: the tunnel would escape every check that is made here.
- A status from 600 to 999 is passed on, and counts as a 5xx for its endpoint (RFC 9110 section 15).
- A 1xx ends with its head: framing fields in it are taken off, and its connection serves no further request.
"""

from __future__ import annotations

import re
from typing import Final

from sidecars.ambassador.http.fields import ControlField

CHUNKED: Final = -1  # as a length: the body says itself where it ends
UNTIL_CLOSE: Final = -2  # as a length: the body ends with the connection (responses only)
MAX_HEADERS: Final = 1000  # fields of one head, unless the setting says otherwise
# The end of every head that we write, by the minor version of the message as it came to us (RFC 9110 section 7.6.3).
ENDS: Final = (b"Via: 1.0 ambassador\r\n\r\n", b"Via: 1.1 ambassador\r\n\r\n")

HTTP2: Final = "HTTP/2"
TLS: Final = "TLS"

_BAD_REQUEST: Final = 400
_NOT_IMPLEMENTED: Final = 501
_NEVER_IN_HEADS: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n|\Z)").search

_TLS_RECORD: Final = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]").match  # RFC 8446 section 5.1
_HTTP2_FRAME: Final = re.compile(rb"\0[\0-\xff]{2}[\x04\x07][\0\1]\0{4}", re.DOTALL).match  # SETTINGS or GOAWAY


class MessageRejected(Exception):
    """A message that is not passed on: the status to answer with, and a sentence that says why.

    `protocol` names what the peer speaks instead, where that can be told: HTTP2 or TLS.
    """

    def __init__(self, status: int, reason: str, protocol: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.protocol = protocol


def check_beginning(head: bytes, status: int, known: int = 0) -> None:
    """Refuse an unfinished head as soon as it holds what no head may hold, rather than wait for its end.

    Its first `known` bytes have been checked before.
    """
    if _NEVER_IN_HEADS(head, max(0, known - 1)):
        raise other_protocol(head, status) or MessageRejected(
            status, "a head holds a control character, or a line that does not end in CR LF"
        )


def other_protocol(data: bytes, status: int) -> MessageRejected | None:
    """Return the refusal of bytes that begin another protocol, or None where that is not known.

    `status` is 400 for what a client sent; anything else is for an upstream.
    """
    if _TLS_RECORD(data):
        if status == _BAD_REQUEST:
            return MessageRejected(
                status, "the client speaks TLS, but this port is plain HTTP: use http:// to reach it", TLS
            )
        return MessageRejected(status, "it speaks TLS: set an https:// UPSTREAM", TLS)
    if status == _BAD_REQUEST and data.startswith(b"PRI * HTTP/2"):
        return MessageRejected(
            505,
            "the client speaks HTTP/2, but this port is HTTP/1.1: let the client use HTTP/1.1, "
            "or set a tcp:// UPSTREAM, which passes HTTP/2 through",
            HTTP2,
        )
    if status != _BAD_REQUEST and _HTTP2_FRAME(data):
        return MessageRejected(
            status,
            "it speaks HTTP/2 alone: set a tcp:// UPSTREAM, which passes HTTP/2 through, or let it speak HTTP/1.1",
            HTTP2,
        )
    return None


def check_codings(codings: tuple[bytes, ...], length: ControlField | None, minor: int, status: int) -> None:
    """RFC 9112 section 6: the only coding is chunked, once, and nothing beside it says how long the body is."""
    if length is not None:
        raise MessageRejected(status, "Content-Length and Transfer-Encoding contradict each other")
    if not minor:
        raise MessageRejected(status, "HTTP/1.0 has no Transfer-Encoding")
    if set(codings) - {b"chunked"}:
        raise MessageRejected(
            _NOT_IMPLEMENTED if status == _BAD_REQUEST else status,
            "a transfer coding is not known here: only chunked is",
        )
    if codings != (b"chunked",):
        raise MessageRejected(status, "a Transfer-Encoding is not exactly chunked, once")
