"""A metric family of a parsed page: its type, and the offsets of its lines. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

Suffixes = tuple[str, ...]
"""What the names of a family's samples have beyond the family's name: "" or "_bucket", "_sum", …"""

_shared: dict[Suffixes, Suffixes] = {}  # one object for each combination, since a page may have many families


def suffixes_of(found: set[bytes]) -> Suffixes:
    """Return the suffixes in order. All families with the same suffixes share one object."""
    suffixes = tuple(sorted(suffix.decode() for suffix in found))
    return _shared.setdefault(suffixes, suffixes)


class Span(NamedTuple):
    """A part of the page: the number of its first line, counted from 1, and its offsets in bytes."""

    line: int
    start: int
    end: int


@dataclass(slots=True)
class Family:
    """A metric family. `FamilyParser` makes and completes it; after that nobody changes it.

    type             the format's own word: text's `untyped` is OpenMetrics' `unknown`
    suffixes         the suffixes of the names of its samples; none without samples
    begin            the offset of its metadata; its samples are from `start` (in the line `line`) to `end`
    more             the spans of further samples, if its lines do not stand together
    valid_exemplars  True if its exemplars are valid
    repeated_series  True if some series occur several times, with the same value
    """

    name: str
    type: str
    suffixes: Suffixes
    begin: int
    line: int
    start: int
    end: int
    more: tuple[Span, ...] = ()
    valid_exemplars: bool = True
    repeated_series: bool = False

    @property
    def spans(self) -> tuple[Span, ...]:
        """The spans of its samples, in the page's order."""
        return (Span(self.line, self.start, self.end), *self.more)
