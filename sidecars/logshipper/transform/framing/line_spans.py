"""Joins lines: the lines of a text, and spans of them that are one event each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sidecars.logshipper.transform.framing.event_limit import Split

T = TypeVar("T")

Span = tuple[int, int]
"""The first of several items, and the one behind the last."""


def lines_of(text: str, data: bytes) -> Split:
    """Return the lines of a text, whose bytes are `data`. Both without the last newline."""
    lines = text.split("\n")
    return Split(lines, [len(line) + 1 for line in (lines if text.isascii() else data.split(b"\n"))])


def merged(items: list[T], spans: Sequence[Span], merge: Callable[[list[T]], T]) -> list[T]:
    """Return the items, those of each span merged to one. The spans are in order, and do not overlap."""
    if not spans:
        return items
    found: list[T] = []
    at = 0
    for first, after in spans:
        found += items[at:first]
        found.append(merge(items[first:after]))
        at = after
    return found + items[at:]


def joined(lines: Split, spans: Sequence[Span]) -> Split:
    """Return the lines, those of each span joined to one event."""
    events, sizes = merged(lines.events, spans, "\n".join), merged(lines.sizes, spans, sum)
    counts = merged(lines.counts or [1] * len(lines.events), spans, sum) if spans else lines.counts
    return Split(events, sizes, counts)
