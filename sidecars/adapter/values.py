"""What the checks of metric families share: numbers, bounds and label sets of a row. No I/O."""

from __future__ import annotations

from math import isinf, isnan, nan
from typing import Protocol

from sidecars.adapter.labels import BadLabels, Shape, Shapes
from sidecars.adapter.lines import LABELS, NUMBER, Malformed, Row, show

Key = tuple[tuple[bytes, bytes], ...]
Suffixes = tuple[str, ...]

_same: dict[Suffixes, Suffixes] = {}  # one object for each, since there may be as many as families


def suffixes_of(found: set[bytes]) -> Suffixes:
    """The suffixes in order. There are a few kinds only, which all families share."""
    suffixes = tuple(sorted(suffix.decode() for suffix in found))
    return _same.setdefault(suffixes, suffixes)


class Check(Protocol):
    """What looks at a family's samples."""

    @property
    def suffixes(self) -> Suffixes:
        """What the names of its samples have beyond the family's, as far as they have been seen."""
        ...

    def take(self, rows: list[Row], line: int) -> bool:
        """The next rows, the first of which is that line. False: another kind of check is needed, from the start."""
        ...

    def finish(self, page: bytes, start: int, end: int, line: int) -> None:
        """There are no more; they all stand between these offsets, from that line on."""
        ...


def number(raw: bytes, line: int) -> float:
    """The value of what looks like a number."""
    value = float(raw)
    if isinf(value) and b"n" not in raw.lower():
        raise Malformed(line, f"the number {show(raw)} is too large for 64 bits of floating point")
    return value


def bound_of(raw: bytes, label: bytes, line: int) -> float:
    """A bucket's or quantile's label as a number."""
    value = float(raw) if NUMBER.fullmatch(raw) else nan
    if isnan(value):
        raise Malformed(line, f'the label {show(label)}="{show(raw)}" is not a number')
    return value


def counted(value: float, line: int) -> None:
    """A counter's value."""
    if isnan(value) or value < 0:
        raise Malformed(line, "what is counted cannot be negative or NaN")


def shape_of(shapes: Shapes, row: Row, line: int) -> tuple[Shape, list[bytes]]:
    """The row's labels: their shape and their values."""
    try:
        return shapes.of(row[LABELS])
    except BadLabels as error:
        raise Malformed(line, str(error)) from None


def key_of(shape: Shape, values: list[bytes], but: int = -1) -> Key:
    """What is equal for label sets that say the same, leaving one label out by its index."""
    return tuple([(shape.names[i], values[i]) for i in shape.sorted if i != but and values[i]])
