"""Timestamps: parse the times that apps write into nanoseconds since 1970.

Times in a log repeat: thousands of lines share a second, and there are few different fractions of a second. A time is
split into its seconds and the rest (fraction, zone), and each half is looked up in a cache before it is parsed. A time
without a zone is of the zone that TIME_ZONE names, or else in UTC, as the clock of a container is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from sidecars.logshipper.model.times import epoch_times, event_times
from sidecars.logshipper.model.times.epoch_times import UNITS
from sidecars.logshipper.model.times.event_times import Reading
from sidecars.logshipper.model.times.time_parts import (
    LONGEST,
    SECOND,
    ZONELESS,
    Cache,
    local_seconds,
    rest,
)
from sidecars.logshipper.model.times.time_patterns import Pattern, Times
from sidecars.logshipper.model.times.time_zones import TimeZone

_LAST = 2**63 - 1  # nanoseconds: in the year 2262
PATTERNS = {
    "apache": "%d/%b/%Y:%H:%M:%S %z",  # access logs of Apache httpd, nginx and Tomcat
    "syslog": "%b %d %H:%M:%S",  # RFC 3164, 4.1.2
    "klog": "%m%d %H:%M:%S.%f",  # Kubernetes' components, behind the letter of the level
}
NAMED = ("auto", "rfc3339", *UNITS, *PATTERNS)


class ColumnParser:
    """Reads columns of times. It returns only times that all sinks can carry: 0 to 2**63 - 1.

    `needs_reading`: True if a `Reading` completes the times: the year, or the hour when the clock is set back. Without
    a `Reading` a time without a year is no time, and an ambiguous one is the first of both.
    """

    def __init__(self, form: str, zone: TimeZone | None = None) -> None:
        """Raises ValueError if TIME_FORMAT is wrong."""
        self._zone = zone
        self.first, has_year, has_zone = _times(form, zone, later=False)
        self._later = None if zone is None or has_zone else _times(form, zone, later=True)[0]
        self._is_exact = has_year and self._later is None
        self.needs_reading = not self._is_exact

    def __call__(self, values: Sequence[Any], reading: Reading | None = None) -> list[int | None]:
        reference = None if reading is None else reading.reference
        times = self.first(values, reference)
        known = [time for time in times if time is not None]
        if not known:
            return times
        first, last = min(known), max(known)
        zone, later = self._zone, self._later
        if reading and zone and later and zone.repeats_between(first // SECOND, last // SECOND):
            times = event_times.resolve(times, later(values, reference), reading)
        if first < 0 or last > _LAST:
            return [time if time is not None and 0 <= time <= _LAST else None for time in times]
        return times


def parser(form: str, zone: TimeZone | None = None) -> Callable[[Any], int | None]:
    """Return a parser of single values, of any time with a year. Raises ValueError if the format is wrong."""
    column, _, _ = _times(form, zone, later=False)
    return lambda value: column([value], None)[0]


def column_parser(form: str, zone: TimeZone | None = None) -> ColumnParser:
    """Return a parser of columns for a TIME_FORMAT. Raises ValueError if the format is wrong."""
    return ColumnParser(form, zone)


def _times(form: str, zone: TimeZone | None, *, later: bool) -> tuple[Times, bool, bool]:
    """Return the reader of a format, whether its times have a year, and whether they all have a zone."""
    if form in ("auto", "rfc3339"):
        texts = _rfc3339_column() if zone is None else _local_rfc3339_column(zone, later=later)
        return (_auto(texts) if form == "auto" else lambda values, _: texts(values)), True, False
    if form in UNITS:
        unit = UNITS[form]
        return (lambda values, _: [epoch_times.since_1970(value, unit) for value in values]), True, True
    if "%" not in form and form not in PATTERNS:
        raise ValueError(f"expected one of {', '.join(NAMED)}, or a pattern such as %d/%b/%Y %T or %b %d %T")
    pattern = Pattern(PATTERNS.get(form, form), zone, later=later)
    if form == "klog":
        return (lambda values, limit: pattern.times(list(map(_without_level, values)), limit)), False, False
    return pattern.times, pattern.has_year, pattern.has_zone


def _without_level(value: Any) -> Any:
    return value[1:] if type(value) is str and value[:1] in ("I", "W", "E", "F") else value


def _auto(texts: Callable[[Sequence[Any]], list[int | None]]) -> Times:
    """Return a reader of RFC 3339, of numbers of any unit since 1970, and of objects: see `epoch_times`."""

    def parse(values: Sequence[Any], _: int | None) -> list[int | None]:
        times = texts(values)
        if None not in times:
            return times
        return [
            epoch_times.of_any_unit(value, lambda text: texts([text])[0]) if time is None else time
            for time, value in zip(times, values, strict=True)
        ]

    return parse


# -- RFC 3339 ------------------------------------------------------------------------------------------------------

_LENGTH = 19  # characters of 2026-01-31T10:00:00
_SECONDS = re.compile(r"(\d{4})([-/])(\d\d)\2(\d\d)[Tt ](\d\d):(\d\d):(\d\d)", re.ASCII)


def _rfc3339_column() -> Callable[[Sequence[Any]], list[int | None]]:
    """Return a parser for RFC 3339, and for ISO 8601 as Java and Python write it.

    That is: a blank instead of the T, a comma instead of the point, slashes instead of dashes, and no zone.
    """
    seconds_cache, rest_cache = Cache(_seconds), Cache(_rest_in_utc)

    def parse(values: Sequence[Any]) -> list[int | None]:
        times: list[int | None] = []
        head, seconds = "", None
        for value in values:
            if type(value) is not str or len(value) > LONGEST:
                times.append(None)
                continue
            if value[:_LENGTH] != head:
                head = value[:_LENGTH]
                seconds = seconds_cache[head]
            below = rest_cache[value[_LENGTH:]]
            times.append(None if seconds is None or below is None else seconds + below)
        return times

    return parse


def _local_rfc3339_column(zone: TimeZone, *, later: bool) -> Callable[[Sequence[Any]], list[int | None]]:
    """Return a parser as `_rfc3339_column`, for which times without a zone are of `zone`."""

    def in_zone(text: str) -> int | None:
        seconds = _whole_seconds(text)
        return None if seconds is None else instant(seconds) * SECOND

    def zoneless(text: str) -> int | None:
        below = rest(text)
        return below - ZONELESS if below is not None and below >= ZONELESS else None

    def with_zone(text: str) -> int | None:
        seconds, below = seconds_cache[text[:_LENGTH]], rest_cache[text[_LENGTH:]]
        return None if seconds is None or below is None or below >= ZONELESS else seconds + below

    instant = zone.later_instant if later else zone.instant
    local_cache, zoneless_cache = Cache(in_zone), Cache(zoneless)
    seconds_cache, rest_cache = Cache(_seconds), Cache(rest)

    def parse(values: Sequence[Any]) -> list[int | None]:
        times: list[int | None] = []
        head, local = "", None
        for value in values:
            if type(value) is not str or len(value) > LONGEST:
                times.append(None)
                continue
            if value[:_LENGTH] != head:
                head = value[:_LENGTH]
                local = local_cache[head]
            below = zoneless_cache[value[_LENGTH:]]
            times.append(with_zone(value) if local is None or below is None else local + below)
        return times

    return parse


def _seconds(text: str) -> int | None:
    seconds = _whole_seconds(text)
    return None if seconds is None else seconds * SECOND


def _whole_seconds(text: str) -> int | None:
    found = _SECONDS.fullmatch(text)
    if not found:
        return None
    year, _, *others = found.groups()
    return local_seconds(int(year), *map(int, others))


def _rest_in_utc(text: str) -> int | None:
    below = rest(text)
    return below if below is None or below < ZONELESS else below - ZONELESS
