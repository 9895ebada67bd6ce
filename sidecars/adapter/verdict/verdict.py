"""A verdict: whether an app is healthy, check by check, and why not. Plain values, without any I/O.

A *check* is one rule, or one component of an app that judges itself. The verdict is as bad as its worst check, unless
the damping holds it back (`damping.py`); then `holding` says what is holding it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from sidecars.chassis.runtime.printable import truncate

Status = Literal["pass", "warn", "fail"]
STATUSES: tuple[Status, ...] = get_args(Status)

_RANK: Mapping[Status, int] = {"pass": 0, "warn": 1, "fail": 2}
NO_ANSWER = "no data"  # the reason of a rule whose app gave no answer: another check says why
_MOST_REASONS = 10  # that are told in one line
_LONGEST_REASON = 300  # characters of one check's reason: probers cut bodies, and so do we, at a place that makes sense


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    reason      why it does not pass, in our words
    words       the same in the app's own: for the prober, and never for a log
    value       the number that decided, which should compare with the `threshold` as `comparison` (`<`, `==`, …) says
    is_rule     a rule of ours, and no component of the app's: the app is free to invent names for those
    severity    what a rule is when it does not hold
    """

    name: str
    status: Status
    reason: str = ""
    value: float | None = None
    threshold: float | None = None
    app: str = ""
    is_rule: bool = False
    comparison: str = ""
    severity: Status = "fail"
    words: str = ""

    @property
    def label(self) -> str:
        """Its name, behind that of its app where several apps share a verdict."""
        return f"{self.app}/{self.name}" if self.app else self.name

    @property
    def wanted(self) -> str:
        """`< 0.9`; "" where nothing is compared."""
        return f"{self.comparison} {self.threshold:g}" if self.comparison and self.threshold is not None else ""

    @property
    def short_reason(self) -> str:
        """The reason on one line, and not longer than people read; the app's words where it has some."""
        line = " ".join((self.words or self.reason).split())
        return truncate(line, _LONGEST_REASON)


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks, and what follows from them."""

    status: Status
    checks: tuple[Check, ...]
    holding: str = ""

    @property
    def reason(self) -> str:
        """One line: what holds the status, and each check that does not pass, the worst first; "" when all is well.

        A rule that has no data because its app gave no answer is not worth a word beside that.
        """
        return self._reason(lambda check: check.short_reason)

    @property
    def own_reason(self) -> str:
        """The same without what the app has sent: for logs and `/status`."""
        return self._reason(lambda check: check.reason)

    def _reason(self, reason_of: Callable[[Check], str]) -> str:
        bad = [check for check in worst_first(self.checks) if check.status != "pass"]
        told = [one for one in bad if one.reason != NO_ANSWER]
        parts = [f"{one.label}: {reason_of(one)}" for one in told[:_MOST_REASONS]]
        if len(told) > _MOST_REASONS:
            parts.append(f"and {len(told) - _MOST_REASONS} more")
        return "; ".join([self.holding, *parts] if self.holding else parts)


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of them; no check at all is never a pass."""
    return max(statuses, key=_RANK.__getitem__, default="fail")


def worst_first(checks: Iterable[Check]) -> list[Check]:
    return sorted(checks, key=lambda check: -_RANK[check.status])


def verdict_of(checks: Iterable[Check]) -> Verdict:
    """The verdict that follows from the checks."""
    kept = tuple(checks)
    return Verdict(worst(check.status for check in kept), kept)


def combine_apps(verdicts: Mapping[str, Verdict]) -> Verdict:
    """One verdict over several apps, each check under its app's name; as it is where there is only one."""
    if len(verdicts) == 1:
        return next(iter(verdicts.values()))
    checks = tuple(replace(check, app=app) for app, verdict in verdicts.items() for check in verdict.checks)
    holding = "; ".join(f"{app}: {verdict.holding}" for app, verdict in verdicts.items() if verdict.holding)
    return Verdict(worst(verdict.status for verdict in verdicts.values()), checks, holding)


def combine_routes(verdicts: Iterable[Verdict]) -> Verdict:
    """One verdict over several routes, which may share checks."""
    many = tuple(verdicts)
    checks = tuple(dict.fromkeys(check for verdict in many for check in verdict.checks))
    holding = "; ".join(dict.fromkeys(verdict.holding for verdict in many if verdict.holding))
    return Verdict(worst(verdict.status for verdict in many), checks, holding)
