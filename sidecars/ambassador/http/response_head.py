# ruff: noqa: C901, PLR0912 - a table of fields is one list of branches
"""Parse the head of a response of HTTP/1.1, and write the head that goes to the app. No I/O.

head ──▶ status line ─┐
──▶ field lines ─┴──▶ Response (cached) ──▶ Response.head() ──▶ bytes
"""

from __future__ import annotations

import re
from typing import Final

from sidecars.ambassador.http.fields import (
    ControlField,
    Doorkeeper,
    FieldSyntaxError,
    drop_fields,
    field_name,
    parse_field_lines,
)
from sidecars.ambassador.http.head_rules import (
    CHUNKED,
    ENDS,
    MAX_HEADERS,
    UNTIL_CLOSE,
    MessageRejected,
    check_transfer_codings,
)
from sidecars.ambassador.http.hpack_lines import encode_lines
from sidecars.ambassador.http.messages import FieldEditor, Request, Response, status_field

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?").fullmatch
_KEEP_ALIVE_TIMEOUT: Final = re.compile(rb"(?:.*,)?[\t ]*timeout=([0-9]{1,6})[\t ]*(?:,.*)?").fullmatch
_CACHED_STATUS_LINES: Final = 256
_CACHED_HEADS: Final = 512
_CACHED_LENGTH: Final = 1024  # bytes of the longest head that is cached


class Http1Response(Response):
    """The head of a response that came in HTTP/1.1 or HTTP/1.0."""

    framing = b""  # our line of Content-Length
    chunked = False  # True if the upstream sends chunks
    is_ambiguous = False  # True for a 1xx that announces a body: the bytes behind it cannot be trusted
    _block = b""  # computed at the first use
    keep_alive_head = b""  # the head for a client of HTTP/1.1 whose connection stays open

    def __init__(self, status: int, line: bytes, fields: list[bytes], minor: int) -> None:
        self.status = status
        self.line = line
        self.fields = fields
        self.keep_alive = minor == 1
        self.end = ENDS[minor]
        self.idle_timeout: int | None = None  # seconds, of the field Keep-Alive

    def head(self, minor: int, *, close: bool) -> bytes:
        if minor and not close:
            return self.keep_alive_head
        framing = self.framing
        if minor and self.is_sent_chunked:
            framing = b"Transfer-Encoding: chunked\r\n"
        connection = b"Connection: close\r\n" if close else b"Connection: keep-alive\r\n"
        return b"".join((self.line, *self.fields, framing, connection, self.end))

    @property
    def is_sent_chunked(self) -> bool:
        """True if a client of HTTP/1.1 gets the body in chunks, in any form."""
        return self.chunked or (self.length == UNTIL_CLOSE and not self.has_no_body)

    def finish(self) -> None:
        """Compute `keep_alive_head`, after all other attributes are set."""
        framing = b"Transfer-Encoding: chunked\r\n" if self.is_sent_chunked else self.framing
        self.keep_alive_head = b"".join((self.line, *self.fields, framing, self.end))

    def interim_head(self) -> bytes:
        upgrade = b"Connection: Upgrade\r\nUpgrade: %b\r\n" % self.upgrade if self.upgrade else b""
        return b"".join((self.line, *self.fields, upgrade, b"\r\n"))

    def block(self) -> bytes:
        if not self._block:
            lines = b"".join((*self.fields, self.framing, b"" if self.status < 200 else self.end))
            self._block = status_field(self.status) + encode_lines(lines)
        return self._block

    def value(self, name: bytes) -> bytes:
        for line in self.fields:
            if field_name(line) == name:
                return line[line.index(b":") + 2 : -2]
        return b""

    def edited(self, editor: FieldEditor) -> Response:
        fields: list[bytes] = []
        for line in self.fields:
            name = field_name(line)
            if name in editor.names:
                start = len(name) + 2
                fields.append(b"%b%b\r\n" % (line[:start], editor.edit(name, line[start:-2])))
            else:
                fields.append(line)
        if fields == self.fields:
            return self
        copy = Http1Response(self.status, self.line, fields, 1)
        copy.length, copy.content_length, copy.has_no_body = self.length, self.content_length, self.has_no_body
        copy.framing, copy.chunked, copy.is_ambiguous = self.framing, self.chunked, self.is_ambiguous
        copy.keep_alive, copy.idle_timeout, copy.end = self.keep_alive, self.idle_timeout, self.end
        copy.upgrade = self.upgrade
        copy.finish()
        return copy


