"""Responses that the ambassador generates itself: a status, a sentence, and Proxy-Status (RFC 9209). No I/O."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

# Every error type that a response of the ambassador, or its end, is counted by (RFC 9209 section 2.3).
ERROR_TYPES: Final = (
    "connection_limit_reached",
    "connection_refused",
    "connection_terminated",
    "connection_timeout",
    "destination_ip_unroutable",
    "dns_error",
    "http_protocol_error",
    "http_request_error",
    "http_response_header_section_size",
    "http_response_incomplete",
    "http_response_timeout",
    "proxy_internal_error",
    "tls_alert_received",
    "tls_certificate_error",
    "tls_protocol_error",
)
_HTTP_1_1_REQUIRED = 0xD  # an error code of RFC 9113 section 7
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Cause:
    """The cause of a failed attempt.

    - `error_type`: the proxy error type of RFC 9209 section 2.3.
    - `status`: the status for the app.
    - `text`: a clause for people.
    - `own_fault`: True if this process or its node is at fault, so that the endpoint is not blamed.
    """

    error_type: str
    status: int
    text: str
    own_fault: bool = False


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
TOO_MANY_CONNECTIONS = Cause("connection_limit_reached", 503, "too many connections are open")
TOO_MANY_PENDING = Cause("connection_limit_reached", 503, "too many requests wait for a connection to open")


def malformed_response(reason: str) -> Cause:
    """Return the cause for a response that is rejected. `reason` continues "the response is malformed:"."""
    return Cause("http_protocol_error", 502, f"the response is malformed: {reason}")


def head_too_large(limit: int) -> Cause:
    """Return the cause for a response whose head is larger than `limit` bytes."""
    return Cause("http_response_header_section_size", 502, f"the head of the response is larger than {limit} bytes")


def unwanted_status(status: int) -> Cause:
    """Return the cause for a response that was dropped because its status called for a retry."""
    return Cause("http_request_error", status, f"it responded with {status}")


def failure_reply(
    cause: Cause, upstream: str, attempts: Sequence[tuple[str, Cause]], *, head_only: bool, close: bool
) -> bytes:
    """Return the response for a request that could not be served.

    `attempts` are the endpoints that were tried and the cause of each failure, in order.
    """
    story = "; ".join(f"{number}. {endpoint}: {each.text}" for number, (endpoint, each) in enumerate(attempts, 1))
    details = f"{cause.text}, upstream {upstream}" + (f", attempts: {story}" if attempts else "")
    next_hop = f"; next-hop={_quoted(attempts[-1][0])}" if attempts else ""
    status = f"Proxy-Status: ambassador; error={cause.error_type}{next_hop}; details={_quoted(details)}\r\n"
    lines = [f"ambassador: {cause.text}", f"upstream: {upstream}"]
    lines += [f"attempt {number}: {endpoint}: {each.text}" for number, (endpoint, each) in enumerate(attempts, 1)]
    return _response(cause.status, "\n".join(lines) + "\n", status, head_only=head_only, close=close)


def rejection_reply(status: int, reason: str) -> bytes:
    """Return the response to a request that is rejected; the connection closes after it."""
    error = "http_request_denied" if status in (421, 405, 501) else "http_request_error"
    if status == DEFECT.status:
        error = DEFECT.error_type
    more = f"Proxy-Status: ambassador; error={error}; details={_quoted(reason)}\r\n"
    if status == 405:
        more += "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
    return _response(status, f"ambassador: {reason}\n", more, head_only=False, close=True)


def http2_goaway(reason: str) -> bytes:
    """Return SETTINGS and GOAWAY for a connection that began with HTTP/2's preface (RFC 9113 section 6.8)."""
    payload = struct.pack(">II", 0, _HTTP_1_1_REQUIRED) + reason.encode("ascii", "replace")
    return b"\0\0\0\x04\0\0\0\0\0" + len(payload).to_bytes(3, "big") + b"\x07\0\0\0\0\0" + payload


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
