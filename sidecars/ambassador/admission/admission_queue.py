"""Admission of requests: each starts at once, or waits in a queue. No I/O; the event loop's `call_soon` is passed in.

Theory of operation. When a thousand connections of the app are readable, the event loop reads all of them before it
polls the upstream's sockets again. If each request started as it is read, each would need an upstream connection of its
own: the first response would wait until the last request has been sent, and by then nothing of its two connections
would be left in the processor's caches. So while `AT_ONCE` requests are under way, a further one waits in this queue,
first in, first out. The queue is served in *turns*, with a poll of the sockets before each. A turn starts as many
requests as responses have ended, on the connections that those have just left: few connections, with warm caches.

The queue does not limit concurrency: a turn starts at least `EACH` requests, however many are under way. If the
upstream is slow, one turn follows the other as fast as the loop can poll, and a request waits until those before it are
sent, as it would without a queue. If many streams stay open for long, each further request passes the queue, which
costs it a few microseconds.

An upstream with limits has a `LimitedAdmission` (`limited_admission`), which also refuses.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from sidecars.ambassador.http.local_replies import Cause

AT_ONCE: Final = 128  # requests under way up to which none waits
EACH: Final = 16  # requests that a turn starts, at the least

monotonic: Final = time.monotonic

CallSoon = Callable[[Callable[[], None]], object]


class Client(Protocol):
    """The client of an exchange, as far as the queue uses it."""

    def turn_key(self) -> object:
        """Return the connection of the app, each of which waits in a line of its own."""


class Queued(Protocol):
    """An exchange, as far as the queue uses it."""

    over: bool  # True if it has ended, maybe while it waited
    started: float  # when its head had come
    deadline: float  # when nobody wants its response any more; 0 if it has no deadline

    @property
    def client(self) -> Client: ...

    def give_up(self, cause: Cause) -> None:
        """End with a local reply."""

    def start(self, now: float) -> None:
        """Start its first attempt. It calls `count_start`, and `count_end` when it ends."""


class AdmissionQueue:
    """The requests to one upstream that wait for their start, and the number of those under way."""

    __slots__ = ("_call_soon", "_waiting", "streaming", "under_way")

    def __init__(self, call_soon: CallSoon) -> None:
        self._call_soon = call_soon
        self._waiting: deque[Queued] = deque()
        self.under_way = 0
        self.streaming: int = 0  # of these, the ones whose response has begun

    @property
    def waiting(self) -> int:
        """The number of exchanges in the queue, with those that have ended meanwhile."""
        return len(self._waiting)

    def count_start(self) -> None:
        self.under_way += 1

    def count_stream(self) -> None:
        """Count a response that has begun and goes on."""
        self.streaming += 1

    def count_end(self, *, streams: bool) -> None:
        """Count the end of an exchange; `streams` is True if `count_stream` has counted it."""
        self.under_way -= 1
        if streams:
            self.streaming -= 1

    def tick(self, now: float) -> None:
        """End the waits that have taken too long. Called a few times a second."""

    def admit(self, exchange: Queued) -> bool:
        """Return True if the exchange may start at once. Otherwise queue it, to be started later, and return False."""
        if self.under_way < AT_ONCE and not self._waiting:
            return True
        self._waiting.append(exchange)
        if len(self._waiting) == 1:
            self._call_soon(self._poll_first)
        return False

    def _poll_first(self) -> None:
        """Run `_turn` after the next poll of the sockets: `call_soon` twice puts one poll between."""
        self._call_soon(self._turn)

    def _turn(self) -> None:
        waiting = self._waiting
        room = max(AT_ONCE - self.under_way, EACH)
        try:
            while room > 0 and waiting:
                exchange = waiting.popleft()
                if not exchange.over:
                    room -= 1
                    exchange.start(monotonic())
        finally:  # the others go on if one raises
            if waiting:
                self._call_soon(self._turn)
