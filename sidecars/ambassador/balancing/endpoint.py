"""One endpoint of an upstream: an address with its weight, its statistics and its cost. No I/O; time is passed in.

The *cost* is the expected time to a response in seconds, as a peak EWMA:

- A sample above the cost replaces it at once.
- A lower sample is blended in; its share grows with the time since the last sample (time constant 10 s).
- Without samples the cost decays towards 0, so that an endpoint which was slow is tried again one day.
- A failure is a sample of 5 s, or of its Retry-After: an endpoint that fails fast must not look like a fast one
  (linkerd2-proxy, "failure-aware").

Only the methods of this class write its fields. Its idle connections are in `upstream.idle_connections`.
"""

from __future__ import annotations

from math import exp
from typing import Final

from sidecars.ambassador.balancing.outlier_ejection import Ejection

_UPPER: Final = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]  # seconds
BOUNDS: Final = tuple(_UPPER)

FIRST_COST: Final = 0.03  # seconds, of an endpoint without samples
_DECAY: Final = 10.0  # seconds in which a cost decays to a third (1/e)
_FAILURE_COST: Final = 5.0  # seconds
_LONGEST_RETRY_AFTER: Final = 300.0  # seconds
_UNHEALTHY_AFTER: Final = 2  # active checks that must fail in a row
_LAST_FAILURES: Final = 5  # whose reasons are kept
_FIRST_SHARE: Final = 0.1  # of its weight, at the beginning of a slow start


def interval_of(seconds: float) -> int:
    """Return the number of the interval of BOUNDS into which this time falls; most times are short."""
    number = 0
    for bound in _UPPER:
        if seconds <= bound:
            break
        number += 1
    return number


