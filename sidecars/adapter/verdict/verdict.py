"""A verdict: whether an app is healthy, check by check, and the reason if not. Plain values. No I/O.

A *check* is one rule, or one component of an app that reports its own health. The verdict is as bad as its worst check,
unless hysteresis holds the status back (`hysteresis`); then `holding` is the reason for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from sidecars.chassis.runtime.printable import truncate

Status = Literal["pass", "warn", "fail"]
STATUSES: tuple[Status, ...] = get_args(Status)

_RANK: Mapping[Status, int] = {"pass": 0, "warn": 1, "fail": 2}
NO_RESPONSE = "no data"  # the reason of each rule if the app gave no response; the check `app` has the cause
_MAX_REASONS = 10  # checks in one line of reasons
_MAX_REASON = 300  # characters of one check's reason; probers cut long bodies at any place


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a verdict.

    reason      the reason why it does not pass, without anything that the app has sent
    detail      the same with the app's own words: for probers, never for a log
    value       the measured number; it should compare with the `threshold` as `comparison` (`<`, `==`, …) demands
    is_rule     True for a rule. False for a component, whose name the app has chosen
    severity    the status of a rule that does not hold
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
    detail: str = ""

    @property
    def label(self) -> str:
        """The name; with the app's name in front if several apps share the verdict."""
        return f"{self.app}/{self.name}" if self.app else self.name

    @property
    def wanted(self) -> str:
        """The comparison that should hold, `< 0.9`; "" if nothing is compared."""
        return f"{self.comparison} {self.threshold:g}" if self.comparison and self.threshold is not None else ""

    @property
    def short_reason(self) -> str:
        """The detail, or the reason without one, on one line of at most 300 characters."""
        line = " ".join((self.detail or self.reason).split())
        return truncate(line, _MAX_REASON)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The checks of one or more apps, and the status that follows from them.

    holding  the reason why hysteresis holds the status back; "" if it does not
    """

    status: Status
    checks: tuple[Check, ...]
    holding: str = ""

    @property
    def reason(self) -> str:
        """One line for probers: `holding`, and each check that does not pass, worst first. "" if all pass.

        A rule without data is left out if its app gave no response, since the check `app` has the cause.
        """
        return self._reason(lambda check: check.short_reason)

    @property
    def log_reason(self) -> str:
        """The reason without anything that the app has sent: for logs and `/status`."""
        return self._reason(lambda check: check.reason)

    def _reason(self, reason_of: Callable[[Check], str]) -> str:
        bad = [check for check in worst_first(self.checks) if check.status != "pass"]
        shown = [check for check in bad if check.reason != NO_RESPONSE]
        parts = [f"{check.label}: {reason_of(check)}" for check in shown[:_MAX_REASONS]]
        if len(shown) > _MAX_REASONS:
            parts.append(f"and {len(shown) - _MAX_REASONS} more")
        return "; ".join([self.holding, *parts] if self.holding else parts)


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst status. Without any it is `fail`: no check at all is never a pass."""
    return max(statuses, key=_RANK.__getitem__, default="fail")


def worst_first(checks: Iterable[Check]) -> list[Check]:
    return sorted(checks, key=lambda check: -_RANK[check.status])


def verdict_of(checks: Iterable[Check]) -> Verdict:
    """Return the verdict that follows from the checks."""
    kept = tuple(checks)
    return Verdict(worst(check.status for check in kept), kept)


def combine_apps(verdicts: Mapping[str, Verdict]) -> Verdict:
    """Return one verdict of several apps, each check under its app's name. The verdict of a single app is unchanged."""
    if len(verdicts) == 1:
        return next(iter(verdicts.values()))
    checks = tuple(replace(check, app=app) for app, verdict in verdicts.items() for check in verdict.checks)
    holding = "; ".join(f"{app}: {verdict.holding}" for app, verdict in verdicts.items() if verdict.holding)
    return Verdict(worst(verdict.status for verdict in verdicts.values()), checks, holding)


def combine_routes(verdicts: Iterable[Verdict]) -> Verdict:
    """Return one verdict of several routes. A check that they share is in it once."""
    many = tuple(verdicts)
    checks = tuple(dict.fromkeys(check for verdict in many for check in verdict.checks))
    holding = "; ".join(dict.fromkeys(verdict.holding for verdict in many if verdict.holding))
    return Verdict(worst(verdict.status for verdict in many), checks, holding)
