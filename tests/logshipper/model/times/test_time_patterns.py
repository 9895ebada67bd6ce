"""Times without a year, named patterns, numbers of any unit, and objects."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model.times import time_zones
from sidecars.logshipper.model.times.event_times import FileTimes, Reading
from sidecars.logshipper.model.times.timestamps import column_parser
from sidecars.logshipper.model.times.written_times import rfc3339


def read(form: str, value: Any, now: str = "2026-11-28T12:00:00", zone: str = "") -> str | None:
    reference = int(datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp()) * 10**9
    reading = Reading(reference, [0], FileTimes(), lambda: None, at_beginning=True)
    (time,) = column_parser(form, time_zones.find(zone) if zone else None)([value], reading)
    return None if time is None else rfc3339(time)


@pytest.mark.parametrize(
    ("value", "now", "expected"),
    [
        ("Nov 28 10:15:30", "2026-11-28T12:00:00", "2026-11-28T10:15:30Z"),
        ("Nov  3 10:15:30", "2026-11-28T12:00:00", "2026-11-03T10:15:30Z"),
        ("Nov 29 11:59:59", "2026-11-28T12:00:00", "2026-11-29T11:59:59Z"),  # clocks differ
        ("Nov 29 12:00:01", "2026-11-28T12:00:00", "2025-11-29T12:00:01Z"),
        ("Dec 31 23:59:59", "2027-01-01T00:00:01", "2026-12-31T23:59:59Z"),
        ("Jan  1 00:00:00", "2026-12-31T23:59:59", "2027-01-01T00:00:00Z"),
        ("Jan  1 00:00:00", "2027-01-01T00:00:01", "2027-01-01T00:00:00Z"),
        ("Jan  2 00:00:00", "2026-12-31T23:59:59", "2026-01-02T00:00:00Z"),
        ("Feb 29 10:00:00", "2026-11-28T12:00:00", "2024-02-29T10:00:00Z"),
        ("Feb 29 10:00:00", "2028-02-28T23:00:00", "2028-02-29T10:00:00Z"),
        ("Feb 29 10:00:00", "2028-02-27T23:00:00", "2024-02-29T10:00:00Z"),
        ("Feb 29 10:00:00", "2103-11-28T12:00:00", "2096-02-29T10:00:00Z"),
        ("Feb 30 10:00:00", "2026-11-28T12:00:00", None),
        ("Nov 28 10:15", "2026-11-28T12:00:00", None),
    ],
)
def test_a_time_without_a_year_is_the_latest_one_that_is_not_after_tomorrow(
    value: str, now: str, expected: str | None
) -> None:
    assert read("syslog", value, now) == expected


@given(st.datetimes(datetime(1975, 1, 1), datetime(2200, 1, 1)), st.integers(-86_000, 363 * 86400))  # noqa: DTZ001 - UTC
def test_a_line_that_is_read_within_a_year_gets_its_year(written: datetime, later: int) -> None:
    text, now = f"{written:%b %d %H:%M:%S}", written + timedelta(seconds=later)
    assert read("syslog", text, f"{now:%Y-%m-%dT%H:%M:%S}") == f"{written:%Y-%m-%dT%H:%M:%S}Z"


def test_a_time_without_a_year_is_none_where_nothing_tells_the_year() -> None:
    assert column_parser("syslog")(["Nov 28 10:15:30"]) == [None]


def test_years_change_within_a_column_and_between_columns() -> None:
    parse = column_parser("%m%d %H:%M:%S.%f")
    for year in (2026, 2027, 2026):
        reference = int(datetime(year, 1, 1, 0, 0, 1, tzinfo=UTC).timestamp()) * 10**9
        reading = Reading(reference, [0, 9], FileTimes(), lambda: None, at_beginning=True)
        times = parse(["1231 23:59:59.5", "0101 00:00:00.25"], reading)
        assert [rfc3339(time or 0) for time in times] == [
            f"{year - 1}-12-31T23:59:59.500Z",
            f"{year}-01-01T00:00:00.250Z",
        ]


def test_new_year_is_that_of_the_zone() -> None:
    assert read("syslog", "Jan  1 05:00:00", "2026-12-30T20:00:00", "Asia/Tokyo") == "2026-12-31T20:00:00Z"
    assert read("syslog", "Dec 31 20:00:00", "2027-01-01T02:00:00", "America/New_York") == "2027-01-01T01:00:00Z"


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        ("klog", "1128 10:15:30.123456", "2026-11-28T10:15:30.123456000Z"),
        ("klog", "E1128 10:15:30.123456", "2026-11-28T10:15:30.123456000Z"),
        ("klog", "X1128 10:15:30.123456", None),
        ("apache", "10/Oct/2025:13:55:36 -0700", "2025-10-10T20:55:36Z"),
        ("%d-%b-%Y %H:%M:%S.%f", "28-Nov-2026 10:15:30.123", "2026-11-28T10:15:30.123Z"),
        ("rfc3339", "2026/11/28 10:15:30", "2026-11-28T10:15:30Z"),
        ("rfc3339", "2026/11-28 10:15:30", None),
        ("rfc3339", 1795860930, None),
        ("unix", "1795860930,5", "2026-11-28T10:15:30.500Z"),
        ("unix", 1.7958609301234567e09, "2026-11-28T10:15:30.123456700Z"),
        ("unix", "1.7958609301234567e+09", "2026-11-28T10:15:30.123456700Z"),
        ("unix_ns", 1.795860930e18, "2026-11-28T10:15:30Z"),
        ("unix", "1795860930e-3", "1970-01-21T18:51:00.930Z"),
    ],
)
def test_named_patterns_and_numbers_with_exponents(form: str, value: Any, expected: str | None) -> None:
    assert read(form, value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-28T10:15:30,5Z", "2026-11-28T10:15:30.500Z"),
        (1795860930, "2026-11-28T10:15:30Z"),
        (1795860930123, "2026-11-28T10:15:30.123Z"),
        (1795860930123.5, "2026-11-28T10:15:30.123500000Z"),
        ("1795860930123", "2026-11-28T10:15:30.123Z"),
        (1795860930123456, "2026-11-28T10:15:30.123456000Z"),
        (1795860930123456789, "2026-11-28T10:15:30.123456789Z"),
        (1.7958609301234567e09, "2026-11-28T10:15:30.123456700Z"),
        ({"epochSecond": 1795860930, "nanoOfSecond": 123000000}, "2026-11-28T10:15:30.123Z"),
        ({"seconds": 1795860930}, "2026-11-28T10:15:30Z"),
        ({"$date": "2026-11-28T10:15:30.180+00:00"}, "2026-11-28T10:15:30.180Z"),
        ({"$date": {"$numberLong": "1795860930180"}}, "2026-11-28T10:15:30.180Z"),
        ({"$date": 1795860930180}, "2026-11-28T10:15:30.180Z"),
        (5, None),
        (20261128101530, None),
        ("20261128", None),
        (-1795860930, None),
        (True, None),
        ({"$date": {"$date": 1}}, None),
        ({"epochSecond": "1"}, None),
        ({}, None),
        ([1795860930], None),
        ("5ms", None),
    ],
)
def test_auto_reads_texts_numbers_of_any_unit_and_objects(value: Any, expected: str | None) -> None:
    assert read("auto", value) == expected


@pytest.mark.parametrize(
    "name", ["", "CEST", "Europe", "Europe/Berlin ", "+2", "+15:00", "+02:60", "/etc/passwd", "a\0b"]
)
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        time_zones.find(name)


def test_the_variable_of_the_local_zone_may_have_a_colon_or_be_empty() -> None:
    berlin = time_zones.find_local(":Europe/Berlin")
    assert berlin.instant(7200) == 3600
    assert time_zones.find_local(None).instant(7200) == time_zones.find_local("").instant(7200) == 7200
