"""What keeps a verdict from jumping: hysteresis, and a grace while the app starts. Pure: the time is passed in.

Theory of operation. A result is *bad* when its status is fail. There are two states, bad and good, and none before the
first result:

    none   the first result decides at once.
    good   turns bad after `fail_after` bad results in a row. While they are counted the status is *warn*: an app that
           may be failing is passed, but never as healthy.
    bad    turns good after `pass_after` good results in a row. While they are counted the status stays *fail*.

Grace is for an app that is only starting. It begins with the adapter and ends after its time, or with the first result
that is not bad. In between a bad result is *warn*, too, and is not counted. (As with Kubernetes' startupProbe, an app
that has once been well has no grace left: a restart loop is told as what it is.)

The `holding` of the verdict says which of the two is at work, and how far it has come.
"""

from __future__ import annotations

from dataclasses import replace

from chassis.kinds import show_duration
from sidecars.adapter.verdict import Verdict


class Damping:
    """The state of one app's verdict."""

    __slots__ = ("_bad", "_began", "_fail_after", "_grace", "_pass_after", "_row", "_starting")

    def __init__(self, fail_after: int, pass_after: int, grace: float, began: float) -> None:
        self._fail_after = fail_after
        self._pass_after = pass_after
        self._grace = grace
        self._began = began
        self._starting = grace > 0
        self._bad: bool | None = None
        self._row = 0  # results in a row that speak against the state

    def settle(self, verdict: Verdict, now: float) -> Verdict:
        """The verdict as it is to be told; `now` is on the clock of `began`."""
        bad = verdict.status == "fail"
        if self._starting and self._still_starting(now, bad=bad):
            left = show_duration(round(self._began + self._grace - now, 1))
            return replace(verdict, status="warn", holding=f"start-up grace, {left} left")
        if self._bad is None or bad == self._bad:
            self._bad, self._row = bad, 0
            return verdict
        self._row += 1
        needed = self._fail_after if bad else self._pass_after
        if self._row >= needed:
            self._bad, self._row = bad, 0
            return verdict
        word = "failed" if bad else "passed"
        holding = f"{word} {self._row} of {needed} times in a row"
        return replace(verdict, status="warn" if bad else "fail", holding=holding)

    def _still_starting(self, now: float, *, bad: bool) -> bool:
        self._starting = bad and now < self._began + self._grace
        return self._starting
