"""The counts of one upstream, in plain integers while requests pass; `sidecars.ambassador.metrics` exposes them."""

from __future__ import annotations

from typing import Final

from sidecars.ambassador.balancing.endpoint import BOUNDS, interval_of
from sidecars.ambassador.http.local_replies import ERROR_TYPES
from sidecars.ambassador.http2.grpc import STATUS_NAMES

_STATUSES: Final = 1000


class Counters:
    """The counts of one upstream. All of its connections and exchanges add to them through the methods."""

    __slots__ = (
        "_codes",
        "accepted",
        "calls",
        "delivered",
        "durations",
        "errors",
        "exemplars",
        "races",
        "received",
        "retries",
        "seconds",
        "sent",
        "unfinished_ended",
        "unprocessed",
    )

    def __init__(self) -> None:
        self._codes = [0] * _STATUSES
        self.durations = [0] * (len(BOUNDS) + 1)  # requests by their duration, in the intervals of BOUNDS
        self.seconds = 0.0  # the sum of their durations
        # Of `durations`, by the number of the interval: a trace id, seconds and a Unix time. The last sampled request.
        self.exemplars: dict[int, tuple[str, float, float]] = {}
        self.errors = dict.fromkeys(ERROR_TYPES, 0)  # by the error types of RFC 9209
        self.calls = [0] * len(STATUS_NAMES)  # of gRPC, by their status
        self.accepted = 0  # connections from the app
        self.retries = 0
        self.unfinished_ended = 0  # connections that were ended because unfinished messages took too much memory
        self.races = 0  # requests repeated because an idle connection closed under them
        self.unprocessed = 0  # requests repeated because the endpoint had provably not processed them
        self.sent = 0  # bytes to the upstream
        self.received = 0  # bytes from the upstream
        self.delivered = 0  # bytes to the app

    def count_response(self, status: int, seconds: float) -> None:
        """Count a request that has ended with this status after this time."""
        self._codes[status] += 1
        self.durations[interval_of(seconds)] += 1
        self.seconds += seconds

    def note_exemplar(self, interval: int, trace_id: str, seconds: float, at: float) -> None:
        """Note the trace of a request that took this time, as the example of its interval of `durations`."""
        self.exemplars[interval] = (trace_id, seconds, at)

    def count_error(self, error_type: str) -> None:
        """Count a local reply, or a response that broke off, by its error type of RFC 9209."""
        self.errors[error_type] = self.errors.get(error_type, 0) + 1

    def count_call(self, status: int) -> None:
        """Count a call of gRPC, which has ended with this status."""
        self.calls[status] += 1

    def count_accepted(self) -> None:
        self.accepted += 1

    def count_retry(self) -> None:
        self.retries += 1

    def count_race(self) -> None:
        self.races += 1

    def count_unprocessed(self) -> None:
        self.unprocessed += 1

    def count_unfinished_ended(self) -> None:
        self.unfinished_ended += 1

    def count_sent(self, size: int) -> None:
        self.sent += size

    def count_received(self, size: int) -> None:
        self.received += size

    def count_delivered(self, size: int) -> None:
        self.delivered += size

    @property
    def codes(self) -> list[tuple[int, int]]:
        """The statuses that were delivered, and how often."""
        return [(code, count) for code, count in enumerate(self._codes) if count]

    @property
    def requests(self) -> int:
        return sum(self._codes)
