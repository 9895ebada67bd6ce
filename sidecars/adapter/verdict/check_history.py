"""The checks of one judge as they were in the last minutes: status, since when, and the values of each rule. No I/O.

The judge records each verdict once, when it is made, however many probers and routes share it. A health document may
have thousands of components: the rules, and the worst `MOST_CHECKS` components, are kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sidecars.adapter.app_client.recent_values import RecentValues
from sidecars.adapter.verdict.verdict import Check, Status, Verdict, worst_first

MOST_CHECKS = 500
"""Components that are kept."""
MOST_VALUES = 100
"""Rules whose values are kept: `/status` has 60 of each."""
SIZE = 1024
"""Bytes of a check that is kept, at most: its result with a reason."""

_STATUS_VALUES: dict[Status, float] = {"fail": 0.0, "warn": 1.0, "pass": 2.0}


class _CheckHistory:
    """One check: its latest result, the time since which it has its status, and its values if it has any."""

    __slots__ = ("_since", "_values", "check")

    def __init__(self, check: Check, now: float) -> None:
        self.check = check
        self._since = now
        self._values: RecentValues | None = None

    def update(self, check: Check, now: float, *, has_room: bool) -> bool:
        """Take a result. Return True if it began to keep values, for which `has_room` must be true."""
        if check.status != self.check.status:
            self._since = now
        self.check = check
        if check.value is None or not check.is_rule:
            return False
        begins = self._values is None and has_room
        if begins:
            self._values = RecentValues()
        if self._values is not None:
            self._values.add(check.value, now)
        return begins

    @property
    def has_values(self) -> bool:
        return self._values is not None

    def status_page(self, now: float) -> dict[str, Any]:
        check = self.check
        return {
            "status": check.status,
            "kind": "rule" if check.is_rule else "component",
            "value": finite(check.value),
            "threshold": finite(check.threshold),
            "wanted": check.wanted or None,
            "values": self._values.values(now) if self._values else [],
            "since_seconds": round(max(0.0, now - self._since), 3),
            "reason": check.reason,
        }


class CheckHistories:
    """The history of all checks of one judge, which owns it. Times are of one clock, in seconds."""

    def __init__(self) -> None:
        self._checks: dict[str, _CheckHistory] = {}
        self._left_out = 0
        self._status: Status | None = None
        self._since = self._at = 0.0
        self._statuses = RecentValues()

    def record(self, verdict: Verdict, now: float) -> None:
        """Record a new verdict. Checks that it does not have any more are forgotten."""
        if verdict.status != self._status:
            self._status, self._since = verdict.status, now
        self._at = now
        self._statuses.add(_STATUS_VALUES[verdict.status], now)
        before, self._checks = self._checks, {}
        kept = kept_checks(verdict)
        self._left_out = len(verdict.checks) - len(kept)
        room = MOST_VALUES - sum(known.has_values for known in before.values())
        for check in kept:
            known = before.get(check.label) or _CheckHistory(check, now)
            room -= known.update(check, now, has_room=room > 0)
            self._checks[check.label] = known

    def status_page(self, now: float) -> dict[str, Any]:
        """Return the part of `/status`: `statuses` are 0 for fail, 1 for warn and 2 for pass."""
        if self._status is None:
            return {"status": None, "checks": {}}
        return {
            "status": self._status,
            "since_seconds": round(max(0.0, now - self._since), 3),
            "judged_seconds": round(max(0.0, now - self._at), 3),
            "statuses": self._statuses.values(now),
            "checks": {label: known.status_page(now) for label, known in self._checks.items()},
            "checks_left_out": self._left_out,
        }


def kept_checks(verdict: Verdict) -> Sequence[Check]:
    """Return all rules, and the worst components up to `MOST_CHECKS`."""
    if len(verdict.checks) <= MOST_CHECKS:
        return verdict.checks
    rules = [check for check in verdict.checks if check.is_rule]
    return rules + worst_first(check for check in verdict.checks if not check.is_rule)[:MOST_CHECKS]


def finite(value: float | None) -> float | str | None:
    """Return a value that JSON has: NaN and infinity as text."""
    return value if value is None or math.isfinite(value) else str(value)