class StatusLineCache(dict[bytes, tuple[int, bytes, int]]):
    """Parsed status lines by their bytes: the status, our serialisation and the minor version. Bounded.

    Looking up a line that is not cached parses it. Raises MessageRejected with 502.
    """

    def __missing__(self, line: bytes) -> tuple[int, bytes, int]:
        found = _STATUS_LINE(line)
        if found is None:
            raise MessageRejected(502, "its first line is not a status line of HTTP/1.1")
        minor, code, reason = found.groups()
        parsed = (int(code), b"HTTP/1.1 %b %b\r\n" % (code, reason or b""), int(minor))
        if len(line) <= _CACHED_LENGTH:
            if len(self) >= _CACHED_STATUS_LINES:
                self.clear()
            self[line] = parsed
        return parsed


STATUS_LINES: Final = StatusLineCache()

# Responses by the bytes of their heads, with the rules of `fields.FieldLineCache`: no secret, and bounded.
_cache: dict[bytes, Http1Response] = {}
_doorkeeper = Doorkeeper()


def parse_response(head: bytes, request: Request, max_headers: int = MAX_HEADERS) -> Http1Response:
    """Parse the head of the response to `request`, without the empty line that ends the head.

    Raises MessageRejected with 502, also for more than `max_headers` fields.
    """
    if not request.is_head:  # Content-Length has another meaning in the response to HEAD
        cached = _cache.get(head)
        if cached is not None:
            return cached
    lines = head.split(b"\r\n")
    status, line, minor = STATUS_LINES[lines[0]]
    del lines[0]
    if len(lines) > max_headers:
        raise MessageRejected(502, f"it has more than {max_headers} header fields (MAX_HEADERS)")
    try:
        forwarded, control, has_secret = parse_field_lines(lines)
    except FieldSyntaxError as error:
        raise MessageRejected(502, str(error)) from None
    response = Http1Response(status, line, forwarded, minor)
    _interpret(response, control, minor, request)
    response.finish()
    if (
        not has_secret
        and len(head) <= _CACHED_LENGTH
        and status >= 200
        and not request.is_head
        and _doorkeeper.seen(head)
    ):
        if len(_cache) >= _CACHED_HEADS:
            _cache.clear()
        _cache[head] = response
    return response


def _interpret(response: Http1Response, control: list[ControlField], minor: int, request: Request) -> None:
    """Interpret the control fields together and complete the response with them. Raises MessageRejected."""
    length: ControlField | None = None
    has_codings = False
    codings: list[bytes] = []
    connection: list[bytes] = []
    listed: list[bytes] = []
    upgrade = b""
    for field in control:
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
            has_codings = True
            codings += field.items
        elif name == b"upgrade":
            upgrade = field.value
        elif name == b"keep-alive":
            found = _KEEP_ALIVE_TIMEOUT(field.value.lower())
            response.idle_timeout = int(found[1]) if found else None
        elif name in (b"host", b"expect", b"max-forwards"):
            response.fields.append(field.line)  # without meaning in a response: forwarded like any other
    if connection:
        if b"close" in connection:
            response.keep_alive = False
        elif b"keep-alive" in connection:
            response.keep_alive = True
        if listed:
            drop_fields(response.fields, frozenset(listed))
    if has_codings:
        check_transfer_codings(tuple(codings), length, minor, 502)
    _frame_response(response, length, has_codings, request)
    if response.status == 101:
        if not upgrade or upgrade.lower() not in {name.lower() for name in request.upgrade}:
            raise MessageRejected(502, "it switches to a protocol that was not asked for")
        response.upgrade = upgrade


def _frame_response(response: Http1Response, length: ControlField | None, has_codings: bool, request: Request) -> None:  # noqa: FBT001 - one caller
    """Set the framing of the response's body (RFC 9112 section 6.3). Raises MessageRejected."""
    status = response.status
    if status == 204 or status < 200:
        if has_codings or (length is not None and length.number):
            raise MessageRejected(502, f"a {status} cannot have a body, but it announces one")
        response.length = 0
        response.has_no_body = True
        return
    response.chunked = has_codings
    if length is not None:
        response.content_length = length.number
        response.framing = length.line
    if status == 304 or request.is_head:
        response.length = 0
        response.has_no_body = True
    elif has_codings:
        response.length = CHUNKED
    elif length is not None:
        response.length = length.number
    else:
        response.keep_alive = False
