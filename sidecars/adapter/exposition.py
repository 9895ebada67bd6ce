"""An app's metrics page: parsed from its bytes, checked to the letter, and kept in a form that is small. No I/O.

exposition = parse(body, "text/plain; version=0.0.4", max_series=10_000)   # or Malformed
exposition.select("up")                                                     # its samples
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

Labels = tuple[tuple[str, str], ...]
"""A label set: pairs of name and value, sorted by name, without the metric's name."""


class Malformed(Exception):
    """The page is not a valid exposition, and so nothing of it is used.

    `line` counts from 1; 0 is the page as a whole (its Content-Type, its number of series). `why` is a phrase without
    the line number; `str()` is the whole sentence: "line 3: the value x is not a number".
    """

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}" if line else why)
        self.line = line
        self.why = why


@dataclass(frozen=True, slots=True)
class Sample:
    """One series and its value. `timestamp` is in Unix seconds, None where the page gives none."""

    name: str
    labels: Labels
    value: float
    timestamp: float | None = None


class Exposition:
    """A whole valid page. Read-only."""

    def __init__(self, samples: dict[str, list[Sample]]) -> None:
        self._samples = samples
        self.series = sum(map(len, samples.values()))
        """How many samples it has."""

    def names(self) -> Iterator[str]:
        """The names of all samples (`x_bucket`, not the family's `x`), each once, in the page's order."""
        return iter(self._samples)

    def select(self, name: str) -> list[Sample]:
        """All samples of that name; empty where there are none."""
        return self._samples.get(name, [])


_LINE = re.compile(r"(\w+)(?:\{(.*)\})?\s+(\S+)")
_PAIR = re.compile(r'(\w+)="([^"]*)"')


def parse(body: bytes, content_type: str, max_series: int) -> Exposition:
    """The page that these bytes are. Raises `Malformed`.

    `content_type` is the header's value, "" where the app has sent none (that is text 0.0.4). More than `max_series`
    samples are refused, too.
    """
    if not content_type.startswith(("", "text/plain")):
        raise Malformed(0, f"is {content_type}, which is no exposition")
    samples: dict[str, list[Sample]] = {}
    for number, line in enumerate(body.decode().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise Malformed(number, "this is no sample")
        name, labels, value = match.groups()
        pairs = tuple(sorted(_PAIR.findall(labels or "")))
        samples.setdefault(name, []).append(Sample(name, pairs, float(value)))
    exposition = Exposition(samples)
    if exposition.series > max_series:
        raise Malformed(0, f"has {exposition.series} series, and no more than {max_series} are taken")
    return exposition
