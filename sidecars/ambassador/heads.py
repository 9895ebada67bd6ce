# ruff: noqa: PLR2004, C901, PLR0912, PLR0915 - status codes are their own best names; a table of fields is one list of branches
"""The heads of HTTP/1.1 messages as a strict intermediary reads and writes them (RFC 9110, RFC 9112). No I/O.

Theory of operation: the bytes of a head are judged, become a `Request` or a `Response` of ours, and what is sent on is
written anew from that. A head is judged in two steps: first the grammar of every line (`sidecars.ambassador.fields`),
then what the acted-on fields mean together. Nothing that could be read in two ways is passed on: where two parsers
could disagree on where a message ends or for whom it is, the message is refused (`Refused`), and whoever sent it loses
the connection, since nothing after such a head can be trusted.

What is decided here where the RFCs leave a choice:

- Content-Length twice, even with the same value, is refused; so is it beside Transfer-Encoding (RFC 9112 section 6.3).
- The only transfer coding is `chunked`. Another one is 501; `chunked` in HTTP/1.0 or not last is 400.
- A target in absolute form is served when its authority is ours or the upstream's, else 421: never an open proxy.
  CONNECT is 501, TRACE 405 (it would reflect credentials).
- An upgrade to `h2c` is not passed on: the tunnel would escape every check that is made here.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from sidecars.ambassador.fields import AUTHORITY, FIELDS, TOKEN, Acted, BadSyntax, name_of

CHUNKED = -1  # as a length: the body says itself where it ends
UNTIL_CLOSE = -2  # as a length: the body ends with the connection (responses only)
MAX_FIELDS = 256

_METHOD_TARGET_VERSION = re.compile(rb"(" + TOKEN + rb") ([\x21\x22\x24-\x7e]+) HTTP/1\.([01])").fullmatch
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?").fullmatch
_ANY_VERSION = re.compile(rb"[^ ]+ [^ ]+ HTTP/[0-9](?:\.[0-9])?").fullmatch
_ABSOLUTE = re.compile(rb"[hH][tT][tT][pP]://([^/?]*)([/?].*)?", re.DOTALL).fullmatch
_KEEP_ALIVE_TIMEOUT = re.compile(rb"(?:.*,)?[\t ]*timeout=([0-9]{1,6})[\t ]*(?:,.*)?").fullmatch
_NEVER_IN_HEADS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n|\Z)").search

_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})  # RFC 9110 section 9.2.2; TRACE is refused
_BODY_IS_ODD = frozenset({b"GET", b"HEAD", b"OPTIONS", b"DELETE"})  # RFC 9110 section 9.3.1: "might close"
_NOT_PASSED = frozenset({b"CONNECT", b"TRACE"})
_VIA = b"Via: 1.1 ambassador\r\n"
_END = _VIA + b"\r\n"
_REMEMBERED_STATUS_LINES = 256


class Refused(Exception):
    """A message that is not passed on: the status to answer with, and a sentence that says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Request:
    """A request as we understood it. What most requests do not have stands on the class, and costs them nothing."""

    is_head = False
    keep_alive = True
    length = 0  # of the body, or CHUNKED
    body_is_odd = False
    expects_continue = False
    upgrade: tuple[bytes, ...] = ()
    rest = b""  # of the head, behind Host's value

    def __init__(self, method: bytes, target: bytes, minor: int) -> None:
        self.method = method
        self.minor = minor
        self.line = b"%b %b HTTP/1.1\r\nHost: " % (method, target)
        self.idempotent = method in _IDEMPOTENT
        if method == b"HEAD":
            self.is_head = True
        if not minor:
            self.keep_alive = False

    def head(self, host: bytes) -> bytes:
        """The bytes to send to the upstream whose own authority is `host`."""
        return b"%b%b%b" % (self.line, host, self.rest)


