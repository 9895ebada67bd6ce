"""The messages between the small HTTP server and its handlers, and the limits of one client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

TEXT = {"Content-Type": "text/plain; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Request:
    """A request's head. `path` is not decoded. Header names are in lower case; the last of each counts."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer. Its length and date are added; `headers` must be clean, as h11 refuses what is not."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What one client may take. Times are in seconds."""

    connections: int = 512
    head: int = 16 * 1024  # bytes of a request's line and headers
    fields: int = 256  # headers
    body: int = 64 * 1024  # bytes of a body that nobody wants
    pieces: int = 512  # of that body: chunks of a byte cost as much as large ones
    idle: float = 75.0
    request: float = 10.0
    write: float = 10.0


def text(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in plain words."""
    return Response(status, sentence.encode(), {**TEXT, **(headers or {})})
