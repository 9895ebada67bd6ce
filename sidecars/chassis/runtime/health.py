"""Liveness and readiness of this process: the state behind `/livez` and `/readyz`. No I/O.

Readiness is a set of latches. A part that is not ready holds a latch with the reason, and releases it when it is ready.
The process is ready if no latch is held.

Liveness is about this process alone, and it can really fail. A part that must keep moving (a reader's loop, for
instance) has a heartbeat. The process is not alive if a heartbeat is older than its part has promised, whatever the
rest of the process does.
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
        self._latches: list[ReadinessLatch] = []
        self._heartbeats: list[Heartbeat] = []

    def hold(self, part: str, reason: str) -> ReadinessLatch:
        """Keep the process from being ready, until the hold is released."""
        latch = ReadinessLatch(part, reason)
        self._latches.append(latch)
        return latch

    def heartbeat(self, part: str, max_age: float) -> Heartbeat:
        """Promise a beat at least every `max_age` seconds."""
        heartbeat = Heartbeat(part, max_age, self._clock)
        self._heartbeats.append(heartbeat)
        return heartbeat

    def not_ready(self) -> list[str]:
        """Why the process is not ready, a sentence each; empty when it is."""
        return [f"{latch.part}: {latch.reason}" for latch in self._latches if latch.reason]

    def not_alive(self) -> list[str]:
        """Which parts have stopped moving, a sentence each; empty when none has."""
        return [
            f"{heartbeat.part}: no beat for {heartbeat.age():.1f} s, at most {heartbeat.max_age:g} s promised"
            for heartbeat in self._heartbeats
            if heartbeat.age() > heartbeat.max_age
        ]
