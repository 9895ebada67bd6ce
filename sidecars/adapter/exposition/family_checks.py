"""What samples a metric family of each type may have. No I/O.

A family is read in runs of rows. Which of three checks it gets depends on its type:

    Unique         one value a series: only the names, the numbers, and that no series comes twice. Nearly all of it is
                   done for many rows at a time.
    Distributions  text's histograms and summaries, whose rows are about each other
    Points         everything else in OpenMetrics, which orders the samples of a series, its points in time, and its
                   exemplars strictly

The rules are those of Prometheus's "Exposition formats" and of OpenMetrics 1.0's "Data Model" and "Text format".
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from math import inf, isnan, nan

from sidecars.adapter.exposition import lexer
from sidecars.adapter.exposition.labels import Labels, MalformedLabels, Shape, Shapes, cut, labels_of, quoted_name
from sidecars.adapter.exposition.lexer import EXEMPLAR, LABELS, NAME, TIMESTAMP, VALUE, Row, excerpt
from sidecars.adapter.exposition.metadata import Metadata
from sidecars.adapter.exposition.metric_points import Points
from sidecars.adapter.exposition.page_faults import Faults, InconsistentFamily
from sidecars.adapter.exposition.sample_values import (
    Check,
    Key,
    Piece,
    Place,
    Suffixes,
    bound_of,
    counted,
    key_of,
    milliseconds,
    number,
    shape_of,
    suffixes_of,
)

_NONE, _TOTAL = ("",), ("_total",)


class Unique:
    """One sample a series."""

    __slots__ = (
        "_faults",
        "_hashes",
        "_name",
        "_openmetrics",
        "_outsides",
        "_shapes",
        "bad_exemplars",
        "repeated",
        "suffixes",
    )

    def __init__(self, shapes: Shapes, metadata: Metadata, faults: Faults) -> None:
        self.bad_exemplars = False
        self.repeated = False
        self._faults = faults
        self.suffixes: Suffixes = _TOTAL if metadata.samples[0] != metadata.name else _NONE
        self._shapes = shapes
        self._openmetrics = metadata.openmetrics
        self._name = metadata.samples[0]
        self._outsides: dict[tuple[bytes, ...], Shape | None] = {}
        self._hashes = array("q")

    def take(self, rows: list[Row], line: int) -> bool:
        if self._openmetrics and any(row[NAME] != self._name or row[TIMESTAMP] or row[EXEMPLAR] for row in rows):
            return False
        values = [float(row[VALUE]) for row in rows]
        if inf in values or -inf in values:
            for at, row in enumerate(rows, line):
                number(row[VALUE], at)
        if self.suffixes is _TOTAL:
            for at, value in enumerate(values, line):
                counted(value, at)
        for at, row in enumerate(rows, line):
            if row[TIMESTAMP]:
                milliseconds(row[TIMESTAMP], at)
        self._labels(rows, line)
        return True

    def _labels(self, rows: list[Row], line: int) -> None:
        blobs = [row[LABELS] for row in rows]
        self._hashes.extend(map(hash, blobs))
        if len(blobs) == 1 and not blobs[0]:
            return
        new = {tuple(cut(blob)[::2]) for blob in blobs} - self._outsides.keys()
        try:
            for outside in new:
                self._outsides[outside] = self._shapes.known(outside)
            if None in self._outsides.values():
                for blob in blobs:
                    self._shapes.of(blob)
        except MalformedLabels:
            for at, row in enumerate(rows, line):
                shape_of(self._shapes, row, at)

    def finish(self, page: bytes, place: Place) -> None:
        if len(self._hashes) > 1 and not self._surely_unique(page, place.pieces):
            self.repeated = self._is_repeated(page, place.pieces)

    def _surely_unique(self, page: bytes, pieces: Sequence[Piece]) -> bool:
        """True if all blobs differ, and no two of them can say the same in different words."""
        if len(set(self._hashes)) != len(self._hashes):
            return False
        shapes = self._outsides.values()
        plain = {frozenset(shape.names) for shape in shapes if shape and shape.plain}
        if len(plain) != len(shapes):
            return False
        odd = [b'=""', b"\\"] if self._odd_escapes(page, pieces) else [b'=""']
        return all(page.find(one, piece.start, piece.end) < 0 for one in odd for piece in pieces)

    def _odd_escapes(self, page: bytes, pieces: Sequence[Piece]) -> bool:
        """True if a backslash may stand for itself, so that a value can be written in two ways."""
        return self._openmetrics or any(
            lexer.ODD_ESCAPE.search(page, piece.start, piece.end)
            for piece in pieces
            if page.find(b"\\", piece.start, piece.end) >= 0
        )

    def _is_repeated(self, page: bytes, pieces: Sequence[Piece]) -> bool:
        """The thorough look for series that come twice. Only hashes are held; those that recur are looked at again."""
        seen: set[int] = set()
        twice: set[int] = set()
        for _, _, labels in self._label_sets(page, pieces):
            key = hash(labels)
            (twice if key in seen else seen).add(key)
        found: dict[Labels, tuple[str, bytes]] = {}
        repeated = False
        for at, row, labels in self._label_sets(page, pieces) if twice else ():
            if hash(labels) not in twice:
                continue
            sample = repr(float(row[VALUE])), row[TIMESTAMP]
            first = found.setdefault(labels, sample)
            if first is not sample:
                why = f"this series of {excerpt(self._name)} has come before"
                if first != sample:
                    raise InconsistentFamily("duplicate", at, f"{why}, with another value")
                repeated = True
                self._faults.note("repeated_sample", at, f"{why}, with the same value")
        return repeated

    def _label_sets(self, page: bytes, pieces: Sequence[Piece]) -> Iterator[tuple[int, Row, Labels]]:
        for piece in pieces:
            for line, rows in lexer.runs(page, piece.start, piece.end, piece.line, openmetrics=self._openmetrics):
                for at, row in enumerate(rows, line):
                    blob = row[LABELS] if row[NAME] else quoted_name(row[LABELS])[1]
                    yield at, row, labels_of(*self._shapes.of(blob))


class _Distribution:
    """One histogram or summary of text: what has been seen of it. Bounds and values are NaN before the first."""

    __slots__ = ("bound", "count", "last", "line", "sum")

    def __init__(self, line: int) -> None:
        self.line = line
        self.bound = nan
        self.last = nan  # the last bucket's value
        self.count = nan
        self.sum = False


class Distributions:
    """Text's histograms and summaries. Their lines may come in any order but for the bounds, which increase."""

    bad_exemplars = False
    repeated = False

    def __init__(self, name: bytes, shapes: Shapes, kind: str) -> None:
        self._suffixes: set[bytes] = set()
        self._cut = len(name)
        self._shapes = shapes
        self._histogram = kind == "histogram"
        self._bounded, self._label = (name + b"_bucket", b"le") if self._histogram else (name, b"quantile")
        self._count = name + b"_count"
        self._seen: dict[Key, _Distribution] = {}

    def take(self, rows: list[Row], line: int) -> bool:
        for at, row in enumerate(rows, line):
            value = number(row[VALUE], at)
            shape, values = shape_of(self._shapes, row, at)
            bounded = row[NAME] == self._bounded
            where = shape.index(self._label) if bounded else -1
            key = key_of(shape, values, where)
            one = self._seen.get(key)
            if one is None:
                one = self._seen[key] = _Distribution(at)
            if bounded:
                self._bound(one, values[where] if where >= 0 else None, value, at)
            elif row[NAME] == self._count:
                if not isnan(one.count):
                    raise InconsistentFamily("duplicate", at, f"this series of {excerpt(row[NAME])} has come before")
                one.count = value
            elif one.sum:
                raise InconsistentFamily("duplicate", at, f"this series of {excerpt(row[NAME])} has come before")
            else:
                one.sum = True
            self._suffixes.add(row[NAME][self._cut :])
        return True

    @property
    def suffixes(self) -> Suffixes:
        return suffixes_of(self._suffixes)

    def _bound(self, one: _Distribution, raw: bytes | None, value: float, line: int) -> None:
        if raw is None:
            raise InconsistentFamily("bounds", line, f"{excerpt(self._bounded)} has no label {excerpt(self._label)}")
        bound = bound_of(raw, self._label, line)
        if bound <= one.bound:
            raise InconsistentFamily(
                "bounds", line, f"the values of the label {excerpt(self._label)} must increase from line to line"
            )
        if self._histogram and value < one.last:
            raise InconsistentFamily("torn", line, "buckets are cumulative: none can hold less than the one before it")
        one.bound, one.last = bound, value

    def finish(self, page: bytes, place: Place) -> None:
        """A histogram must have a bucket with le="+Inf"; its value must be identical to the count."""
        del page, place
        for one in self._seen.values() if self._histogram else ():
            if one.bound != inf:
                raise InconsistentFamily(
                    "bounds", one.line, f'{excerpt(self._bounded)} has no bucket with le="+Inf" here'
                )
            if one.count != one.last and not isnan(one.count):
                raise InconsistentFamily(
                    "torn",
                    one.line,
                    f'{excerpt(self._count)} is {one.count:.15g}, but its bucket with le="+Inf" is {one.last:.15g}',
                )


def check_of(metadata: Metadata, shapes: Shapes, faults: Faults) -> Check:
    """The check that the family's samples need. Where it turns out to be too simple, it says so."""
    name, kind = metadata.name, metadata.type
    if metadata.openmetrics:
        simple = kind in ("unknown", "gauge", "counter")
        return Unique(shapes, metadata, faults) if simple else Points(name, kind, shapes, faults)
    return Distributions(name, shapes, kind) if kind in ("histogram", "summary") else Unique(shapes, metadata, faults)
