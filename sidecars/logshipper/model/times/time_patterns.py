"""Patterns of times, of the directives of strftime, such as `%d/%b/%Y:%H:%M:%S %z`. A pattern may have no year.

The fraction is cut out of a text first, so that few different texts have to be parsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sidecars.logshipper.model.times.event_times import latest_year
from sidecars.logshipper.model.times.time_parts import (
    LONGEST,
    SECOND,
    ZONELESS,
    Cache,
    fraction,
    local_seconds,
    rest,
)
from sidecars.logshipper.model.times.time_zones import TimeZone

_DAY = 86400 * SECOND
_LEAP = 9  # years after which there was a 29 February in any case: 1896 and 1904
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_SHORT = {"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%e": "%d", "%B": "%b", "%A": "%a", "%R": "%H:%M"}
_DIRECTIVES = {
    "%Y": r"(?P<Y>\d{4})",
    "%y": r"(?P<y>\d\d)",
    "%m": r"(?P<m>\d{1,2})",
    "%b": r"(?P<b>[A-Za-z]{3})[a-z]{0,6}",
    "%d": r"(?P<d> ?\d{1,2})",
    "%j": r"(?P<j>\d{3})",
    "%a": r"[A-Za-z]{3,9}",
    "%H": r"(?P<H> ?\d{1,2})",
    "%I": r"(?P<I> ?\d{1,2})",
    "%p": r"(?P<p>[AaPp])\.?[Mm]\.?",
    "%M": r"(?P<M>\d\d)",
    "%S": r"(?P<S>\d\d)",
    "%f": r"(?P<f>\d{1,18})",
    "%z": r"(?P<z>[Zz]|UTC|GMT|[+-]\d\d:?(?:\d\d)?)",
    "%s": r"(?P<s>\d{1,12})",
    "%%": "%",
}


class Pattern:
    """A pattern that reads texts. Has caches, and is never changed otherwise."""

    def __init__(self, form: str, zone: TimeZone | None = None, *, later: bool = False) -> None:
        """Raises ValueError if the pattern is wrong, with the rest of a sentence."""
        for short, long in _SHORT.items():
            form = form.replace(short, long)
        pieces = re.split("(%.?)", form, flags=re.DOTALL)
        self.has_year = _check(pieces[1::2])
        self.has_zone = "%z" in pieces or "%s" in pieces
        self._instant = None if zone is None else zone.later_instant if later else zone.instant
        text = "".join(_DIRECTIVES[piece] if at % 2 else re.escape(piece) for at, piece in enumerate(pieces))
        self._match = re.compile(text, re.ASCII).fullmatch
        self._times: Cache[int | None] = Cache(self._whole)
        self._candidates: Cache[list[int]] = Cache(self._of_years)
        self._year = 0  # the latest one of `_candidates`
        at = pieces.index("%f") if "%f" in pieces else 0
        before = pieces[at - 1][-1:] if at else ""
        # the last point or comma must be the one before the fraction
        self._separator = before if before in (".", ",") and before not in "".join(pieces[at + 1 :]) else ""

    def times(self, values: Sequence[Any], reference: int | None) -> list[int | None]:
        """Return the instants of a column. `reference` is for patterns without a year: see `event_times`."""
        if not self.has_year:
            return self._times_of_years(values, reference)
        cache = self._times
        if not self._separator:
            return [cache[value] if type(value) is str and len(value) <= LONGEST else None for value in values]
        times: list[int | None] = []
        for value in values:
            key, digits = self._split(value)
            seconds = cache[key] if key else None
            times.append(None if seconds is None else seconds + fraction(digits))
        return times

    def _split(self, value: Any) -> tuple[str, str]:
        """Return the text with the fraction 0, and the digits of the fraction; "" for a text that is no time."""
        if type(value) is not str or len(value) > LONGEST:
            return "", ""
        if not self._separator:
            return value, ""
        head, separator, tail = value.rpartition(self._separator)
        digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
        return (f"{head}{separator}0{tail[len(digits) :]}", digits) if digits else ("", "")

    def _whole(self, text: str) -> int | None:
        found = self._match(text)
        return self._assemble(found.groupdict(), None) if found else None

    # -- without a year ------------------------------------------------------------------------------------------------

    def _times_of_years(self, values: Sequence[Any], reference: int | None) -> list[int | None]:
        if reference is None:
            return [None] * len(values)
        limit = latest_year(reference)
        year = datetime.fromtimestamp(max(0, limit + _DAY) // SECOND, UTC).year  # of the farthest zone
        if year != self._year:
            self._candidates.clear()
            self._year = year
        times: list[int | None] = []
        for value in values:
            key, digits = self._split(value)
            below = fraction(digits)
            candidates = self._candidates[key] if key else ()
            times.append(next((time + below for time in candidates if time + below <= limit), None))
        return times

    def _of_years(self, text: str) -> list[int]:
        """Return the instants of a text in the latest years, the latest first. Of 29 February there are few."""
        found = self._match(text)
        if not found:
            return []
        parts = found.groupdict()
        times = (self._assemble(parts, self._year - back) for back in range(_LEAP))
        return [time for time in times if time is not None][:3]

    def _assemble(self, parts: dict[str, str | None], year: int | None) -> int | None:
        number = {name: int(text) for name, text in parts.items() if text and name in "YymdjHIMSs"}
        offset = rest(parts.get("z") or "")
        if offset is None:
            return None
        below = fraction(parts.get("f"))
        if "s" in number:
            return number["s"] * SECOND + below
        month, hour = number.get("m", 1), number.get("H", 0)
        if name := parts.get("b"):
            if name.lower() not in _MONTHS:
                return None
            month = _MONTHS.index(name.lower()) + 1
        if "I" in number:
            hour = number["I"] % 12 + (12 if (parts.get("p") or "a") in "pP" else 0)
        if year is None:
            year = number.get("Y", 2000 + number.get("y", 0))
        seconds = local_seconds(year, month, number.get("d", 1), hour, number.get("M", 0), number.get("S", 0))
        if seconds is None:
            return None
        seconds += (number.get("j", 1) - 1) * 86400
        if offset < ZONELESS:
            return seconds * SECOND + offset + below
        return (self._instant(seconds) if self._instant else seconds) * SECOND + below


def _check(directives: list[str]) -> bool:
    """Raise ValueError if the directives do not make a time. Return True if they have the year."""
    for directive in directives:
        if directive not in _DIRECTIVES:
            raise ValueError(f"{directive} is not known; there are {' '.join([*_DIRECTIVES, *_SHORT])}")
        if directive != "%%" and directives.count(directive) > 1:
            raise ValueError(f"expected {directive} once")
    has = set(directives)
    has_year, has_date = bool(has & {"%Y", "%y"}), {"%m", "%d"} <= has or {"%b", "%d"} <= has
    if "%s" not in has and not has_date and not (has_year and "%j" in has):
        raise ValueError("expected a pattern with the day, such as %d/%b/%Y %T or %b %d %T")
    return has_year or "%s" in has


Times = Callable[[Sequence[Any], int | None], list[int | None]]
"""Read a column of values; the number is the reference of times without a year."""