class Response:
    """A response's head as we understood it. `length` is of the body that follows on the upstream's connection."""

    length = UNTIL_CLOSE
    announced = -1  # Content-Length as given, -1 when it is not
    framing = b""  # the line of Content-Length
    chunked = False
    bodiless = False
    idle_timeout: int | None = None
    upgrade = b""

    def __init__(self, status: int, line: bytes, fields: list[bytes], keep_alive: bool) -> None:  # noqa: FBT001 - one caller
        self.status = status
        self.line = line
        self.fields = fields
        self.keep_alive = keep_alive

    def head(self, minor: int, *, close: bool) -> bytes:
        """The bytes to send to a client that speaks HTTP/1.`minor`, the framing of the body included."""
        framing = self.framing
        if not framing and minor and (self.chunked or (self.length == UNTIL_CLOSE and not self.bodiless)):
            framing = b"Transfer-Encoding: chunked\r\n"
        if close:
            return b"".join((self.line, *self.fields, framing, b"Connection: close\r\n", _END))
        if not minor:
            return b"".join((self.line, *self.fields, framing, b"Connection: keep-alive\r\n", _END))
        return b"".join((self.line, *self.fields, framing, _END))

    def interim(self) -> bytes:
        """The bytes of a 1xx response; of 101 with the protocol that was agreed."""
        upgrade = b"Connection: Upgrade\r\nUpgrade: %b\r\n" % self.upgrade if self.upgrade else b""
        return b"".join((self.line, *self.fields, upgrade, b"\r\n"))


# -- requests -----------------------------------------------------------------------------------------------------


def parse_request(head: bytes, authorities: Collection[bytes]) -> Request:
    """The request whose head (without the empty line that ends it) this is.

    `authorities` are those (lower case) that a target in absolute form may name. Raises Refused.
    """
    lines = head.split(b"\r\n")
    found = _METHOD_TARGET_VERSION(lines[0])
    if found is None:
        raise _bad_request_line(lines[0])
    method, target, minor = found.groups()
    if len(lines) > MAX_FIELDS:
        raise Refused(431, f"the request has more than {MAX_FIELDS} header fields")
    del lines[0]
    out = [b"\r\n"]
    acted: list[Acted] = []
    try:
        for field in map(FIELDS.__getitem__, lines):
            if field.__class__ is bytes:
                out.append(field)
            else:
                acted.append(field)  # type: ignore[arg-type] # what is not bytes is Acted
    except BadSyntax as error:
        raise Refused(400, f"malformed request: {error}") from None
    absolute = b""
    if target[0] != 47:  # 47 is "/"
        target, absolute = _unusual_target(method, target, authorities)
    elif method in _NOT_PASSED:
        raise _refused_method(method)
    request = Request(method, target, 1 if minor == b"1" else 0)
    _act_on_request(request, acted, out, absolute)
    return request


def _act_on_request(request: Request, acted: list[Acted], out: list[bytes], absolute: bytes) -> None:
    """What the acted-on fields mean together; completes the request with them."""
    host: Acted | None = None
    length: Acted | None = None
    coded = False
    connection: tuple[bytes, ...] = ()
    listed: tuple[bytes, ...] = ()
    codings: tuple[bytes, ...] = ()
    upgrade: tuple[bytes, ...] = ()
    for field in acted:
        name = field.name
        if name == b"host":
            if host is not None:
                raise Refused(400, "malformed request: it has more than one Host")
            host = field
        elif name == b"connection":
            connection += field.items
            listed += field.listed
        elif name == b"content-length":
            if length is not None:
                raise Refused(400, "malformed request: it has more than one Content-Length")
            length = field
        elif name == b"transfer-encoding":
            coded = True
            codings += field.items
        elif name == b"upgrade":
            upgrade += items_in_case(field.value)
        elif name == b"te":
            if b"trailers" in field.items:
                out.append(b"Connection: TE\r\nTE: trailers\r\n")
        elif name == b"expect":
            _expect(request, field.value)
        elif name == b"max-forwards" and request.method == b"OPTIONS":
            out.append(b"Max-Forwards: %d\r\n" % _max_forwards(field.number))
    if host is None:
        if request.minor:
            raise Refused(400, "malformed request: it has no Host")
    elif not host.authority:
        raise Refused(400, "malformed request: its Host is not a host name or address")
    if absolute and host is None:
        raise Refused(400, "malformed request: it has no Host")
    if connection:
        _connection(request, connection, listed, out)
    if length is not None and length.number < 0:
        raise Refused(400, "malformed request: its Content-Length is not a number")
    if coded:
        _check_codings(codings, length, request.minor, 400)
        request.length = CHUNKED
        out.append(b"Transfer-Encoding: chunked\r\n")
    elif length is not None:
        request.length = length.number
        out.append(length.line)
    if request.length:
        request.body_is_odd = request.method in _BODY_IS_ODD
        if request.expects_continue:
            out.append(b"Expect: 100-continue\r\n")
    elif upgrade or request.expects_continue:
        request.expects_continue = False
        if upgrade and b"upgrade" in connection and request.minor:
            request.upgrade = tuple(name for name in upgrade if _may_upgrade_to(name))
            if request.upgrade:
                out.append(b"Connection: Upgrade\r\nUpgrade: %b\r\n" % b", ".join(request.upgrade))
    out.append(_END)
    request.rest = b"".join(out)


