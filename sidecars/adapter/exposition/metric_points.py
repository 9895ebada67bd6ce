"""OpenMetrics's order: families, in them metrics, in them points in time, in them samples; none interleaved. No I/O.

A *metric* is a label set without the label that belongs to a point's own samples (a bucket's `le`, a quantile's
`quantile`, a state's name). A *point* is the metric's samples with one timestamp. So a row either goes on with the
point that is open, or opens the metric's next one (its timestamp is later), or opens another metric's first one (which
has not been there before); each point is looked at as a whole when it ends.
"""

from __future__ import annotations

from math import inf, isinf, isnan, nan

from sidecars.adapter.exposition.labels import MalformedLabels, Shapes, labels_of
from sidecars.adapter.exposition.lexer import EXEMPLAR, EXEMPLAR_PARTS, NAME, TIMESTAMP, VALUE, Row, excerpt
from sidecars.adapter.exposition.page_faults import Faults, InconsistentFamily
from sidecars.adapter.exposition.sample_values import (
    Key,
    Place,
    Suffixes,
    bound_of,
    counted,
    key_of,
    number,
    seconds,
    shape_of,
    suffixes_of,
)

_MOST_EXEMPLAR = 128  # characters in the names and values of an exemplar's labels
_COUNTED = (b"_total", b"_sum", b"_count", b"_bucket", b"_gcount")  # neither NaN nor negative
_WHOLE = (b"_count", b"_bucket", b"_gcount")
_DISTRIBUTIONS = ("histogram", "gaugehistogram")


class _Point:
    """The samples of one metric with one timestamp: what has been seen of them."""

    __slots__ = ("bound", "bucket", "exemplars", "line", "negative", "own", "samples", "timestamp")

    def __init__(self, timestamp: bytes, line: int) -> None:
        self.timestamp = timestamp
        self.line = line
        self.samples: dict[bytes, float] = {}  # by suffix; but buckets, quantiles and states
        self.own: set[bytes] = set()  # the values of the label that is the point's own
        self.bound = nan  # the last bucket's
        self.bucket = 0.0
        self.negative = False  # there is a bucket with a negative bound


