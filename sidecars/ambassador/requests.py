# ruff: noqa: PLR2004, C901, PLR0912, PLR0915 - status codes are their own best names; a table of fields is one list of branches
"""Requests: from the bytes of a head to a `Request`, and from that to the bytes that go upstream. No I/O."""

from __future__ import annotations

import re
from collections.abc import Collection

from sidecars.ambassador.fields import AUTHORITY, FIELDS, TOKEN, Acted, BadSyntax, name_of
from sidecars.ambassador.heads import CHUNKED, END, MAX_FIELDS, Refused, check_codings

_METHOD_TARGET_VERSION = re.compile(rb"(" + TOKEN + rb") ([\x21\x22\x24-\x7e]+) HTTP/1\.([01])").fullmatch
_ANY_VERSION = re.compile(rb"[^ ]+ [^ ]+ HTTP/[0-9](?:\.[0-9])?").fullmatch
_ABSOLUTE = re.compile(rb"[hH][tT][tT][pP]://([^/?]*)([/?].*)?", re.DOTALL).fullmatch

_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})  # RFC 9110 section 9.2.2; TRACE is refused
_BODY_IS_ODD = frozenset({b"GET", b"HEAD", b"OPTIONS", b"DELETE"})  # RFC 9110 section 9.3.1: "might close"
_NOT_PASSED = frozenset({b"CONNECT", b"TRACE"})


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
        check_codings(codings, length, request.minor, 400)
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
    out.append(END)
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


def items_in_case(value: bytes) -> tuple[bytes, ...]:
    """The items of a comma-separated value as they were written."""
    return tuple(item for item in (item.strip(b"\t ") for item in value.split(b",")) if item)


def _may_upgrade_to(protocol: bytes) -> bool:
    return not protocol.lower().startswith((b"h2c", b"http/", b"tls/")) and bool(
        re.fullmatch(TOKEN + rb"(?:/" + TOKEN + rb")?", protocol)
    )
