"""Admission to an upstream with limits: requests start, wait in turns, or are refused. Loaded where one is set.

    limit                        holds                                                   beyond it
    MAX_REQUESTS                 requests from their start to the end of their response  the queue
    ADAPTIVE_CONCURRENCY         requests from their start to the head of it             the queue
    MAX_QUEUED                   requests that wait for one of the two                   503, Retry-After: 1
    QUEUE_TIMEOUT                the time of each in the queue                           503, Retry-After: 1
    its own deadline             (a gRPC timeout, DEADLINE_HEADER)                       504
    RATE_LIMIT, RATE_BURST       requests in a time                                      429, Retry-After

A call of gRPC gets 14 (UNAVAILABLE) for 503, 8 (RESOURCE_EXHAUSTED) for 429 and 4 (DEADLINE_EXCEEDED) for 504. A
request counts once, with all its attempts. One that is refused because the queue is full takes no token of the rate.

The queue is short: without MAX_QUEUED it holds as many requests as the limit allows at once. So whoever waits gets a
place after about one more latency, and who would wait for longer is told so at once. The queue is a `FairQueue`: a
client is a connection of the app.

As in `AdmissionQueue`, the queue is served in turns with a poll of the sockets before each. While there is no room, no
turn is scheduled: the end of a request, or the head of a response, schedules the next one.
"""

from __future__ import annotations

import time
from math import ceil
from typing import Final

from sidecars.ambassador.admission.admission_queue import AT_ONCE, EACH, AdmissionQueue, CallSoon, Queued
from sidecars.ambassador.admission.concurrency_limit import ConcurrencyLimit
from sidecars.ambassador.admission.fair_queue import FairQueue
from sidecars.ambassador.config.upstream_settings import UpstreamSettings
from sidecars.ambassador.http import local_replies
from sidecars.chassis.config.rates import TokenBucket, parse_rate

_UNLIMITED: Final = 65_535  # requests: as many as MAX_REQUESTS may be
_SECOND: Final = 1e9  # nanoseconds

monotonic: Final = time.monotonic


class LimitedAdmission(AdmissionQueue):
    """The admission to one upstream that has limits. Its balancer gives `adaptive` the samples."""

    __slots__ = (
        "_has_turn",
        "_is_limited",
        "_max_queued",
        "_most",
        "_queue",
        "_queue_timeout",
        "_rate",
        "adaptive",
        "refused",
        "refused_by_rate",
        "timed_out",
    )

    def __init__(self, call_soon: CallSoon, settings: UpstreamSettings) -> None:
        super().__init__(call_soon)
        self._most: int = settings.max_requests or _UNLIMITED
        self._is_limited: bool = settings.limits_concurrency
        self._max_queued: int = -1 if settings.max_queued is None else settings.max_queued
        self._queue_timeout = settings.queue_timeout
        self._queue: FairQueue[Queued] = FairQueue()
        self._has_turn = False  # True if a turn is scheduled
        self._rate: TokenBucket | None = None
        if settings.rate_limit is not None:
            rate = parse_rate(settings.rate_limit)
            self._rate = TokenBucket(rate, settings.rate_burst or rate.events)
        self.adaptive: ConcurrencyLimit | None = None
        if settings.adaptive_concurrency == "on":
            self.adaptive = ConcurrencyLimit(self._most)
        self.refused: int = 0  # requests, because the queue was full
        self.timed_out: int = 0  # requests, in the queue
        self.refused_by_rate: int = 0

    @property
    def waiting(self) -> int:
        return self._queue.size

    @property
    def limit(self) -> int:
        """The number of requests that may be under way at present."""
        adaptive = self.adaptive
        return self._most if adaptive is None else min(self._most, adaptive.limit)

    def refusals(self) -> dict[str, int]:
        """Return how many requests were refused, by the limit."""
        return {"queue_full": self.refused, "queue_timeout": self.timed_out, "rate": self.refused_by_rate}

    def status(self) -> dict[str, object]:
        """Return the part of `/status` about the limits."""
        adaptive = self.adaptive
        found: dict[str, object] = {"at_once": self.limit if self._is_limited else None, "refused": self.refusals()}
        if adaptive is not None:
            found |= {"latency_seconds": adaptive.latency, "latency_without_queue_seconds": adaptive.floor}
        return found

    def count_start(self) -> None:
        self.under_way += 1
        adaptive = self.adaptive
        if adaptive is not None:
            adaptive.note_use(self.under_way - self.streaming)

    def count_stream(self) -> None:
        self.streaming += 1
        if self._queue.size:
            self._schedule()

    def count_end(self, *, streams: bool) -> None:
        self.under_way -= 1
        if streams:
            self.streaming -= 1
        if self._queue.size:
            self._schedule()

    def admit(self, exchange: Queued) -> bool:
        queue, room = self._queue, self._room()
        max_queued = self._max_queued if self._max_queued >= 0 else self.limit
        is_full = queue.size >= max(0, room) + max_queued
        if is_full and not queue.can_evict_for(exchange.client.turn_key()):
            self._refuse(exchange)
            return False
        rate = self._rate
        if rate is not None and not rate.take(int(exchange.started * _SECOND)):
            self._refuse_by_rate(exchange, rate)
            return False
        if is_full:
            self._refuse(queue.evict())
        if room > 0 and self.under_way < AT_ONCE and not queue.size:
            return True
        queue.push(exchange.client.turn_key(), exchange)
        if room > 0:
            self._schedule()
        return False

    def _room(self) -> int:
        """Return how many more requests may start; below 0 if the limit has become lower."""
        room: int = self._most - self.under_way
        adaptive = self.adaptive
        if adaptive is None:
            return room
        return min(room, adaptive.limit - self.under_way + self.streaming)

    def _refuse(self, exchange: Queued) -> None:
        if not exchange.over:
            self.refused += 1
            exchange.give_up(local_replies.QUEUE_FULL)

    def _refuse_by_rate(self, exchange: Queued, rate: TokenBucket) -> None:
        now = int(exchange.started * _SECOND)
        self.refused_by_rate += 1
        exchange.give_up(local_replies.beyond_rate(ceil((rate.ready_at(now) - now) / _SECOND)))

    def _schedule(self) -> None:
        if not self._has_turn:
            self._has_turn = True
            self._call_soon(self._poll_first)

    def _turn(self) -> None:
        self._has_turn = False
        queue = self._queue
        left = min(self._room(), max(AT_ONCE - self.under_way, EACH))
        now = monotonic()
        try:
            while left > 0 and queue.size:
                exchange = queue.pop()
                if not self._has_ended(exchange, now):
                    left -= 1
                    exchange.start(now)
        finally:  # the others go on if one raises
            if queue.size and self._room() > 0:
                self._schedule()

    def _has_ended(self, exchange: Queued, now: float) -> bool:
        """Return True if the exchange has ended, after ending it if it has waited for too long."""
        if exchange.over:
            return True
        if 0.0 < exchange.deadline <= now:
            exchange.give_up(local_replies.DEADLINE)
            return True
        if now - exchange.started >= self._queue_timeout:
            self.timed_out += 1
            exchange.give_up(local_replies.QUEUED_TOO_LONG)
            return True
        return False

    def tick(self, now: float) -> None:
        queue = self._queue
        if not queue.size:
            return
        waiting = queue.items()
        queue.clear()
        for key, exchange in waiting:
            if not self._has_ended(exchange, now):
                queue.push(key, exchange)
        if queue.size and self._room() > 0:
            self._schedule()
