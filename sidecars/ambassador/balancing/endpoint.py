"""One endpoint of an upstream: an address, what is known of it, and what it has done. No I/O; time is passed in.

Its *cost* is what an answer from it takes, in seconds: a peak EWMA. A sample above the cost replaces it at once; a
lower one is blended in by the time that has passed; with no sample at all it sinks towards nothing, so that an endpoint
which was slow is asked again one day. A failure is a sample of five seconds, or of what its Retry-After says: an
endpoint that fails fast must not look like a fast one (linkerd2-proxy, "failure-aware").
"""

from __future__ import annotations

from bisect import bisect_left
from math import exp
from typing import Any, Final

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds

READY: Final[str] = "ready"
EJECTED: Final[str] = "ejected"
PROBATION: Final[str] = "probation"
TRIAL: Final[str] = "trial"

_DECAY: Final = 10.0  # seconds in which a cost sinks to a third
FIRST_COST: Final = 0.03  # seconds, of one that nothing is known of
_FAILURE_COST: Final = 5.0  # seconds
_LONGEST_RETRY_AFTER: Final = 300.0  # seconds


class Endpoint:
    """One address. `idle` holds its open connections that wait for a request, newest last."""

    __slots__ = (
        "added_at",
        "check_error",
        "check_failures",
        "checked",
        "connections",
        "cost",
        "cost_at",
        "ejections",
        "failed",
        "failures",
        "full_weight",
        "host",
        "idle",
        "ip",
        "label",
        "latencies",
        "latency_sum",
        "penalty",
        "pending",
        "port",
        "priority",
        "removed",
        "removed_at",
        "requests",
        "retries",
        "server_name",
        "state",
        "state_at",
        "state_until",
        "tls",
        "turn",
        "unhealthy",
        "weight",
    )

    def __init__(
        self,
        host: bytes,
        ip: str,
        port: int,
        *,
        tls: bool = False,
        server_name: str = "",
    ) -> None:
        self.host = host  # the authority to send as Host
        self.ip = ip
        self.port = port
        self.tls = tls
        self.server_name = server_name  # whom its certificate must name
        self.label = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
        self.full_weight = 1.0
        self.weight = 1.0  # in force: less while it starts slowly
        self.priority = 0  # of SRV: a higher number only serves when no lower one can
        self.added_at: float | None = None  # since when it starts slowly; None where it does not

        self.idle: list[Any] = []
        self.connections = 0  # open, idle or not
        self.pending = 0  # tries that have neither succeeded nor failed
        self.requests = 0  # tries begun, ever
        self.retries = 0  # those of them that followed a failed try
        self.latencies = [0] * (len(BOUNDS) + 1)  # answers by how long they took to begin
        self.latency_sum = 0.0

        self.cost = FIRST_COST
        self.cost_at = 0.0  # since when it sinks; until then it is as it is
        self.turn = 0.0  # when it is due again, in the round robin's own time

        self.state = READY
        self.state_at = 0.0
        self.state_until = 0.0
        self.unhealthy = False  # as active checks find
        self.checked = False  # whether one ever came to an end
        self.check_failures = 0  # in a row
        self.check_error = ""  # what the last one found
        self.failed = 0  # tries failed, ever
        self.failures = 0  # failures since the last success
        self.ejections = 0  # ever
        self.penalty = 0.0  # seconds that the last one was to last
        self.removed = False  # DNS does not name it any more
        self.removed_at = 0.0

    # -- attempts and connections ---------------------------------------------------------------------------------

    def begin_try(self, *, is_retry: bool) -> None:
        """Count an attempt that begins here. The caller ends it with `end_try`."""
        self.pending += 1
        self.requests += 1
        self.retries += is_retry

    def end_try(self) -> None:
        """Count the end of an attempt; for a tunnel: of its connection."""
        self.pending -= 1

    def connection_opened(self) -> None:
        self.connections += 1

    def connection_closed(self) -> None:
        self.connections -= 1

    def note_check_error(self, error: str) -> None:
        """Keep what the last active check found; "" if it passed."""
        self.check_error = error

    # -- what it costs --------------------------------------------------------------------------------------------

    def count(self, seconds: float) -> None:
        """Count an answer that took so long to begin."""
        self.latencies[bisect_left(BOUNDS, seconds)] += 1
        self.latency_sum += seconds

    def sample(self, seconds: float, now: float) -> None:
        """An answer that is worth so much."""
        cost = self.cost
        if seconds < cost:
            passed = now - self.cost_at
            seconds += (cost - seconds) * (exp(-passed / _DECAY) if passed > 0.0 else 1.0)
        self.cost = seconds
        self.cost_at = now

    def blame(self, now: float, retry_after: float = 0.0) -> None:
        """It could not serve, and will not for a while: for `retry_after` seconds, where it says so."""
        retry_after = min(retry_after, _LONGEST_RETRY_AFTER)
        self.sample(retry_after or _FAILURE_COST, now)
        self.cost_at += retry_after

    def suspect(self, now: float) -> None:
        """It has failed a request, maybe for the request's own sake: one failure in many answers weighs little."""
        self.cost += max(0.0, _FAILURE_COST - self.cost) * (1.0 - exp(min(0.0, self.cost_at - now) / _DECAY))
        self.cost_at = max(self.cost_at, now)

    def sink(self, before: float, now: float) -> None:
        """Nothing has been heard of it since `before`: its cost sinks."""
        if self.cost_at < before:
            self.cost *= exp((self.cost_at - now) / _DECAY)
            self.cost_at = now
