"""What the checks of metric families share: numbers, bounds and label sets of a row. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isinf, isnan, nan
from typing import NamedTuple, Protocol

from sidecars.adapter.exposition.labels import MalformedLabels, Shape, Shapes
from sidecars.adapter.exposition.lexer import LABELS, NUMBER, Row, excerpt
from sidecars.adapter.exposition.page_faults import InconsistentFamily, MalformedPage

Key = tuple[tuple[bytes, bytes], ...]
Suffixes = tuple[str, ...]

_LATEST = 9 * 10**18  # milliseconds: below 64 bits by more than floats round
_HUGE_EXPONENT = re.compile(rb"[eE][-+]?[0-9]{4}")
_LONG = 18  # digits that fit into 64 bits whatever they are
_LONGEST = 100  # characters of a timestamp: int() and decimal raise for thousands of digits

_same: dict[Suffixes, Suffixes] = {}  # one object for each, since there may be as many as families


def suffixes_of(found: set[bytes]) -> Suffixes:
    """The suffixes in order. There are a few kinds only, which all families share."""
    suffixes = tuple(sorted(suffix.decode() for suffix in found))
    return _same.setdefault(suffixes, suffixes)


class Piece(NamedTuple):
    """A part of the page: its first line, counted from 1, and its offsets."""

    line: int
    start: int
    end: int


class Place(Protocol):
    """Where the samples of a family are."""

    @property
    def pieces(self) -> Sequence[Piece]:
        """Parts of the page, in its order."""
        ...


class Check(Protocol):
    """The check of a family's samples. Its methods raise Unsound for what condemns the family."""

    @property
    def suffixes(self) -> Suffixes:
        """What the names of its samples have beyond the family's, as far as they have been seen."""
        ...

    @property
    def bad_exemplars(self) -> bool:
        """True if an exemplar is none, so that the family's are not used."""
        ...

    @property
    def repeated(self) -> bool:
        """True if a series is there several times with the same value. Known once the check has finished."""
        ...

    def take(self, rows: list[Row], line: int) -> bool:
        """The next rows, the first of which is that line. False: another kind of check is needed, from the start."""
        ...

    def finish(self, page: bytes, place: Place) -> None:
        """There are no more; they all stand in this place of the page."""
        ...


def number(raw: bytes, line: int) -> float:
    """The value of what looks like a number."""
    value = float(raw)
    if isinf(value) and b"n" not in raw.lower():
        raise InconsistentFamily("value", line, f"the number {excerpt(raw)} is too large for 64 bits of floating point")
    return value


def milliseconds(raw: bytes, line: int) -> None:
    """Raises Unsound for a timestamp of text that does not fit into 64 bits."""
    if len(raw) > _LONG and (len(raw) > _LONGEST or abs(int(raw)) > _LATEST):
        raise InconsistentFamily(
            "value", line, f"the timestamp {excerpt(raw)} is too large for 64 bits of milliseconds"
        )


def seconds(raw: bytes, line: int) -> None:
    """Raises Unsound for a timestamp of OpenMetrics that is not within 64 bits of milliseconds."""
    if raw and (len(raw) > _LONGEST or _HUGE_EXPONENT.search(raw) or abs(float(raw)) * 1000 > _LATEST):
        raise InconsistentFamily(
            "value", line, f"the timestamp {excerpt(raw)} is too large for 64 bits of milliseconds"
        )


def bound_of(raw: bytes, label: bytes, line: int) -> float:
    """A bucket's or quantile's label as a number."""
    value = float(raw) if NUMBER.fullmatch(raw) else nan
    if isnan(value):
        raise InconsistentFamily("bounds", line, f'the label {excerpt(label)}="{excerpt(raw)}" is not a number')
    return value


def counted(value: float, line: int) -> None:
    """A counter's value."""
    if isnan(value) or value < 0:
        raise InconsistentFamily("value", line, "what is counted cannot be negative or NaN")


def shape_of(shapes: Shapes, row: Row, line: int) -> tuple[Shape, list[bytes]]:
    """The row's labels: their shape and their values."""
    try:
        return shapes.of(row[LABELS])
    except MalformedLabels as error:
        raise MalformedPage(line, str(error)) from None


def key_of(shape: Shape, values: list[bytes], but: int = -1) -> Key:
    """What is equal for label sets that say the same, leaving one label out by its index."""
    return tuple([(shape.names[i], values[i]) for i in shape.sorted if i != but and values[i]])