class Points:
    """The check of a family whose samples may be many for each metric, or have timestamps, or exemplars."""

    def __init__(self, name: bytes, kind: str, shapes: Shapes, faults: Faults) -> None:
        self.bad_exemplars = False
        self.repeated = False
        self._faults = faults
        self._suffixes: set[bytes] = set()
        self._name = name
        self._kind = kind
        self._shapes = shapes
        self._own = {"histogram": b"le", "gaugehistogram": b"le", "summary": b"quantile", "stateset": name}.get(
            kind, b""
        )
        self._own_suffix = b"_bucket" if kind in _DISTRIBUTIONS else b""
        self._metric: Key | None = None
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
        value = number(row[VALUE], line)
        seconds(row[TIMESTAMP], line)
        shape, values = shape_of(self._shapes, row, line)
        index = shape.index(self._own) if self._own else -1
        owned = bool(self._own) and suffix == self._own_suffix
        if owned and index < 0:
            raise InconsistentFamily("bounds", line, f"{excerpt(row[NAME])} has no label {excerpt(self._own)}")
        if not owned and index >= 0 and self._kind != "stateset":
            raise InconsistentFamily("bounds", line, f"{excerpt(row[NAME])} must not have a label {excerpt(self._own)}")
        self._place(key_of(shape, values, index if owned else -1), row[TIMESTAMP], line)
        if owned:
            self._owned(values[index], value, line)
        elif suffix in self._point.samples:
            raise InconsistentFamily("duplicate", line, f"this series of {excerpt(row[NAME])} has come before")
        else:
            self._point.samples[suffix] = value
        self._value(suffix, value, line)
        if row[EXEMPLAR]:
            try:
                self._exemplar(suffix, row[EXEMPLAR], line)
            except InconsistentFamily as error:  # it is beside the value
                self.bad_exemplars = True
                self._faults.note("exemplar", line, error.fault.why)

    def _place(self, metric: Key, timestamp: bytes, line: int) -> None:
        """Go on with the open point, or open another."""
        if metric == self._metric:
            if timestamp == self._point.timestamp:
                return
            self._later(timestamp, line)
        else:
            if hash(metric) in self._seen:
                raise InconsistentFamily(
                    "order", line, f"a series of {excerpt(self._name)} goes on here: its lines must stand together"
                )
            self._seen.add(hash(metric))
        self._end()
        self._metric = metric
        self._point = _Point(timestamp, line)

    def _later(self, timestamp: bytes, line: int) -> None:
        before = self._point.timestamp
        if not timestamp or not before:
            raise InconsistentFamily("order", line, "some samples of this series have a timestamp and others have none")
        if float(timestamp) > float(before):
            return
        from decimal import Decimal  # noqa: PLC0415 - loaded only for what a float cannot tell apart

        if Decimal(timestamp.decode()) <= Decimal(before.decode()):
            raise InconsistentFamily("order", line, "the timestamps of a series must increase")

    def _owned(self, raw: bytes, value: float, line: int) -> None:
        """A bucket, a quantile or a state."""
        point = self._point
        if raw in point.own:
            raise InconsistentFamily(
                "duplicate", line, f'this series with {excerpt(self._own)}="{excerpt(raw)}" has come before'
            )
        point.own.add(raw)
        if self._kind == "stateset":
            if value not in (0, 1):
                raise InconsistentFamily("value", line, "a state's value is 0 or 1")
            return
        bound = bound_of(raw, self._own, line)
        if self._kind == "summary":
            if not 0 <= bound <= 1:
                raise InconsistentFamily("bounds", line, "a quantile is between 0 and 1")
            if value < 0:
                raise InconsistentFamily("value", line, "a quantile's value cannot be negative")
            return
        if bound == inf and raw != b"+Inf":
            raise InconsistentFamily("bounds", line, f'infinity is written +Inf in the label le, not "{excerpt(raw)}"')
        if bound <= point.bound:
            raise InconsistentFamily("bounds", line, "the values of the label le must increase from line to line")
        if value < point.bucket:
            raise InconsistentFamily("torn", line, "buckets are cumulative: none can hold less than the one before it")
        point.bound, point.bucket = bound, value
        point.negative = point.negative or bound < 0

    def _value(self, suffix: bytes, value: float, line: int) -> None:
        if suffix in _COUNTED and self._kind not in ("stateset", "gauge", "unknown"):
            counted(value, line)
        if suffix in _WHOLE and self._kind in (*_DISTRIBUTIONS, "summary") and (isinf(value) or value % 1):
            raise InconsistentFamily("value", line, "a count is a whole number")
        if suffix == b"_gsum" and isnan(value):
            raise InconsistentFamily("value", line, "a sum cannot be NaN")
        if self._kind == "info" and value != 1:
            raise InconsistentFamily("value", line, "an info's value is 1")

    def _exemplar(self, suffix: bytes, raw: bytes, line: int) -> None:
        if suffix not in (b"_bucket", b"_total") or self._kind not in (*_DISTRIBUTIONS, "counter"):
            raise InconsistentFamily(
                "exemplar", line, "only a counter's total and a histogram's bucket can have an exemplar"
            )
        match = EXEMPLAR_PARTS.fullmatch(raw)
        if not match:
            raise InconsistentFamily("exemplar", line, "expected an exemplar: # {labels} value [timestamp]")
        try:
            labels = labels_of(*self._shapes.of(match[1]))
        except MalformedLabels as error:
            raise InconsistentFamily("exemplar", line, f"in the exemplar, {error}") from None
        if sum(len(name) + len(value) for name, value in labels) > _MOST_EXEMPLAR:
            raise InconsistentFamily(
                "exemplar", line, f"the exemplar's labels have more than {_MOST_EXEMPLAR} characters"
            )
        if number(match[2], line) > self._point.bound and suffix == b"_bucket":
            raise InconsistentFamily("exemplar", line, "the exemplar's value is above its bucket's bound")
        if match[3]:
            number(match[3], line)

    def _end(self) -> None:
        """The open point has ended."""
        if self._metric is None:
            return
        point, samples = self._point, self._point.samples
        if self._kind == "counter" and b"_total" not in samples:
            raise InconsistentFamily("torn", point.line, f"{excerpt(self._name)}_total is missing here")
        if self._kind not in _DISTRIBUTIONS:
            return
        name, (count, total) = excerpt(self._name), _OF_A_HISTOGRAM[self._kind]
        if point.bound != inf:
            raise InconsistentFamily("bounds", point.line, f'{name}_bucket has no bucket with le="+Inf" here')
        if (count in samples) != (total in samples):
            raise InconsistentFamily(
                "torn", point.line, f"{name} must have both {count.decode()} and {total.decode()}, or none of them"
            )
        if samples.get(count, point.bucket) != point.bucket:
            raise InconsistentFamily(
                "torn", point.line, f'{name}{count.decode()} is not what its bucket with le="+Inf" holds'
            )
        if point.negative and b"_sum" in samples:
            raise InconsistentFamily("value", point.line, f"{name} has buckets below zero, and so cannot have a sum")
        if not point.negative and samples.get(b"_gsum", 0.0) < 0:
            raise InconsistentFamily(
                "value", point.line, f"{name} has no buckets below zero, and so its sum cannot be negative"
            )

    def finish(self, page: bytes, place: Place) -> None:
        del page, place
        self._end()


_OF_A_HISTOGRAM = {"histogram": (b"_count", b"_sum"), "gaugehistogram": (b"_gcount", b"_gsum")}
