"""The figures of a benchmark beside their limits: a printed table, a file for the report, and the exit code."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

RESULTS = Path(__file__).resolve().parent.parent / "build" / "bench"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure and its limit, in the same `unit`; "x" is a ratio to a peer that ran in the same minutes."""

    name: str
    measured: float
    limit: float
    unit: str = "x"
    at_least: bool = False  # the limit is a floor and not a ceiling
    note: str = ""  # the comparison, in a few words

    @property
    def kept(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    @property
    def promise(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g} {self.unit}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measurement of the sidecar and of its peers, for a plot: `values` by the name of the contender."""

    name: str
    unit: str
    values: Mapping[str, float] = field(default_factory=dict)


def conclude(sidecar: str, figures: Iterable[Figure], comparisons: Iterable[Comparison] = ()) -> int:
    """Print the table, write the results for the report, and return the exit code: 1 if a limit is missed."""
    figures = list(figures)
    width = max(len(figure.name) for figure in figures)
    print(f"\n{sidecar}: {sum(figure.kept for figure in figures)} of {len(figures)} promises kept")
    for figure in figures:
        verdict = "" if figure.kept else "   MISSED"
        note = f"   {figure.note}" if figure.note else ""
        print(f"  {figure.name:<{width}}  {figure.measured:9.4g} {figure.unit:<6} {figure.promise:<14}{verdict}{note}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    found = {
        "sidecar": sidecar,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "figures": [asdict(figure) for figure in figures],
        "comparisons": [asdict(comparison) for comparison in comparisons],
    }
    (RESULTS / f"{sidecar}.json").write_text(json.dumps(found, indent=1) + "\n")
    return 0 if all(figure.kept for figure in figures) else 1


def refuse(sentence: str) -> int:
    """Exit with an error: nothing can be measured here, and that must not read as passed."""
    print(f"cannot measure: {sentence}", file=sys.stderr)
    return 1
