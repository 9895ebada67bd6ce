"""The clock that signatures are dated by: this one, or that of the endpoints if they refuse it. No I/O.

AWS refuses a signature whose time is minutes from its own. The field Date of the refusal has its time, which is taken:

    this time has not been accepted for five minutes, and a refusal has another Date   that time is taken; again
    the refused request was dated before that                                          again
    a refusal although the Date is the same                                            this clock is taken again
    this time was accepted less than five minutes ago                                  the refusal has another cause

The third row is for a Date that lies: then both times have their turn, until one is accepted.
"""

from __future__ import annotations

from typing import Final

from sidecars.chassis.identity import service_clock

REFUSALS: Final = (400, 401, 403)
"""The statuses with which services of AWS refuse a signature: it depends on the service."""

SAME: Final = service_clock.SAME
_PROVEN: Final = 300.0  # seconds for which an accepted time is taken to be right


class ClockSkew:
    """How far the endpoints' clock is ahead. Its identity owns it. Times are seconds of the monotonic clock."""

    __slots__ = ("_accepted_at", "_changed_at", "ahead")

    def __init__(self) -> None:
        self.ahead = 0.0  # seconds to add to this clock
        self._changed_at = 0.0
        self._accepted_at = -_PROVEN

    def accept(self, sent_at: float, now: float) -> None:
        """Note that a request was accepted whose attempt began then."""
        if sent_at >= self._changed_at:
            self._accepted_at = now

    def refuse(self, ahead: float, sent_at: float, now: float) -> bool:
        """Note a refusal. Return True if the request would have another time now.

        - `ahead`: the seconds that the clock of the endpoint is ahead, by its Date.
        - `sent_at`: when the attempt began.
        """
        is_same = abs(ahead - self.ahead) < SAME
        if sent_at < self._changed_at:
            return is_same
        if now < self._accepted_at + _PROVEN:
            return False
        if not is_same:
            self._change(ahead, now)
            return True
        if self.ahead:
            self._change(0.0, now)
        return False

    def _change(self, ahead: float, now: float) -> None:
        self.ahead = ahead
        self._changed_at = now
        self._accepted_at = -_PROVEN
