"""Modification times that follow from an archive entry."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from sidecars.warcopier.archive.entry_times import DAY, dos_to_unix_time, file_mtime_ns
from tests.warcopier.support import SECOND

MOMENTS = st.datetimes(dt.datetime(1980, 1, 1), dt.datetime(2107, 12, 31))  # noqa: DTZ001 - DOS has no zone


def dos(time: dt.datetime) -> int:
    date = (time.year - 1980) << 9 | time.month << 5 | time.day
    return date << 16 | time.hour << 11 | time.minute << 5 | time.second // 2


@given(MOMENTS)
def test_a_dos_time_is_read_as_utc(time: dt.datetime) -> None:
    even = time.replace(second=time.second // 2 * 2, microsecond=0, tzinfo=dt.UTC)
    assert dos_to_unix_time(dos(time)) == even.timestamp()


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_whatever_a_zip_says_there_is_a_time_that_a_file_can_have(stamp: int, crc: int) -> None:
    assert 0 < file_mtime_ns(dos_to_unix_time(stamp), crc) < 2**32 * 2 * SECOND


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 2**32 - 1))
def test_a_file_is_never_newer_than_its_entry_and_less_than_a_day_older(seconds: int, crc: int) -> None:
    entry = max(seconds, 315_619_200)
    assert entry * SECOND - DAY * SECOND < file_mtime_ns(seconds, crc) <= entry * SECOND
