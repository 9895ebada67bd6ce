"""What may be tried again, and how often. No I/O.

RFC 9110 section 9.2.2: a proxy must not repeat a non-idempotent request by itself. So a failed try is repeated when

- nothing of the request was written (the connection did not open), whatever its method; or
- it is idempotent, no byte of a final response has been passed on, and all of the request is still held. PUT and DELETE
  with a precondition are not, since their own effect may fail it; POST and PATCH with an Idempotency-Key are;

and if RETRY_ON names the way in which it failed. A response whose status RETRY_ON names is held back only where another
try may follow; else the app gets it as it is. What an endpoint asks for with Retry-After is never cut short: it is not
tried again before, and where it is the only one and the time is long the app gets the answer.

The idle keep-alive race (the upstream closes a connection just as we write on it) is not a failure of the endpoint: the
first time, such a request is repeated on a fresh connection without being counted, so that even RETRIES=0 never shows
it to the app. A non-idempotent request avoids the race: it uses only a connection that was at work a moment ago.

Retries are a bounded part of the traffic (a budget): when everything fails they must not multiply the load.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sidecars.ambassador.setting_types import RetryOn
from sidecars.chassis.http import retry_after as field

FRESH: Final = 1.0  # seconds for which an idle connection is good enough for a request that cannot be repeated

_FIRST_PAUSE: Final = 0.025  # seconds
_LONGEST_PAUSE: Final = 0.25  # seconds
_MOST_ASKED: Final = 86_400.0  # seconds; more of a Retry-After is not told apart
LONGEST_WAIT: Final = 1.0  # seconds that a request waits here because of a Retry-After


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """A try that failed before any byte of a final response was passed on."""

    reason: str | int  # CONNECT, RESET or TIMEOUT, or the status of a response that could be held back
    idempotent: bool
    written: bool  # anything of the request was given to a connection
    held: bool  # all of the request that has come so far is still here
    reused: bool  # on a connection that had served a request before
    closed: bool  # by the upstream closing the connection, and not by a timeout or a malformed response
    race_forgiven: bool  # the race has already been forgiven once
    retries: int  # counted retries so far


FORGIVEN: Final = "forgiven"
RETRY: Final = "retry"
GIVE_UP: Final = "give up"


def verdict(failed: FailedAttempt, allowed: int, retry_on: RetryOn) -> str:
    """Whether to repeat the try: FORGIVEN (on a fresh connection, not counted), RETRY or GIVE_UP."""
    safe = failed.held and (failed.idempotent or not failed.written)
    if not safe:
        return GIVE_UP
    if failed.written and failed.reused and failed.closed and not failed.race_forgiven:
        return FORGIVEN
    wanted = failed.reason in retry_on.failures or failed.reason in retry_on.statuses
    return RETRY if wanted and failed.retries < allowed else GIVE_UP


def pause(retries: int, chance: float) -> float:
    """Seconds to wait before an endpoint is tried that has already been tried; `chance` from 0 to 1 spreads them."""
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**retries) * (0.5 + chance)


def retry_after(fields: Iterable[bytes], now: float) -> float:
    """Seconds that a response with these field lines asks us to wait; 0 where it does not say. `now` is a Unix time."""
    for line in fields:
        name, _, value = line.partition(b":")
        if name.lower() == b"retry-after":
            return field.retry_after(value.rstrip().decode("latin-1"), now, _MOST_ASKED) or 0.0
    return 0.0
