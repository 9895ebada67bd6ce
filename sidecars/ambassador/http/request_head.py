# ruff: noqa: C901, PLR0912, PLR0915 - status codes are their own best names; a table of fields is one list of branches
"""Parse the head of a request of HTTP/1.1, and write the head that goes to the upstream. No I/O.

head ──▶ request line ──────────────────────────────┐
──▶ field lines ──▶ HeaderSection (cached) ────┴──▶ Request ──▶ Request.head() ──▶ bytes
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from sidecars.ambassador.http.fields import (
    TOKEN,
    ControlField,
    Doorkeeper,
    FieldSyntaxError,
    announced,
    drop_fields,
    fields_among,
    list_items,
    parse_field_lines,
)
from sidecars.ambassador.http.head_rules import CHUNKED, ENDS, MAX_HEADERS, MessageRejected, check_transfer_codings
from sidecars.ambassador.http.hpack_lines import encode_lines, encode_secrets, encode_start
from sidecars.ambassador.http.messages import Request
from sidecars.ambassador.http.request_line import (
    METHOD_TARGET_VERSION,
    NOT_FORWARDED,
    bad_request_line,
    parse_unusual_target,
    rejected_method,
)

SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})  # RFC 9110 section 9.2.1
_IDEMPOTENT: Final = frozenset({b"PUT", b"DELETE"})  # section 9.2.2, without the safe ones
_KEYED: Final = frozenset({b"POST", b"PATCH"})  # draft-ietf-httpapi-idempotency-key-header
# Fields that decide what a second execution does: preconditions (RFC 9110 section 13, and those of RFC 4918 and
# RFC 6638), and the key by which a server recognises a repeated request.
_REPETITION: Final = re.compile(rb"\r\n(?:if(?:-[a-z-]+)?|(idempotency-key)): ([^\r]*)", re.IGNORECASE).findall
BODY_IS_UNUSUAL: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"DELETE"})  # RFC 9110 section 9.3.1: "might close"
_DECIMAL: Final = re.compile(rb"[0-9]{1,18}").fullmatch
_SLASH: Final = b"/"[0]
_CACHED_SECTIONS: Final = 512
_CACHED_LENGTH: Final = 1024  # bytes of the longest header section that is cached


class Http1Request(Request):
    """A request that came in HTTP/1.1 or HTTP/1.0."""

    def __init__(self, method: bytes, target: bytes, minor: int, fields: HeaderSection) -> None:
        self.method = method
        self.minor = minor
        self.host = fields.host
        self.target = target
        self.after_host = fields.after_host  # the rest of the head, from the CR LF behind Host's value
        self._fields = fields
        self.idempotent = method in SAFE or fields.is_repeatable(method)
        if method == b"HEAD":
            self.is_head = True

    def head(self, authority: bytes, credentials: bytes = b"") -> bytes:
        return b"%b %b HTTP/1.1\r\nHost: %b%b%b" % (self.method, self.target, authority, credentials, self.after_host)

    def block(self, scheme: bytes, authority: bytes, credentials: bytes = b"") -> bytes:
        fields = self._fields
        block = fields.block() if self.after_host is fields.after_host else encode_lines(self.after_host)
        secrets = encode_secrets(credentials) if credentials else b""
        return b"%b%b%b" % (encode_start(self.method, scheme, authority, self.target), secrets, block)

    def announce(self, length: int) -> None:
        self.length = length
        self.after_host = announced(self.after_host, length, expects=self.expects_continue)

    def lines(self) -> bytes:
        return self.after_host

    def value(self, name: bytes) -> bytes:
        found = re.search(rb"\r\n%b: ([^\r]*)" % re.escape(name), self.after_host, re.IGNORECASE)
        return found[1] if found else b""

    def taken(self) -> Sequence[tuple[bytes, bytes]]:
        return self._fields.taken


class HeaderSection:
    """The parsed field lines of a request, without its request line. Shared by equal requests and never changed."""

    __slots__ = (
        "_block",
        "_repetition",
        "after_host",
        "expects_continue",
        "forwarded",
        "host",
        "is_plain",
        "keep_alive",
        "length",
        "max_forwards",
        "taken",
        "upgrade",
    )

    def __init__(self) -> None:
        self.host: bytes | None = None
        self.keep_alive: bool | None = None  # None: the default of the request's version
        self.length = 0  # bytes of the body, or CHUNKED
        self.expects_continue = False
        self.max_forwards: ControlField | None = None
        self.upgrade: tuple[bytes, ...] = ()
        self.taken: Sequence[tuple[bytes, bytes]] = ()  # names in lower case, and values
        self.forwarded = b""  # the lines to send on, from the CR LF behind Host's value up to our own end
        self.after_host = b""  # `forwarded`, and the end of a head of HTTP/1.1
        self.is_plain = False  # True if nothing in it depends on the method or the version
        self._repetition: list[tuple[bytes, bytes]] | None = None  # computed at the first use
        self._block: bytes | None = None  # so, too

    def is_repeatable(self, method: bytes) -> bool:
        """Return True if a request with this method, which is not safe, may be executed twice."""
        if method not in _IDEMPOTENT and method not in _KEYED:
            return False
        found = self._repetition
        if found is None:
            found = self._repetition = _REPETITION(self.forwarded)
        return is_repeatable(method, found)

    def block(self) -> bytes:
        """Return the fields of `after_host` in HPACK. Computed once."""
        if self._block is None:
            self._block = encode_lines(self.after_host)
        return self._block


def is_repeatable(method: bytes, found: list[tuple[bytes, bytes]]) -> bool:
    """Return True if a request with this method, which is not safe, may be executed twice.

    `found` are its fields that decide this: (b"", value) of a precondition, (name, value) of an Idempotency-Key. A
    precondition may fail on the request's own effect: the app would get 412 for its own write. A POST or PATCH with one
    Idempotency-Key is executed once, however often it comes.
    """
    if method in _IDEMPOTENT:
        return all(key for key, _ in found)
    return method in _KEYED and len(found) == 1 and bool(found[0][0]) and found[0][1] not in (b"", b'""')


class CombinedEdits:
    """The edits that each request to one upstream gets: field names (lower case) to remove, and lines to add.

    `taken` are those of the removed names whose values the request keeps aside (`Request.taken`).
    """

    __slots__ = ("added", "block", "is_empty", "removed", "taken")

    def __init__(
        self, removed: Iterable[bytes] = (), added: Iterable[bytes] = (), taken: frozenset[bytes] = frozenset()
    ) -> None:
        self.removed = frozenset(removed)
        self.added = tuple(added)
        self.taken = taken
        self.block: bytes = encode_secrets(b"".join(self.added))  # the lines in HPACK
        self.is_empty: bool = not (self.removed or self.added)


class RequestParser:
    """Parses the requests to one upstream, which owns it.

    - `authorities`: the authorities (lower case) that a target in absolute form may name.
    - `edits`: the edits of the fields of each request.
    - `max_headers`: the number of fields beyond which a request is rejected with 431.

    An app sends the same field lines again and again. So header sections are cached by their exact bytes, with the
    rules of `fields.FieldLineCache`: no secret, nothing that has come only once, and a bounded number.
    """

    def __init__(
        self, authorities: Collection[bytes], edits: CombinedEdits | None = None, max_headers: int = MAX_HEADERS
    ) -> None:
        self.authorities = authorities
        self._max_headers = max_headers
        self.edits = edits or CombinedEdits()
        self._cache: dict[bytes, HeaderSection] = {}
        self._doorkeeper = Doorkeeper()

    def parse(self, data: bytes, end: int) -> Http1Request:
        """Parse the head in `data[:end]`, without the empty line that ends it. Raises MessageRejected."""
        first = data.find(b"\r\n", 0, end)
        if first < 0:
            first = end
        found = METHOD_TARGET_VERSION(data, 0, first)
        if found is None:
            raise bad_request_line(data[:first])
        method, target, minor = found.groups()
        lines = data[first:end]
        fields = self._cache.get(lines)
        if fields is None:
            fields = self._parse_section(lines)
        if fields.is_plain and target[0] == _SLASH and minor == b"1" and method not in NOT_FORWARDED:
            return Http1Request(method, target, 1, fields)
        return self._combine(method, target, int(minor), fields)

    def _parse_section(self, section: bytes) -> HeaderSection:
        """Parse the field lines, each behind a CR LF, and cache the result."""
        lines = section.split(b"\r\n")
        del lines[0]
        if len(lines) > self._max_headers:
            raise MessageRejected(431, f"the request has more than {self._max_headers} header fields (MAX_HEADERS)")
        try:
            forwarded, control, has_secret = parse_field_lines(lines)
        except FieldSyntaxError as error:
            raise MessageRejected(400, f"malformed request: {error}") from None
        edits = self.edits
        taken: list[tuple[bytes, bytes]] = []
        if edits.removed:
            if edits.taken:
                taken = fields_among(forwarded, edits.taken)
            drop_fields(forwarded, edits.removed)
        fields = _interpret(control, forwarded, edits.added)
        fields.taken = taken
        if not has_secret and len(section) <= _CACHED_LENGTH and self._doorkeeper.seen(section):
            if len(self._cache) >= _CACHED_SECTIONS:
                self._cache.clear()
            self._cache[section] = fields
        return fields

    def _combine(self, method: bytes, target: bytes, minor: int, fields: HeaderSection) -> Http1Request:
        """Build a request whose request line and fields depend on each other: the slow path of `parse`."""
        if method in NOT_FORWARDED:
            raise rejected_method(method)
        authority = b""
        if target[0] != _SLASH:
            target, authority = parse_unusual_target(method, target, self.authorities)
        if fields.host is None and minor:
            raise MessageRejected(400, "malformed request: it has no Host")
        if fields.length == CHUNKED and not minor:
            raise MessageRejected(400, "HTTP/1.0 has no Transfer-Encoding")
        request = Http1Request(method, target, minor, fields)
        if authority:
            request.host = authority  # RFC 9112 section 3.2.2: it overrides Host
        request.keep_alive = bool(minor) if fields.keep_alive is None else fields.keep_alive
        request.length = fields.length
        extra = b""
        if fields.max_forwards is not None:
            extra = _max_forwards(method, fields.max_forwards)
        if request.length:
            request.body_is_unusual = method in BODY_IS_UNUSUAL
            if fields.expects_continue and minor:
                request.expects_continue = True
                extra += b"Expect: 100-continue\r\n"
        if fields.upgrade and minor:  # with a body, too: the protocol changes behind it (RFC 9110 section 7.8)
            request.upgrade = fields.upgrade
            extra += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % b", ".join(fields.upgrade)
        if extra or not minor:
            request.after_host = b"%b%b%b" % (fields.forwarded, extra, ENDS[minor])
        return request


def _interpret(control: list[ControlField], forwarded: list[bytes], added: Iterable[bytes]) -> HeaderSection:
    """Interpret the control fields together.

    `forwarded` are the other lines, `added` the lines that the edits add. Raises MessageRejected.
    """
    fields = HeaderSection()
    length: ControlField | None = None
    has_codings = False
    connection: list[bytes] = []
    listed: list[bytes] = []
    codings: list[bytes] = []
    upgrade: list[bytes] = []
    for field in control:
        name = field.name
        if name == b"host":
            if fields.host is not None:
                raise MessageRejected(400, "malformed request: it has more than one Host")
            if not field.is_authority:
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
            has_codings = True
            codings += field.items
        elif name == b"upgrade":
            upgrade += list_items(field.value)
        elif name == b"te":
            if b"trailers" in field.items:
                forwarded.append(b"Connection: TE\r\nTE: trailers\r\n")
        elif name == b"expect":
            if field.value.lower() != b"100-continue":
                raise MessageRejected(417, "the request has an Expect that is not 100-continue")
            fields.expects_continue = True
        elif name == b"max-forwards":
            fields.max_forwards = field
    if b"close" in connection:
        fields.keep_alive = False
    elif b"keep-alive" in connection:
        fields.keep_alive = True
    if listed:  # RFC 9110 section 7.6.1: they end here
        drop_fields(forwarded, frozenset(listed))
    if has_codings:
        check_transfer_codings(tuple(codings), length, 1, 400)
        fields.length = CHUNKED
        forwarded.append(b"Transfer-Encoding: chunked\r\n")
    elif length is not None:
        fields.length = length.number
        forwarded.append(length.line)
    if upgrade and b"upgrade" in connection:
        fields.upgrade = tuple(name for name in upgrade if _may_upgrade_to(name))
    fields.forwarded = b"".join((b"\r\n", *forwarded, *added))
    fields.after_host = fields.forwarded + ENDS[1]
    fields.is_plain = (
        fields.host is not None
        and fields.keep_alive is not False
        and not (fields.length or fields.expects_continue or fields.upgrade or fields.max_forwards)
    )
    return fields


def _max_forwards(method: bytes, field: ControlField) -> bytes:
    """Return the line of Max-Forwards to send on (RFC 9110 section 7.6.2): only OPTIONS counts hops with it.

    Raises MessageRejected, with 204 for a request that may go no further.
    """
    if method != b"OPTIONS":
        return field.line
    return b"Max-Forwards: %b\r\n" % next_max_forwards(method, field.value)


def next_max_forwards(method: bytes, value: bytes) -> bytes:
    """Return the value of Max-Forwards to send on. Raises MessageRejected."""
    if method != b"OPTIONS":
        return value
    if _DECIMAL(value) is None:
        raise MessageRejected(400, "malformed request: its Max-Forwards is not a number")
    if not int(value):
        raise MessageRejected(204, "the request's Max-Forwards is 0: it goes no further")
    return b"%d" % (int(value) - 1)


def _may_upgrade_to(protocol: bytes) -> bool:
    return not protocol.lower().startswith((b"h2c", b"http/", b"tls/")) and bool(
        re.fullmatch(TOKEN + rb"(?:/" + TOKEN + rb")?", protocol)
    )
