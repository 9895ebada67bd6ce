"""Completes the time of an event that was written without a year, or in an hour that comes twice.

A year-less time (`Nov 28 10:15:30`) is of the year that makes it the latest one that is not after the `reference`, with
a day for clocks that differ. The reference is the time of collecting, from the journal; for bytes that were in the file
when it was found, it is the file's time of modification then.

A local time in an overlap (02:30, when the clock is set back from 03:00 to 02:00) has two instants. Theory of
operation:

- It is the first pass, until the times of the file go back by more than a sixth of the overlap (10 minutes of an hour).
  Fewer minutes are no proof: threads write out of order. From there on it is the second pass.
- The second pass is never one that lies after the reference: nothing is written in the future.
- At the beginning of a file there is no event before. If the times go back later in the same chunk, it is the first
  pass. Otherwise it is the pass that is nearer to the reference.

Each such decision is a `Pass`: a place in the file, and the pass that begins there. It is a fact of the file, is found
in its bytes alone, and is in the saved state. So all sinks have the same times, also after a restart. The event before
a chunk is read from the bytes before the chunk, not remembered.

Limit: if the file has no event in the last minutes before the clock is set back, or none for long after it, no time
goes back, and the second pass is taken for the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

_SECOND = 10**9  # nanoseconds
_DAY = 86400 * _SECOND
_PROOF = 6  # the part of an overlap by which times must go back
MOST_PASSES = 8  # of a file: it lived through four overlaps

CONTEXT = 8192  # bytes before a chunk in which the event before it is looked for


class Pass(NamedTuple):
    """From `offset` on, ambiguous times near the instant `near` (seconds) are of the second pass, or of the first."""

    offset: int
    near: int
    second: int  # 0 or 1


@dataclass(slots=True)
class FileTimes:
    """The facts about the times in one generation. Owned by its `FileState`; the pipeline adds passes."""

    size: int = 0  # bytes of the file when it was found
    modified: int = 0  # when the file was modified last when it was found, in nanoseconds since 1970
    passes: tuple[Pass, ...] = ()
    is_new: bool = field(default=False, compare=False)  # True if a pass is not in the journal yet

    def reference(self, end: int, at: int) -> int:
        """Return the instant before which the bytes up to `end` were written. `at`: when they were collected."""
        return self.modified if 0 < end <= self.size and 0 < self.modified < at else at

    def as_list(self) -> list[object]:
        """Return the values for the saved state."""
        return [self.size, self.modified, self.passes]

    def add(self, found: Pass) -> None:
        """Note where a pass begins. The oldest one is forgotten if there are too many."""
        if found not in self.passes:
            self.passes = (*self.passes, found)[-MOST_PASSES:]
            self.is_new = True


class Reading(NamedTuple):
    """The place of a column of times: what completes them. Times are in nanoseconds since 1970."""

    reference: int
    offsets: Sequence[int]  # of the events in their file
    file: FileTimes
    previous: Callable[[], int | None]  # reads the time of the event before, as of the first pass
    at_beginning: bool  # True if nothing is before the first event in the file


def latest_year(reference: int) -> int:
    """Return the last instant that a year-less time may have."""
    return reference + _DAY


def resolve(first: Sequence[int | None], later: Sequence[int | None], reading: Reading) -> list[int | None]:
    """Return the instants of a column of times, each of which is `first` or `later` of the same text.

    Where both are the same, or the later one is before the first (a gap), the time is not ambiguous.
    """
    times, before, is_known = list(first), None, False
    for index, (one, other) in enumerate(zip(first, later, strict=True)):
        if one is None or other is None:
            continue
        if other > one:
            if not is_known:
                before, is_known = reading.previous(), True
            if _is_second(index, one, other, before, first, reading):
                times[index] = other
        before, is_known = one, True
    return times


def _is_second(
    index: int, one: int, other: int, before: int | None, first: Sequence[int | None], reading: Reading
) -> bool:
    offset, near, proof = reading.offsets[index], other // _SECOND, (other - one) // _PROOF
    decided = [
        each for each in reading.file.passes if each.offset <= offset and abs(each.near - near) < _DAY // _SECOND
    ]
    if decided and max(decided).second:
        return True
    may_be = other <= reading.reference + proof
    if before is not None:
        is_second = may_be and before - one > proof
    elif decided:
        return False
    else:
        goes_back = any(
            earlier - time > proof
            for earlier, time in pairwise([time for time in first[index:] if time is not None])
            if time < other
        )
        is_second = may_be and not goes_back and reading.reference - one > other - reading.reference
        if not is_second and reading.at_beginning:
            reading.file.add(Pass(offset, near, 0))
    if is_second:
        reading.file.add(Pass(offset, near, 1))
    return is_second