def _connection(request: Request, options: tuple[bytes, ...], listed: tuple[bytes, ...], out: list[bytes]) -> None:
    """RFC 9110 section 7.6.1: the fields that Connection lists end here."""
    if b"close" in options:
        request.keep_alive = False
    elif b"keep-alive" in options:
        request.keep_alive = True
    if listed:
        out[1:] = [line for line in out[1:] if name_of(line) not in listed]


def _expect(request: Request, value: bytes) -> None:
    if value.lower() != b"100-continue":
        raise Refused(417, "the request expects what only 100-continue may ask for")
    request.expects_continue = request.minor == 1


def _max_forwards(number: int) -> int:
    if number < 0:
        raise Refused(400, "malformed request: its Max-Forwards is not a number")
    if number == 0:
        raise Refused(204, "the request wanted to come this far and no further")
    return number - 1


def _unusual_target(method: bytes, target: bytes, authorities: Collection[bytes]) -> tuple[bytes, bytes]:
    """A target that is not a path: the one to send on, and the authority it named."""
    if method in _NOT_PASSED:
        raise _refused_method(method)
    if target == b"*" and method == b"OPTIONS":
        return target, b""
    found = _ABSOLUTE(target)
    if found is None:
        raise Refused(400, "malformed request: its target is neither a path nor an http URL")
    authority, rest = found[1].lower(), found[2] or b""
    if AUTHORITY.fullmatch(authority) is None:
        raise Refused(400, "malformed request: the authority in its target is not a host name or address")
    if authority not in authorities:
        raise Refused(421, "the request is for another host: this is not an open proxy")
    if not rest and method == b"OPTIONS":
        return b"*", authority  # RFC 9112 section 3.2.4
    return (rest if rest[:1] == b"/" else b"/" + rest), authority


def _bad_request_line(line: bytes) -> Refused:
    if _ANY_VERSION(line) and not line.endswith((b"HTTP/1.1", b"HTTP/1.0")):
        return Refused(505, "the request is not in HTTP/1.1 or HTTP/1.0")
    return Refused(400, "malformed request: its first line is not `METHOD target HTTP/1.1`")


def _refused_method(method: bytes) -> Refused:
    if method == b"CONNECT":
        return Refused(501, "CONNECT is not offered: this is not an open proxy")
    return Refused(405, "TRACE is not passed on: it would reflect credentials")


# -- responses ----------------------------------------------------------------------------------------------------


class StatusLines(dict[bytes, tuple[int, bytes, int]]):
    """Status lines, and the status, our line and the minor version that each stands for; a bounded memory, too."""

    def __missing__(self, line: bytes) -> tuple[int, bytes, int]:
        found = _STATUS_LINE(line)
        if found is None:
            raise Refused(502, "its first line is not a status line of HTTP/1.1")
        minor, code, reason = found.groups()
        if len(self) >= _REMEMBERED_STATUS_LINES:
            self.clear()
        self[line] = known = (int(code), b"HTTP/1.1 %b %b\r\n" % (code, reason or b""), int(minor))
        return known


