"""Requests that came in HTTP/2: from the checked head of `http2.heads` to a `Request`. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.http.head_rules import CHUNKED, MessageRejected
from sidecars.ambassador.http.hpack_lines import encode_secrets, encode_start
from sidecars.ambassador.http.messages import Request
from sidecars.ambassador.http.request_head import BODY_IS_UNUSUAL, SAFE, CombinedEdits, is_repeatable, next_max_forwards
from sidecars.ambassador.http.request_line import NOT_FORWARDED, rejected_method
from sidecars.ambassador.http2 import grpc
from sidecars.ambassador.http2.encoder import encode_field
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.http2.heads import RequestHead

_SENDS_A_BODY: Final = frozenset({b"POST", b"PUT", b"PATCH"})  # RFC 9110 section 8.6: with the length 0, too
_VIA: Final = encode_field(b"via", b"2.0 ambassador")
_TE: Final = encode_field(b"te", b"trailers")
_EXPECT: Final = encode_field(b"expect", b"100-continue")


_MOST_STARTS: Final = 4  # endpoints by their authorities: the starts of a head's blocks that are kept
_LONGEST_START: Final = 512  # bytes


class _Derived:
    """Facts that follow from a head. The head has them, so that equal heads are judged once."""

    __slots__ = ("content_length", "is_grpc", "is_idempotent", "path", "starts")

    def __init__(self, head: RequestHead) -> None:
        self.path = head.path
        self.content_length = head.content_length
        self.is_grpc = bool(head.content_type) and grpc.is_grpc(head.content_type)
        self.is_idempotent = head.method in SAFE or is_repeatable(head.method, _repetition(head.fields))
        self.starts: dict[bytes, bytes] = {}  # of blocks, by the origin to which they are sent


class Http2Request(Request):
    """A request that came in HTTP/2."""

    protocol = "HTTP/2"
    _taken: Sequence[tuple[bytes, bytes]] = ()

    def __init__(self, head: RequestHead, edits: CombinedEdits, length: int) -> None:
        """`length` of the body in bytes, CHUNKED if it is not known. Raises MessageRejected."""
        method = head.method
        if method in NOT_FORWARDED:
            raise rejected_method(method)
        self.method = method
        self.target = head.path
        self.host = head.authority
        self.minor = 1
        self._announced = head.content_length
        self._edits = edits
        self._te = head.te_trailers
        self._max_forwards: Field | None = head.max_forwards
        if self._max_forwards is not None:
            value = next_max_forwards(method, self._max_forwards.value)
            self._max_forwards = Field(b"max-forwards", value)
        derived = self._derived = _derived(head)
        self.idempotent = derived.is_idempotent
        if derived.is_grpc:
            self.is_grpc = True
        self._timeout: Field | None = head.grpc_timeout
        if self._timeout is not None:
            if self._timeout.name in edits.removed:
                self._timeout = None
            else:
                self.grpc_timeout = self._timeout.value
        if method == b"HEAD":
            self.is_head = True
        if head.expect and head.expect.lower() != b"100-continue":
            raise MessageRejected(417, "the request has an Expect that is not 100-continue")
        if length:
            self.length = length
            self.body_is_unusual = method in BODY_IS_UNUSUAL
            self.expects_continue = bool(head.expect)
        self._head = _without(head, edits.removed) if edits.removed else head
        if edits.taken:
            self._taken = [(field.name, field.value) for field in head.fields if field.name in edits.taken]

    def head(self, authority: bytes, credentials: bytes = b"") -> bytes:
        more = b""
        if self._te:
            more = b"Connection: TE\r\nTE: trailers\r\n"
        if self._max_forwards is not None:
            more += self._max_forwards.line()
        if self._timeout is not None:
            more += self._timeout.line()
        if self.length == CHUNKED:
            more += b"Transfer-Encoding: chunked\r\n"
        elif self.length or self._announced == 0 or self.method in _SENDS_A_BODY:
            more += b"Content-Length: %d\r\n" % self.length
        if self.expects_continue:
            more += b"Expect: 100-continue\r\n"
        for line in self._edits.added:
            more += line
        return b"%b %b HTTP/1.1\r\nHost: %b%b\r\n%b%bVia: 2.0 ambassador\r\n\r\n" % (
            self.method,
            self.target,
            authority,
            credentials,
            self._head.lines(),
            more,
        )

    def block(self, scheme: bytes, authority: bytes, credentials: bytes = b"") -> bytes:
        parts = [self._start(scheme, authority)]
        if credentials:
            parts.append(encode_secrets(credentials))
        if self._max_forwards is not None:
            parts.append(self._max_forwards.encoded())
        if self.attempt_fields:
            parts.append(self.attempt_fields)
        elif self._timeout is not None:
            parts.append(self._timeout.encoded())
        if self.expects_continue:
            parts.append(_EXPECT)
        if self._edits.added:
            parts.append(self._edits.block)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _start(self, scheme: bytes, authority: bytes) -> bytes:
        """Return the part of the block that depends on the head and on the origin alone."""
        derived = self._derived
        length = self._announced
        is_shared = not self._edits.removed and self.target is derived.path and length == derived.content_length
        origin = authority if scheme == b"http" else b"%b://%b" % (scheme, authority)
        if is_shared:
            known = derived.starts.get(origin)
            if known is not None:
                return known
        start = b"".join(
            (
                encode_start(self.method, scheme, authority, self.target),
                self._head.encoded(),
                _TE if self._te else b"",
                encode_field(b"content-length", b"%d" % length) if length >= 0 else b"",
                _VIA,
            )
        )
        if is_shared and len(derived.starts) < _MOST_STARTS and len(start) <= _LONGEST_START:
            derived.starts[origin] = start
        return start

    def announce(self, length: int) -> None:
        self.length = self._announced = length

    def lines(self) -> bytes:
        return b"\r\n%b%b" % (self._head.lines(), b"".join(self._edits.added))

    def value(self, name: bytes) -> bytes:
        for field in self._head.fields:
            if field.name == name:
                return field.value
        return b""

    def taken(self) -> Sequence[tuple[bytes, bytes]]:
        return self._taken


def length_of(head: RequestHead, pieces: Sequence[bytes], trailers: Sequence[Field], *, end: bool) -> int:
    """Return the length of a request's body in bytes, or CHUNKED; `end` is True if these pieces are all of it.

    A body that may have trailers has no length: HTTP/1.1 sends trailers behind chunks alone. Either some have come, or
    the head has `Trailer`.
    """
    if end and not trailers:
        size = 0
        for piece in pieces:
            size += len(piece)
        return size  # known, though nobody had to announce it
    if head.content_length <= 0 or trailers:
        return CHUNKED
    for field in head.fields:
        if field.name == b"trailer":
            return CHUNKED
    return head.content_length


def _derived(head: RequestHead) -> _Derived:
    known = head.derived
    if isinstance(known, _Derived):
        return known
    derived = _Derived(head)
    head.derived = derived
    return derived


def _repetition(fields: Sequence[Field]) -> list[tuple[bytes, bytes]]:
    """Return the fields that `request_head.is_repeatable` asks for: preconditions as (b"", value), and keys."""
    found: list[tuple[bytes, bytes]] = []
    for field in fields:
        name = field.name
        if name == b"idempotency-key":
            found.append((name, field.value))
        elif name.startswith(b"if") and (name == b"if" or name.startswith(b"if-")):
            found.append((b"", field.value))
    return found


def _without(head: RequestHead, names: frozenset[bytes]) -> RequestHead:
    """Return a head that has only the fields to pass on, without those of these names."""
    kept = RequestHead()
    kept.fields = [field for field in head.fields if field.name not in names]
    return kept
