"""The content of a response's body: a verdict and those of its checks that fit. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sidecars.adapter.verdict.probe_response import MAX_BODY
from sidecars.adapter.verdict.verdict import Check, Status, Verdict, worst_first
from sidecars.chassis.runtime.printable import truncate

MAX_NAME = 120  # characters of a check's name, which an app may have chosen
MAX_LINE = 400  # characters of a summary
_MAX_CHECKS = 400  # more than can fit into `MAX_BODY`


@dataclass(frozen=True, slots=True)
class VerdictPage:
    """The content of one body. A dialect turns it into text.

    checks    the checks that fit
    left_out  the number of checks that do not fit
    title     the name of the whole, for Kubernetes: the last segment of the path
    verbose   True if the query has Kubernetes' `verbose`
    """

    verdict: Verdict
    checks: Sequence[Check]
    left_out: int
    title: str
    verbose: bool

    @property
    def status(self) -> Status:
        return self.verdict.status

    @property
    def gap(self) -> str:
        """The sentence about checks that do not fit; "" if all do."""
        total = self.left_out + len(self.checks)
        return f"{self.left_out} of {total} checks are left out here" if self.left_out else ""

    @property
    def summary(self) -> str:
        """The verdict's reason on one line; "" if all checks pass."""
        return truncate(" ".join(self.verdict.reason.split()), MAX_LINE)


def shown_name(check: Check) -> str:
    """Return the check's label on one line, cut to `MAX_NAME` characters."""
    return truncate(" ".join(check.label.split()), MAX_NAME)


def fit_checks(checks: Sequence[Check], body: Callable[[Sequence[Check]], bytes]) -> bytes:
    """Return the body with as many checks as fit into `MAX_BODY` bytes. Checks that pass are left out first.

    A binary search finds the number of checks.
    """
    if len(checks) <= _MAX_CHECKS and len(whole := body(checks)) <= MAX_BODY:
        return whole
    ordered = worst_first(checks)[:_MAX_CHECKS]
    fits, too_many = 0, len(ordered) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        fits, too_many = (middle, too_many) if len(body(ordered[:middle])) <= MAX_BODY else (fits, middle)
    return body(ordered[:fits])
