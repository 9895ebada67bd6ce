"""Parts of times that all formats share: seconds, fractions, offsets, and the cache of parsed texts."""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Generic, TypeVar

from sidecars.logshipper.model.times.time_zones import offset_seconds

T = TypeVar("T")

SECOND = 10**9  # nanoseconds
LONGEST = 100  # characters of a time, so that a cache stays small
REMEMBERED = 4096  # texts in a cache
ZONELESS = 10**15  # nanoseconds, far more than any offset: added to the fraction of a time that has no zone

_REST = re.compile(
    r"(?:[.,](\d{1,18}))? ?(?:([Zz]|UTC|GMT|([+-])(\d\d):?(\d\d)?)(?:\[[A-Za-z0-9_+/-]{1,40}\])?)?", re.ASCII
)


class Cache(dict[str, T], Generic[T]):
    """A cache of parsed texts: `cache[text]` parses an unknown text. It is cleared when it has REMEMBERED entries."""

    def __init__(self, parse: Callable[[str], T]) -> None:
        super().__init__()
        self._parse = parse

    def __missing__(self, text: str) -> T:
        if len(self) >= REMEMBERED:
            self.clear()
        value = self[text] = self._parse(text)
        return value


def rest(text: str) -> int | None:
    """Return the nanoseconds of a rest such as `.123+02:00`: the fraction minus the zone's offset.

    Java's `+01:00[Europe/Paris]` is read by its offset. Without a zone, ZONELESS is added. None: it is no such rest.
    """
    found = _REST.fullmatch(text)
    if not found:
        return None
    digits, zone, sign, hours, minutes = found.groups()
    if zone is None:
        return fraction(digits) + ZONELESS
    seconds = offset_seconds(sign, hours, minutes) if sign else 0
    return None if seconds is None else fraction(digits) - seconds * SECOND


def fraction(digits: str | None) -> int:
    """Return the nanoseconds of the digits behind a point."""
    return int(digits[:9].ljust(9, "0")) if digits else 0


def local_seconds(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int | None:
    """Return the seconds since 1970 of a time, as if it were UTC; None if there is no such time.

    A leap second is the second before it (POSIX).
    """
    try:
        datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None
    return timegm((year, month, day, hour, minute, min(second, 59))) if second <= 60 else None  # noqa: PLR2004 - with a leap second
