"""Spans as OTLP has them, in protobuf, and the names of their attributes. No I/O.

Messages: https://github.com/open-telemetry/opentelemetry-proto (trace/v1). Attributes: OpenTelemetry's semantic
conventions for HTTP (stable) and for RPC. A query string is nowhere, nor is a header field but User-Agent and the
request's id. Texts of peers are cut to 256 characters, paths to 1,024.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.http2.grpc import STATUS_NAMES
from sidecars.ambassador.proxy.observed.trace_context import TraceContext
from sidecars.chassis.protobuf import VARINT, string_field

SERVER: Final = 2
CLIENT: Final = 3
_ERROR: Final = b"\x7a\x02\x18\x02"  # status: STATUS_CODE_ERROR
_LONGEST_TEXT: Final = 256
_LONGEST_PATH: Final = 1024
_TIMES: Final = struct.Struct("<BQBQ")
_TIME: Final = struct.Struct("<BQ")
_FLAGS: Final = struct.Struct("<BBI")
_KNOWS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200
_METHODS: Final = frozenset(
    {b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"QUERY"}
)
OTHER_METHOD: Final = b"_OTHER"
CALL_STATUSES: Final = tuple([name.upper().replace("-", "_").encode() for name in STATUS_NAMES])
SERVER_ERRORS: Final = frozenset({2, 4, 12, 13, 14, 15})  # statuses of gRPC that blame the server


def key(name: str) -> bytes:
    """Return the name of an attribute, encoded for `text_attribute` and `number_attribute`."""
    return string_field(1, name)


METHOD: Final = key("http.request.method")
ORIGINAL_METHOD: Final = key("http.request.method_original")
STATUS: Final = key("http.response.status_code")
RESEND_COUNT: Final = key("http.request.resend_count")
REQUEST_SIZE: Final = key("http.request.body.size")
RESPONSE_SIZE: Final = key("http.response.body.size")
PATH: Final = key("url.path")
SCHEME: Final = key("url.scheme")
FULL_URL: Final = key("url.full")
SERVER_ADDRESS: Final = key("server.address")
SERVER_PORT: Final = key("server.port")
PEER_ADDRESS: Final = key("network.peer.address")
PEER_PORT: Final = key("network.peer.port")
CLIENT_ADDRESS: Final = key("client.address")
VERSION: Final = key("network.protocol.version")
USER_AGENT: Final = key("user_agent.original")
ERROR_TYPE: Final = key("error.type")
RPC_SYSTEM: Final = key("rpc.system.name")
RPC_METHOD: Final = key("rpc.method")
RPC_STATUS: Final = key("rpc.response.status_code")
UPSTREAM: Final = key("ambassador.upstream")
REQUEST_ID: Final = key("ambassador.request_id")
_REASON: Final = key("ambassador.reason")


def text_attribute(name: bytes, value: bytes, longest: int = _LONGEST_TEXT) -> bytes:
    """Return an attribute of a span whose value is a text. Bytes that are not UTF-8 are replaced."""
    return b"\x4a" + _message(name + b"\x12" + _message(_text(value, longest)))


def number_attribute(name: bytes, value: int) -> bytes:
    """Return an attribute of a span whose value is a number, which is not negative."""
    return b"\x4a" + _message(name + b"\x12" + _message(b"\x18" + VARINT[value]))


def path_attribute(target: bytes) -> bytes:
    """Return `url.path`: the request's target without its query."""
    return text_attribute(PATH, target.partition(b"?")[0], _LONGEST_PATH)


def url_attribute(scheme: bytes, authority: bytes, target: bytes) -> bytes:
    """Return `url.full`, without the query."""
    path = target.partition(b"?")[0]
    return text_attribute(FULL_URL, b"%b://%b%b" % (scheme, authority, path), _LONGEST_PATH)


