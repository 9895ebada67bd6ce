"""Time zones: the instants of times that were written without a zone.

`TIME_ZONE` is a name of the IANA database, or a fixed offset. A zone with daylight saving time has two exceptions:

| local time | instants | here |
|---|---|---|
| in a gap: the clock was set forward over it | none | that of the offset before: 02:30 is 03:30 |
| in an overlap: the clock was set back, and passes twice | two | `instant` is the first, `later_instant` the second |

A local time is in seconds since 1970 as if it were UTC. Offsets are looked up once for each quarter of an hour.
Abbreviations such as CEST are no zones: IST alone has three meanings.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from itertools import pairwise

_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)
_FARTHEST = 14 * 3600  # seconds: UTC+14 is Kiribati; no zone is farther
_QUARTER = 900  # seconds
_DAY = 86400  # seconds
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a local time
_REMEMBERED = 65536  # quarters of an hour in a cache: almost two years
_LONGEST_SPAN = 400  # days, after which a span has an overlap in any case


def offset_seconds(sign: str, hours: str, minutes: str | None) -> int | None:
    """Return the seconds by which a zone such as `+02:00` is ahead of UTC; None if no zone is there."""
    seconds = (int(hours) * 60 + int(minutes or 0)) * 60
    if int(minutes or 0) > 59 or seconds > _FARTHEST:  # noqa: PLR2004 - of an hour
        return None
    return -seconds if sign == "-" else seconds


class _Offsets(dict[int, "int | None"]):
    """A cache: the seconds ahead of UTC by the local quarter of an hour; None if the clock is set within it."""

    def __init__(self, info: tzinfo, *, later: bool) -> None:
        super().__init__()
        self._info = info
        self._fold = int(later)

    def __missing__(self, quarter: int) -> int | None:
        if len(self) >= _REMEMBERED:
            self.clear()
        begin, end = self.at(quarter * _QUARTER), self.at(quarter * _QUARTER + _QUARTER - 1)
        offset = self[quarter] = begin if begin == end else None
        return offset

    def at(self, local: int) -> int:
        try:
            offset = (_EPOCH + timedelta(seconds=local)).replace(tzinfo=self._info, fold=self._fold).utcoffset()
        except (OverflowError, ValueError):
            return 0
        return 0 if offset is None else int(offset.total_seconds())


_Overlap = tuple[int, int]
"""The first pass of an hour that comes twice: its first instant, in seconds, and the one after its last."""


class TimeZone:
    """A zone of TIME_ZONE. It has caches, and is never changed otherwise."""

    def __init__(self, info: tzinfo) -> None:
        self._info = info
        self._first, self._later = _Offsets(info, later=False), _Offsets(info, later=True)
        self._overlaps: dict[int, list[_Overlap]] = {}  # day since 1970 -> those in it, or near it

    def instant(self, local: int) -> int:
        """Return the instant of a local time, both in seconds. Of an ambiguous one it is the first."""
        offset = self._first[local // _QUARTER]
        return local - (self._first.at(local) if offset is None else offset)

    def later_instant(self, local: int) -> int:
        """Return the instant of a local time, both in seconds. Of an ambiguous one it is the second."""
        offset = self._later[local // _QUARTER]
        return local - (self._later.at(local) if offset is None else offset)

    def repeats_between(self, first: int, last: int) -> bool:
        """Return False if no local time between two instants, in seconds, comes twice. True: some may.

        The instants are those of the first pass.
        """
        days = range(first // _DAY, last // _DAY + 1)
        if len(days) > _LONGEST_SPAN:
            return True
        return any(first < end and begin <= last for day in days for begin, end in self._overlaps_near(day))

    def _overlaps_near(self, day: int) -> list[_Overlap]:
        known = self._overlaps.get(day)
        if known is None:
            around = range((day - 1) * _DAY, (day + 2) * _DAY, _QUARTER)
            offsets = [(instant, self._ahead(instant)) for instant in around]
            known = self._overlaps[day] = [
                (instant - (ahead - behind), end)
                for (instant, ahead), (end, behind) in pairwise(offsets)
                if behind < ahead
            ]
        return known

    def _ahead(self, instant: int) -> int:
        offset = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=instant)).astimezone(self._info).utcoffset()
        return 0 if offset is None else int(offset.total_seconds())


def find(name: str) -> TimeZone:
    """Return the zone of a name or an offset. Raises ValueError if there is none.

    The data are read here, once for each name: call it before the process confines itself.
    """
    if name in ("UTC", "GMT", "Z"):
        return TimeZone(UTC)
    if found := _OFFSET.fullmatch(name):
        seconds = offset_seconds(*found.groups())
        if seconds is None:
            raise ValueError("expected an offset between -14:00 and +14:00")
        return TimeZone(timezone(timedelta(seconds=seconds)))
    return _named(name)


def find_local(name: str | None) -> TimeZone:
    """Return the zone of the variable TZ; UTC if it is not set. Raises ValueError as `find` does."""
    return find((name or "UTC").removeprefix(":"))


@lru_cache(maxsize=256)
def _named(name: str) -> TimeZone:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - 20 ms, for those who name a zone

    try:
        return TimeZone(ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            "expected a name of the IANA database such as Europe/Berlin, an offset such as +02:00, or local (the "
            "variable TZ); there is no such zone"
        ) from None
