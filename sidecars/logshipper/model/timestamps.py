"""Timestamps: parse the times that apps write into nanoseconds since 1970, and write RFC 3339.

Times in a log repeat: thousands of lines share a second, and there are few different fractions of a second. A time is
split into its seconds and the rest (fraction, zone), and each half is looked up in a cache before it is parsed. A time
without a zone is UTC, as the clock of a container is.
"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

Parse = Callable[[Any], int | None]
"""Parse a value (text or number) into nanoseconds since 1970. Returns None if it is not a time in the format."""
ParseColumn = Callable[[Sequence[Any]], list[int | None]]
"""Parse the values of many events, each as `Parse` does."""

_SECOND = 10**9  # nanoseconds
_DAY = 86400 * _SECOND
_LAST = 2**63 - 1  # nanoseconds: in the year 2262
_UNIX = {"unix": _SECOND, "unix_ms": 10**6, "unix_us": 10**3, "unix_ns": 1}
NAMED = ("rfc3339", *_UNIX)

_REMEMBERED = 4096  # texts in a cache
_LONGEST = 100  # characters of a time, so that a cache stays small


def column_parser(form: str) -> ParseColumn:
    """Return a parser of columns for a TIME_FORMAT. It returns only times that all sinks can carry: 0 to 2**63 - 1.

    Raises ValueError if the format is wrong. For RFC 3339 the second is looked up once for neighbours that share it.
    """
    if form == "rfc3339":
        parse = _rfc3339_column()
    else:
        one = parser(form)

        def parse(values: Sequence[Any]) -> list[int | None]:
            return list(map(one, values))

    def column(values: Sequence[Any]) -> list[int | None]:
        times = parse(values)
        known = [time for time in times if time is not None]
        if known and (min(known) < 0 or max(known) > _LAST):
            return [time if time is not None and 0 <= time <= _LAST else None for time in times]
        return times

    return column


def parser(form: str) -> Parse:
    """Return the parser for a TIME_FORMAT: one of `NAMED`, or a pattern of strftime's directives.

    Raises ValueError if the pattern is wrong.
    """
    if form == "rfc3339":
        column = _rfc3339_column()
        return lambda value: column([value])[0]
    if form in _UNIX:
        return _unix_parser(_UNIX[form])
    return _pattern_parser(form)


# -- numbers -------------------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"(-?)(\d{1,20})(?:\.(\d{1,20}))?", re.ASCII)


def _unix_parser(unit: int) -> Parse:
    def parse(value: object) -> int | None:
        if isinstance(value, int) and not isinstance(value, bool):
            return value * unit
        text = f"{value:.9f}" if isinstance(value, float) else value
        found = _NUMBER.fullmatch(text) if isinstance(text, str) else None
        if not found:
            return None
        sign, whole, fraction = found[1], found[2], found[3] or "0"
        time: int = int(whole) * unit + int(fraction) * unit // 10 ** len(fraction)
        return -time if sign else time

    return parse


# -- RFC 3339 ------------------------------------------------------------------------------------------------------

_LENGTH = 19  # characters of 2026-01-31T10:00:00
_SECONDS = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)", re.ASCII)
_REST = re.compile(r"(?:[.,](\d{1,18}))? ?(?:[Zz]|UTC|GMT|([+-])(\d\d):?(\d\d)?)?", re.ASCII)


def _rfc3339_column() -> ParseColumn:
    """Return a parser for RFC 3339, and for ISO 8601 as Java and Python write it.

    That is: a blank instead of the T, a comma instead of the point, and no zone.
    """
    seconds_cache, rest_cache = _Cache(_seconds), _Cache(_rest)

    def parse(values: Sequence[Any]) -> list[int | None]:
        times: list[int | None] = []
        head, seconds = "", None
        for value in values:
            if type(value) is not str or len(value) > _LONGEST:
                times.append(None)
                continue
            if value[:_LENGTH] != head:
                head = value[:_LENGTH]
                seconds = seconds_cache[head]
            rest = rest_cache[value[_LENGTH:]]
            times.append(None if seconds is None or rest is None else seconds + rest)
        return times

    return parse


class _Cache(dict[str, int | None]):
    """A cache of parsed texts: `cache[text]` parses an unknown text. It is cleared when it has _REMEMBERED entries."""

    def __init__(self, parse: Callable[[str], int | None]) -> None:
        super().__init__()
        self._parse = parse

    def __missing__(self, text: str) -> int | None:
        if len(self) >= _REMEMBERED:
            self.clear()
        value = self[text] = self._parse(text)
        return value


def _seconds(text: str) -> int | None:
    found = _SECONDS.fullmatch(text)
    return _instant(*map(int, found.groups())) if found else None


def _rest(text: str) -> int | None:
    """Return the nanoseconds of a rest such as `.123+02:00`: the fraction minus the zone's offset."""
    found = _REST.fullmatch(text)
    if not found:
        return None
    fraction, sign, hours, minutes = found.groups()
    offset = (int(hours) * 60 + int(minutes or 0)) * 60 * _SECOND if sign else 0
    return _fraction(fraction) + (offset if sign == "-" else -offset)


