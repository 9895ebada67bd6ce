# ruff: noqa: C901, PLR0912 - a table of fields is one list of branches
"""The fields of a message together: a checked head of a request or of a response, or trailers (RFC 9113 section 8).

A message that is malformed, or that two parsers could understand differently, raises MalformedMessage. It ends its
stream and no other one. Nothing of it is passed on.

Decisions where the RFC leaves a choice:

- Content-Length twice is rejected, even with the same value.
- `host` beside `:authority` must name the same place. The head keeps `:authority` alone.
- A request needs an authority, in one of the two. It holds no user information.
- `:path` begins with `/`, or is `*` for OPTIONS. A CONNECT is a head without scheme and path: the caller refuses it.
- 101 is malformed (section 8.6). A status from 600 to 999 passes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.http2.fields import (
    CONTENT_LENGTH,
    COOKIE,
    EXPECT,
    GRPC_TIMEOUT,
    HOP_BY_HOP,
    HOST,
    MALFORMED,
    MAX_FORWARDS,
    PSEUDO,
    REGULAR,
    TE,
    Field,
    encode_all,
    is_dropped_trailer,
    trailer_problem,
)

_METHOD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_PATH: Final = re.compile(rb"/[\x21\x22\x24-\x7e]*").fullmatch
_STATUS: Final = re.compile(rb"[1-9][0-9][0-9]").fullmatch
_AUTHORITY: Final = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{0,5})?").fullmatch


TOO_LARGE: Final = 431  # the status of a message whose fields are larger than the limits, in either direction


class MalformedMessage(Exception):
    """A message that ends its stream: the status of our reply to a request, and a sentence for people.

    The sentence never quotes a value, which may be a secret.
    """

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class RequestHead:
    """The checked head of a request. Never changed: requests with equal blocks may share one object.

    - `fields`: those to pass on, in their order, cookies included; without pseudo-fields, `host`, `content-length`,
      `te`, `expect`, `max-forwards` and `grpc-timeout`, which have attributes of their own.
    - `content_length`: -1 without one.
    - `has_secret`: True if a field may carry a secret.
    - `size`: bytes as limits count them.
    - `derived`: what the layer above has computed of it, once for all requests that share it.
    """

    __slots__ = (
        "_encoded",
        "_lines",
        "authority",
        "content_length",
        "content_type",
        "derived",
        "expect",
        "fields",
        "grpc_timeout",
        "has_secret",
        "max_forwards",
        "method",
        "path",
        "scheme",
        "size",
        "te_trailers",
    )

    def __init__(self) -> None:
        self.method = b""
        self.scheme = b""
        self.authority = b""
        self.path = b""
        self.fields: list[Field] = []
        self.content_length: int = -1
        self.content_type = b""
        self.te_trailers = False
        self.expect = b""  # the value of Expect
        self.max_forwards: Field | None = None
        self.grpc_timeout: Field | None = None
        self.has_secret = False
        self.size: int = 0
        self.derived: object = None
        self._encoded: bytes | None = None
        self._lines: bytes | None = None

    def encoded(self) -> bytes:
        """Return `fields` in our encoding of HPACK. Computed once."""
        if self._encoded is None:
            self._encoded = encode_all(self.fields)
        return self._encoded

    def lines(self) -> bytes:
        """Return `fields` as lines of HTTP/1.1, with cookie crumbs joined (section 8.2.3). Computed once."""
        if self._lines is None:
            lines = [field.line() for field in self.fields if field.kind != COOKIE]
            crumbs = [field.value for field in self.fields if field.kind == COOKIE]
            if crumbs:
                lines.append(b"cookie: %b\r\n" % b"; ".join(crumbs))
            self._lines = b"".join(lines)
        return self._lines


class ResponseHead:
    """The checked head of a response, or of an interim one. Never changed, and maybe shared.

    `fields` and `content_length` are as in RequestHead. `block` is the whole head as the layer above writes it; b""
    until then.
    """

    __slots__ = ("_encoded", "block", "content_length", "content_type", "fields", "has_secret", "size", "status")

    def __init__(self) -> None:
        self.status: int = 0
        self.fields: list[Field] = []
        self.content_length: int = -1
        self.content_type = b""
        self.has_secret = False
        self.size: int = 0
        self.block = b""
        self._encoded: bytes | None = None

    def encoded(self) -> bytes:
        """Return `fields` in our encoding of HPACK. Computed once."""
        if self._encoded is None:
            self._encoded = encode_all(self.fields)
        return self._encoded

    def lines(self) -> list[bytes]:
        """Return `fields` as lines of HTTP/1.1."""
        return [field.line() for field in self.fields]


def check_request(fields: Sequence[Field]) -> RequestHead:
    """Check the fields of a request's head together. Raises MalformedMessage."""
    head = RequestHead()
    host = b""
    pseudo = 0  # how many came; each at most once
    is_regular = False
    for field in fields:
        kind = field.kind
        head.size += field.size
        if kind == REGULAR:
            is_regular = True
            if field.name == b"content-type":
                head.content_type = field.value
            if field.is_secret:
                head.has_secret = True
            head.fields.append(field)
        elif kind == PSEUDO:
            if is_regular:
                raise MalformedMessage(f"{field.name.decode()} stands behind other fields")
            pseudo += 1
            _take_pseudo(head, field)
        else:
            is_regular = True
            if kind == MALFORMED:
                raise MalformedMessage(field.problem)
            if kind == HOST:
                if host:
                    raise MalformedMessage("it has more than one Host")
                host = field.value
                if not host:
                    raise MalformedMessage("its Host is empty")
            elif kind == CONTENT_LENGTH:
                head.content_length = _content_length(field, head.content_length)
            elif kind == TE:
                head.te_trailers = True
            elif kind == EXPECT:
                head.expect = field.value
            elif kind == MAX_FORWARDS:
                head.max_forwards = field
            elif kind == GRPC_TIMEOUT:
                head.grpc_timeout = field
            elif kind == COOKIE:
                head.has_secret = True
                head.fields.append(field)
    _check_target(head, host)
    return head


