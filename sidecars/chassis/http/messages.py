"""Requests and responses of the small HTTP server, and the limits of one client."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from sidecars.chassis.runtime import light_dataclasses

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

SENT_AT_ONCE = 8 * 1024  # bytes of a response that a client may leave unread without being counted
TEXT = {"Content-Type": "text/plain; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request. `path` is not decoded. Header names are in lower case; of equal names the last counts.

    `is_local` is True if the client came through loopback or a unix socket.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    is_local: bool = False


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response. The server adds its length and date. h11 refuses headers that HTTP does not allow."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Response]]


@light_dataclasses.dataclass(frozen=True, slots=True)
class ClientLimits:
    """The most that clients may use. Times are in seconds."""

    connections: int = 512  # of all clients together; half of them of one peer, if others are idle (package accept)
    unfinished: int = 1024 * 1024  # bytes of unfinished requests, of all connections together
    unsent: int = 4 * 1024 * 1024  # bytes of responses that are not read yet, of all connections together
    head: int = 16 * 1024  # bytes of a request's line and headers
    fields: int = 256  # headers of a request
    body: int = 64 * 1024  # bytes of a request's body, which is dropped
    pieces: int = 512  # of that body: a chunk of one byte costs as much as a large one
    idle: float = 75.0
    request: float = 10.0
    write: float = 10.0


def text(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response in plain text."""
    return Response(status, sentence.encode(), {**TEXT, **(headers or {})})


def date_text(now: float) -> str:
    """Return a Unix time in the form of the header `Date` (RFC 9110 section 5.6.7), in any locale.

    `email.utils` has a function for it, and loads eight modules in 5 ms.
    """
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(now)
    return f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year:04} {hour:02}:{minute:02}:{second:02} GMT"
