"""A time for every event, for receivers that want one, and take two equal lines of one time for the same.

- An event's own time is kept. Where it has no digits below a millisecond (or microsecond), as most logs have it, those
  hold the place of the line in its file: so two equal lines of one millisecond differ, and a line that is sent again
  does not differ from itself.
- An event without a time gets the time at which its batch was encoded, and each one a nanosecond more.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecars.logshipper.model.records import Records

_MILLISECOND, _MICROSECOND = 1_000_000, 1_000
_LATEST = 2**63 - 1 - _MILLISECOND  # in the year 2262: what 64 bits hold


def unique_timestamps(records: Records, now: int) -> Sequence[int]:
    """Nanoseconds since 1970 for each event; `now` is that of the first event which has none."""
    if records.times is None:
        return range(now, now + len(records.bodies))
    return [
        now + index if time is None else max(0, min(time, _LATEST)) + _place(time, offset)
        for index, (time, offset) in enumerate(zip(records.times, records.offsets, strict=True))
    ]


def _place(time: int, offset: int) -> int:
    if time % _MILLISECOND == 0:
        return offset % _MILLISECOND
    return offset % _MICROSECOND if time % _MICROSECOND == 0 else 0
