"""The value of a Retry-After field in seconds (RFC 9110 section 10.2.3), and that of a date. No I/O.

A peer writes the value, so no value may raise: one that is neither a number of seconds nor a date gives None.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH: Final = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME: Final = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_ZONE: Final = r"(?:GMT|UTC|Z|[+-]0000)"
# The three forms of RFC 9110 section 5.6.7. The day of the week is not checked: the date is enough.
_DATES: Final = tuple(
    re.compile(pattern, re.ASCII | re.IGNORECASE)
    for pattern in (
        rf"(?:[a-z]{{3}}, )?(?P<day>[0-9]{{1,2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} {_ZONE}",
        rf"[a-z]{{6,9}}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} {_ZONE}",
        rf"[a-z]{{3}} {_MONTH} (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)
_LONGEST_DATE: Final = 64  # characters; a longer value is no date
_SECONDS: Final = re.compile(r"[0-9]+", re.ASCII)
_MANY_DIGITS: Final = 9  # a number of seconds with more digits is beyond every limit
_LEAP_SECOND: Final = 60
_AHEAD: Final = 50  # years; a year of two digits is no further in the future (RFC 9110 section 5.6.7)


def retry_after(value: str, now: float, at_most: float) -> float | None:
    """Return the seconds to wait from 0 to `at_most`, or None if the value is neither a number nor a date.

    `now` is a Unix time in seconds. It never raises.
    """
    value = value.strip(" \t")
    if _SECONDS.fullmatch(value):
        digits = value.lstrip("0")
        return at_most if len(digits) > _MANY_DIGITS else min(float(digits or "0"), at_most)
    when = unix_time(value, now)
    return None if when is None else min(max(0.0, when - now), at_most)


def unix_time(value: str, now: float) -> float | None:
    """Return the Unix time that an HTTP date names, or None if it is no date."""
    if len(value) > _LONGEST_DATE:
        return None
    for pattern in _DATES:
        found = pattern.fullmatch(value)
        if found is not None:
            break
    else:
        return None
    year, second = int(found["year"]), int(found["second"])
    if len(found["year"]) == 2:
        year = _nearest_year(year, now)
    try:
        when = datetime(
            year,
            _MONTHS.index(found["month"].lower()) + 1,
            int(found["day"]),
            int(found["hour"]),
            int(found["minute"]),
            min(second, _LEAP_SECOND - 1) if second <= _LEAP_SECOND else second,
            tzinfo=UTC,
        )
    except ValueError:  # such as 31 Feb, or 25:00:00
        return None
    return when.timestamp()


def _nearest_year(two_digits: int, now: float) -> int:
    this_year = datetime.fromtimestamp(now, UTC).year
    year = this_year - this_year % 100 + two_digits
    return year - 100 if year > this_year + _AHEAD else year
