"""The hedges of one upstream: when each may begin, where it goes, and who pays.

A request is watched if it is idempotent and asks for no Upgrade. Its hedge begins HEDGE_AFTER after its first attempt,
unless one of these holds at that time:

    the first attempt has no connection yet, has failed, or is the trial of an endpoint
    not all of the request has come, or it is not held any more
    requests wait in the admission queue; too many connections open; memory is short
    the limits of requests leave no room, or one was refused or had to wait by them within the last second: then all of
    the upstream's work is wanted by requests
    the upstream is in panic, or has no other endpoint that is ready
    half of the retry budget is spent, or MOST_HEDGES (of fewer MAX_CONNECTIONS: as many as these) are under way

So hedges add no more than half of the retry budget to the load, at any response times. With `p95` the time is
the estimate of `LatencyQuantile`. The first attempt counts for it with the time of its response, or with the time
after which its hedge has won or the app has left: that is more than the estimate, so it counts on the right side. If
all endpoints become slow, the estimate follows, and there are few hedges.

A hedge hides from the balancer how slow an endpoint is: its late responses never come. One that is late says little.
From the second in a row on each counts for its cost as a response of four times the time that is known. So a slow
replica is avoided as without hedges (`tests/simulation`), and a rare pause of one changes nothing.

No request arms a timer. The watched ones are in a queue in the order of their beginnings, and one timer of the upstream
is set to the first of them. If the time becomes shorter, another one is set; one that comes too early does nothing. An
end of a request leaves its place in the queue, which is compacted as it grows.
"""

from __future__ import annotations

import random
import time
from collections import deque
from typing import Final

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.balancing.outlier_ejection import READY
from sidecars.ambassador.config.beside_settings import MOST_HEDGES, HedgeAfter
from sidecars.ambassador.proxy.beside.hedge import ABANDONED, FAILED, LOST, UNPAID, WON, HedgeOwner, SecondAttempt
from sidecars.ambassador.proxy.beside.latency_quantile import LatencyQuantile
from sidecars.ambassador.proxy.exchange import Exchange
from sidecars.ambassador.upstream.upstream import Upstream

_STRAINED_FOR: Final = 1.0  # seconds
_LEAST: Final = 0.001  # seconds; the event loop has no finer time
_LATE_IN_A_ROW: Final = 2
_LATE_FACTOR: Final = 4.0
_LOOKS: Final = 16  # endpoints that are compared for one hedge, at the most
_COMPACT_AT: Final = 256  # places of the queue

monotonic: Final = time.monotonic


