# ruff: noqa: PLR2004, C901, PLR0912 - status codes are their own best names; a table of fields is one list of branches
"""Responses: from the bytes of a head to a `Response`, and from that to the bytes that go to the app. No I/O."""

from __future__ import annotations

import re
from typing import Final

from sidecars.ambassador.http.fields import ControlField, Doorkeeper, FieldSyntaxError, field_name, parse_field_lines
from sidecars.ambassador.http.head_rules import CHUNKED, ENDS, MAX_HEADERS, UNTIL_CLOSE, MessageRejected, check_codings
from sidecars.ambassador.http.request_head import Request

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?").fullmatch
_KEEP_ALIVE_TIMEOUT: Final = re.compile(rb"(?:.*,)?[\t ]*timeout=([0-9]{1,6})[\t ]*(?:,.*)?").fullmatch
_REMEMBERED_STATUS_LINES: Final = 256
_REMEMBERED_HEADS: Final = 512
_REMEMBERED_LENGTH: Final = 1024  # bytes


class Response:
    """A response's head as we understood it. `length` is of the body that follows on the upstream's connection.

    Once parsed it is never changed: a response whose head is the same byte for byte may be the same object.
    """

    length = UNTIL_CLOSE
    content_length = -1  # Content-Length as given, -1 when it is not
    framing = b""  # the line of Content-Length
    chunked = False
    has_no_body = False
    is_ambiguous = False  # it is a 1xx that announces a body: what follows it may not be what it seems
    upgrade = b""
    keep_alive_head = b""  # the head for a client of HTTP/1.1 whose connection stays open

    def __init__(self, status: int, line: bytes, fields: list[bytes], minor: int) -> None:
        self.status = status
        self.line = line
        self.fields = fields
        self.keep_alive = minor == 1
        self.end = ENDS[minor]
        self.idle_timeout: int | None = None  # seconds

    def head(self, minor: int, *, close: bool) -> bytes:
        """The bytes to send to a client that speaks HTTP/1.`minor`, the framing of the body included."""
        if minor and not close:
            return self.keep_alive_head
        framing = self.framing
        if minor and self.is_sent_chunked:
            framing = b"Transfer-Encoding: chunked\r\n"
        connection = b"Connection: close\r\n" if close else b"Connection: keep-alive\r\n"
        return b"".join((self.line, *self.fields, framing, connection, self.end))

    @property
    def is_sent_chunked(self) -> bool:
        """Whether a client that knows chunks gets the body in chunks, however it comes."""
        return self.chunked or (self.length == UNTIL_CLOSE and not self.has_no_body)

    def finish(self) -> None:
        """To be called when all is known of it."""
        framing = b"Transfer-Encoding: chunked\r\n" if self.is_sent_chunked else self.framing
        self.keep_alive_head = b"".join((self.line, *self.fields, framing, self.end))

    def interim_head(self) -> bytes:
        """The bytes of a 1xx response; of 101 with the protocol that was agreed."""
        upgrade = b"Connection: Upgrade\r\nUpgrade: %b\r\n" % self.upgrade if self.upgrade else b""
        return b"".join((self.line, *self.fields, upgrade, b"\r\n"))


class StatusLineCache(dict[bytes, tuple[int, bytes, int]]):
    """Status lines, and the status, our line and the minor version that each stands for; a bounded memory, too."""

    def __missing__(self, line: bytes) -> tuple[int, bytes, int]:
        found = _STATUS_LINE(line)
        if found is None:
            raise MessageRejected(502, "its first line is not a status line of HTTP/1.1")
        minor, code, reason = found.groups()
        if len(self) >= _REMEMBERED_STATUS_LINES:
            self.clear()
        self[line] = known = (int(code), b"HTTP/1.1 %b %b\r\n" % (code, reason or b""), int(minor))
        return known


STATUS_LINES: Final = StatusLineCache()


_known: dict[
    bytes, Response
] = {}  # by their heads, like the lines of `sidecars.ambassador.http.fields`, and as carefully
_twice = Doorkeeper()


def parse_response(head: bytes, request: Request, max_headers: int = MAX_HEADERS) -> Response:
    """The response whose head (without the empty line that ends it) this is. Raises Refused, always with 502.

    One with more fields than `max_headers` is refused.
    """
    if not request.is_head:  # what the length means to it is another matter
        known = _known.get(head)
        if known is not None:
            return known
    lines = head.split(b"\r\n")
    status, line, minor = STATUS_LINES[lines[0]]
    del lines[0]
    if len(lines) > max_headers:
        raise MessageRejected(502, f"it has more than {max_headers} header fields (MAX_HEADERS)")
    try:
        out, acted, private = parse_field_lines(lines)
    except FieldSyntaxError as error:
        raise MessageRejected(502, str(error)) from None
    response = Response(status, line, out, minor)
    _act_on_response(response, acted, minor, request)
    response.finish()
    if not private and len(head) <= _REMEMBERED_LENGTH and status >= 200 and not request.is_head and _twice.seen(head):
        if len(_known) >= _REMEMBERED_HEADS:
            _known.clear()
        _known[head] = response
    return response


def _act_on_response(response: Response, acted: list[ControlField], minor: int, request: Request) -> None:
    """What the acted-on fields mean together; completes the response with them."""
    length: ControlField | None = None
    coded = False
    codings: list[bytes] = []
    connection: list[bytes] = []
    listed: list[bytes] = []
    upgrade = b""
    for field in acted:
        name = field.name
        if response.status < 200 and name in (b"content-length", b"transfer-encoding"):
            response.is_ambiguous = True
        elif name == b"content-length":
            if length is not None:
                raise MessageRejected(502, "it has more than one Content-Length")
            if field.number < 0:
                raise MessageRejected(502, "its Content-Length is not a number")
            length = field
        elif name == b"connection":
            connection += field.items
            listed += field.listed
        elif name == b"transfer-encoding":
            coded = True
            codings += field.items
        elif name == b"upgrade":
            upgrade = field.value
        elif name == b"keep-alive":
            found = _KEEP_ALIVE_TIMEOUT(field.value.lower())
            response.idle_timeout = int(found[1]) if found else None
        elif name in (b"host", b"expect", b"max-forwards"):
            response.fields.append(field.line)  # means nothing in a response: passed like any other
    if connection:
        if b"close" in connection:
            response.keep_alive = False
        elif b"keep-alive" in connection:
            response.keep_alive = True
        if listed:
            dropped = frozenset(listed)
            response.fields[:] = [line for line in response.fields if field_name(line) not in dropped]
    if coded:
        check_codings(tuple(codings), length, minor, 502)
    _frame_response(response, length, coded, request)
    if response.status == 101:
        if not upgrade or upgrade.lower() not in {name.lower() for name in request.upgrade}:
            raise MessageRejected(502, "it switches to a protocol that was not asked for")
        response.upgrade = upgrade


def _frame_response(response: Response, length: ControlField | None, coded: bool, request: Request) -> None:  # noqa: FBT001 - one caller
    """RFC 9112 section 6.3: where the body of this response ends."""
    status = response.status
    if status == 204 or status < 200:
        if coded or (length is not None and length.number):
            raise MessageRejected(502, f"a {status} cannot have a body, but it announces one")
        response.length = 0
        response.has_no_body = True
        return
    response.chunked = coded
    if length is not None:
        response.content_length = length.number
        response.framing = length.line
    if status == 304 or request.is_head:
        response.length = 0
        response.has_no_body = True
    elif coded:
        response.length = CHUNKED
    elif length is not None:
        response.length = length.number
    else:
        response.keep_alive = False
