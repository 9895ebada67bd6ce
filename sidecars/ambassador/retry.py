"""What may be tried again, and how often. No I/O.

RFC 9110 section 9.2.2: a proxy must not repeat a non-idempotent request by itself. So a failed try is repeated when

- nothing of the request was written (the connection did not open), whatever its method; or
- its method is idempotent, no byte of a final response has come, and all of the request is still held.

The idle keep-alive race (the upstream closes a connection just as we write on it) is not a failure of the endpoint: the
first time, such a request is repeated on a fresh connection without being counted, so that even RETRIES=0 never shows
it to the app. A non-idempotent request avoids the race: it uses only a connection that was at work a moment ago.

Retries are a bounded part of the traffic (a budget): when everything fails they must not multiply the load.
"""

from __future__ import annotations

from dataclasses import dataclass

FRESH = 1.0  # seconds for which an idle connection is good enough for a request that cannot be repeated

_PER_REQUEST = 0.2  # retries that a request earns
_PER_SECOND = 10.0  # retries that are always allowed
_MOST = 100.0  # retries that can be saved up
_FIRST_PAUSE = 0.025  # seconds
_LONGEST_PAUSE = 0.25  # seconds


@dataclass(frozen=True, slots=True)
class Failed:
    """A try that failed before any byte of a final response was passed on."""

    idempotent: bool
    written: bool  # anything of the request was given to a connection
    held: bool  # all of the request that has come so far is still here
    reused: bool  # on a connection that had served a request before
    closed: bool  # by the upstream closing the connection, and not by a timeout or a malformed response
    redone: bool  # the race has already been forgiven once
    retries: int  # counted retries so far


FORGIVEN, RETRY, GIVE_UP = "forgiven", "retry", "give up"


def verdict(failed: Failed, allowed: int) -> str:
    """Whether to repeat the try: FORGIVEN (on a fresh connection, not counted), RETRY or GIVE_UP."""
    safe = failed.held and (failed.idempotent or not failed.written)
    if not safe:
        return GIVE_UP
    if failed.written and failed.reused and failed.closed and not failed.redone:
        return FORGIVEN
    return RETRY if failed.retries < allowed else GIVE_UP


def pause(retries: int, chance: float) -> float:
    """Seconds to wait before an endpoint is tried that has already been tried; `chance` from 0 to 1 spreads them."""
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**retries) * (0.5 + chance)


class Budget:
    """How many retries the traffic allows: a fifth of the requests, and ten a second in any case."""

    __slots__ = ("_refilled", "saved")

    def __init__(self, now: float) -> None:
        self.saved = _MOST
        self._refilled = now

    def earn(self) -> None:
        """A request has begun."""
        if self.saved < _MOST:
            self.saved += _PER_REQUEST

    def spend(self) -> bool:
        """Take a retry, if there is one."""
        if self.saved < 1:
            return False
        self.saved -= 1
        return True

    def refill(self, now: float) -> None:
        self.saved = min(_MOST, self.saved + (now - self._refilled) * _PER_SECOND)
        self._refilled = now
