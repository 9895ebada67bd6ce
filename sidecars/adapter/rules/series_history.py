"""What `rate` and its like know of the past: a few points for each series that a rule selects. No I/O.

Bounded three ways. In time: a point older than the range is dropped, and a series that is gone goes with its last
point. In number: a selector keeps the past of `MOST_SERIES` series, and says so where there are more. In density:
between two points there is at least a hundredth or so of the range; of those that come faster the newest takes the
place of the one before it, unless the value has fallen there: a counter's reset is never lost.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from sidecars.adapter.exposition.labels import Labels
from sidecars.adapter.exposition.sample import Sample

MOST_SERIES = 10_000  # of one selector
_MOST_POINTS = 200_000  # of one selector: 3 MB
_DENSEST = 120  # points of a series in its range
_SPARSEST = 8

Identity = tuple[str, Labels]
Written = tuple[str, bytes | None]


class TooManySeries(Exception):
    """The selector selects more series than are remembered."""


class Past:
    """One series: its points, oldest first."""

    __slots__ = ("changed", "moved", "times", "values")

    def __init__(self) -> None:
        self.times = array("d")
        self.values = array("d")
        self.changed = 0.0  # when its value was first seen as it is now
        self.moved = False  # has ever changed before our eyes

    def add(self, time: float, value: float, spacing: float, before: float) -> None:
        """One more point; those that are older than `before` are dropped."""
        times, values = self.times, self.values
        while times and times[0] < before:
            del times[0], values[0]
        if not times:
            self.changed, self.moved = time, False
        elif time <= times[-1]:
            return
        elif value != values[-1] and not (isnan(value) and isnan(values[-1])):
            self.changed, self.moved = time, True
        dense = len(times) > 1 and time - times[-2] < spacing
        if dense and value >= values[-1] >= values[-2]:
            times[-1], values[-1] = time, value
            return
        times.append(time)
        values.append(value)
        if len(times) > 2 * _DENSEST:  # it falls all the time
            del times[0], values[0]


@dataclass(slots=True)
class Window:
    """A series's points from `start` to `end`, oldest first; both in Unix seconds."""

    times: array[float]
    values: array[float]
    start: float
    end: float


class History:
    """The past of all series of one selector."""

    def __init__(self, length: float) -> None:
        self._length = length
        self._now = 0.0
        self._series: dict[Identity, Past] = {}
        self._written: dict[Written, Past] = {}  # the present ones, by how they were written the last time

    def __len__(self) -> int:
        return len(self._series)

    def observe(self, samples: Sequence[Sample], now: float) -> None:
        """The selected series as they are now. Raises `TooMany`."""
        if len(samples) > MOST_SERIES:
            self._series, self._written = {}, {}
            raise TooManySeries
        if now < self._now:  # the clock was set back: what is remembered lies in the future
            self._series, self._written = {}, {}
        self._now = now
        spacing = self._length / max(_SPARSEST, min(_DENSEST, _MOST_POINTS // (len(samples) + 1)))
        before = now - self._length
        written: dict[Written, Past] = {}
        for sample in samples:
            key = (sample.name, sample.raw_labels)
            past = self._written.get(key) or self._known(sample)
            time = now if sample.timestamp is None else min(sample.timestamp, now)
            past.add(time, sample.value, spacing, before)
            written[key] = past
        self._written = written
        if len(self._series) > len(written):
            self._forget(before)

    def _known(self, sample: Sample) -> Past:
        """The past of a series that is new, or written in another way than before."""
        return self._series.setdefault((sample.name, sample.labels), Past())

    def _forget(self, before: float) -> None:
        """Drop the series that are gone for so long, and those that are gone at all where there are too many."""
        present = set(map(id, self._written.values()))
        crowded = len(self._series) > MOST_SERIES
        self._series = {
            key: past
            for key, past in self._series.items()
            if id(past) in present or (not crowded and past.times[-1] >= before)
        }

    def past(self, sample: Sample) -> Past:
        """The past of a series that has just been observed."""
        return self._written[sample.name, sample.raw_labels]

    def window(self, sample: Sample, now: float) -> Window:
        past = self.past(sample)
        return Window(past.times, past.values, now - self._length, now)


def delta(window: Window) -> float | None:
    """How much a gauge has risen over the whole range; None with fewer than two points."""
    return _extrapolated(window, counter=False)


def increase(window: Window) -> float | None:
    """How much a counter has counted over the whole range; where it falls, it began anew from zero."""
    return _extrapolated(window, counter=True)


def rate(window: Window) -> float | None:
    """The increase per second."""
    total = increase(window)
    return None if total is None else total / (window.end - window.start)


def _extrapolated(window: Window, *, counter: bool) -> float | None:
    """Prometheus's `extrapolatedRate`.

    What the points span is stretched to the ends of the range where these are about as far away as the points are from
    each other, and by half that distance otherwise; a counter is not stretched to below zero.
    """
    times, values = window.times, window.values
    count = len(times)
    if count < 2:  # noqa: PLR2004 - a difference is between two
        return None
    total = values[-1] - values[0]
    if counter:
        for i in range(1, count):
            if values[i] < values[i - 1]:
                total += values[i - 1]
    span = times[-1] - times[0]
    distance = span / (count - 1)
    to_start, to_end = times[0] - window.start, window.end - times[-1]
    if counter and total > 0 and values[0] >= 0:
        to_start = min(to_start, span * (values[0] / total))
    near = distance * 1.1
    stretched = span
    stretched += to_start if to_start < near else distance / 2
    stretched += to_end if to_end < near else distance / 2
    return total * (stretched / span)
