"""Outlier ejection: take a failing endpoint out, try it with one attempt, and return it. No I/O; time is passed in.

States of an endpoint:

- READY: it serves.
- EJECTED: it gets no attempt until its ejection time is over.
- PROBATION: the next attempt is its trial. With active health checks the next check decides instead.
- TRIAL: one attempt is on its way; no other one goes there.

Transitions:

    READY     ── EJECT_AFTER failures in a row, or one failure to connect ──▶ EJECTED
    READY     ── its share of failures, if EJECT_FAILURE_RATE is set (`failure_shares`) ──▶ EJECTED
    EJECTED   ── the ejection time is over ──▶ PROBATION
    PROBATION ── it is chosen for an attempt ──▶ TRIAL
    PROBATION ── a health check passes ──▶ READY; a health check fails ──▶ EJECTED
    TRIAL     ── a success ──▶ READY
    TRIAL     ── a failure, or no outcome in 5 s ──▶ EJECTED
    TRIAL     ── an outcome that reveals nothing of the endpoint ──▶ PROBATION

Rules that the table cannot express:

- The ejection time is EJECT_FOR. It doubles with each trial that fails, up to 30 times EJECT_FOR. An endpoint that has
  been READY for three times its last ejection begins with EJECT_FOR again. The time varies by a quarter at random, so
  that endpoints that failed together do not return together.
- An outcome ends a trial only if its attempt began after the trial did: responses to older requests give no new
  information. A success of an attempt that began in the present state returns the endpoint from any state.
- At most MAX_EJECTED of the endpoints are out at a time: if everything fails, no single endpoint is the cause.
- `Endpoint.unhealthy` (active health checks) is independent of these states; an unhealthy endpoint is not chosen in any
  of them.
"""

from __future__ import annotations

from math import ceil
from typing import Final

READY: Final[str] = "ready"
EJECTED: Final[str] = "ejected"
PROBATION: Final[str] = "probation"
TRIAL: Final[str] = "trial"

_TRIAL_TIMEOUT: Final = 5.0  # seconds
_LONGEST_EJECTION: Final = 30.0  # times EJECT_FOR
_FORGOTTEN_AFTER: Final = 3.0  # times the last ejection

# Why an endpoint is ejected.
IN_A_ROW: Final[str] = "too many failures in a row"
UNREACHABLE: Final[str] = "no connection opened"
FAILED_TRIAL: Final[str] = "its trial failed"
SILENT_TRIAL: Final[str] = "its trial had no outcome in time"
FAILED_CHECK: Final[str] = "a health check failed"
FAILING: Final[str] = "too many of its attempts fail"


class Ejection:
    """The ejection state of one endpoint, which owns it. Only these methods change it."""

    __slots__ = (
        "cause",
        "consecutive_failures",
        "count",
        "duration",
        "ejected_at",
        "ejected_for",
        "ends_at",
        "entered_at",
        "state",
    )

    def __init__(self) -> None:
        self.state = READY
        self.entered_at = 0.0  # when the state began
        self.ends_at = 0.0  # when EJECTED or TRIAL ends by time
        self.consecutive_failures = 0
        self.count = 0  # ejections, ever
        self.duration = 0.0  # seconds of the last ejection, before the random part
        self.cause = ""  # of the last ejection
        self.ejected_at = 0.0  # when it began
        self.ejected_for = 0.0  # seconds of it

    def on_success(self, started: float, now: float) -> bool:
        """Count a success of an attempt that began at `started`. Return True if it returns the endpoint."""
        self.consecutive_failures = 0
        if self.state is READY or started < self.entered_at:
            return False
        self._enter(READY, now, 0.0)
        return True

    def on_failure(self, started: float, eject_after: int, *, unreachable: bool) -> bool:
        """Count a failure of an attempt that began at `started`. Return True if the endpoint is due for ejection.

        `unreachable`: no connection could be opened.
        """
        if self.state is TRIAL:
            return started >= self.entered_at
        self.consecutive_failures += 1
        return self.state is READY and (unreachable or self.consecutive_failures >= eject_after)

    def eject(self, now: float, eject_for: float, random: float, cause: str = IN_A_ROW) -> None:
        """Enter EJECTED. `eject_for` is the setting in seconds, `random` a number from 0 to less than 1."""
        again = self.state is not READY or now - self.entered_at < _FORGOTTEN_AFTER * self.duration
        self.duration = min(eject_for * _LONGEST_EJECTION, self.duration * 2.0) if again else eject_for
        self.count += 1
        self.cause, self.ejected_at, self.ejected_for = cause, now, self.duration * (0.75 + 0.5 * random)
        self._enter(EJECTED, now, self.ejected_for)

    def begin_trial(self, now: float) -> None:
        """Leave PROBATION: an attempt has been chosen as the trial."""
        self._enter(TRIAL, now, _TRIAL_TIMEOUT)

    def on_inconclusive(self, now: float) -> bool:
        """Note an outcome that reveals nothing. Return True if it was the trial: the next attempt is the new trial."""
        if self.state is not TRIAL:
            return False
        self._enter(PROBATION, now, 0.0)
        return True

    def return_now(self, now: float) -> None:
        """Enter READY: a health check has passed."""
        self.consecutive_failures = 0
        self._enter(READY, now, 0.0)

    def end_if_over(self, now: float) -> bool:
        """Enter PROBATION and return True if the ejection time is over."""
        if self.state is not EJECTED or self.ends_at > now:
            return False
        self._enter(PROBATION, now, 0.0)
        return True

    def has_timed_out(self, now: float) -> bool:
        """Return True if a trial has had no outcome in time, which counts as its failure."""
        return self.state is TRIAL and self.ends_at <= now

    def _enter(self, state: str, now: float, lasts: float) -> None:
        self.state, self.entered_at, self.ends_at = state, now, now + lasts


def may_eject_another(out: int, endpoints: int, max_ejected: float) -> bool:
    """Return True if one more endpoint may be ejected, of which `out` are not READY. `max_ejected` is a share."""
    return out < ceil(max_ejected * endpoints)
