# ruff: noqa: C901, PLR0912, PLR0915 - status codes are their own best names; a table of fields is one list of branches
"""Requests: from the bytes of a head to a `Request`, and from that to the bytes that go upstream. No I/O."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from sidecars.ambassador.http.fields import (
    AUTHORITY,
    TOKEN,
    ControlField,
    Doorkeeper,
    FieldSyntaxError,
    field_name,
    parse_field_lines,
)
from sidecars.ambassador.http.head_rules import (
    CHUNKED,
    ENDS,
    MAX_HEADERS,
    MessageRejected,
    check_codings,
    other_protocol,
)

_METHOD_TARGET_VERSION: Final = re.compile(rb"(" + TOKEN + rb") ([\x21\x22\x24-\x7e]+) HTTP/1\.([01])").fullmatch
_VERSION: Final = re.compile(rb"HTTP/[0-9](?:\.[0-9])?").fullmatch
_METHOD: Final = re.compile(TOKEN).fullmatch
_ABSOLUTE: Final = re.compile(rb"[hH][tT][tT][pP]://([^/?]*)([/?].*)?", re.DOTALL).fullmatch

_SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})  # RFC 9110 section 9.2.1
_IDEMPOTENT: Final = frozenset({b"PUT", b"DELETE"})  # section 9.2.2, without those that are safe
_KEYED: Final = frozenset({b"POST", b"PATCH"})  # draft-ietf-httpapi-idempotency-key-header
# Fields that decide what a second execution does: preconditions (RFC 9110 section 13, and their kin of RFC 4918 and
# RFC 6638), and the key by which a server knows a request again.
_REPETITION: Final = re.compile(rb"\r\n(?:if(?:-[a-z-]+)?|(idempotency-key)): ([^\r]*)", re.IGNORECASE).findall
_BODY_IS_ODD: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"DELETE"})  # RFC 9110 section 9.3.1: "might close"
_NOT_PASSED: Final = frozenset({b"CONNECT", b"TRACE"})
_SLASH: Final = b"/"[0]

_REMEMBERED_BLOCKS: Final = 512
_REMEMBERED_LENGTH: Final = 1024  # bytes


class Request:
    """A request as we understood it. What most requests do not have stands on the class, and costs them nothing."""

    is_head = False
    keep_alive = True
    length = 0  # of the body, or CHUNKED
    body_is_unusual = False
    expects_continue = False
    upgrade: tuple[bytes, ...] = ()

    def __init__(self, method: bytes, target: bytes, minor: int, fields: HeaderSection) -> None:
        self.method = method
        self.minor = minor
        self.host = fields.host  # that the app named, where it did
        self.target = target
        self.rest = fields.rest  # of the head, behind Host's value
        # True if it may be repeated after it may have taken effect.
        self.idempotent = method in _SAFE or fields.is_repeatable(method)
        if method == b"HEAD":
            self.is_head = True

    def head(self, host: bytes, more: bytes = b"") -> bytes:
        """The bytes to send to the upstream whose authority is `host`, with `more` field lines, each after a CR LF."""
        return b"%b %b HTTP/1.1\r\nHost: %b%b%b" % (self.method, self.target, host, more, self.rest)


class HeaderSection:
    """The field lines of one request, judged: what they mean whatever its first line says. Shared, so never changed."""

    __slots__ = (
        "_repetition",
        "expect",
        "host",
        "keep_alive",
        "length",
        "lines",
        "max_forwards",
        "plain",
        "rest",
        "upgrade",
    )

    def __init__(self) -> None:
        self.host: bytes | None = None
        self.keep_alive: bool | None = None  # None: as usual in the request's version
        self.length = 0  # of the body, or CHUNKED
        self.expect = False  # 100-continue
        self.max_forwards: ControlField | None = None
        self.upgrade: tuple[bytes, ...] = ()
        self.lines = b""  # what goes on: from the CR LF behind Host's value up to our own end
        self.rest = b""  # lines, and the end of a request of HTTP/1.1
        self.plain = False  # whether there is nothing in them that depends on method or version
        self._repetition: list[tuple[bytes, bytes]] | None = None  # found when it is asked for

    def is_repeatable(self, method: bytes) -> bool:
        """Return True if a request with this method, which is not safe, may be executed twice.

        A precondition may fail on the request's own effect: the app would get 412 for its own write. A POST or PATCH
        with one Idempotency-Key is executed once, however often it comes.
        """
        if method not in _IDEMPOTENT and method not in _KEYED:
            return False
        found = self._repetition
        if found is None:
            found = self._repetition = _REPETITION(self.lines)
        if method in _IDEMPOTENT:
            return all(key for key, _ in found)
        return len(found) == 1 and bool(found[0][0]) and found[0][1] not in (b"", b'""')


class CombinedEdits:
    """What is done to the fields of every request on its way: names (lower case) to take away, lines to add."""

    __slots__ = ("added", "removed")

    def __init__(self, removed: Iterable[bytes] = (), added: Iterable[bytes] = ()) -> None:
        self.removed = frozenset(removed)
        self.added = tuple(added)


class RequestParser:
    """Judges the requests to one upstream.

    `authorities` are those (lower case) that a target in absolute form may name; `edits` is what is done to the fields;
    a request with more fields than `max_headers` is refused.
    An app sends the same field lines again and again, so their judgement is remembered by their exact bytes, as that
    of single lines is (`fields`), with the same care: nothing secret, and no more than a bounded
    number.
    """

    def __init__(
        self, authorities: Collection[bytes], edits: CombinedEdits | None = None, max_headers: int = MAX_HEADERS
    ) -> None:
        self.authorities = authorities
        self._max_headers = max_headers
        self._edits = edits or CombinedEdits()
        self._known: dict[bytes, HeaderSection] = {}
        self._twice = Doorkeeper()

    def parse(self, data: bytes, end: int) -> Request:
        """The request whose head (without the empty line that ends it) is what comes up to `end`. Raises Refused."""
        first = data.find(b"\r\n", 0, end)
        if first < 0:
            first = end
        found = _METHOD_TARGET_VERSION(data, 0, first)
        if found is None:
            raise _bad_request_line(data[:first])
        method, target, minor = found.groups()
        lines = data[first:end]
        fields = self._known.get(lines)
        if fields is None:
            fields = self._judge(lines)
        if fields.plain and target[0] == _SLASH and minor == b"1" and method not in _NOT_PASSED:
            return Request(method, target, 1, fields)
        return self._complete(method, target, int(minor), fields)

    def _judge(self, block: bytes) -> HeaderSection:
        """What the field lines mean, each behind a CR LF."""
        lines = block.split(b"\r\n")
        del lines[0]
        if len(lines) > self._max_headers:
            raise MessageRejected(431, f"the request has more than {self._max_headers} header fields (MAX_HEADERS)")
        try:
            out, acted, private = parse_field_lines(lines)
        except FieldSyntaxError as error:
            raise MessageRejected(400, f"malformed request: {error}") from None
        edits = self._edits
        if edits.removed:
            out = [line for line in out if field_name(line) not in edits.removed]
        fields = _meaning(acted, out, edits.added)
        if not private and len(block) <= _REMEMBERED_LENGTH and self._twice.seen(block):
            if len(self._known) >= _REMEMBERED_BLOCKS:
                self._known.clear()
            self._known[block] = fields
        return fields

    def _complete(self, method: bytes, target: bytes, minor: int, fields: HeaderSection) -> Request:
        """A request that says more than a plain one: what its first line and its fields mean together."""
        if method in _NOT_PASSED:
            raise _refused_method(method)
        authority = b""
        if target[0] != _SLASH:
            target, authority = _unusual_target(method, target, self.authorities)
        if fields.host is None and minor:
            raise MessageRejected(400, "malformed request: it has no Host")
        if fields.length == CHUNKED and not minor:
            raise MessageRejected(400, "HTTP/1.0 has no Transfer-Encoding")
        request = Request(method, target, minor, fields)
        if authority:
            request.host = authority  # RFC 9112 section 3.2.2: it counts, whatever Host says
        request.keep_alive = bool(minor) if fields.keep_alive is None else fields.keep_alive
        request.length = fields.length
        extra = b""
        if fields.max_forwards is not None:
            extra = _max_forwards(method, fields.max_forwards)
        if request.length:
            request.body_is_unusual = method in _BODY_IS_ODD
            if fields.expect and minor:
                request.expects_continue = True
                extra += b"Expect: 100-continue\r\n"
        if fields.upgrade and minor:  # beside a body, too: the protocol changes behind it (RFC 9110 section 7.8)
            request.upgrade = fields.upgrade
            extra += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % b", ".join(fields.upgrade)
        if extra or not minor:
            request.rest = b"%b%b%b" % (fields.lines, extra, ENDS[minor])
        return request


def _meaning(acted: list[ControlField], out: list[bytes], added: Iterable[bytes]) -> HeaderSection:
    """What the acted-on fields mean together; `out` is what passes beside them, and `added` what is ours."""
    fields = HeaderSection()
    length: ControlField | None = None
    coded = False
    connection: list[bytes] = []
    listed: list[bytes] = []
    codings: list[bytes] = []
    upgrade: list[bytes] = []
    for field in acted:
        name = field.name
        if name == b"host":
            if fields.host is not None:
                raise MessageRejected(400, "malformed request: it has more than one Host")
            if not field.authority:
                raise MessageRejected(400, "malformed request: its Host is not a host name or address")
            fields.host = field.value
        elif name == b"connection":
            connection += field.items
            listed += field.listed
        elif name == b"content-length":
            if length is not None:
                raise MessageRejected(400, "malformed request: it has more than one Content-Length")
            if field.number < 0:
                raise MessageRejected(400, "malformed request: its Content-Length is not a number")
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
            if field.value.lower() != b"100-continue":
                raise MessageRejected(417, "the request expects what only 100-continue may ask for")
            fields.expect = True
        elif name == b"max-forwards":
            fields.max_forwards = field
    if b"close" in connection:
        fields.keep_alive = False
    elif b"keep-alive" in connection:
        fields.keep_alive = True
    if listed:  # RFC 9110 section 7.6.1: they end here
        dropped = frozenset(listed)
        out[:] = [line for line in out if field_name(line) not in dropped]
    if coded:
        check_codings(tuple(codings), length, 1, 400)
        fields.length = CHUNKED
        out.append(b"Transfer-Encoding: chunked\r\n")
    elif length is not None:
        fields.length = length.number
        out.append(length.line)
    if upgrade and b"upgrade" in connection:
        fields.upgrade = tuple(name for name in upgrade if _may_upgrade_to(name))
    fields.lines = b"".join((b"\r\n", *out, *added))
    fields.rest = fields.lines + ENDS[1]
    fields.plain = (
        fields.host is not None
        and fields.keep_alive is not False
        and not (fields.length or fields.expect or fields.upgrade or fields.max_forwards)
    )
    return fields


def _max_forwards(method: bytes, field: ControlField) -> bytes:
    """RFC 9110 section 7.6.2: it counts hops for OPTIONS, and means nothing elsewhere."""
    if method != b"OPTIONS":
        return field.line
    if field.number < 0:
        raise MessageRejected(400, "malformed request: its Max-Forwards is not a number")
    if field.number == 0:
        raise MessageRejected(204, "the request wanted to come this far and no further")
    return b"Max-Forwards: %d\r\n" % (field.number - 1)


def _unusual_target(method: bytes, target: bytes, authorities: Collection[bytes]) -> tuple[bytes, bytes]:
    """A target that is not a path: the one to send on, and the authority it named."""
    if target == b"*" and method == b"OPTIONS":
        return target, b""
    found = _ABSOLUTE(target)
    if found is None:
        raise MessageRejected(400, "malformed request: its target is neither a path nor an http URL")
    authority, rest = found[1].lower(), found[2] or b""
    if AUTHORITY.fullmatch(authority) is None:
        raise MessageRejected(400, "malformed request: the authority in its target is not a host name or address")
    if authority not in authorities:
        raise MessageRejected(421, "the request is for another host: this is not an open proxy")
    if not rest and method == b"OPTIONS":
        return b"*", authority  # RFC 9112 section 3.2.4
    return (rest if rest[:1] == b"/" else b"/" + rest), authority


def _bad_request_line(line: bytes) -> MessageRejected:
    """The refusal of a first line, with its cause where that is clear."""
    other = other_protocol(line, 400)
    if other is not None:
        return other
    method, _, rest = line.partition(b" ")
    target, _, version = rest.rpartition(b" ")
    known = version in (b"HTTP/1.1", b"HTTP/1.0")
    if not known and target and _VERSION(version):
        return MessageRejected(505, "the request is not in HTTP/1.1 or HTTP/1.0")
    cause = "its first line is not `METHOD target HTTP/1.1`"
    if line.endswith(b" ") or b"  " in line or b" " in target:
        cause = "its first line has a blank too many: one in a target is written %20"
    elif not (known and target):
        pass
    elif not _METHOD(method):
        cause = "its method holds a character that no method may have"
    elif not target.isascii():
        cause = "its target holds letters beyond ASCII, which must be percent-encoded UTF-8, such as %C3%A9"
    elif b"#" in target:
        cause = "its target holds a fragment (#), which a client keeps for itself"
    else:
        cause = "its target holds a control character"
    return MessageRejected(400, f"malformed request: {cause}")


def _refused_method(method: bytes) -> MessageRejected:
    if method == b"CONNECT":
        return MessageRejected(501, "CONNECT is not offered: this is not an open proxy")
    return MessageRejected(405, "TRACE is not passed on: it would reflect credentials")


def items_in_case(value: bytes) -> tuple[bytes, ...]:
    """The items of a comma-separated value as they were written."""
    return tuple([item for item in [item.strip(b"\t ") for item in value.split(b",")] if item])


def _may_upgrade_to(protocol: bytes) -> bool:
    return not protocol.lower().startswith((b"h2c", b"http/", b"tls/")) and bool(
        re.fullmatch(TOKEN + rb"(?:/" + TOKEN + rb")?", protocol)
    )
