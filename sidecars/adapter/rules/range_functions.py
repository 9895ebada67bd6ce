"""Functions over a range vector: rate(), increase(), delta() and stale(). No I/O.

Each takes the points of one series in the range. It returns None if they are too few.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sidecars.adapter.rules.series_history import RangeWindow


def delta(window: RangeWindow) -> float | None:
    """Return the rise of a gauge over the range; None with fewer than two points."""
    return _extrapolate(window, counter=False)


def increase(window: RangeWindow) -> float | None:
    """Return the growth of a counter over the range; None with fewer than two points.

    A counter that falls was reset, and has begun again at zero.
    """
    return _extrapolate(window, counter=True)


def rate(window: RangeWindow) -> float | None:
    """Return the increase a second; None with fewer than two points."""
    total = increase(window)
    return None if total is None else total / window.length


def stale(window: RangeWindow) -> float | None:
    """Return 1 if the value has not changed for the whole range, 0 if it has changed; None if that is unknown yet."""
    series = window.series
    if window.end - series.changed_at >= window.length:
        return 1.0
    return 0.0 if series.changed else None


def _extrapolate(window: RangeWindow, *, counter: bool) -> float | None:
    """Return the difference over the range, as `extrapolatedRate` of Prometheus 2.42 calculates it.

    The difference between the first and the last point is extrapolated at both sides. If an end of the range is less
    than 1.1 of the points' average distance away, the difference is extrapolated to that end; otherwise by half of that
    distance. A counter is not extrapolated to below zero.
    """
    times, values = window.series.times, window.series.values
    count = len(times)
    if count < 2:  # noqa: PLR2004 - a difference needs two points
        return None
    total = values[-1] - values[0]
    if counter:
        for i in range(1, count):
            if values[i] < values[i - 1]:
                total += values[i - 1]
    span = times[-1] - times[0]
    distance = span / (count - 1)
    to_start, to_end = times[0] - (window.end - window.length), window.end - times[-1]
    if counter and total > 0 and values[0] >= 0:
        to_start = min(to_start, span * (values[0] / total))
    near = distance * 1.1
    extrapolated = span
    extrapolated += to_start if to_start < near else distance / 2
    extrapolated += to_end if to_end < near else distance / 2
    return total * (extrapolated / span)


RANGE_FUNCTIONS: Mapping[str, Callable[[RangeWindow], float | None]] = {
    "rate": rate,
    "increase": increase,
    "delta": delta,
    "stale": stale,
}