STATUS_LINES = StatusLines()


def parse_response(head: bytes, request: Request) -> Response:
    """The response whose head (without the empty line that ends it) this is. Raises Refused, always with 502."""
    lines = head.split(b"\r\n")
    status, line, minor = STATUS_LINES[lines[0]]
    if len(lines) > MAX_FIELDS:
        raise Refused(502, f"it has more than {MAX_FIELDS} header fields")
    del lines[0]
    out: list[bytes] = []
    acted: list[Acted] = []
    try:
        for field in map(FIELDS.__getitem__, lines):
            if field.__class__ is bytes:
                out.append(field)
            else:
                acted.append(field)  # type: ignore[arg-type] # what is not bytes is Acted
    except BadSyntax as error:
        raise Refused(502, str(error)) from None
    response = Response(status, line, out, minor == 1)
    _act_on_response(response, acted, minor, request)
    return response


def _act_on_response(response: Response, acted: list[Acted], minor: int, request: Request) -> None:
    """What the acted-on fields mean together; completes the response with them."""
    length: Acted | None = None
    coded = False
    codings: tuple[bytes, ...] = ()
    connection: tuple[bytes, ...] = ()
    listed: tuple[bytes, ...] = ()
    upgrade = b""
    for field in acted:
        name = field.name
        if name == b"content-length":
            if length is not None:
                raise Refused(502, "it has more than one Content-Length")
            if field.number < 0:
                raise Refused(502, "its Content-Length is not a number")
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
            response.fields[:] = [line for line in response.fields if name_of(line) not in listed]
    if coded:
        _check_codings(codings, length, minor, 502)
    _frame_response(response, length, coded, request)
    if response.status == 101:
        if not upgrade or upgrade.lower() not in {name.lower() for name in request.upgrade}:
            raise Refused(502, "it switches to a protocol that was not asked for")
        response.upgrade = upgrade


def _frame_response(response: Response, length: Acted | None, coded: bool, request: Request) -> None:  # noqa: FBT001 - one caller
    """RFC 9112 section 6.3: where the body of this response ends."""
    status = response.status
    if status == 204 or status < 200:
        if coded or (length is not None and length.number):
            raise Refused(502, f"a {status} cannot have a body, but it announces one")
        response.length = 0
        response.bodiless = True
        return
    response.chunked = coded
    if length is not None:
        response.announced = length.number
        response.framing = length.line
    if status == 304 or request.is_head:
        response.length = 0
        response.bodiless = True
    elif coded:
        response.length = CHUNKED
    elif length is not None:
        response.length = length.number
    else:
        response.keep_alive = False


# -- both ---------------------------------------------------------------------------------------------------------


def check_beginning(head: bytes, status: int, known: int = 0) -> None:
    """Refuse an unfinished head as soon as it holds what no head may hold, rather than wait for its end.

    Its first `known` bytes have been checked before.
    """
    if _NEVER_IN_HEADS(head, max(0, known - 1)):
        raise Refused(status, "a head holds a control character, or a line that does not end in CR LF")


def items_in_case(value: bytes) -> tuple[bytes, ...]:
    """The items of a comma-separated value as they were written."""
    return tuple(item for item in (item.strip(b"\t ") for item in value.split(b",")) if item)


def _may_upgrade_to(protocol: bytes) -> bool:
    return not protocol.lower().startswith((b"h2c", b"http/", b"tls/")) and bool(
        re.fullmatch(TOKEN + rb"(?:/" + TOKEN + rb")?", protocol)
    )


def _check_codings(codings: tuple[bytes, ...], length: Acted | None, minor: int, status: int) -> None:
    if length is not None:
        raise Refused(status, "Content-Length and Transfer-Encoding contradict each other")
    if not minor:
        raise Refused(status, "HTTP/1.0 has no Transfer-Encoding")
    if set(codings) - {b"chunked"}:
        raise Refused(501 if status == 400 else status, "a transfer coding is not known here: only chunked is")
    if codings != (b"chunked",):
        raise Refused(status, "a Transfer-Encoding is not exactly chunked, once")
