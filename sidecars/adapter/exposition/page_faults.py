"""Faults of a metrics page, sorted into three effects by one table. No I/O.

    page     The page is refused: its lines and values cannot be told apart, or its end is missing.
    family   One metric family is dropped: its samples contradict each other. A rule that reads it has no data.
    taken    Nothing is lost: each sample still has one name, one label set and one value.

Prometheus takes most pages with faults of the last two effects. It treats names and types as hints only. A rule or a
page in another format needs more than a hint, so a family that contradicts itself is not used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Effect = Literal["page", "family", "taken"]
FaultKind = Literal[
    "syntax",
    "cut",
    "limit",
    "value",
    "bounds",
    "torn",
    "order",
    "duplicate",
    "name_clash",
    "content_type",
    "final_newline",
    "escape",
    "exemplar",
    "metadata",
    "type",
    "interleaved",
    "repeated_sample",
]
"""The kinds of faults. They are the values of the label `kind` of `adapter_page_faults_total`."""

EFFECTS: Mapping[FaultKind, Effect] = {
    "syntax": "page",  # a line that does not fit the format's grammar, or is not UTF-8
    "cut": "page",  # the end is missing: OpenMetrics without # EOF, text that ends within a line
    "limit": "page",  # more samples or families than ADAPTER_MAX_SERIES
    "value": "family",  # a value or timestamp that the type cannot have: a negative count, 1e999
    "bounds": "family",  # le or quantile missing, not a number, or not increasing; no bucket with le="+Inf"
    "torn": "family",  # a histogram whose parts disagree, as when it is read while it is written
    "order": "family",  # OpenMetrics: points or label sets that do not stand together
    "duplicate": "family",  # a series twice, with different values
    "name_clash": "family",  # a sample's name that belongs to two families
    "content_type": "taken",  # a Content-Type that is not one of Prometheus's
    "final_newline": "taken",  # the last line has no line feed, but HTTP marks the response as whole
    "escape": "taken",  # a backslash or a quote that is not escaped; it stands for itself
    "exemplar": "taken",  # an invalid exemplar; it is dropped, its sample is kept
    "metadata": "taken",  # HELP, TYPE or UNIT twice, after the samples, or invalid; the first one in time counts
    "type": "taken",  # a TYPE that is unknown, or that another TYPE or the names contradict; the family is untyped
    "interleaved": "taken",  # a family whose lines do not stand together
    "repeated_sample": "taken",  # a series twice, with the same value
}
"""The effect of each kind of fault."""

MAX_REPORTED = 20
"""Faults of one page that are kept with their sentence. All faults are counted."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its line (counted from 1; 0 is the page as a whole), and its reason as a phrase."""

    kind: FaultKind
    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}" if self.line else self.reason


class MalformedPage(Exception):
    """The page is not a valid exposition, so nothing of it is used.

    `str()` is a whole sentence: "line 3: the value x is not a number".
    """

    def __init__(self, line: int, reason: str, kind: FaultKind = "syntax") -> None:
        self.fault = Fault(kind, line, reason)
        super().__init__(str(self.fault))


class InconsistentFamily(Exception):
    """A metric family contradicts itself, so nothing of it is used."""

    def __init__(self, kind: FaultKind, line: int, reason: str) -> None:
        super().__init__(reason)
        self.fault = Fault(kind, line, reason)


class Faults:
    """The faults of one page that refuse neither the page nor a family. The page's parser fills it."""

    __slots__ = ("counts", "reported")

    def __init__(self) -> None:
        self.counts: Counter[FaultKind] = Counter()
        self.reported: list[Fault] = []
        """The first `MAX_REPORTED` of them, in the page's order."""

    def __bool__(self) -> bool:
        return bool(self.counts)

    def add(self, kind: FaultKind, line: int, reason: str) -> None:
        self.counts[kind] += 1
        if len(self.reported) < MAX_REPORTED:
            self.reported.append(Fault(kind, line, reason))

    @property
    def in_body(self) -> bool:
        """True if a fault is in the page's bytes, so that another reader may refuse them."""
        return any(kind != "content_type" for kind in self.counts)
