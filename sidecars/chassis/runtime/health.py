"""Liveness and readiness of this process: the state behind `/livez` and `/readyz`. No I/O.

Readiness is a set of latches. A part that is not ready holds a latch with the reason, and releases it when it is ready.
The process is ready if no latch is held.

    latch    hold(reason) ──▶ held ──release()──▶ released ──hold(reason)──▶ held …

Liveness is about this process alone, and it can really fail. A part that must keep moving (a reader's loop, for
instance) has a heartbeat. The process is not alive if a heartbeat is older than its part has promised, whatever the
rest of the process does.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class ReadinessLatch:
    """The latch of one part, which owns it. It is held while `reason` is not empty.

    `changed` is called when the latch begins or ends to be held, and not for another reason.
    """

    __slots__ = ("_changed", "_reason", "part")

    def __init__(self, part: str, reason: str, changed: Callable[[], object] = int) -> None:
        self.part = part
        self._reason = reason
        self._changed = changed

    @property
    def reason(self) -> str:
        return self._reason

    def hold(self, reason: str) -> None:
        """Keep the process from being ready, for this reason; "" releases the latch."""
        is_change = bool(reason) != bool(self._reason)
        self._reason = reason
        if is_change:
            self._changed()

    def release(self) -> None:
        self.hold("")


class Heartbeat:
    """The promise of one part to call `beat` at least every `max_age` seconds. An idle part need not."""

    __slots__ = ("_clock", "_last", "max_age", "part")

    def __init__(self, part: str, max_age: float, clock: Callable[[], float]) -> None:
        self.part = part
        self.max_age = max_age
        self._clock = clock
        self._last: float | None = clock()  # None while idle

    def beat(self) -> None:
        self._last = self._clock()

    def idle(self) -> None:
        """Suspend the promise until the next `beat`."""
        self._last = None

    def age(self) -> float:
        """Return the seconds since the last beat; 0 while idle."""
        return 0.0 if self._last is None else self._clock() - self._last


class Health:
    """The latches and heartbeats of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._latches: list[ReadinessLatch] = []
        self._heartbeats: list[Heartbeat] = []
        self._was_ready = True
        self._changed_at = clock()  # the last change between ready and not ready

    def hold(self, part: str, reason: str) -> ReadinessLatch:
        """Return a latch of the part, held for this reason; "" gives a released latch."""
        latch = ReadinessLatch(part, reason, self._note_change)
        self._latches.append(latch)
        self._note_change()
        return latch

    def heartbeat(self, part: str, max_age: float) -> Heartbeat:
        """Return a heartbeat of the part, which promises a beat at least every `max_age` seconds."""
        heartbeat = Heartbeat(part, max_age, self._clock)
        self._heartbeats.append(heartbeat)
        return heartbeat

    def not_ready(self) -> list[str]:
        """Return a sentence for each latch that is held; the process is ready if there is none."""
        return [f"{latch.part}: {latch.reason}" for latch in self._latches if latch.reason]

    def not_alive(self) -> list[str]:
        """Return a sentence for each part whose heartbeat is too old; the process is alive if there is none."""
        return [
            f"{heartbeat.part}: no beat for {heartbeat.age():.1f} s, at most {heartbeat.max_age:g} s promised"
            for heartbeat in self._heartbeats
            if heartbeat.age() > heartbeat.max_age
        ]

    def state(self) -> tuple[str, float]:
        """Return `ready`, `not ready` or `not alive`, and the number of seconds since that is so.

        A process that is not alive is so since the first of its promises was broken, whether it is ready or not.
        """
        late = [heartbeat.age() - heartbeat.max_age for heartbeat in self._heartbeats]
        if (most := max(late, default=0.0)) > 0:
            return "not alive", most
        self._note_change()
        return "ready" if self._was_ready else "not ready", self._clock() - self._changed_at

    def _note_change(self) -> None:
        """Note the time if the process has become ready, or ceased to be. Latches are few, and seldom change.

        Two threads may do it at once, and the one with the older view last: the next call, at the latest that of
        `state`, puts it right.
        """
        is_ready = not any(latch.reason for latch in self._latches)
        if is_ready != self._was_ready:
            self._was_ready, self._changed_at = is_ready, self._clock()