class Endpoint:
    """One address of an upstream. Its DnsTarget owns it."""

    __slots__ = (
        "added_at",
        "attempts",
        "check_error",
        "check_failures",
        "checked",
        "connections",
        "cost",
        "cost_at",
        "ejection",
        "failed_at",
        "failure_status",
        "failure_text",
        "failures",
        "full_weight",
        "health_since",
        "host",
        "http2",
        "ip",
        "is_listed",
        "label",
        "last_failures",
        "latencies",
        "latency_sum",
        "pending",
        "port",
        "priority",
        "removed",
        "removed_at",
        "retries",
        "selected",
        "server_name",
        "slow_start_at",
        "tls",
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
        http2: bool = False,
    ) -> None:
        self.host = host  # the authority to send as Host
        self.ip = ip  # or a name that a proxy looks up, or the path of a unix socket
        self.port = port  # 0 with a unix socket
        self.tls = tls
        self.server_name = server_name  # the name that its certificate must have
        self.http2 = http2  # True if it speaks HTTP/2: by its scheme, or as the last TLS handshake has selected
        self.selected = ""  # the protocol that the last TLS handshake has selected: HTTP/1.1 or HTTP/2
        self.label = ip if not port else f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
        self.full_weight = 1.0
        self.weight = 1.0  # in force: less than `full_weight` during a slow start
        self.priority = 0  # of SRV: a higher number serves only if no lower one can
        self.slow_start_at: float | None = None  # when its slow start began; None outside of one

        self.connections = 0  # open, idle or not
        self.pending = 0  # attempts that have neither succeeded nor failed
        self.attempts = 0  # attempts begun, ever
        self.retries = 0  # attempts begun after a failed one, ever
        self.failures = 0  # attempts failed, ever
        self.failed_at = 0.0  # when the last of them failed
        self.failure_text = ""  # the reason of the last one, a clause; "" if it was a response
        self.failure_status = 0  # the status of that response
        self.last_failures: tuple[
            tuple[float, str, int], ...
        ] = ()  # when, the reason, the status; the last one is last
        self.latencies = [0] * (len(BOUNDS) + 1)  # responses by the time to their head
        self.latency_sum = 0.0  # seconds

        self.cost = FIRST_COST
        self.cost_at = 0.0  # when the cost was last sampled; a time to come delays the decay until then

        self.ejection = Ejection()
        self.unhealthy = False  # True while active checks fail
        self.health_since = 0.0  # when `unhealthy` changed last
        self.checked = False  # True after the first active check
        self.check_failures = 0  # active checks failed in a row
        self.check_error = ""  # the reason why the last active check failed
        self.added_at = 0.0  # when DNS named it first, or again
        self.removed = False  # True if DNS does not name it any more
        self.removed_at = 0.0
        self.is_listed = False  # True if it is removed and Kubernetes lists it still: its connections may go on

    # -- membership and weight ------------------------------------------------------------------------------------

    def place(self, weight: float, priority: int) -> None:
        """Set the weight and priority that DNS and the settings give it, and end its removal."""
        self.full_weight = weight
        self.priority = priority
        self.removed = self.is_listed = False

    def add(self, now: float) -> None:
        """Note that DNS names it from now on."""
        self.added_at = now

    def remove(self, now: float, *, is_listed: bool = False) -> None:
        """Mark it as removed: DNS does not name it any more.

        `is_listed`: Kubernetes lists it, and it gets no requests because it terminates or is not ready.
        """
        self.removed, self.removed_at, self.is_listed = True, now, is_listed

    def is_overdue(self, now: float, drain_timeout: float) -> bool:
        """Return True if tunnels to it are to end: nothing has named it for `drain_timeout` seconds."""
        return self.removed and not self.is_listed and now - self.removed_at >= drain_timeout

    def note_protocol(self, *, http2: bool) -> None:
        """Note which protocol the TLS handshake has selected."""
        self.http2 = http2
        self.selected = "HTTP/2" if http2 else "HTTP/1.1"

    def set_slow_start(self, now: float, *, enabled: bool) -> None:
        """Begin a slow start; if it is not `enabled`, give the full weight from now on."""
        self.slow_start_at = now if enabled else None

    def update_weight(self, now: float, window: float) -> None:
        """Set the weight in force. A slow start grows from a tenth to the full weight in `window` seconds."""
        share = 1.0
        if self.slow_start_at is not None:
            share = min(1.0, max(_FIRST_SHARE, (now - self.slow_start_at) / window))
            if share >= 1.0:
                self.slow_start_at = None
        self.weight = self.full_weight * share

    # -- attempts and connections ---------------------------------------------------------------------------------

    def begin_attempt(self, *, is_retry: bool) -> None:
        """Count an attempt that begins here. The caller ends it with `end_attempt`."""
        self.pending += 1
        self.attempts += 1
        self.retries += is_retry

    def end_attempt(self) -> None:
        """Count the end of an attempt; for a tunnel: of its connection."""
        self.pending -= 1

    def connection_opened(self) -> None:
        self.connections += 1

    def connection_closed(self) -> None:
        self.connections -= 1

    def count_failure(self, now: float, text: str, status: int = 0) -> None:
        """Count an attempt that failed, for this reason: a clause, or the status of a response."""
        self.failures += 1
        self.note_failure(now, text, status)

    def note_failure(self, now: float, text: str, status: int = 0) -> None:
        """Keep the reason of a failure, which is not counted here."""
        self.failed_at, self.failure_text, self.failure_status = now, text, status
        self.last_failures = (*self.last_failures, (now, text, status))[-_LAST_FAILURES:]

    def record_latency(self, seconds: float) -> None:
        """Count a response in the histogram of the times to its head."""
        self.latencies[interval_of(seconds)] += 1
        self.latency_sum += seconds

    # -- active health checks -------------------------------------------------------------------------------------

    def record_check(self, now: float, *, passed: bool) -> bool:
        """Count an active check. Return True if it changes `unhealthy`.

        A check that passes makes the endpoint healthy. Two checks in a row that fail make it unhealthy. If its first
        check of all fails, that one is enough.
        """
        self.check_failures = 0 if passed else self.check_failures + 1
        healthy = passed or (self.checked and not self.unhealthy and self.check_failures < _UNHEALTHY_AFTER)
        has_changed = self.unhealthy is healthy
        if has_changed:
            self.health_since = now
        self.unhealthy, self.checked = not healthy, True
        return has_changed

    def note_check_error(self, error: str) -> None:
        """Keep the reason why the last active check failed; "" if it passed."""
        self.check_error = error

    # -- cost -----------------------------------------------------------------------------------------------------

    def reset_cost(self, cost: float, now: float) -> None:
        """Begin with this cost, and forget the samples before."""
        self.cost, self.cost_at = cost, now

    def sample_cost(self, seconds: float, now: float) -> None:
        """Take up a sample: a response that took this time."""
        cost = self.cost
        if seconds < cost:
            passed = now - self.cost_at
            seconds += (cost - seconds) * (exp(-passed / _DECAY) if passed > 0.0 else 1.0)
        self.cost = seconds
        self.cost_at = now

    def penalize(self, now: float, retry_after: float = 0.0) -> None:
        """Take up a failure to serve. The cost does not decay for `retry_after` seconds, if the response gave them."""
        retry_after = min(retry_after, _LONGEST_RETRY_AFTER)
        self.sample_cost(retry_after or _FAILURE_COST, now)
        self.cost_at += retry_after

    def penalize_partly(self, now: float) -> None:
        """Take up a failure that the request itself may have caused: one among many responses weighs little."""
        self.cost += max(0.0, _FAILURE_COST - self.cost) * (1.0 - exp(min(0.0, self.cost_at - now) / _DECAY))
        self.cost_at = max(self.cost_at, now)

    def decay_cost(self, before: float, now: float) -> None:
        """Let the cost decay if the last sample is older than the time `before`."""
        if self.cost_at < before:
            self.cost *= exp((self.cost_at - now) / _DECAY)
            self.cost_at = now