def _take_pseudo(head: RequestHead, field: Field) -> None:
    """Set the attribute of a pseudo-field. Raises MalformedMessage if it is there already, or of a response."""
    name, value = field.name, field.value
    before = b""
    if name == b":method":
        before, head.method = head.method, value
    elif name == b":path":
        before, head.path = head.path, value
    elif name == b":scheme":
        before, head.scheme = head.scheme, value
    elif name == b":authority":
        before, head.authority = head.authority, value
    else:
        raise MalformedMessage("a request has :status")
    if before:
        raise MalformedMessage(f"it has more than one {name.decode()}")
    if not value:
        raise MalformedMessage(f"its {name.decode()} is empty")


def _check_target(head: RequestHead, host: bytes) -> None:
    """Check method, scheme, path and authority together. Raises MalformedMessage."""
    if _METHOD(head.method) is None:
        raise MalformedMessage("its :method is missing, or holds a character that is not allowed in methods")
    authority = head.authority or host
    if not authority:
        raise MalformedMessage("it has no :authority")
    if _AUTHORITY(authority) is None:
        raise MalformedMessage("its :authority is not a host name or address")
    if host and host.lower() != authority.lower():
        raise MalformedMessage("its Host and its :authority differ")
    if head.method == b"CONNECT":
        if head.scheme or head.path or not head.authority:
            raise MalformedMessage("a CONNECT has other pseudo-fields than :method and :authority")
        return
    head.authority = authority
    if head.scheme != b"https" and head.scheme != b"http":  # noqa: PLR1714 - compiled, this needs no tuple
        raise MalformedMessage("its :scheme is missing, or neither http nor https")
    if _PATH(head.path) is None and (head.path != b"*" or head.method != b"OPTIONS"):
        raise MalformedMessage("its :path is missing, is no path, or holds a character that is not allowed there")


def check_response(fields: Sequence[Field]) -> ResponseHead:
    """Check the fields of a response's head together. Raises MalformedMessage with the status 502."""
    head = ResponseHead()
    is_regular = False
    for field in fields:
        kind = field.kind
        head.size += field.size
        if kind == PSEUDO:
            if field.name != b":status":
                raise MalformedMessage(f"a response has {field.name.decode()}", 502)
            if is_regular or head.status:
                raise MalformedMessage(":status stands behind other fields, or comes twice", 502)
            if _STATUS(field.value) is None:
                raise MalformedMessage("its :status is not a status", 502)
            head.status = int(field.value)
            continue
        is_regular = True
        if kind == MALFORMED:
            raise MalformedMessage(field.problem, 502)
        if kind == CONTENT_LENGTH:
            head.content_length = _content_length(field, head.content_length, 502)
        elif kind not in (TE, HOP_BY_HOP):
            if field.name == b"content-type":
                head.content_type = field.value
            if field.is_secret:
                head.has_secret = True
            head.fields.append(field)
    if not head.status:
        raise MalformedMessage("it has no :status", 502)
    if head.status == 101:
        raise MalformedMessage("HTTP/2 has no 101", 502)
    return head


def check_trailers(fields: Sequence[Field], status: int) -> list[Field]:
    """Return the trailers to pass on. Raises MalformedMessage with `status`."""
    kept: list[Field] = []
    for field in fields:
        problem = trailer_problem(field)
        if problem:
            raise MalformedMessage(problem, status)
        if not is_dropped_trailer(field):
            kept.append(field)
    return kept


def _content_length(field: Field, before: int, status: int = 400) -> int:
    if before >= 0:
        raise MalformedMessage("it has more than one Content-Length", status)
    if field.number < 0:
        raise MalformedMessage("its Content-Length is not a number", status)
    return field.number
