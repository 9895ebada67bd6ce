"""Cutting of files in UTF-16: as `line_cutting`, in code units of two bytes.

The byte 0A is a newline only where it is a code unit with 00: U+0A0D and U+4E0A have it, too. NULs are a hole only in
pairs. A file that allocates NULs beforehand is read up to them. A piece of a line never ends within a surrogate pair.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

from sidecars.logshipper.model.line_cutting import Cut, Ending

LITTLE, BIG = "utf-16-le", "utf-16-be"
ENCODINGS = (LITTLE, BIG)
AUTO, UTF8 = "auto", "utf-8"

HEAD = 64
"""Bytes at the beginning of a file that tell if it is in UTF-8 by now."""

_NEWLINES = {LITTLE: b"\n\0", BIG: b"\0\n"}
_MARKS = {b"\xff\xfe": LITTLE, b"\xfe\xff": BIG, b"\xef\xbb": UTF8}  # U+FEFF at the beginning of a file


def encoding_of(setting: str, read_at: Callable[[int, int], bytes], before: str = "") -> str:
    """Return the encoding of a file: for `auto` its first bytes tell it. `before`: see `of_file`."""
    return of_file(read_at(0, HEAD if before else 2), before) if setting == AUTO else setting


def of_mark(first: bytes) -> str | None:
    """Return the encoding that a mark at the beginning of a file tells; None if there is no mark."""
    return _MARKS.get(first[:2])


def of_file(first: bytes, before: str = "") -> str:
    """Return the encoding of a file with `ENCODING=auto`, by its first bytes: the mark alone, or HEAD bytes.

    A file without a mark is in UTF-8. Where the file was in UTF-16 `before` it was truncated, it goes on in it, unless
    its beginning is text of UTF-8. No line of UTF-16 is: its newline has a NUL.
    """
    return of_mark(first) or (before if before and not _is_utf8(first) else UTF8)


def _is_utf8(first: bytes) -> bool:
    """Return True if the first bytes of a file are text in UTF-8, of which the last character may be cut off."""
    if not first or b"\0" in first:
        return False
    try:
        codecs.utf_8_decode(first, "strict", False)
    except UnicodeDecodeError:
        return False
    return True


def before_nul(data: bytes, encoding: str) -> bytes:
    """Return the bytes before the first NUL, which may still change: the file may have been allocated beforehand.

    In UTF-16 most characters have one NUL. There it is a code unit of NULs, and the unit before it may be unfinished.
    """
    if encoding not in ENCODINGS:
        return data.partition(b"\0")[0]
    at = data.find(b"\0\0")
    while at % 2 and at > 0:
        at = data.find(b"\0\0", at + 1)
    return data[: max(0, at - 2)] if at >= 0 else data[: len(data) // 2 * 2]


def whole_units(size: int, encoding: str) -> int:
    """Return the size of a file without the half of a code unit that may be at its end."""
    return size - size % 2 if encoding in ENCODINGS else size


def is_settled(last: bytes, end: int, encoding: str) -> bool:
    """Return True if none of the last bytes of a file, which end at `end`, is a NUL that may still change."""
    if b"\0" not in last:
        return True
    return encoding in ENCODINGS and end % 2 == len(last) % 2 == 0 and before_nul(last, encoding) == last


def after_last_line(data: bytes, encoding: str) -> int:
    """Return the offset behind the last newline; 0 if there is none. `data` begins with a code unit."""
    if encoding not in ENCODINGS:
        return data.rfind(b"\n") + 1
    at = data.rfind(_NEWLINES[encoding])
    while at % 2 and at > 0:
        at = data.rfind(_NEWLINES[encoding], 0, at + 1)
    return at + 2 if at >= 0 else 0


def line_ends(data: bytes, encoding: str) -> Iterator[int]:
    """Yield the offset behind each newline."""
    newline, at = _NEWLINES[encoding], -1
    while (at := data.find(newline, at + 1)) >= 0:
        if at % 2 == 0:
            yield at + 2


def first_lines(data: bytes, most: int, encoding: str) -> bytes:
    """Return the first `most` lines of data that has more lines."""
    return data[: next(islice(line_ends(data, encoding), most - 1, None), len(data))]


def cut(block: bytes, limit: int, ending: Ending, encoding: str) -> Cut:
    """Decide how to cut a block that begins with a code unit. See `line_cutting.cut`."""
    body = block.lstrip(b"\0")
    if not body:
        return Cut(blank=bool(block))
    hole = (len(block) - len(body)) // 2 * 2
    last = hole
    for end in line_ends(block, encoding):
        if end - 2 - last > limit:  # a line that is too long
            return Cut(hole, last) if last > hole else _piece(block, hole, limit, encoding)
        last = max(last, end)
    if last > hole:
        return Cut(hole, last)
    rest = block.rstrip(b"\0")
    stop = min(len(rest) + len(rest) % 2, len(block))
    if ending is Ending.PAUSE:
        stop -= stop % 2  # half of a code unit
    if stop - hole > limit:
        return _piece(block, hole, limit, encoding)
    if ending is not Ending.OPEN and stop > hole:
        return Cut(hole, stop, partial=True)
    return Cut(hole)


def _piece(block: bytes, hole: int, limit: int, encoding: str) -> Cut:
    end = hole + max(2, limit // 2 * 2)
    high = block[end - 1 if encoding == LITTLE else end - 2]  # the high byte of the last code unit
    if 0xD8 <= high <= 0xDB and end - 2 > hole:  # noqa: PLR2004 - the first half of a surrogate pair
        end -= 2
    return Cut(hole, min(end, len(block)), partial=True)


def cut_at_events(
    block: bytes, cut: Cut, limit: int, boundary: Callable[[bytes], int], encoding: str, *, over: bool
) -> Cut:
    """Return the cut before the last event of several lines. See `line_cutting.cut_at_events`."""
    body = block[cut.hole : cut.end]
    if not body or len(block) - cut.end > limit:
        return cut
    if over:
        return replace(cut, open=True)
    if last := boundary(body):
        return replace(cut, end=cut.hole + last)
    if len(body) > limit:
        ends = list(line_ends(body, encoding))
        return replace(cut, end=cut.hole + max([end for end in ends if end <= limit] or ends[:1]))
    return Cut(cut.hole)
