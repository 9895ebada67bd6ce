"""Whether this process lives and whether it is ready: the state behind `/livez` and `/readyz`, without any I/O.

Readiness is a latch that parts hold: a part says why it is not ready, and releases its hold when it is. The process is
ready when nobody holds. Liveness is about this process alone and can really fail: a part that must keep moving (a
reader's loop, say) beats its pulse, and one that has not beaten for longer than it promised is dead, whatever the rest
of the process does.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class ReadinessLatch:
    """One part's hold on readiness. Not ready while `reason` is not empty."""

    __slots__ = ("part", "reason")

    def __init__(self, part: str, reason: str) -> None:
        self.part = part
        self.reason = reason

    def release(self) -> None:
        self.reason = ""


class Heartbeat:
    """One part's promise to beat at least every `max_age` seconds. An idle part says so, and owes nothing."""

    __slots__ = ("_clock", "last", "max_age", "part")

    def __init__(self, part: str, max_age: float, clock: Callable[[], float]) -> None:
        self.part = part
        self.max_age = max_age
        self._clock = clock
        self.last: float | None = clock()

    def beat(self) -> None:
        self.last = self._clock()

    def idle(self) -> None:
        self.last = None

    def age(self) -> float:
        """Seconds since the last beat; 0 while idle."""
        return 0.0 if self.last is None else self._clock() - self.last


class Health:
    """The holds and pulses of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._holds: list[ReadinessLatch] = []
        self._pulses: list[Heartbeat] = []

    def hold(self, part: str, reason: str) -> ReadinessLatch:
        """Keep the process from being ready, until the hold is released."""
        hold = ReadinessLatch(part, reason)
        self._holds.append(hold)
        return hold

    def pulse(self, part: str, max_age: float) -> Heartbeat:
        """Promise a beat at least every `max_age` seconds."""
        pulse = Heartbeat(part, max_age, self._clock)
        self._pulses.append(pulse)
        return pulse

    def not_ready(self) -> list[str]:
        """Why the process is not ready, a sentence each; empty when it is."""
        return [f"{hold.part}: {hold.reason}" for hold in self._holds if hold.reason]

    def not_alive(self) -> list[str]:
        """Which parts have stopped moving, a sentence each; empty when none has."""
        return [
            f"{pulse.part}: no beat for {pulse.age():.1f} s, at most {pulse.max_age:g} s promised"
            for pulse in self._pulses
            if pulse.age() > pulse.max_age
        ]
