"""From a chunk of bytes to the part of it that can be shipped: whole lines, without a loop over lines.

The rules, for a chunk that begins at a position:

- It is cut behind its last newline; what follows waits for the rest of its line.
- NULs at the beginning of a line are a *hole*, and are skipped when something follows them: a writer that does not
  append leaves them when `copytruncate` cuts the file under it. NULs at the end are no hole yet: a file that was
  allocated beforehand has them where lines are still to come.
- A line longer than the limit is shipped in pieces, so that no line can stop a file. A piece never ends inside a UTF-8
  character or between CR and LF.
- Of events that have several lines, the last one waits until its end is known: see `whole_events`.
- At the end, the unfinished last line is shipped as a piece as well. `Ending.PAUSE` is our end, which the writer may
  survive: the piece does not end inside a character. `Ending.OVER` is the file's: all goes.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

UTF8_LONGEST = 4  # bytes of a character
_CONTINUATION = 0b10000000  # its bytes but the first are 10xxxxxx (RFC 3629)


class Ending(Enum):
    """What becomes of a last line without its newline."""

    OPEN = "it waits"
    PAUSE = "it is shipped up to its last whole character"
    OVER = "it is shipped"


@dataclass(frozen=True, slots=True)
class Cut:
    """What to do with a chunk: skip `hole` bytes, then ship the bytes up to `end`. `end` 0: wait, or read more.

    `partial`: the shipped bytes are a piece of a line and do not end with a newline. `blank`: the chunk ends with NULs,
    so that what to do depends on whether any data follow in the file.
    """

    hole: int = 0
    end: int = 0
    partial: bool = False
    blank: bool = False


def cut(block: bytes, limit: int, ending: Ending = Ending.OPEN) -> Cut:
    """How to cut a chunk. Lines may have `limit` bytes without newline. An `ending`: the chunk ends with the file."""
    hole = 0
    if block.startswith(b"\0"):
        body = block.lstrip(b"\0")
        if not body:
            return Cut(blank=True)
        hole = len(block) - len(body)
    end = block.rfind(b"\n", hole) + 1
    if block.find(b"\0", hole, end) >= 0:  # far cheaper than to look for both bytes, and there is hardly ever one
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


def whole_events(block: bytes, cut: Cut, limit: int, boundary: Callable[[bytes], int], *, over: bool) -> Cut:
    """The same cut, but before the last event of several lines, which may go on; unless it is `over`.

    It cannot go on either when something other than the rest of a line follows: a hole, or a line that is too long. An
    event that is longer than the limit is shipped in pieces of whole lines.
    """
    body, rest = block[cut.hole : cut.end], block[cut.end :]
    if over or not body or b"\n" in rest or len(rest) > limit:
        return cut
    last = boundary(body)
    if last:
        return replace(cut, end=cut.hole + last)
    if len(body) > limit:
        return replace(cut, end=cut.hole + (body.rfind(b"\n", 0, limit) + 1 or body.find(b"\n") + 1))
    return Cut(cut.hole)


def piece_before_hole(block: bytes) -> Cut:
    """The cut of a blank chunk when data do follow its NULs: the unfinished line before them will stay unfinished."""
    body = block.lstrip(b"\0")
    hole = len(block) - len(body)
    return Cut(hole, len(block.rstrip(b"\0")), partial=True) if body else Cut(hole=len(block))


def _unfinished_character(block: bytes) -> int:
    """How many bytes at the end begin a UTF-8 character that is not complete."""
    last = block[-UTF8_LONGEST:]
    return len(last) - codecs.utf_8_decode(last, "replace", False)[1]


def _within(block: bytes, hole: int, end: int, limit: int) -> Cut:
    """Whole lines before the first that is too long, or a piece of that one when it is the first."""
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
    """Where to end a piece of at most `limit` bytes; `line` has one byte more."""
    end = limit
    for back in range(min(UTF8_LONGEST, limit)):
        if line[end - back] & 0b11000000 != _CONTINUATION:  # a character begins here
            end -= back
            break
    if end > 1 and line[end - 1 : end] == b"\r":
        end -= 1
    return end or limit
