"""When a request begins: at once, or in its turn. No I/O; what the event loop does soon is passed in.

Theory of operation. When a thousand connections of the app are readable, the event loop reads all of them before it
looks again at the upstream's. Were each request begun as it is read, each would need an upstream connection of its own,
the first answer would lie there until the last request has been sent, and when it is read at last nothing of its two
connections is left in the processor's caches. So with `AT_ONCE` requests under way a further one waits, first come
first served, and the queue is served in *turns*, before each of which the loop looks for answers. As many begin as have
been answered, on the connections that those have just left, warm and few.

This limits no concurrency: a turn begins at least `EACH`, however many are under way. Where the upstream is slow a turn
follows the other as fast as the loop can look, and a request waits for the others before it to be sent, as it would
have waited anyway. Where many streams stay open for long every further request takes its turn, and loses a few
microseconds by it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

AT_ONCE: Final = 128  # requests under way up to which nobody waits
EACH: Final = 16  # requests that a turn begins, at the least

monotonic: Final = time.monotonic

_Soon = Callable[[Callable[[], None]], object]


class Waiting(Protocol):
    """What can wait for its turn: an exchange."""

    over: bool  # it has ended while it waited

    def start(self, now: float) -> None:
        """Its turn has come."""


class AdmissionQueue:
    """The requests to one upstream that wait for their turn, and how many are under way."""

    __slots__ = ("_soon", "_waiting", "under_way")

    def __init__(self, soon: _Soon) -> None:
        self._soon = soon
        self._waiting: deque[Waiting] = deque()
        self.under_way = 0  # whoever starts one, and ends one, counts

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def take(self, exchange: Waiting) -> bool:
        """Whether it may start at once. If not it waits, and is started when its turn has come."""
        if self.under_way < AT_ONCE and not self._waiting:
            return True
        self._waiting.append(exchange)
        if len(self._waiting) == 1:
            self._soon(self._look_first)
        return False

    def _look_first(self) -> None:
        """What is to be done soon is done before the loop looks for answers; what that asks for soon, behind it."""
        self._soon(self._turn)

    def _turn(self) -> None:
        waiting = self._waiting
        room = max(AT_ONCE - self.under_way, EACH)
        try:
            while room > 0 and waiting:
                exchange = waiting.popleft()
                if not exchange.over:
                    room -= 1
                    exchange.start(monotonic())
        finally:  # one that fails is its own affair
            if waiting:
                self._soon(self._turn)
