"""Checks of a metric family's samples: which samples a family of each type may have. No I/O.

A check takes the family in runs of rows. Its kind depends on the family's type:

    UniqueSeriesCheck   One value a series: checks only the names, the numbers, and that no series occurs twice. Most of
                        this check is done for many rows at a time.
    DistributionCheck   Text's histograms and summaries, whose rows depend on each other.
    MetricPointCheck    All other families of OpenMetrics, which orders the samples of a series, its points in time and
                        its exemplars strictly (`metric_points`).

The rules are those of Prometheus's "Exposition formats" and of OpenMetrics 1.0's "Data Model" and "Text format".
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from math import inf, isnan, nan
from typing import Protocol

from sidecars.adapter.exposition import lexer
from sidecars.adapter.exposition.family import Span, Suffixes, suffixes_of
from sidecars.adapter.exposition.labels import (
    LabelParser,
    Labels,
    LabelShape,
    MalformedLabels,
    label_set,
    split_at_quotes,
    split_quoted_name,
)
from sidecars.adapter.exposition.lexer import EXEMPLAR, LABELS, NAME, TIMESTAMP, VALUE, Row, excerpt
from sidecars.adapter.exposition.metadata import Metadata
from sidecars.adapter.exposition.metric_points import MetricPointCheck
from sidecars.adapter.exposition.page_faults import Faults, InconsistentFamily
from sidecars.adapter.exposition.sample_values import (
    LabelKey,
    check_count,
    check_text_timestamp,
    label_key,
    parse_bound,
    parse_labels,
    parse_value,
)

_NO_SUFFIX, _TOTAL = ("",), ("_total",)


class FamilyCheck(Protocol):
    """The check of one family's samples. `FamilyParser` makes one for each family with samples.

    The methods raise InconsistentFamily if the family must be dropped, and MalformedPage if labels are invalid.
    """

    @property
    def suffixes(self) -> Suffixes:
        """The suffixes of the samples' names that were taken so far."""
        ...

    @property
    def valid_exemplars(self) -> bool:
        """True if no exemplar is invalid. Otherwise the family's exemplars are not used."""
        ...

    @property
    def repeated_series(self) -> bool:
        """True if a series occurs several times with the same value. Known after `finish`."""
        ...

    def take(self, rows: list[Row], line: int) -> bool:
        """Take the next rows; `line` is the number of the first. Return False if `MetricPointCheck` is needed."""
        ...

    def finish(self, page: bytes, spans: Sequence[Span]) -> None:
        """Check the family as a whole. All its samples stand in these spans of the page."""
        ...


class UniqueSeriesCheck:
    """The check of a family with one sample a series."""

    __slots__ = (
        "_faults",
        "_hashes",
        "_name",
        "_openmetrics",
        "_parser",
        "_shapes",
        "repeated_series",
        "suffixes",
        "valid_exemplars",
    )

    def __init__(self, parser: LabelParser, metadata: Metadata, faults: Faults) -> None:
        self.valid_exemplars = True
        self.repeated_series = False
        self._faults = faults
        self.suffixes: Suffixes = _TOTAL if metadata.sample_names[0] != metadata.name else _NO_SUFFIX
        self._parser = parser
        self._openmetrics = metadata.openmetrics
        self._name = metadata.sample_names[0]
        self._shapes: dict[tuple[bytes, ...], LabelShape | None] = {}
        self._hashes = array("q")  # of the raw label sets

    def take(self, rows: list[Row], line: int) -> bool:
        if self._openmetrics and any(row[NAME] != self._name or row[TIMESTAMP] or row[EXEMPLAR] for row in rows):
            return False
        values = [float(row[VALUE]) for row in rows]
        if inf in values or -inf in values:
            for at, row in enumerate(rows, line):
                parse_value(row[VALUE], at)
        if self.suffixes is _TOTAL:
            for at, value in enumerate(values, line):
                check_count(value, at)
        for at, row in enumerate(rows, line):
            if row[TIMESTAMP]:
                check_text_timestamp(row[TIMESTAMP], at)
        self._take_labels(rows, line)
        return True

    def _take_labels(self, rows: list[Row], line: int) -> None:
        raw = [row[LABELS] for row in rows]
        self._hashes.extend(map(hash, raw))
        if len(raw) == 1 and not raw[0]:
            return
        new = {tuple(split_at_quotes(one)[::2]) for one in raw} - self._shapes.keys()
        try:
            for outside in new:
                self._shapes[outside] = self._parser.shape(outside)
            if None in self._shapes.values():
                for one in raw:
                    self._parser.parse(one)
        except MalformedLabels:  # find its line
            for at, row in enumerate(rows, line):
                parse_labels(self._parser, row, at)

    def finish(self, page: bytes, spans: Sequence[Span]) -> None:
        if len(self._hashes) > 1 and not self._surely_unique(page, spans):
            self.repeated_series = self._find_repeated(page, spans)

    def _surely_unique(self, page: bytes, spans: Sequence[Span]) -> bool:
        """True if all raw label sets differ, and no two of them can mean the same label set."""
        if len(set(self._hashes)) != len(self._hashes):
            return False
        shapes = self._shapes.values()
        plain = {frozenset(shape.names) for shape in shapes if shape and shape.plain}
        if len(plain) != len(shapes):
            return False
        ambiguous = [b'=""', b"\\"] if self._ambiguous_escapes(page, spans) else [b'=""']
        return all(page.find(one, span.start, span.end) < 0 for one in ambiguous for span in spans)

    def _ambiguous_escapes(self, page: bytes, spans: Sequence[Span]) -> bool:
        """True if a backslash may stand for itself, so that a value can be written in two ways."""
        return self._openmetrics or any(
            lexer.INVALID_ESCAPE.search(page, span.start, span.end)
            for span in spans
            if page.find(b"\\", span.start, span.end) >= 0
        )

    def _find_repeated(self, page: bytes, spans: Sequence[Span]) -> bool:
        """Search for series that occur twice. True if there are some, all with the same value.

        The first pass keeps a hash of each label set; the second looks only at label sets whose hash occurs twice.
        """
        seen: set[int] = set()
        twice: set[int] = set()
        for _, _, labels in self._label_sets(page, spans):
            key = hash(labels)
            (twice if key in seen else seen).add(key)
        found: dict[Labels, tuple[str, bytes]] = {}
        repeated = False
        for at, row, labels in self._label_sets(page, spans) if twice else ():
            if hash(labels) not in twice:
                continue
            sample = repr(float(row[VALUE])), row[TIMESTAMP]
            first = found.setdefault(labels, sample)
            if first is not sample:
                reason = f"this series of {excerpt(self._name)} has come before"
                if first != sample:
                    raise InconsistentFamily("duplicate", at, f"{reason}, with another value")
                repeated = True
                self._faults.add("repeated_sample", at, f"{reason}, with the same value")
        return repeated

    def _label_sets(self, page: bytes, spans: Sequence[Span]) -> Iterator[tuple[int, Row, Labels]]:
        for span in spans:
            runs = lexer.sample_runs(page, span.start, span.end, span.line, openmetrics=self._openmetrics)
            for line, rows in runs:
                for at, row in enumerate(rows, line):
                    raw = row[LABELS] if row[NAME] else split_quoted_name(row[LABELS])[1]
                    yield at, row, label_set(*self._parser.parse(raw))


