"""gRPC's rules for a proxy: deadlines, statuses, messages, outcomes, retries and health checks. No I/O.

The sources are in the repository grpc/grpc: `doc/PROTOCOL-HTTP2.md` (the wire), `doc/http-grpc-status-mapping.md`
(the status of a response without one), `doc/health-checking.md`; and in grpc/proposal: A6 (retries), A17
(health checks).

A call is a POST with a Content-Type of `application/grpc` or `application/grpc+…`. Its response has one of two forms:

    head, messages, trailers with grpc-status      the usual one
    one head with grpc-status that ends the stream  Trailers-Only: an error before any message; our own replies have it

Messages are opaque: nothing here looks into the bodies of calls, only into those of our own health checks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from sidecars.ambassador.http2.fields import Field

OK: Final = 0
CANCELLED: Final = 1
UNKNOWN: Final = 2
INVALID_ARGUMENT: Final = 3
DEADLINE_EXCEEDED: Final = 4
NOT_FOUND: Final = 5
ALREADY_EXISTS: Final = 6
PERMISSION_DENIED: Final = 7
RESOURCE_EXHAUSTED: Final = 8
FAILED_PRECONDITION: Final = 9
ABORTED: Final = 10
OUT_OF_RANGE: Final = 11
UNIMPLEMENTED: Final = 12
INTERNAL: Final = 13
UNAVAILABLE: Final = 14
DATA_LOSS: Final = 15
UNAUTHENTICATED: Final = 16

STATUS_NAMES: Final = (
    "ok",
    "cancelled",
    "unknown",
    "invalid-argument",
    "deadline-exceeded",
    "not-found",
    "already-exists",
    "permission-denied",
    "resource-exhausted",
    "failed-precondition",
    "aborted",
    "out-of-range",
    "unimplemented",
    "internal",
    "unavailable",
    "data-loss",
    "unauthenticated",
)
"""The names of the statuses 0 to 16, as settings and documents have them."""

_STATUS_OF_TEXT: Final = {str(status).encode(): status for status in range(len(STATUS_NAMES))}


# -- which requests are calls -----------------------------------------------------------------------------------------

_CALL: Final = re.compile(rb"application/grpc(?:\+[^;]*)?[ \t]*(?:;.*)?", re.IGNORECASE | re.DOTALL).fullmatch


def is_grpc(content_type: bytes) -> bool:
    """Return True for the Content-Type of a call. gRPC-Web has another form of response, so it is none."""
    return len(content_type) >= 16 and _CALL(content_type) is not None


# -- deadlines --------------------------------------------------------------------------------------------------------

_SECONDS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_TIMEOUT: Final = re.compile(rb"([0-9]{1,8})([HMSmun])").fullmatch
_MOST: Final = 99_999_999  # a TimeoutValue has at most eight digits
_LARGER: Final = ((b"m", 1e-3), (b"S", 1.0), (b"M", 60.0), (b"H", 3600.0))
NEAR_DEADLINE: Final = 0.95  # the share of its time after which a client that cancels has given the endpoint up


def parse_timeout(value: bytes) -> float | None:
    """Return the seconds of a `grpc-timeout`, or None if it is malformed: then the call has no deadline here."""
    found = _TIMEOUT(value)
    if found is None:
        return None
    return int(found[1]) * _SECONDS[found[2]]


def format_timeout(seconds: float) -> bytes:
    """Return the `grpc-timeout` for an attempt that has so many seconds left: rounded down, at least a millisecond."""
    for unit, size in _LARGER:
        count = int(seconds / size + 1e-6)  # 0.3 / 0.001 is a little less than 300
        if count <= _MOST:
            return b"%d%b" % (max(count, 1), unit)
    return b"%dH" % _MOST


def is_timeout(waited: float, timeout: float) -> bool:
    """Return True if a client that cancelled after `waited` seconds did so since its time was over.

    Clients cancel at their deadline, and often win the race against the proxy: the endpoint was too slow, nobody left.
    """
    return waited >= timeout * NEAR_DEADLINE


# -- statuses and messages --------------------------------------------------------------------------------------------


def parse_status(value: bytes) -> int:
    """Return the status of a `grpc-status`; one that is not known counts as UNKNOWN."""
    return _STATUS_OF_TEXT.get(value, UNKNOWN)


_ESCAPED: Final = re.compile(rb"[^ -$&-~]").sub  # all but printable ASCII, and the percent sign
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})").sub


def escape_message(text: str) -> bytes:
    """Return a sentence as the value of `grpc-message`: UTF-8, percent-encoded."""
    return _ESCAPED(lambda found: b"%%%02X" % found[0][0], text.encode("utf-8", "replace"))


def unescape_message(value: bytes) -> str:
    """Return the text of a `grpc-message`. A malformed escape stays as it is: the value must never be an error."""
    return _ESCAPE(lambda found: bytes((int(found[1], 16),)), value).decode("utf-8", "replace")


_OF_REPLY: Final = {
    400: INTERNAL,
    401: UNAUTHENTICATED,
    403: PERMISSION_DENIED,
    404: UNIMPLEMENTED,
    405: UNIMPLEMENTED,
    413: RESOURCE_EXHAUSTED,
    417: UNIMPLEMENTED,
    421: PERMISSION_DENIED,
    429: RESOURCE_EXHAUSTED,
    431: RESOURCE_EXHAUSTED,
    500: INTERNAL,
    501: UNIMPLEMENTED,
}


def status_of_reply(status: int, *, deadline: bool = False) -> int:
    """Return the status of a call that a local reply ends, whose HTTP status would be `status`.

    `deadline` is True if the call's own deadline has passed. Another time-out is the upstream's fault: UNAVAILABLE, so
    that clients try again.
    """
    return DEADLINE_EXCEEDED if deadline else _OF_REPLY.get(status, UNAVAILABLE)


_OF_HTTP: Final = {
    400: INTERNAL,
    401: UNAUTHENTICATED,
    403: PERMISSION_DENIED,
    404: UNIMPLEMENTED,
    429: UNAVAILABLE,
    502: UNAVAILABLE,
    503: UNAVAILABLE,
    504: UNAVAILABLE,
}


def status_of_http(status: int) -> int:
    """Return the status that clients derive from an HTTP status alone: for metrics, since the response passes."""
    return _OF_HTTP.get(status, UNKNOWN)


_OF_RESET: Final = {0x7: UNAVAILABLE, 0x8: CANCELLED, 0xB: RESOURCE_EXHAUSTED, 0xC: PERMISSION_DENIED}


def status_of_reset(code: int) -> int:
    """Return the status that clients derive from RST_STREAM with this code."""
    return _OF_RESET.get(code, INTERNAL)


# -- the outcome, as a judgement of the endpoint ----------------------------------------------------------------------

_CLASSES: Final = {
    UNKNOWN: 500,
    DEADLINE_EXCEEDED: 504,
    RESOURCE_EXHAUSTED: 429,
    UNIMPLEMENTED: 501,
    INTERNAL: 500,
    UNAVAILABLE: 503,
    DATA_LOSS: 500,
}


def outcome_class(status: int) -> int:
    """Return the HTTP status that tells the balancer the same of the endpoint; 200 if it is about the caller."""
    return _CLASSES.get(status, 200)


# -- retries ----------------------------------------------------------------------------------------------------------

UNSET: Final = -1.0  # a pushback that was not sent
NEVER: Final = -2.0
_PUSHBACK: Final = re.compile(rb"[0-9]{1,9}").fullmatch


def pushback(value: bytes) -> float:
    """Return the seconds of a `grpc-retry-pushback-ms` after which to try again, or NEVER (gRFC A6).

    A value that is negative or not a number forbids it.
    """
    return int(value) / 1000.0 if _PUSHBACK(value) else NEVER


class MethodPatterns:
    """The methods of GRPC_IDEMPOTENT: paths such as `/shop.v1.Orders/Get*`.

    A `*` stands for any characters of the service or of the method, but never for both.
    """

    __slots__ = ("_matches",)

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        parts = ["[^/]*".join(re.escape(part) for part in pattern.split("*")) for pattern in patterns]
        self._matches = re.compile("|".join(parts).encode("utf-8", "replace") if parts else b"(?!)").fullmatch

    def __contains__(self, path: bytes) -> bool:
        return self._matches(path) is not None


# -- our own answers --------------------------------------------------------------------------------------------------


def status_in(fields: Iterable[Field], status: int) -> int:
    """Return the `grpc-status` in these fields. Without one: the status that clients derive from HTTP's."""
    for field in fields:
        if field.name == b"grpc-status":
            return parse_status(field.value)
    return status_of_http(status)


