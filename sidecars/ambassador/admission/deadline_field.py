"""The field of DEADLINE_HEADER: for how many milliseconds somebody still waits for the response. No I/O.

    app ── X-Timeout-Ms: 500 ──▶ the exchange: its deadline ──▶ each attempt: X-Timeout-Ms: 480, what is left by then

An endpoint that reads it can drop a request that nobody waits for, and can pass the rest of the time on to those behind
it. A value is a whole number of milliseconds, as in Envoy's `x-envoy-expected-rq-timeout-ms`. Without the field, or
with a malformed or repeated one, the app has set no deadline; then the ambassador's own time-outs are told. A call of
gRPC has `grpc-timeout` instead, and gets no field of this name.
"""

from __future__ import annotations

import re
import time
from typing import Final

from sidecars.ambassador.http.messages import Request

_MILLISECONDS: Final = re.compile(rb"[0-9]{1,9}").fullmatch

monotonic: Final = time.monotonic


class DeadlineField:
    """The field of one upstream."""

    __slots__ = ("_line", "_name", "_timeout", "_total_timeout")

    def __init__(self, name: str, timeout: float, total_timeout: float | None) -> None:
        """`timeout`, `total_timeout`: the settings in seconds."""
        self._name = name.lower().encode()
        self._line: bytes = b"\r\n%b: " % name.encode()
        self._timeout = timeout
        self._total_timeout = total_timeout

    def deadline(self, request: Request, now: float) -> float:
        """Return when the app waits no longer for the response; 0 if it has not said so. `now`: when its head came."""
        values = [value for name, value in request.taken() if name == self._name]
        if len(values) != 1 or request.is_grpc or _MILLISECONDS(values[0]) is None:
            return 0.0
        return now + int(values[0]) / 1000.0

    def line(self, request: Request, deadline: float, started: float) -> bytes:
        """Return the field line of an attempt, behind a CR LF, with the time that is left: at least 1 ms."""
        if request.is_grpc:
            return b""
        end = started + self._timeout
        if self._total_timeout is not None:
            end = min(end, started + self._total_timeout)
        if deadline:
            end = min(end, deadline)
        return b"%b%d" % (self._line, max(1, int((end - monotonic()) * 1000.0)))
