"""The retry policy: which attempts are repeated, and after which pause. No I/O.

RFC 9110 section 9.2.2: a proxy must not repeat a non-idempotent request on its own account. So a failed attempt is
repeated if

- nothing of the request was written (the connection did not open), with any method; or
- it is idempotent, no byte of a final response has been passed on, and all of the request is still held;

and if RETRY_ON names the way in which it failed. PUT and DELETE with a precondition do not count as idempotent, since
their own effect may make the precondition fail. POST and PATCH with an Idempotency-Key count as idempotent.

A response whose status RETRY_ON names is held back only if another attempt may follow. Otherwise the app gets it as it
is. The time of a Retry-After is never cut short: the endpoint gets no attempt before it is over. If the endpoint is the
only one and the time is long, the app gets the response.

The idle keep-alive race is no failure of the endpoint: the upstream closes an idle connection just as a request is
written on it. The first time, such a request is repeated on a new connection without being counted as a retry, so that
even RETRIES=0 never shows the race to the app. A non-idempotent request avoids the race: it uses only a connection that
was at work a moment ago.

An attempt that the endpoint has provably not processed (`Cause.unprocessed`) is repeated at once on another endpoint,
with any method and RETRY_ON, for at most three endpoints. It counts neither as a retry nor for the budget, and the
endpoint is not blamed. The proofs, all of HTTP/2 (RFC 9113 sections 6.8 and 8.7, gRFC A6):

    what happened                                                       repeated
    RST_STREAM with REFUSED_STREAM                                      at once, any method
    GOAWAY with a last stream id lower than the stream's                at once, any method
    the connection was lost before the request was given to it         at once, any method
    RST_STREAM with another code, a lost connection after writing       as above: if idempotent, and by RETRY_ON
    the same three, on the third endpoint                               as above, any method: it is safe, and counted

A retry budget (`sidecars.ambassador.upstream.retry_budget`) bounds the retries of all requests together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sidecars.ambassador.config.setting_types import RetryOn
from sidecars.chassis.http import retry_after as field

FRESH: Final = 1.0  # seconds for which an idle connection may serve a request that cannot be repeated
ANY_AGE: Final = 1e9  # seconds for a request that can be repeated: no limit

MOST_REPEATS: Final = 2  # of an attempt that was unprocessed: three endpoints
_FIRST_PAUSE: Final = 0.025  # seconds
_MAX_PAUSE: Final = 0.25  # seconds
_MAX_RETRY_AFTER: Final = 86_400.0  # seconds; a longer Retry-After counts as this
MAX_WAIT: Final = 1.0  # seconds that a request waits here because of a Retry-After


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt that failed before any byte of a final response was passed on."""

    reason: str | int  # CONNECT, RESET or TIMEOUT, or the status of a response that could be held back
    idempotent: bool
    written: bool  # True if anything of the request was written to a connection
    held: bool  # True if all of the request that has come so far is held
    reused: bool  # True if its connection had served a request before
    closed: bool  # True if the upstream closed the connection; False after a time-out or a malformed response
    race_forgiven: bool  # True if the race has been forgiven once already
    retries: int  # retries that were counted so far
    unprocessed: bool = False  # True if the endpoint has provably not processed it
    repeats: int = 0  # attempts so far that were repeated because they were unprocessed


FORGIVEN: Final = "forgiven"
UNPROCESSED: Final = "unprocessed"
RETRY: Final = "retry"
GIVE_UP: Final = "give up"


def verdict(failed: FailedAttempt, allowed: int, retry_on: RetryOn) -> str:
    """Return FORGIVEN (on a new connection, not counted), UNPROCESSED (elsewhere, not counted), RETRY or GIVE_UP."""
    if failed.unprocessed and failed.held and failed.repeats < MOST_REPEATS:
        return UNPROCESSED
    safe = failed.held and (failed.idempotent or failed.unprocessed or not failed.written)
    if not safe:
        return GIVE_UP
    if failed.written and failed.reused and failed.closed and not failed.race_forgiven:
        return FORGIVEN
    wanted = failed.reason in retry_on.failures or failed.reason in retry_on.statuses
    return RETRY if wanted and failed.retries < allowed else GIVE_UP


def pause(retries: int, chance: float) -> float:
    """Return the seconds to wait before another attempt at the same endpoint; `chance` from 0 to 1 spreads them."""
    return min(_MAX_PAUSE, _FIRST_PAUSE * 2.0**retries) * (0.5 + chance)


def retry_after(value: bytes, now: float) -> float:
    """Return the seconds that the value of a Retry-After asks for; 0 without one (b""). `now` is a Unix time."""
    return (field.retry_after(value.decode("latin-1"), now, _MAX_RETRY_AFTER) or 0.0) if value else 0.0