def trailers(status: int, text: str) -> list[tuple[bytes, bytes]]:
    """Return the trailers that end a call whose response has begun."""
    return [(b"grpc-status", b"%d" % status), (b"grpc-message", escape_message(text))]


def trailers_only(status: int, text: str, more: Sequence[tuple[bytes, bytes]] = ()) -> list[tuple[bytes, bytes]]:
    """Return the only head of a response that is an error: it ends the stream. `more` are further fields."""
    return [(b":status", b"200"), (b"content-type", b"application/grpc"), *trailers(status, text), *more]


# -- health checks ----------------------------------------------------------------------------------------------------

HEALTH_PATH: Final = b"/grpc.health.v1.Health/Check"
_SERVING: Final = 1
_STATES: Final = ("the state is unknown", "", "it is not serving", "it does not know the service")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def health_request(service: str = "") -> bytes:
    """Return the body of a call of `Check`: one message, HealthCheckRequest, with the service in field 1."""
    name = service.encode()
    inner = b"\x0a%b%b" % (_varint(len(name)), name) if name else b""
    return b"\0" + len(inner).to_bytes(4, "big") + inner


def health_fault(status: int, body: bytes) -> str:
    """Return the fault that an answer to `Check` tells of, or "" if the endpoint is healthy.

    `status` is the call's, `body` all bytes of the response. An endpoint that does not implement the service counts as
    healthy (gRFC A17): it answers calls.
    """
    if status == UNIMPLEMENTED:
        return ""
    if status == NOT_FOUND:
        return _STATES[3]
    if status != OK:
        return f"the health check failed with status {status} ({STATUS_NAMES[status]})"
    state = _health_state(body)
    if state is None:
        return "the answer to the health check is malformed"
    return _STATES[state] if state < len(_STATES) else _STATES[0]


def _health_state(body: bytes) -> int | None:
    """Return the enum in field 1 of the message HealthCheckResponse, or None if the body is no such message.

    A message may have unknown fields, and the last value of a field counts. A compressed one cannot come: the request
    accepts no compression.
    """
    if len(body) < 5 or body[0] or int.from_bytes(body[1:5], "big") != len(body) - 5:
        return None
    state, at = 0, 5
    while at < len(body):
        key, at = _read_varint(body, at)
        kind = key & 7
        if at < 0 or kind not in (0, 1, 2, 5):
            return None
        if kind == 0:
            value, at = _read_varint(body, at)
            if at < 0:
                return None
            if key >> 3 == 1:
                state = value
        elif kind == 2:
            length, at = _read_varint(body, at)
            at = at + length if at >= 0 else at
        else:
            at += 8 if kind == 1 else 4
        if at < 0 or at > len(body):
            return None
    return state


def _read_varint(body: bytes, at: int) -> tuple[int, int]:
    """Return an integer of at most ten bytes and the position behind it, which is negative if it does not end."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(body):
            break
        byte = body[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    return 0, -1
