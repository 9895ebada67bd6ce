"""The data of the notes about one exchange: its place in a trace, its attempts, its request id, its bytes.

An exchange that is not exported costs these notes and no more: nothing is encoded for it (`observer`).
"""

from __future__ import annotations

from typing import Final

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.http.messages import Response
from sidecars.ambassador.proxy.observed.trace_context import TraceContext

MOST_ATTEMPTS: Final = 16  # that get a span


class Attempt:
    """One attempt that got a connection, or that failed. `ended` is 0 while it lasts."""

    __slots__ = ("ended", "endpoint", "error", "http2", "reason", "span_id", "started", "status")

    def __init__(self, endpoint: Endpoint, span_id: bytes, started: float, *, http2: bool) -> None:
        self.endpoint = endpoint
        self.span_id = span_id
        self.started = started
        self.http2 = http2
        self.ended: float = 0.0
        self.status: int = 0  # of its response; 0 without one
        self.error = ""  # an error type of RFC 9209
        self.reason = ""  # why it failed, a clause for people


class Observation:
    """The notes about one exchange, which owns them.

    - `context`: its place in a trace; None without TRACES.
    - `span_id`: the exchange's own span.
    - `is_sampled`: True if its trace is sampled: as the parent says, or by the ratio if it has none.
    - `request_id`: the one that came, or that was made here; b"" without REQUEST_ID_HEADER.
    - `lines`: field lines that each attempt gets, each behind a CR LF: the request id.
    """

    __slots__ = (
        "attempts",
        "context",
        "error",
        "is_sampled",
        "lines",
        "request_bytes",
        "request_id",
        "response",
        "response_bytes",
        "served_by",
        "span_id",
    )

    def __init__(self, context: TraceContext | None, span_id: bytes, request_id: bytes, lines: bytes) -> None:
        self.context = context
        self.span_id = span_id
        self.request_id = request_id
        self.lines = lines
        self.is_sampled = False
        self.attempts: list[Attempt] = []
        self.response: Response | None = None
        self.request_bytes: int = 0
        self.response_bytes: int = 0
        self.served_by: Attempt | None = None  # the last attempt that had a response
        self.error = ""  # the error type of a local reply, or of a response that broke off

    def begin(self, attempt: Attempt) -> None:
        """Note an attempt."""
        if len(self.attempts) < MOST_ATTEMPTS:
            self.attempts.append(attempt)

    def of(self, endpoint: Endpoint | None) -> Attempt | None:
        """Return the attempt at this endpoint that has not ended; None without one."""
        for attempt in reversed(self.attempts):
            if attempt.endpoint is endpoint and not attempt.ended:
                return attempt
        return None
