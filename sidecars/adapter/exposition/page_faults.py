"""Faults of a metrics page, sorted into three effects by one table. No I/O.

    page     the page is refused: it is not clear where its lines and values end, or it is not whole
    family   one metric family is left out: its samples contradict each other. A rule that reads it has no data
    taken    nothing is lost: each sample still has one name, one label set and one value

Prometheus takes most pages that have the last two kinds. It keeps what a page says of a name or of a type as a hint
only; a rule or a page in another format needs more than a hint, and so a family that contradicts itself is not used.
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

EFFECTS: Mapping[FaultKind, Effect] = {
    "syntax": "page",  # a line is none of the format's, or not UTF-8
    "cut": "page",  # the end is missing: OpenMetrics without # EOF, text that ends within a line
    "limit": "page",  # more series or families than ADAPTER_MAX_SERIES
    "value": "family",  # a value or timestamp that its type cannot have: a negative count, 1e999
    "bounds": "family",  # le or quantile missing, no number, not increasing; no bucket with le="+Inf"
    "torn": "family",  # a histogram whose parts disagree, as when it is read while it is written
    "order": "family",  # OpenMetrics: points or label sets that do not stand together
    "duplicate": "family",  # a series twice, with different values
    "name_clash": "family",  # a sample's name that belongs to two families
    "content_type": "taken",  # a Content-Type that is not one of Prometheus's
    "final_newline": "taken",  # the last line has no line feed, but HTTP says that the answer is whole
    "escape": "taken",  # a backslash or a quote that is not escaped; it stands for itself
    "exemplar": "taken",  # an exemplar that is none; it is left out, its sample is not
    "metadata": "taken",  # HELP, TYPE or UNIT that come again, come late, or are wrong; the first one in time counts
    "type": "taken",  # a TYPE that is not known, that another contradicts, or that the names contradict; it is untyped
    "interleaved": "taken",  # a family whose lines do not stand together
    "repeated_sample": "taken",  # a series twice, with the same value
}
"""By kind: what becomes of the page. The kinds are the values of a metric's label."""

MOST_TOLD = 20
"""Faults of one page that are kept with their sentence; all are counted."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: where it is (the line counts from 1, 0 is the page as a whole), and a phrase that says what it is."""

    kind: FaultKind
    line: int
    why: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.why}" if self.line else self.why


class MalformedPage(Exception):
    """The page is not a valid exposition, and so nothing of it is used.

    `str()` is a whole sentence: "line 3: the value x is not a number".
    """

    def __init__(self, line: int, why: str, kind: FaultKind = "syntax") -> None:
        self.fault = Fault(kind, line, why)
        super().__init__(str(self.fault))

    @property
    def line(self) -> int:
        """The line, counted from 1; 0 is the page as a whole."""
        return self.fault.line

    @property
    def why(self) -> str:
        """A phrase without the line number."""
        return self.fault.why


class InconsistentFamily(Exception):
    """A family contradicts itself, and so nothing of it is used."""

    def __init__(self, kind: FaultKind, line: int, why: str) -> None:
        super().__init__(why)
        self.fault = Fault(kind, line, why)


class Faults:
    """The faults of one page, apart from those that condemn all of it."""

    __slots__ = ("counts", "told")

    def __init__(self) -> None:
        self.counts: Counter[FaultKind] = Counter()
        self.told: list[Fault] = []
        """The first ones."""

    def __bool__(self) -> bool:
        return bool(self.counts)

    def note(self, kind: FaultKind, line: int, why: str) -> None:
        self.counts[kind] += 1
        if len(self.told) < MOST_TOLD:
            self.told.append(Fault(kind, line, why))

    @property
    def spoil(self) -> bool:
        """True if the page's bytes cannot be handed on as they are: another reader may refuse them."""
        return any(kind != "content_type" for kind in self.counts)