def method_attributes(method: bytes) -> bytes:
    """Return the method, or `_OTHER` for one that no RFC knows: there must be few of them."""
    if method in _METHODS:
        return text_attribute(METHOD, method)
    return text_attribute(METHOD, OTHER_METHOD) + text_attribute(ORIGINAL_METHOD, method)


def span_name(method: bytes) -> bytes:
    return method if method in _METHODS else b"HTTP"


def address_attributes(name: bytes, port_name: bytes, authority: bytes) -> bytes:
    """Return the host and, if there is one, the port of an authority: `orders:8080`, `[::1]:8080`, `orders`."""
    host, colon, port = authority.rpartition(b":")
    if not colon or b"]" in port:
        host, port = authority, b""
    found = text_attribute(name, host.strip(b"[]"))
    return found + number_attribute(port_name, int(port)) if port.isdigit() and len(port) <= 5 else found


def event(at: int, name: str, reason: bytes, peer: bytes) -> bytes:
    """Return an event of a span, at this time in nanoseconds since 1970."""
    attributes = _event_attribute(_REASON, reason) + _event_attribute(PEER_ADDRESS, peer)
    return b"\x5a" + _message(_TIME.pack(0x09, at) + string_field(2, name) + attributes)


def _event_attribute(name: bytes, value: bytes) -> bytes:
    return b"\x1a" + _message(name + b"\x12" + _message(_text(value, _LONGEST_TEXT)))


class Span:
    """A span: its kind, its name and its place in a trace. Ids are hexadecimal; `parent_id` is b"" without one."""

    __slots__ = ("context", "kind", "name", "parent_id", "span_id")

    def __init__(self, kind: int, name: bytes, context: TraceContext, span_id: bytes, parent_id: bytes) -> None:
        self.kind = kind
        self.name = name
        self.context = context
        self.span_id = span_id
        self.parent_id = parent_id

    def encode(self, started: int, ended: int, parts: Sequence[bytes], *, failed: bool) -> bytes:
        """Return the span as a field of ScopeSpans.

        - `started` and `ended`: nanoseconds since 1970.
        - `parts`: encoded attributes and events.
        - `failed`: True if its status is an error.
        """
        context = self.context
        flags = context.flags | _KNOWS_REMOTE
        found = [b"\x0a\x10", bytes.fromhex(context.trace_id.decode()), b"\x12\x08"]
        found.append(bytes.fromhex(self.span_id.decode()))
        if context.state:
            found.append(b"\x1a" + _message(context.state))
        if self.parent_id:
            found += [b"\x22\x08", bytes.fromhex(self.parent_id.decode())]
            if self.kind == SERVER:
                flags |= _IS_REMOTE
        found += [b"\x2a" + _message(_utf8(self.name, _LONGEST_TEXT)), b"\x30" + VARINT[self.kind]]
        found.append(_TIMES.pack(0x39, started, 0x41, max(started, ended)))
        found += parts
        if failed:
            found.append(_ERROR)
        found.append(_FLAGS.pack(0x85, 0x01, flags))  # field 16, fixed32
        return b"\x12" + _message(b"".join(found))


def _message(content: bytes) -> bytes:
    return VARINT[len(content)] + content


def _text(value: bytes, longest: int) -> bytes:
    return b"\x0a" + _message(_utf8(value, longest))


def _utf8(value: bytes, longest: int) -> bytes:
    if len(value) > longest:
        value = value[:longest]
    return value if value.isascii() else value.decode("utf-8", "replace").encode()


def request(resource: bytes, scope: bytes, batch: Sequence[bytes]) -> list[bytes]:
    """Return an ExportTraceServiceRequest in blocks: the encoded attributes of the resource, the scope, and spans."""
    size = len(scope) + sum(map(len, batch))
    scope_spans = b"\x12" + VARINT[size]
    whole = len(resource) + len(scope_spans) + size
    return [b"\x0a" + VARINT[whole] + resource + scope_spans + scope, *batch]
