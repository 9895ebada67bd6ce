"""Modification times of unpacked files, which follow from the archive alone.

Tomcat's ETag of a file is its size and its mtime in milliseconds, and Tomcat's caches and its reload compare the same
two. So replicas must give a file the same mtime, and a file with other bytes must get another mtime. Reproducible
builds give all entries the same time, so the entry's own time is not enough: the checksum of the file moves the time
back, by less than a day. The result is never later than the entry's time, and an unchanged file keeps its mtime across
deployments.

DOS times have no time zone. They are read as UTC, so that the zone of the container does not matter.
"""

from __future__ import annotations

from functools import lru_cache

DAY = 86_400  # seconds
_EARLIEST = 315_619_200  # Unix time of 1980-01-02: no result lies before the first day that a zip can name
_FEBRUARY = 2
_SPREAD = DAY * 1_000  # milliseconds
_MILLISECOND, _SECOND = 1_000_000, 1_000_000_000  # nanoseconds


def dos_to_unix_time(stamp: int) -> int:
    """Return the Unix time of a DOS date (the upper 16 bits) and time (the lower 16), read as UTC.

    Every value has a result: a day or month 0 is read as 1, and hours, minutes or days beyond their range carry over.
    """
    return _day(stamp >> 16) + (stamp >> 11 & 31) * 3_600 + (stamp >> 5 & 63) * 60 + (stamp & 31) * 2


@lru_cache(256)  # most entries of an archive were written on few days
def _day(date: int) -> int:
    """Return the Unix time at which the day of a DOS date begins."""
    month = min(max(date >> 5 & 15, 1), 12)
    year = 1980 + (date >> 9) - (month <= _FEBRUARY)  # years begin in March here: a leap day is the last day
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * ((month + 9) % 12) + 2) // 5 - 719_469
    return (days + max(date & 31, 1)) * DAY


def file_mtime_ns(seconds: int, crc: int) -> int:
    """Return the mtime, in nanoseconds, of a file whose entry has this Unix time and this CRC-32."""
    return max(seconds, _EARLIEST) * _SECOND - crc % _SPREAD * _MILLISECOND


def directory_mtime_ns(seconds: int) -> int:
    """Return the mtime, in nanoseconds, of every directory of an archive whose newest entry has this Unix time."""
    return max(seconds, _EARLIEST) * _SECOND
