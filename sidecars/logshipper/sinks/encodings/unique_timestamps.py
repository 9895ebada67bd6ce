"""A time for every event, for receivers that treat two equal lines with one time as the same line.

- An event keeps its own time. If that has no digits below a millisecond (or microsecond), as in most logs, these digits
  hold the offset of the line in its file. So two equal lines of one millisecond differ, and a line that is sent again
  has the same time.
- An event without a time gets the time at which its batch was collected, each event a nanosecond more.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecars.logshipper.model.records import Records

_MILLISECOND, _MICROSECOND = 1_000_000, 1_000
_LATEST = 2**63 - 1 - _MILLISECOND  # in the year 2262: the largest time in 64 bits


def unique_timestamps(records: Records, now: int) -> Sequence[int]:
    """Return nanoseconds since 1970 for each event. `now`: the time of the first event without one."""
    if records.times is None:
        return range(now, now + len(records.bodies))
    return [
        now + index if time is None else max(0, min(time, _LATEST)) + _offset_digits(time, offset)
        for index, (time, offset) in enumerate(zip(records.times, records.offsets, strict=True))
    ]


def _offset_digits(time: int, offset: int) -> int:
    if time % _MILLISECOND == 0:
        return offset % _MILLISECOND
    return offset % _MICROSECOND if time % _MICROSECOND == 0 else 0