def _fraction(digits: str | None) -> int:
    return int(digits[:9].ljust(9, "0")) if digits else 0


def _instant(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int | None:
    """Return nanoseconds since 1970; None if there is no such time. A leap second is the second before it (POSIX)."""
    try:
        datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None
    return timegm((year, month, day, hour, minute, min(second, 59))) * _SECOND if second <= 60 else None  # noqa: PLR2004 - with a leap second


# -- patterns ------------------------------------------------------------------------------------------------------

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


def _pattern_parser(form: str) -> Parse:
    """Return the parser for a pattern. The fraction is cut out of a text first, so that the cache has few texts."""
    for short, long in _SHORT.items():
        form = form.replace(short, long)
    pieces = re.split("(%.?)", form, flags=re.DOTALL)
    _check(pieces[1::2])
    compiled = re.compile(
        "".join(_DIRECTIVES[piece] if place % 2 else re.escape(piece) for place, piece in enumerate(pieces)), re.ASCII
    )

    def parsed(text: str) -> int | None:
        found = compiled.fullmatch(text)
        return _assemble(found.groupdict()) if found else None

    cache = _Cache(parsed)

    at = pieces.index("%f") if "%f" in pieces else 0
    before = pieces[at - 1][-1:] if at else ""
    if before not in (".", ",") or before in "".join(pieces[at + 1 :]):  # the last one must be before the fraction
        return lambda value: cache[value] if type(value) is str and len(value) <= _LONGEST else None

    def parse(value: Any) -> int | None:
        if type(value) is not str or len(value) > _LONGEST:
            return None
        head, separator, tail = value.rpartition(before)
        digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
        seconds = cache[f"{head}{separator}0{tail[len(digits) :]}"] if digits else None
        return None if seconds is None else seconds + _fraction(digits)

    return parse


def _check(directives: list[str]) -> None:
    for directive in directives:
        if directive not in _DIRECTIVES:
            raise ValueError(f"{directive} is not known; there are {' '.join([*_DIRECTIVES, *_SHORT])}")
        if directive != "%%" and directives.count(directive) > 1:
            raise ValueError(f"expected {directive} once")
    has = set(directives)
    has_day = {"%m", "%d"} <= has or {"%b", "%d"} <= has or "%j" in has
    if "%s" not in has and not (has & {"%Y", "%y"} and has_day):
        raise ValueError(f"expected one of {', '.join(NAMED)}, or a pattern with year and day, such as %d/%b/%Y %T")


def _assemble(parts: dict[str, str | None]) -> int | None:
    number = {name: int(text) for name, text in parts.items() if text and name in "YymdjHIMSs"}
    offset = _rest(parts.get("z") or "Z")
    if offset is None:
        return None
    offset += _fraction(parts.get("f"))
    if "s" in number:
        return number["s"] * _SECOND + offset
    month, hour = number.get("m", 1), number.get("H", 0)
    if name := parts.get("b"):
        if name.lower() not in _MONTHS:
            return None
        month = _MONTHS.index(name.lower()) + 1
    if "I" in number:
        hour = number["I"] % 12 + (12 if (parts.get("p") or "a") in "pP" else 0)
    year = number.get("Y", 2000 + number.get("y", 0))
    instant = _instant(year, month, number.get("d", 1), hour, number.get("M", 0), number.get("S", 0))
    return None if instant is None else instant + (number.get("j", 1) - 1) * _DAY + offset


# -- to text -------------------------------------------------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANGE = (-62135596800, 253402300799)  # seconds: the years 1 to 9999


def rfc3339(time: int) -> str:
    """Return the time in RFC 3339, with milliseconds or nanoseconds if there are any.

    A time outside the years 1 to 9999 becomes the nearest one inside.
    """
    seconds, below = divmod(time, _SECOND)
    if not below:
        return f"{_seconds_text(seconds)}Z"
    milliseconds, rest = divmod(below, 10**6)
    return f"{_seconds_text(seconds)}.{below:09}Z" if rest else f"{_seconds_text(seconds)}.{milliseconds:03}Z"


@lru_cache(maxsize=_REMEMBERED)
def _seconds_text(seconds: int) -> str:
    within = max(_RANGE[0], min(seconds, _RANGE[1]))
    return (_EPOCH + timedelta(seconds=within)).isoformat()[:_LENGTH]
