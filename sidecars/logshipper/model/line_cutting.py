"""Line cutting: decide how much of a block of bytes can be shipped, without a loop over lines.

The rules, for a block that begins at a position:

- The block is cut after its last newline. The rest waits for the end of its line.
- NULs at the beginning of a line are a *hole*. A writer that does not append leaves them when `copytruncate` truncates
  its file. They are skipped as soon as other bytes follow. NULs at the end of the file are no hole yet: in a file that
  was allocated beforehand, lines are still to come there.
- A line that is longer than the limit is shipped in pieces, so that no line can block a file. A piece never ends inside
  a UTF-8 character or between CR and LF.
- Of events that have several lines, the last one waits until its end is known: see `cut_at_events`.
- The unfinished last line of a file is shipped as a piece when the input ends: see `Ending`.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

UTF8_LONGEST = 4  # bytes of a character
_CONTINUATION = 0b10000000  # all bytes of a character but the first are 10xxxxxx (RFC 3629)


class Ending(Enum):
    """The end of a file's input, which decides about a last line without a newline."""

    OPEN = "more may come: the line waits"
    PAUSE = "this process ends, and the writer may continue: the line is shipped up to its last whole character"
    OVER = "nothing more will come: the line is shipped"


@dataclass(frozen=True, slots=True)
class Cut:
    """A decision about a block: skip `hole` bytes, then ship the bytes up to `end`. `end` 0: wait, or read more."""

    hole: int = 0
    end: int = 0
    partial: bool = False  # True if the shipped bytes are a piece of a line, without a newline at their end
    open: bool = False  # True if time has ended the last event of several lines: more of it may come
    blank: bool = False  # True if the block ends with NULs: the decision depends on the bytes after it in the file


@dataclass(frozen=True, slots=True)
class CuttingRules:
    """How the files of one input are cut into chunks. Made from the input's settings, shared by all its tails."""

    limit: int = 1024 * 1024  # bytes of a line, or of an event of several lines
    cut: bool = False  # True: the end of a longer line is dropped; False: the line is shipped in pieces
    boundary: Callable[[bytes], int] | None = None  # returns where the last event of whole lines begins; None: each
    # line is an event
    context: int = 0  # bytes before a chunk that its redaction needs
    encoding: str = "utf-8"  # one of `utf16_cutting`, or any other: their lines end with the byte 0A
    boundaries: Mapping[str, Callable[[bytes], int] | None] = field(default_factory=dict)  # by encoding, for `auto`
    timed: bool = False  # True if the times of its events need what is known of the file: see `event_times`
    patience: float = 0.0  # seconds without growth after which the last event of several lines is over


def cut(block: bytes, limit: int, ending: Ending = Ending.OPEN) -> Cut:
    """Decide how to cut a block. A line may have `limit` bytes without its newline.

    With an `ending` other than OPEN the block must reach to the end of the file.
    """
    hole = 0
    if block.startswith(b"\0"):
        body = block.lstrip(b"\0")
        if not body:
            return Cut(blank=True)
        hole = len(block) - len(body)
    end = block.rfind(b"\n", hole) + 1
    if block.find(b"\0", hole, end) >= 0:  # one search for a single byte is cheap, and there is hardly ever a NUL
        end = block.find(b"\n\0", hole, end) + 1 or end
    if end:
        if end - hole > limit:
            return _within(block, hole, end, limit)
        return Cut(hole, end)
    stop = len(block.rstrip(b"\0"))
    if stop - hole > limit:
        return Cut(hole, hole + _piece(block[hole : hole + limit + 1], limit), partial=True)
    blank = stop < len(block)
    if ending is Ending.PAUSE and not blank:
        stop -= _unfinished_character(block)
    if ending is not Ending.OPEN and stop > hole:
        return Cut(hole, stop, partial=True)
    return Cut(hole) if hole else Cut(blank=blank)


def cut_at_events(block: bytes, cut: Cut, limit: int, boundary: Callable[[bytes], int], *, over: bool) -> Cut:
    """Return the cut before the last event of several lines, because that event may continue.

    `boundary` returns where the last event of whole lines begins. The end of the cut stays if the last event is `over`,
    because time has ended it, and if something other than the rest of a line follows, which ends the event: a hole, or
    a line that is too long.
    An event that is longer than the limit is shipped in pieces of whole lines.
    """
    body, rest = block[cut.hole : cut.end], block[cut.end :].rstrip(b"\0")
    if not body or b"\n" in rest or len(rest) > limit:
        return cut
    if over:
        return replace(cut, open=True)
    last = boundary(body)
    if last:
        return replace(cut, end=cut.hole + last)
    if len(body) > limit:
        return replace(cut, end=cut.hole + (body.rfind(b"\n", 0, limit) + 1 or body.find(b"\n") + 1))
    return Cut(cut.hole)


def first_lines(data: bytes, most: int, _encoding: str = "") -> bytes:
    """Return the first `most` lines of data that has more lines."""
    return data[: len(data) - len(data.split(b"\n", most)[-1])]


def piece_before_hole(block: bytes) -> Cut:
    """Return the cut of a blank block after whose NULs other bytes follow: its last line will never be finished."""
    body = block.lstrip(b"\0")
    hole = len(block) - len(body)
    return Cut(hole, len(block.rstrip(b"\0")), partial=True) if body else Cut(hole=len(block))


def _unfinished_character(block: bytes) -> int:
    """Return the number of bytes at the end that begin a UTF-8 character and do not complete it."""
    last = block[-UTF8_LONGEST:]
    return len(last) - codecs.utf_8_decode(last, "replace", False)[1]


def _within(block: bytes, hole: int, end: int, limit: int) -> Cut:
    """Return the whole lines before the first line that is too long, or a piece of that line if it comes first."""
    start = hole
    lines = block[hole : end - 1].split(b"\n")
    if max(map(len, lines)) <= limit:
        return Cut(hole, end)
    for line in lines:
        if len(line) > limit:
            break
        start += len(line) + 1
    if start > hole:
        return Cut(hole, start)
    return Cut(hole, hole + _piece(block[hole : hole + limit + 1], limit), partial=True)


def _piece(line: bytes, limit: int) -> int:
    """Return the length of the first piece of a line, `limit` bytes at most. `line` has one byte more than that."""
    end = limit
    for back in range(min(UTF8_LONGEST, limit)):
        if line[end - back] & 0b11000000 != _CONTINUATION:  # a character begins here
            end -= back
            break
    if end > 1 and line[end - 1 : end] == b"\r":
        end -= 1
    return end or limit
