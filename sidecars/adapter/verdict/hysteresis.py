"""What keeps a verdict from jumping: hysteresis, and a grace while the app starts. Pure: the time is passed in.

Theory of operation. A result is *bad* when its status is fail. There are two states, and it begins with *good*:

    good   turns bad when bad results in a row have reached `fail_after`. Until then the status is *warn*: an app that
           may be failing is passed, but never as healthy. This holds for the first results after the start, too.
    bad    turns good when good results in a row have reached `pass_after`. Until then the status stays *fail*.

A threshold is a number of results, or a time from the first one in the row to the latest. A number is about the app and
not about its probers: a result that comes within `INSTANT` of the one that was counted last is not counted, so that
three probers that ask at the same moment count as one. (`judge` sees to it that a shared answer is one result.)

Grace is for an app that is only starting. It begins with the adapter and ends after its time, or with the first result
that is not bad. In between a bad result is *warn*, too, and is not counted. (As with Kubernetes' startupProbe, an app
that has once been well has no grace left: a restart loop is told as what it is.)

The `holding` of the verdict says which of the two is at work, and how far it has come.
"""

from __future__ import annotations

from dataclasses import replace
from math import floor

from sidecars.adapter.setting_types import Threshold
from sidecars.adapter.verdict.verdict import Verdict
from sidecars.chassis.config.setting_types import format_duration

INSTANT = 0.5  # seconds; the kubelet and most others probe once a second at the most


class Hysteresis:
    """The state of one app's verdict. All times are in seconds on the clock of `began`."""

    __slots__ = ("_bad", "_began", "_fail_after", "_grace", "_pass_after", "_starting", "_streak")

    def __init__(self, fail_after: Threshold, pass_after: Threshold, grace: float, began: float) -> None:
        self._fail_after = fail_after
        self._pass_after = pass_after
        self._grace = grace
        self._began = began
        self._starting = grace > 0
        self._bad = False
        self._streak = _Streak()

    def apply(self, verdict: Verdict, now: float) -> Verdict:
        """Return the verdict as it is to be told, of one result that came `now`."""
        bad = verdict.status == "fail"
        if self._starting and self._still_starting(now, bad=bad):
            left = format_duration(round(self._began + self._grace - now, 1))
            return replace(verdict, status="warn", holding=f"start-up grace, {left} left")
        if bad == self._bad:
            self._streak = _Streak()
            return verdict
        self._streak.count(now)
        threshold = self._fail_after if bad else self._pass_after
        if self._streak.reaches(threshold):
            self._bad, self._streak = bad, _Streak()
            return verdict
        return replace(verdict, status="warn" if bad else "fail", holding=self._streak.progress(threshold, bad=bad))

    def _still_starting(self, now: float, *, bad: bool) -> bool:
        self._starting = bad and now < self._began + self._grace
        return self._starting


class _Streak:
    """The results in a row that speak against the state."""

    __slots__ = ("_began", "_counted", "_latest", "_number")

    def __init__(self) -> None:
        self._number = 0
        self._began = self._counted = self._latest = 0.0

    def count(self, now: float) -> None:
        """Take one more result."""
        if not self._number:
            self._began = now
        if not self._number or now - self._counted >= INSTANT:
            self._number += 1
            self._counted = now
        self._latest = now

    def reaches(self, threshold: Threshold) -> bool:
        if threshold.seconds:
            return self._latest - self._began >= threshold.seconds
        return self._number >= threshold.count

    def progress(self, threshold: Threshold, *, bad: bool) -> str:
        """Return how far the row has come, for people."""
        if threshold.seconds:
            so_far = format_duration(floor((self._latest - self._began) * 10) / 10)
            return f"{'failing' if bad else 'passing'} for {so_far} of {format_duration(threshold.seconds)}"
        return f"{'failed' if bad else 'passed'} {self._number} of {threshold.count} times in a row"
