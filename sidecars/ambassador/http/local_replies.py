"""Responses that the ambassador generates itself: a status, a sentence, and Proxy-Status (RFC 9209). No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from sidecars.ambassador.http2 import grpc
from sidecars.ambassador.http2.encoder import encode_field
from sidecars.ambassador.http2.frames import ERROR_NAMES

# Every error type that a response of the ambassador, or its end, is counted by: those of RFC 9209 section 2.3, and one
# of our own, `grpc_needs_http2`: no registered type tells a wrong setting from a malformed response.
ERROR_TYPES: Final = (
    "connection_limit_reached",
    "connection_refused",
    "connection_terminated",
    "connection_timeout",
    "destination_ip_prohibited",
    "destination_ip_unroutable",
    "destination_not_found",
    "destination_unavailable",
    "dns_error",
    "grpc_needs_http2",
    "http_protocol_error",
    "http_request_denied",
    "http_request_error",
    "http_response_header_section_size",
    "http_response_incomplete",
    "http_response_timeout",
    "http_upgrade_failed",
    "proxy_configuration_error",
    "proxy_internal_error",
    "tls_alert_received",
    "tls_certificate_error",
    "tls_protocol_error",
)
_TOO_LARGE: Final = "http_response_header_section_size"
_ALLOWED = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Cause:
    """The cause of a failed attempt.

    - `error_type`: the proxy error type of RFC 9209 section 2.3.
    - `status`: the status for the app.
    - `text`: a clause for people.
    - `own_fault`: True if this process or its node is at fault, so that the endpoint is not blamed.
    - `unprocessed`: True if the endpoint has provably not begun to process the request.
    - `reset_code`: the error code of RFC 9113 section 7 for a stream whose response has begun; INTERNAL_ERROR.
    - `retry_after`: seconds after which the app may try again; 0: nothing is said about that.
    """

    error_type: str
    status: int
    text: str
    own_fault: bool = False
    unprocessed: bool = False
    reset_code: int = 2
    retry_after: int = 0


CONNECTION_REFUSED = Cause("connection_refused", 502, "the connection was refused")
ADDRESS_UNREACHABLE = Cause("destination_ip_unroutable", 502, "the address cannot be reached")
CONNECT_TIMEOUT = Cause("connection_timeout", 504, "the connection did not open in time")
CONNECTION_CLOSED = Cause("connection_terminated", 502, "the connection was closed before a response came")
RESPONSE_TIMEOUT = Cause("http_response_timeout", 504, "no response came in time")
NO_ADDRESS = Cause("dns_error", 503, "the upstream has no address")
NO_ADDRESS_IN_TIME = Cause("dns_error", 504, "DNS has not given the upstream an address in time")
NO_DESCRIPTORS = Cause(
    "connection_limit_reached", 503, "this process may not open more files and connections", own_fault=True
)
NO_MEMORY = Cause("connection_limit_reached", 503, "the kernel has no memory for another connection", own_fault=True)
NO_PORTS = Cause("connection_limit_reached", 503, "no local port is free for another connection", own_fault=True)
NO_BUFFER = Cause(
    "connection_limit_reached", 503, "the buffered bytes of all connections take too much memory", own_fault=True
)
DEFECT = Cause("proxy_internal_error", 500, "a defect of the ambassador, which its log describes", own_fault=True)
NO_HTTP2 = Cause("tls_protocol_error", 502, "the endpoint does not select HTTP/2 (PROTOCOL=http2)")
NO_UPGRADE = Cause(
    "http_upgrade_failed",
    501,
    "h2c:// cannot switch to another protocol, such as WebSocket: use http://",
    own_fault=True,
)
TOO_MANY_CONNECTIONS = Cause("connection_limit_reached", 503, "too many connections are open (MAX_CONNECTIONS)")
NEEDS_HTTP2 = Cause(
    "grpc_needs_http2", 501, "gRPC needs an upstream with HTTP/2: set an h2c:// or https:// UPSTREAM", own_fault=True
)
DEADLINE = Cause("http_response_timeout", 504, "the deadline of the app has passed", own_fault=True)
TOO_OLD = Cause("connection_terminated", 503, "the stream has reached MAX_STREAM_AGE", own_fault=True)
MOVED = Cause("connection_terminated", 503, "the endpoint of the stream is no longer in DNS", own_fault=True)
NO_ROUTE = Cause("destination_not_found", 404, "no upstream of this port has a route for the request")
TOO_MANY_PENDING = Cause(
    "connection_limit_reached", 503, "too many requests wait for a connection to open (MAX_PENDING)"
)
QUEUE_FULL = Cause(
    "connection_limit_reached",
    503,
    "too many requests are under way (MAX_REQUESTS or ADAPTIVE_CONCURRENCY), and the queue is full",
    retry_after=1,
)
QUEUED_TOO_LONG = Cause(
    "connection_limit_reached", 503, "the request has waited for QUEUE_TIMEOUT: too many are under way", retry_after=1
)


def beyond_rate(seconds: int) -> Cause:
    """Return the cause for a request beyond RATE_LIMIT, when the next one may come after so many seconds."""
    return Cause("http_request_denied", 429, "there are more requests than RATE_LIMIT allows", retry_after=seconds)


def malformed_response(reason: str) -> Cause:
    """Return the cause for a response that is rejected. `reason` continues "the response is malformed:"."""
    return Cause("http_protocol_error", 502, f"the response is malformed: {reason}")


def path_refused(reason: str) -> Cause:
    """Return the cause for a request whose path decides nothing (`routing.path_reading`)."""
    return Cause("http_request_error", 400, reason)


def head_too_large(limit: int) -> Cause:
    """Return the cause for a response whose head is larger than `limit` bytes."""
    return Cause(_TOO_LARGE, 502, f"the head of the response is larger than {limit} bytes")


def fields_too_large(reason: str) -> Cause:
    """Return the cause for a response of HTTP/2 whose fields are larger than the limits. `reason` says which."""
    return Cause(_TOO_LARGE, 502, f"the response is too large: {reason}")


def reset_by_endpoint(code: int, *, is_unprocessed: bool) -> Cause:
    """Return the cause for a stream of HTTP/2 that the endpoint has reset with this error code."""
    name = ERROR_NAMES[code] if code < len(ERROR_NAMES) else f"{code:#x}"
    return Cause(
        "connection_terminated", 502, f"it reset the stream ({name})", unprocessed=is_unprocessed, reset_code=code
    )


def unwanted_status(status: int) -> Cause:
    """Return the cause for a response that was dropped because its status called for a retry."""
    return Cause("http_request_error", status, f"it responded with {status}")


def unwanted_call_status(status: int) -> Cause:
    """Return the cause for the response to a call that was dropped because its status called for a retry."""
    return Cause("http_request_error", 503, f"it responded with the status {status} ({grpc.STATUS_NAMES[status]})")


def call_status(cause: Cause) -> int:
    """Return the status of gRPC with which a reply to a call is sent.

    Fields that are too large will be so again: UNAVAILABLE would let clients try again. gRPC's own C core has the same
    status for metadata beyond its limit.
    """
    if cause.error_type == _TOO_LARGE:
        return grpc.RESOURCE_EXHAUSTED
    return grpc.status_of_reply(cause.status, deadline=cause is DEADLINE)


def call_status_of_end(cause: Cause) -> int:
    """Return the status of gRPC with which the response to a call breaks off."""
    if cause.error_type == _TOO_LARGE:
        return grpc.RESOURCE_EXHAUSTED
    return grpc.DEADLINE_EXCEEDED if cause is DEADLINE else grpc.UNAVAILABLE


def call_trailers(cause: Cause) -> bytes:
    """Return the trailers of a response to a call that breaks off, as a block of HPACK.

    A reset would be INTERNAL or CANCELLED for the app, which then neither tries again nor connects anew.
    """
    fields = grpc.trailers(call_status_of_end(cause), f"ambassador: {cause.text}")
    return b"".join([encode_field(name, value) for name, value in fields])


def failure_reply(
    cause: Cause, upstream: str, attempts: Sequence[tuple[str, Cause]], *, head_only: bool, close: bool
) -> bytes:
    """Return the response for a request that could not be served.

    `attempts` are the endpoints that were tried and the cause of each failure, in order.
    """
    more = f"Proxy-Status: {_proxy_status(cause, upstream, attempts)}\r\n"
    if cause.retry_after:
        more += f"Retry-After: {cause.retry_after}\r\n"
    return _response(cause.status, _story(cause, upstream, attempts), more, head_only=head_only, close=close)


def _proxy_status(cause: Cause, upstream: str, attempts: Sequence[tuple[str, Cause]]) -> str:
    story = "; ".join(f"{number}. {endpoint}: {each.text}" for number, (endpoint, each) in enumerate(attempts, 1))
    details = f"{cause.text}, upstream {upstream}" + (f", attempts: {story}" if attempts else "")
    next_hop = f"; next-hop={_quoted(attempts[-1][0])}" if attempts else ""
    return f"ambassador; error={cause.error_type}{next_hop}; details={_quoted(details)}"


def _story(cause: Cause, upstream: str, attempts: Sequence[tuple[str, Cause]]) -> str:
    lines = [f"ambassador: {cause.text}", f"upstream: {upstream}"]
    lines += [f"attempt {number}: {endpoint}: {each.text}" for number, (endpoint, each) in enumerate(attempts, 1)]
    return "\n".join(lines) + "\n"


def rejection_reply(status: int, reason: str) -> bytes:
    """Return the response to a request that is rejected; the connection closes after it."""
    more = f"Proxy-Status: {_rejection_status(status, reason)}\r\n"
    if status == 405:
        more += f"Allow: {_ALLOWED}\r\n"
    return _response(status, f"ambassador: {reason}\n", more, head_only=False, close=True)


def _rejection_status(status: int, reason: str) -> str:
    error = "http_request_denied" if status in (421, 405, 501) else "http_request_error"
    if status == DEFECT.status:
        error = DEFECT.error_type
    return f"ambassador; error={error}; details={_quoted(reason)}"


# -- in HTTP/2 --------------------------------------------------------------------------------------------------------


def http2_failure(
    cause: Cause, upstream: str, attempts: Sequence[tuple[str, Cause]], *, is_grpc: bool
) -> tuple[bytes, bytes]:
    """Return the same as `failure_reply` as a block of HPACK, and the body behind it; b"" if the block is all."""
    proxy_status = _proxy_status(cause, upstream, attempts)
    if is_grpc:
        return _call_response(call_status(cause), cause.text, proxy_status, cause.retry_after), b""
    return _http2_response(cause.status, _story(cause, upstream, attempts), proxy_status, cause.retry_after)


def http2_rejection(status: int, reason: str, *, is_grpc: bool) -> tuple[bytes, bytes]:
    """Return the same as `rejection_reply` as a block of HPACK, and the body behind it; b"" if the block is all."""
    proxy_status = _rejection_status(status, reason)
    if is_grpc:
        return _call_response(grpc.status_of_reply(status), reason, proxy_status), b""
    return _http2_response(status, f"ambassador: {reason}\n", proxy_status)


def _call_response(status: int, reason: str, proxy_status: str, retry_after: int = 0) -> bytes:
    """Return the only head of a response to a call of gRPC (Trailers-Only) as a block of HPACK."""
    more = [(b"proxy-status", proxy_status.encode("ascii", "replace"))]
    if retry_after:
        more.append((b"grpc-retry-pushback-ms", b"%d" % (retry_after * 1000)))  # gRFC A6
    fields = grpc.trailers_only(status, f"ambassador: {reason}", more)
    return b"".join([encode_field(name, value) for name, value in fields])


def _http2_response(status: int, text: str, proxy_status: str, retry_after: int = 0) -> tuple[bytes, bytes]:
    fields = [(b":status", b"%d" % status), (b"proxy-status", proxy_status.encode("ascii", "replace"))]
    body = b""
    if retry_after:
        fields.append((b"retry-after", b"%d" % retry_after))
    if status == 405:
        fields.append((b"allow", _ALLOWED.encode()))
    if status != 204:
        body = text.encode("ascii", "replace")
        fields += [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    return b"".join([encode_field(name, value) for name, value in fields]), body


def _response(status: int, text: str, more: str, *, head_only: bool, close: bool) -> bytes:
    body = b"" if status == 204 else text.encode("ascii", "replace")
    head = f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n{more}"
    if body:
        head += f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
    head += "Connection: close\r\n\r\n" if close else "\r\n"
    return head.encode("ascii", "replace") + (b"" if head_only else body)


def _quoted(text: str) -> str:
    """Return the text as an sf-string (RFC 8941 section 3.3.3)."""
    shown = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'
