"""Hysteresis: the decision whether a verdict may change now. Also the grace time while the app starts.

Pure: the time is passed in. Each app request has one `Hysteresis`, owned by its judge.

A result is *bad* if its status is fail, and *good* otherwise. The states, of which *starting* exists only with a grace
time, and *good* is the first one without it:

    starting   the app has not been well yet, and the grace time is not over
    good       the verdict passes, or warns
    bad        the verdict fails

    state     result                                          next state  status of the verdict
    starting  bad, within the grace time                      starting    warn
    starting  good; or any, after the grace time              good        as from the state good
    good      good                                            good        the result's own
    good      bad, fewer or shorter in a row than FAIL_AFTER  good        warn
    good      bad, FAIL_AFTER reached                         bad         fail
    bad       bad                                             bad         fail
    bad       good, fewer or shorter than PASS_AFTER          bad         fail
    bad       good, PASS_AFTER reached                        good        the result's own

A threshold is a number of results in a row, or a time from the first result of the row to the latest. The number is
about the app and not about its probers: a result within `INSTANT` after the last counted one is not counted, so that
three probers that ask at the same moment count as one. (Probers that share a response cause one result: the judge
judges each outcome once.)

In the state good, a bad result is a warning until FAIL_AFTER is reached: an app that may be failing passes, but it is
never reported as healthy. This holds for the first results after the start, too.

As with Kubernetes' startupProbe, an app that has once been well has no grace time left. So a crash loop is reported as
a failure.

`Verdict.holding` names the rule that holds the status back, and how far the row has come.
"""

from __future__ import annotations

from dataclasses import replace
from math import floor

from sidecars.adapter.setting_types import Threshold
from sidecars.adapter.verdict.verdict import Verdict
from sidecars.chassis.config.setting_types import format_duration

INSTANT = 0.5  # seconds; the kubelet and most other probers ask once a second at the most


class Hysteresis:
    """The state of the verdict on one app request. All times are in seconds, on the clock of `began`."""

    __slots__ = ("_bad", "_began", "_fail_after", "_grace", "_pass_after", "_starting", "_streak")

    def __init__(self, fail_after: Threshold, pass_after: Threshold, grace: float, began: float) -> None:
        self._fail_after = fail_after
        self._pass_after = pass_after
        self._grace = grace
        self._began = began
        self._starting = grace > 0
        self._bad = False
        self._streak = _Streak()

    def apply(self, result: Verdict, now: float) -> Verdict:
        """Take one result that came at `now`, and return the verdict to report."""
        bad = result.status == "fail"
        if self._starting and self._still_starting(now, bad=bad):
            left = format_duration(round(self._began + self._grace - now, 1))
            return replace(result, status="warn", holding=f"start-up grace, {left} left")
        if bad == self._bad:
            self._streak = _Streak()
            return result
        self._streak.add(now)
        threshold = self._fail_after if bad else self._pass_after
        if self._streak.reaches(threshold):
            self._bad, self._streak = bad, _Streak()
            return result
        return replace(result, status="warn" if bad else "fail", holding=self._streak.progress(threshold, bad=bad))

    def missing(self, now: float) -> str:
        """Return the conditions that are missing until the status changes, in words."""
        left = self._began + self._grace - now
        if self._starting and left > 0:
            return f"start-up grace, {format_duration(round(left, 1))} left: until then a failure is a warning"
        return self._streak.missing(self._pass_after if self._bad else self._fail_after, bad=not self._bad)

    def _still_starting(self, now: float, *, bad: bool) -> bool:
        self._starting = bad and now < self._began + self._grace
        return self._starting


class _Streak:
    """The results in a row that contradict the state."""

    __slots__ = ("_began", "_counted", "_latest", "_number")

    def __init__(self) -> None:
        self._number = 0
        self._began = self._counted = self._latest = 0.0

    def add(self, now: float) -> None:
        """Add a result. It is counted if `INSTANT` has passed since the last counted one."""
        if not self._number:
            self._began = now
        if not self._number or now - self._counted >= INSTANT:
            self._number += 1
            self._counted = now
        self._latest = now

    def reaches(self, threshold: Threshold) -> bool:
        """True if the row is long enough to change the state."""
        if threshold.seconds:
            return self._latest - self._began >= threshold.seconds
        return self._number >= threshold.count

    def missing(self, threshold: Threshold, *, bad: bool) -> str:
        """Return the results that the row still needs, in words. `bad`: True if these change a good state."""
        result, verb = ("bad", "fails") if bad else ("good", "passes")
        if threshold.seconds:
            whole = format_duration(threshold.seconds)
            if not self._number:
                return f"{verb} when results are {result} for {whole}"
            left = threshold.seconds - (self._latest - self._began)
            return f"{self.progress(threshold, bad=bad)}: {verb} if that lasts {left:.1f} s longer"
        if not self._number:
            several = f"after {threshold.count} {result} results in a row"
            return f"{verb} {several if threshold.count > 1 else f'at the first {result} result'}"
        left_over = threshold.count - self._number
        return f"{self.progress(threshold, bad=bad)}: {verb} after {left_over} more"

    def progress(self, threshold: Threshold, *, bad: bool) -> str:
        """Return how far the row has come: `failed 1 of 3 times in a row`."""
        if threshold.seconds:
            so_far = format_duration(floor((self._latest - self._began) * 10) / 10)
            return f"{'failing' if bad else 'passing'} for {so_far} of {format_duration(threshold.seconds)}"
        return f"{'failed' if bad else 'passed'} {self._number} of {threshold.count} times in a row"
