"""The last minute of each cell: rates of counters, and quantiles of cumulative buckets. Pure; the script of the page
(`chassis/page/page.html`) has the same rules.

A cell keeps pairs of the sidecar's uptime and the value. A counter that falls, an uptime that falls, and a gap of more
than 15 s begin the cell anew: no rate is negative, and none is an average over an outage.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any

from sidecars.chassis.page import values

_MINUTE, _SHORT, _GAP = 61.0, 10.5, 15.0  # seconds: kept, of a rate, and between two values at most
_LINE = 30  # values of a sparkline
_MOST_CELLS = 20_000  # beyond them new cells have no history

Buckets = list[tuple[float, float]]


class Cell:
    """The history of one cell. `line` is its sparkline, from old to new. A value that was noted is not noted again."""

    __slots__ = ("_latest", "_noted_at", "line", "past")

    def __init__(self) -> None:
        self.past: deque[tuple[float, Any]] = deque()
        self.line: deque[float] = deque(maxlen=_LINE)
        self._noted_at: float | None = None  # the uptime of the last value
        self._latest: float | None = None

    def rate(self, uptime: float, counter: float) -> float | None:
        """Note the counter, and return its increase a second over the last 10 s; None before the second value."""
        if uptime != self._noted_at:
            then, old = self._note(uptime, counter, falls=bool(self.past) and counter < self.past[-1][1])
            self._latest = (counter - old) / (uptime - then) if uptime > then else None
            if self._latest is not None:
                self.line.append(self._latest)
        return self._latest

    def quantile(self, uptime: float, buckets: Buckets, of: float) -> float | None:
        """Note the cumulative buckets, and return the quantile of the last minute; None if nothing was observed."""
        if uptime != self._noted_at:
            falls = bool(self.past) and _total(buckets) < _total(self.past[-1][1])
            then, old = self._note(uptime, buckets, falls=falls)
            self._latest = _quantile_since(buckets, self.past[0][1], of)
            if uptime > then:
                self.line.append(_quantile_since(buckets, old, of) or 0.0)
        return self._latest

    def _note(self, uptime: float, value: Any, *, falls: bool) -> tuple[float, Any]:
        """Keep the value. Return the oldest one of the last 10 s, with its uptime."""
        past = self.past
        if falls or (past and not 0 <= uptime - past[-1][0] <= _GAP):
            past.clear()
            self.line.clear()
        past.append((uptime, value))
        self._noted_at = uptime
        while past[0][0] < uptime - _MINUTE:
            past.popleft()
        return next(one for one in past if one[0] >= uptime - _SHORT)


class Measures:
    """The cells of one sidecar, each by its key. Cells that are no longer asked for are forgotten."""

    def __init__(self) -> None:
        self._cells: dict[Hashable, Cell] = {}
        self._used: dict[Hashable, Cell] = {}

    def cell(self, key: Hashable) -> Cell:
        found = self._cells.get(key) or Cell()
        if len(self._used) < _MOST_CELLS:
            self._used[key] = found
        return found

    def end_round(self) -> None:
        """Forget the cells that this round has not asked for."""
        self._cells, self._used = self._used, {}


def cumulative(value: Any) -> Buckets:
    """Return the buckets of a value, sorted by their bounds; none if it has another form."""
    pairs = value.items() if isinstance(value, dict) else value if isinstance(value, list) else ()
    try:
        return sorted((float(bound), float(total)) for bound, total in pairs)
    except (TypeError, ValueError):
        return []


def _total(buckets: Buckets) -> float:
    return buckets[-1][1] if buckets else 0.0


def _quantile_since(buckets: Buckets, old: Buckets, of: float) -> float | None:
    before = dict(old)
    return values.quantile([(bound, total - before.get(bound, 0.0)) for bound, total in buckets], of)
