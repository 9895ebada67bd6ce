"""The check of OpenMetrics' order: a family has metrics, a metric has points in time, a point has samples. No I/O.

A *metric* is a label set, without the label that belongs to a point's own samples (a bucket's `le`, a quantile's
`quantile`, a state's name). A *point* is the metric's samples with one timestamp. None of these may be interleaved.

    metric of a row        timestamp of the row    effect
    that of the open point the same                goes on with the open point
    that of the open point later                   ends the open point, opens the next point of the metric
    a new one              any                     ends the open point, opens the first point of the new metric
    anything else                                  InconsistentFamily

Each point is checked as a whole when it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isinf, isnan, nan

from sidecars.adapter.exposition.family import Span, Suffixes, suffixes_of
from sidecars.adapter.exposition.labels import LabelParser, MalformedLabels, label_set
from sidecars.adapter.exposition.lexer import EXEMPLAR, EXEMPLAR_PARTS, NAME, TIMESTAMP, VALUE, Row, excerpt
from sidecars.adapter.exposition.page_faults import Faults, InconsistentFamily
from sidecars.adapter.exposition.sample_values import (
    LabelKey,
    check_count,
    check_openmetrics_timestamp,
    label_key,
    parse_bound,
    parse_labels,
    parse_value,
)

_MAX_EXEMPLAR = 128  # characters in the names and values of an exemplar's labels
_COUNTS = (b"_total", b"_sum", b"_count", b"_bucket", b"_gcount")  # neither NaN nor negative
_WHOLE_NUMBERS = (b"_count", b"_bucket", b"_gcount")
_HISTOGRAMS = {"histogram": (b"_count", b"_sum"), "gaugehistogram": (b"_gcount", b"_gsum")}
_POINT_LABELS = {"histogram": b"le", "gaugehistogram": b"le", "summary": b"quantile"}


class _Point:
    """The state of the open point: the samples of one metric with one timestamp. `MetricPointCheck` owns it."""

    __slots__ = ("bound", "bucket", "labelled", "line", "negative", "samples", "timestamp")

    def __init__(self, timestamp: bytes, line: int) -> None:
        self.timestamp = timestamp
        self.line = line
        self.samples: dict[bytes, float] = {}  # by suffix, without buckets, quantiles and states
        self.labelled: set[bytes] = set()  # the values of the point's own label: buckets, quantiles, states
        self.bound = nan  # the last bucket's
        self.bucket = 0.0  # the last bucket's value
        self.negative = False  # True if there is a bucket with a negative bound


class MetricPointCheck:
    """The check of a family whose metrics may have several samples each, timestamps, or exemplars."""

    def __init__(self, name: bytes, kind: str, parser: LabelParser, faults: Faults) -> None:
        self.valid_exemplars = True
        self.repeated_series = False
        self._faults = faults
        self._suffixes: set[bytes] = set()
        self._name = name
        self._kind = kind
        self._parser = parser
        self._label = name if kind == "stateset" else _POINT_LABELS.get(kind, b"")  # the point's own
        self._labelled_suffix = b"_bucket" if kind in _HISTOGRAMS else b""
        self._metric: LabelKey | None = None
        self._point = _Point(b"", 0)
        self._seen: set[int] = set()  # hashes of metrics

    @property
    def suffixes(self) -> Suffixes:
        return suffixes_of(self._suffixes)

    def take(self, rows: list[Row], line: int) -> bool:
        for at, row in enumerate(rows, line):
            self._take(row, at)
        return True

    def _take(self, row: Row, line: int) -> None:
        suffix = row[NAME][len(self._name) :]
        self._suffixes.add(suffix)
        value = parse_value(row[VALUE], line)
        check_openmetrics_timestamp(row[TIMESTAMP], line)
        shape, values = parse_labels(self._parser, row, line)
        index = shape.index(self._label) if self._label else -1
        labelled = bool(self._label) and suffix == self._labelled_suffix
        if labelled and index < 0:
            raise InconsistentFamily("bounds", line, f"{excerpt(row[NAME])} has no label {excerpt(self._label)}")
        if not labelled and index >= 0 and self._kind != "stateset":
            reason = f"{excerpt(row[NAME])} must not have a label {excerpt(self._label)}"
            raise InconsistentFamily("bounds", line, reason)
        self._open_point(label_key(shape, values, index if labelled else -1), row[TIMESTAMP], line)
        if labelled:
            self._take_labelled(values[index], value, line)
        elif suffix in self._point.samples:
            raise InconsistentFamily("duplicate", line, f"this series of {excerpt(row[NAME])} has come before")
        else:
            self._point.samples[suffix] = value
        self._check_value(suffix, value, line)
        if row[EXEMPLAR]:
            try:
                self._check_exemplar(suffix, row[EXEMPLAR], line)
            except InconsistentFamily as error:  # the sample itself stays usable
                self.valid_exemplars = False
                self._faults.add("exemplar", line, error.fault.reason)

    def _open_point(self, metric: LabelKey, timestamp: bytes, line: int) -> None:
        """Go on with the open point, or end it and open another."""
        if metric == self._metric:
            if timestamp == self._point.timestamp:
                return
            self._check_later(timestamp, line)
        else:
            if hash(metric) in self._seen:
                reason = f"a series of {excerpt(self._name)} goes on here: its lines must stand together"
                raise InconsistentFamily("order", line, reason)
            self._seen.add(hash(metric))
        self._end_point()
        self._metric = metric
        self._point = _Point(timestamp, line)

    def _check_later(self, timestamp: bytes, line: int) -> None:
        """Raise InconsistentFamily if the timestamp is not later than the open point's."""
        before = self._point.timestamp
        if not timestamp or not before:
            reason = "some samples of this series have a timestamp and others have none"
            raise InconsistentFamily("order", line, reason)
        if float(timestamp) > float(before):
            return
        from decimal import Decimal  # noqa: PLC0415 - loaded only for timestamps that are equal as floats

        if Decimal(timestamp.decode()) <= Decimal(before.decode()):
            raise InconsistentFamily("order", line, "the timestamps of a series must increase")

    def _take_labelled(self, raw: bytes, value: float, line: int) -> None:
        """Take a bucket, a quantile or a state, by the raw value of its label."""
        point = self._point
        if raw in point.labelled:
            reason = f'this series with {excerpt(self._label)}="{excerpt(raw)}" has come before'
            raise InconsistentFamily("duplicate", line, reason)
        point.labelled.add(raw)
        if self._kind == "stateset":
            if value not in (0, 1):
                raise InconsistentFamily("value", line, "a state's value is 0 or 1")
            return
        bound = parse_bound(raw, self._label, line)
        if self._kind == "summary":
            if not 0 <= bound <= 1:
                raise InconsistentFamily("bounds", line, "a quantile is between 0 and 1")
            if value < 0:
                raise InconsistentFamily("value", line, "a quantile's value cannot be negative")
            return
        if bound == inf and raw != b"+Inf":
            reason = f'infinity is written +Inf in the label le, not "{excerpt(raw)}"'
            raise InconsistentFamily("bounds", line, reason)
        if bound <= point.bound:
            raise InconsistentFamily("bounds", line, "the values of the label le must increase from line to line")
        if value < point.bucket:
            raise InconsistentFamily("torn", line, "buckets are cumulative: none can hold less than the one before it")
        point.bound, point.bucket = bound, value
        point.negative = point.negative or bound < 0

    def _check_value(self, suffix: bytes, value: float, line: int) -> None:
        if suffix in _COUNTS and self._kind not in ("stateset", "gauge", "unknown"):
            check_count(value, line)
        if suffix in _WHOLE_NUMBERS and self._kind in (*_HISTOGRAMS, "summary") and (isinf(value) or value % 1):
            raise InconsistentFamily("value", line, "a count is a whole number")
        if suffix == b"_gsum" and isnan(value):
            raise InconsistentFamily("value", line, "a sum cannot be NaN")
        if self._kind == "info" and value != 1:
            raise InconsistentFamily("value", line, "an info's value is 1")

    def _check_exemplar(self, suffix: bytes, raw: bytes, line: int) -> None:
        if suffix not in (b"_bucket", b"_total") or self._kind not in (*_HISTOGRAMS, "counter"):
            reason = "only a counter's total and a histogram's bucket can have an exemplar"
            raise InconsistentFamily("exemplar", line, reason)
        match = EXEMPLAR_PARTS.fullmatch(raw)
        if not match:
            raise InconsistentFamily("exemplar", line, "expected an exemplar: # {labels} value [timestamp]")
        try:
            labels = label_set(*self._parser.parse(match[1]))
        except MalformedLabels as error:
            raise InconsistentFamily("exemplar", line, f"in the exemplar, {error}") from None
        if sum(len(name) + len(value) for name, value in labels) > _MAX_EXEMPLAR:
            reason = f"the exemplar's labels have more than {_MAX_EXEMPLAR} characters"
            raise InconsistentFamily("exemplar", line, reason)
        if parse_value(match[2], line) > self._point.bound and suffix == b"_bucket":
            raise InconsistentFamily("exemplar", line, "the exemplar's value is above its bucket's bound")
        if match[3]:
            parse_value(match[3], line)

    def _end_point(self) -> None:
        """Check the open point as a whole."""
        if self._metric is None:
            return
        point, samples = self._point, self._point.samples
        if self._kind == "counter" and b"_total" not in samples:
            raise InconsistentFamily("torn", point.line, f"{excerpt(self._name)}_total is missing here")
        if self._kind in _HISTOGRAMS:
            self._check_histogram(point)

    def _check_histogram(self, point: _Point) -> None:
        name, samples, (count, total) = excerpt(self._name), point.samples, _HISTOGRAMS[self._kind]
        if point.bound != inf:
            raise InconsistentFamily("bounds", point.line, f'{name}_bucket has no bucket with le="+Inf" here')
        if (count in samples) != (total in samples):
            reason = f"{name} must have both {count.decode()} and {total.decode()}, or none of them"
            raise InconsistentFamily("torn", point.line, reason)
        if samples.get(count, point.bucket) != point.bucket:
            reason = f'{name}{count.decode()} is not what its bucket with le="+Inf" holds'
            raise InconsistentFamily("torn", point.line, reason)
        if point.negative and b"_sum" in samples:
            reason = f"{name} has buckets below zero, and so cannot have a sum"
            raise InconsistentFamily("value", point.line, reason)
        if not point.negative and samples.get(b"_gsum", 0.0) < 0:
            reason = f"{name} has no buckets below zero, and so its sum cannot be negative"
            raise InconsistentFamily("value", point.line, reason)

    def finish(self, page: bytes, spans: Sequence[Span]) -> None:
        del page, spans
        self._end_point()
