"""The facts that the attempts have shown about one sink: whether it responds, and whether it accepts anything.

Attempts are numbered, since several batches may be in flight: a refusal is compared with an acceptance by the order in
which the two attempts *began*. An attempt that began before the first refusal proves nothing when it is accepted.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import NamedTuple

_DECAY = 0.9  # share of the slowest decision's time that is remembered with each further decision
_QUIET = 10.0  # seconds in which one first failure is logged: a sink that limits its rate does not flood the log


class Attempt(NamedTuple):
    """One request to the sink: its number, from 1, and the time of the clock at which it began."""

    number: int
    began: float


class SinkAvailability:
    """The availability of one sink, shared by its batches in flight. Owned by its shipper. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.last_attempt = 0  # number of the latest attempt
        self.last_accepted = 0  # number of the latest attempt of which the sink accepted something; 0: none
        self.responding = asyncio.Event()  # set while the latest response is a decision
        self.accepting = asyncio.Event()  # set when the sink accepted something: wakes the batches that stand by
        self.last_failure: tuple[str, float] | None = None  # its reason and its time of the clock
        self._last_decision = 0.0  # time of the clock
        self._slowest = 0.0  # seconds that recent decisions took
        self._last_warning = -math.inf  # time of the last logged failure
        self._last_recovery = -math.inf  # time of the last logged recovery

    # -- noting --------------------------------------------------------------------------------------------------------

    def begin_attempt(self) -> Attempt:
        self.last_attempt += 1
        return Attempt(self.last_attempt, self._clock())

    def accepted(self, attempt: Attempt) -> None:
        """Note that the sink accepted something of this attempt."""
        self.last_accepted = max(self.last_accepted, attempt.number)
        self.accepting.set()

    def decided(self, attempt: Attempt) -> None:
        """Note that the sink has decided on everything in this attempt."""
        self.made_progress()
        self.responded(attempt)

    def responded(self, attempt: Attempt) -> None:
        """Note that the sink has responded with a decision, or a refusal."""
        self._slowest = max(self._clock() - attempt.began, self._slowest * _DECAY)
        self.responding.set()

    def made_progress(self) -> None:
        """Note that the sink has decided on something: it may be slow, and is not dead."""
        self._last_decision = self._clock()

    def failed(self) -> None:
        """Note that the sink accepts nothing now."""
        self.responding.clear()

    def retry_at(self, reason: str, pause: float) -> float:
        """Note the reason of a failed attempt. Return the time of the clock after a pause of so many seconds."""
        now = self._clock()
        self.last_failure = (reason, now)
        return now + pause

    def forget_acceptance(self) -> None:
        """Let `accepting` wait for the next acceptance."""
        self.accepting.clear()

    def wake_standing_by(self) -> None:
        """Wake the batches that stand by: the reason to wait is gone."""
        self.accepting.set()

    def wake_all(self) -> None:
        """Wake every batch that waits for the oldest one: that is settled now."""
        self.responding.set()
        self.accepting.set()

    def age(self, began_at: float) -> float:
        """Return the seconds since that time of the clock."""
        return self._clock() - began_at

    # -- the log -------------------------------------------------------------------------------------------------------

    def is_failure_logged(self, failures: int) -> bool:
        """True if the failure is to be logged: the 1st, 2nd, 4th, 8th … in a row, but not every 1st one."""
        if is_power_of_two(failures) and (failures > 1 or self._clock() >= self._last_warning + _QUIET):
            self._last_warning = self._clock()
            return True
        return False

    def is_recovery_logged(self) -> bool:
        """True if a failure was logged, and no recovery since."""
        if self._last_warning > self._last_recovery:
            self._last_recovery = self._clock()
            return True
        return False

    # -- the drain -----------------------------------------------------------------------------------------------------

    def patience_left(self, give_up_after: float) -> float:
        """Return the seconds that the sink still has for its next decision, in the drain, before it is given up.

        A slow sink gets at least twice the time of its recent decisions.
        """
        return self._last_decision + max(give_up_after, 2 * self._slowest) - self._clock()


def is_power_of_two(count: int) -> bool:
    """True for 1, 2, 4, 8 …: an event that is logged at these counts does not flood the log."""
    return count & (count - 1) == 0