class Hedging(HedgeOwner):
    """The hedges of one upstream. Its `Companions` own it."""

    def __init__(self, upstream: Upstream, after: HedgeAfter, now: float) -> None:
        self._upstream = upstream
        self._fixed = after.seconds
        self._quantile: LatencyQuantile | None = LatencyQuantile(after.share, now) if after.share else None
        self._watched: deque[SecondAttempt] = deque()
        self._compact_at: int = _COMPACT_AT
        self._due_at = 0.0  # when the next timer fires; 0: none is set
        self.under_way: int = 0
        self._refused: int = 0  # requests, by the limits, as of the last tick
        self._strained_at = -_STRAINED_FOR  # when limits refused a request last, or let one wait
        self._late: dict[Endpoint, int] = {}  # first attempts in a row that were late, by their endpoints
        self._most = min(MOST_HEDGES, upstream.settings.max_connections)
        self.counts: dict[str, int] = dict.fromkeys((WON, LOST, FAILED, ABANDONED, UNPAID), 0)

    @property
    def after(self) -> float:
        """Seconds after which a hedge begins; 0 while too few response times are known."""
        quantile = self._quantile
        if quantile is None:
            return self._fixed
        return max(_LEAST, quantile.seconds) if quantile.seconds else 0.0

    def on_head(self, endpoint: Endpoint | None, seconds: float) -> None:
        if self._late and endpoint is not None:
            self._late.pop(endpoint, None)
        if self._quantile is not None:
            self._quantile.record(seconds)

    def on_late(self, endpoint: Endpoint | None, seconds: float) -> None:
        limit, now = self._upstream.balancer.limit, monotonic()
        if limit is not None:
            limit.on_failure(seconds, now)
        if endpoint is not None:
            late = self._late[endpoint] = self._late.get(endpoint, 0) + 1
            if late >= _LATE_IN_A_ROW:
                endpoint.sample_cost(max(endpoint.cost, _LATE_FACTOR * seconds), now)
        if self._quantile is not None:
            self._quantile.record(seconds)

    def on_no_head(self, seconds: float) -> None:
        quantile = self._quantile
        if quantile is not None and 0.0 < quantile.seconds < seconds:  # its response is one of the later ones
            quantile.record(seconds)

    def on_end(self, outcome: str) -> None:
        self.under_way -= 1
        self.counts[outcome] += 1

    # -- the queue ------------------------------------------------------------------------------------------------

    def watch(self, exchange: Exchange, now: float) -> None:
        """Let a hedge of this exchange begin in time, if it may have one."""
        request = exchange.request
        if not request.idempotent or request.upgrade:
            return
        hedge = SecondAttempt(self, exchange, now)
        exchange.hedge = hedge
        if not self.after:
            return
        watched = self._watched
        watched.append(hedge)
        if len(watched) >= self._compact_at:
            watched = self._watched = deque([each for each in watched if each.is_watching])
            self._compact_at = max(_COMPACT_AT, 2 * len(watched))
        if not self._due_at:
            self._set_timer(now)

    def _set_timer(self, now: float) -> None:
        """Set a timer to the first that is watched, unless one is set that comes before it."""
        watched = self._watched
        while watched and not watched[0].is_watching:
            watched.popleft()
        after = self.after
        if not watched or not after:
            return
        due_at = watched[0].watched_since + after
        if not self._due_at or due_at < self._due_at:
            self._due_at = due_at
            self._upstream.loop.call_later(max(_LEAST, due_at - now), self._fire)

    def _fire(self) -> None:
        self._due_at = 0.0
        now, after = monotonic(), self.after
        watched = self._watched
        try:
            while after and watched and watched[0].watched_since + after <= now:
                hedge = watched.popleft()
                if hedge.is_watching:
                    self._begin(hedge, now)
        finally:
            self._set_timer(now)

    def tick(self, now: float) -> None:
        """Estimate anew. If the time has become shorter, so has the wait of those that are watched."""
        if self._quantile is not None:
            self._quantile.update(now)
        limits = self._upstream.limits
        if limits is not None:
            refused = limits.refused + limits.timed_out + limits.refused_by_rate
            if refused != self._refused or limits.waiting:
                self._refused, self._strained_at = refused, now
        if self._watched:
            self._set_timer(now)
        if self._late:
            self._late = {endpoint: late for endpoint, late in self._late.items() if not endpoint.removed}

    def close(self) -> None:
        self._watched.clear()

    # -- one hedge ------------------------------------------------------------------------------------------------

    def _begin(self, hedge: SecondAttempt, now: float) -> None:
        upstream = self._upstream
        try:
            if now - self._strained_at < _STRAINED_FOR or not self._may_begin(hedge.exchange):
                return
            endpoint = self._other_endpoint(hedge.exchange)
            if endpoint is None:
                return
            if self.under_way >= self._most or not upstream.budget.spend_on_hedge():
                self.counts[UNPAID] += 1
                return
            self.under_way += 1
            hedge.begin(endpoint, now)
        except Exception as error:  # noqa: BLE001 - the first attempt goes on
            hedge.fail(error)

    def _may_begin(self, exchange: Exchange) -> bool:
        upstream = self._upstream
        first = exchange.endpoint
        return (
            first is not None
            and exchange.connection is not None
            and first.ejection.state is READY
            and not exchange.status
            and exchange.is_complete
            and exchange.is_held()
            and not upstream.balancer.in_panic
            and not upstream.admission.waiting
            and (upstream.limits is None or upstream.admission.under_way + self.under_way < upstream.limits.limit)
            and not upstream.memory.is_short
            and upstream.pool.opening < upstream.settings.max_pending
        )

    def _other_endpoint(self, exchange: Exchange) -> Endpoint | None:
        """Return the best endpoint for a hedge of those that are looked at; None if there is no other one."""
        serving = self._upstream.balancer.serving
        if len(serving) > _LOOKS:
            serving = random.sample(serving, _LOOKS)
        best: Endpoint | None = None
        least = 0.0
        for endpoint in serving:
            if endpoint is exchange.endpoint or endpoint.ejection.state is not READY or endpoint.unhealthy:
                continue
            load = endpoint.cost * (endpoint.pending + 1) / max(endpoint.weight, 0.001)
            if best is None or load < least:
                best, least = endpoint, load
        return best

    def status(self) -> dict[str, object]:
        return {"under_way": self.under_way, **self.counts, "after_seconds": float(round(self.after, 6))}