class _Distribution:
    """The state of one histogram or summary of text. A number is NaN until a sample has given it."""

    __slots__ = ("bound", "bucket", "count", "line", "sum")

    def __init__(self, line: int) -> None:
        self.line = line
        self.bound = nan  # the last bucket's or quantile's
        self.bucket = nan  # the last bucket's value
        self.count = nan
        self.sum = False


class DistributionCheck:
    """The check of a histogram or summary of text. Its lines may come in any order, but the bounds must increase."""

    valid_exemplars = True  # text has none
    repeated_series = False

    def __init__(self, name: bytes, parser: LabelParser, kind: str) -> None:
        self._suffixes: set[bytes] = set()
        self._cut = len(name)
        self._parser = parser
        self._histogram = kind == "histogram"
        self._bounded, self._label = (name + b"_bucket", b"le") if self._histogram else (name, b"quantile")
        self._count = name + b"_count"
        self._seen: dict[LabelKey, _Distribution] = {}

    def take(self, rows: list[Row], line: int) -> bool:
        for at, row in enumerate(rows, line):
            value = parse_value(row[VALUE], at)
            shape, values = parse_labels(self._parser, row, at)
            bounded = row[NAME] == self._bounded
            index = shape.index(self._label) if bounded else -1
            key = label_key(shape, values, index)
            one = self._seen.get(key)
            if one is None:
                one = self._seen[key] = _Distribution(at)
            if bounded:
                self._take_bound(one, values[index] if index >= 0 else None, value, at)
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

    def _take_bound(self, one: _Distribution, raw: bytes | None, value: float, line: int) -> None:
        if raw is None:
            raise InconsistentFamily("bounds", line, f"{excerpt(self._bounded)} has no label {excerpt(self._label)}")
        bound = parse_bound(raw, self._label, line)
        if bound <= one.bound:
            reason = f"the values of the label {excerpt(self._label)} must increase from line to line"
            raise InconsistentFamily("bounds", line, reason)
        if self._histogram and value < one.bucket:
            raise InconsistentFamily("torn", line, "buckets are cumulative: none can hold less than the one before it")
        one.bound, one.bucket = bound, value

    def finish(self, page: bytes, spans: Sequence[Span]) -> None:
        """Check that each histogram has a bucket with le="+Inf", and that its value is the count."""
        del page, spans
        for one in self._seen.values() if self._histogram else ():
            if one.bound != inf:
                reason = f'{excerpt(self._bounded)} has no bucket with le="+Inf" here'
                raise InconsistentFamily("bounds", one.line, reason)
            if one.count != one.bucket and not isnan(one.count):
                reason = (
                    f'{excerpt(self._count)} is {one.count:.15g}, but its bucket with le="+Inf" is {one.bucket:.15g}'
                )
                raise InconsistentFamily("torn", one.line, reason)


def check_for(metadata: Metadata, parser: LabelParser, faults: Faults) -> FamilyCheck:
    """Return the check for a family's samples, by its type.

    OpenMetrics' gauges, counters and unknown families begin with `UniqueSeriesCheck`, whose `take` returns False if
    they have timestamps, exemplars or `_created`.
    """
    name, kind = metadata.name, metadata.type
    if metadata.openmetrics:
        simple = kind in ("unknown", "gauge", "counter")
        return UniqueSeriesCheck(parser, metadata, faults) if simple else MetricPointCheck(name, kind, parser, faults)
    if kind in ("histogram", "summary"):
        return DistributionCheck(name, parser, kind)
    return UniqueSeriesCheck(parser, metadata, faults)
