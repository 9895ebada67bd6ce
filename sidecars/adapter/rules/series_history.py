"""Histories of the series that range vector selectors select: a few points for each series. No I/O.

A history is bounded in three ways:

    time     A point older than the range is dropped, and a series that is gone is dropped with its last point.
    series   A selector keeps the history of `MAX_SERIES` series. With more it has none, and raises `TooManySeries`.
    density  Two points are at least about a hundredth of the range apart. A point that comes earlier replaces the one
             before it, unless the value has fallen there: a counter's reset is never lost.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from sidecars.adapter.exposition.labels import Labels
from sidecars.adapter.exposition.sample import Sample

MAX_SERIES = 10_000  # of one selector
MAX_POINTS = 200_000  # of one selector: 3 MB
_MAX_DENSITY = 120  # points of a series in its range
_MIN_DENSITY = 8

SeriesId = tuple[str, Labels]
WrittenSeries = tuple[str, bytes | None]
"""A series by its name and its raw labels, which need no parsing."""


class TooManySeries(Exception):
    """The selector selects more series than a history keeps."""


class SeriesHistory:
    """The points of one series, oldest first. A `SelectorHistory` owns it. Times are in Unix seconds.

    changed_at  the time at which the present value was first seen
    changed     True if the value has changed since the first point
    """

    __slots__ = ("changed", "changed_at", "times", "values")

    def __init__(self) -> None:
        self.times = array("d")
        self.values = array("d")
        self.changed_at = 0.0
        self.changed = False

    def add(self, time: float, value: float, spacing: float, before: float) -> None:
        """Add a point, and drop the points that are older than `before`.

        A point that is less than `spacing` seconds after the last but one replaces the last.
        """
        times, values = self.times, self.values
        while times and times[0] < before:
            del times[0], values[0]
        if not times:
            self.changed_at, self.changed = time, False
        elif time <= times[-1]:
            return
        elif value != values[-1] and not (isnan(value) and isnan(values[-1])):
            self.changed_at, self.changed = time, True
        dense = len(times) > 1 and time - times[-2] < spacing
        if dense and value >= values[-1] >= values[-2]:
            times[-1], values[-1] = time, value
            return
        times.append(time)
        values.append(value)
        if len(times) > 2 * _MAX_DENSITY:  # a value that falls all the time gets a point each time
            del times[0], values[0]


@dataclass(slots=True)
class RangeWindow:
    """The points of one series in a range, oldest first: the argument of a range function.

    The range ends at `end` and is `length` seconds long. Times are in Unix seconds.
    """

    series: SeriesHistory
    end: float
    length: float


class SelectorHistory:
    """The histories of all series of one selector with a range of `length` seconds. A `RuleEvaluator` owns it."""

    def __init__(self, length: float) -> None:
        self._length = length
        self._now = 0.0
        self._series: dict[SeriesId, SeriesHistory] = {}
        self._present: dict[WrittenSeries, SeriesHistory] = {}  # the series of the last exposition

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self._series)

    def observe(self, samples: Sequence[Sample], now: float) -> None:
        """Add the samples that the selector selects `now`, in Unix seconds. Raises TooManySeries."""
        if len(samples) > MAX_SERIES:
            self._series, self._present = {}, {}
            raise TooManySeries
        if now < self._now:  # the clock was set back: all points lie in the future
            self._series, self._present = {}, {}
        self._now = now
        spacing = self._length / max(_MIN_DENSITY, min(_MAX_DENSITY, MAX_POINTS // (len(samples) + 1)))
        before = now - self._length
        present: dict[WrittenSeries, SeriesHistory] = {}
        for sample in samples:
            key = (sample.name, sample.raw_labels)
            series = self._present.get(key) or self._find_or_add(sample)
            time = now if sample.timestamp is None else min(sample.timestamp, now)
            series.add(time, sample.value, spacing, before)
            present[key] = series
        self._present = present
        if len(self._series) > len(present):
            self._drop_gone(before)

    def _find_or_add(self, sample: Sample) -> SeriesHistory:
        """Return the history of a series that is new, or written in another way than in the last exposition."""
        return self._series.setdefault((sample.name, sample.labels), SeriesHistory())

    def _drop_gone(self, before: float) -> None:
        """Drop the gone series that have no point since `before`. With too many series, drop all that are gone."""
        present = set(map(id, self._present.values()))
        crowded = len(self._series) > MAX_SERIES
        self._series = {
            key: series
            for key, series in self._series.items()
            if id(series) in present or (not crowded and series.times[-1] >= before)
        }

    def window(self, sample: Sample, now: float) -> RangeWindow:
        """Return the range of a series that was just observed."""
        return RangeWindow(self._present[sample.name, sample.raw_labels], now, self._length)
