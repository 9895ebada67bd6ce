"""The reader of chunks: reads the bytes after a position of an open file, verifies the file, and cuts the bytes.

A read includes the bytes before the position and compares them with the position's fingerprint. So a file that was
truncated and refilled is noticed by the read that would otherwise continue in the middle of a line.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import NamedTuple

from sidecars.logshipper.model import line_cutting, utf16_cutting
from sidecars.logshipper.model.fingerprint import Fingerprint, ReadAt
from sidecars.logshipper.model.line_cutting import UTF8_LONGEST, Cut, CuttingRules, Ending

_SEARCH = 1024 * 1024  # bytes that are read at once in a search
_MOST_SEARCHED = 64  # steps of a search in one read
_MOST_DROPPED = 16 * _SEARCH  # bytes of a cut line that one read drops; the next one drops more


class FileTruncated(Exception):
    """The file no longer has the bytes that were seen in it: it was truncated, or truncated and refilled."""


class Source(NamedTuple):
    """An open file, or none."""

    descriptor: int | None
    read_at: ReadAt | None  # reads the text of a compressed file; None: the file is read as it is
    length: int  # of the text


class ChunkReader:
    """Reads from one open file. Made by a tail for one read."""

    __slots__ = ("_descriptor", "_encoding", "_ending", "_event_over", "_length", "_read_at", "_rules", "_searches")

    def __init__(
        self,
        source: Source,
        rules: CuttingRules,
        ending: Ending,
        *,
        event_over: bool,
        searches: Callable[[], dict[int, int]],
        encoding: str = "utf-8",
    ) -> None:
        self._encoding = encoding
        self._searches = searches  # the unfinished ones for the end of a hole: where it begins -> what was reached
        self._descriptor, self._read_at, self._length = source
        self._rules = rules
        self._ending = ending
        self._event_over = event_over

    def next(self, position: Fingerprint, length: int) -> tuple[bytes, Cut]:
        """Return up to `length` bytes after the position, and how to cut them. Raises FileTruncated."""
        block = self.block(position, length)
        return block, self._cut(block, position.offset, whole=position.offset + len(block) >= self._length)

    def block(self, position: Fingerprint, length: int) -> bytes:
        """Return up to `length` bytes after the position. Raises FileTruncated if the bytes before it do not match."""
        length = min(length, self._length - position.offset)
        if self._descriptor is None or length <= 0:
            return b""
        if self._read_at is None:
            data = os.pread(self._descriptor, position.length + length, position.offset - position.length)
        else:
            data = self._read_at(position.offset - position.length, position.length + length)
        if position.length and not position.matches(data[: position.length]):
            raise FileTruncated
        return data[position.length :]

    def _cut(self, block: bytes, offset: int, *, whole: bool) -> Cut:
        """Decide how to cut a block that begins at `offset`. `whole`: True if it reaches to the end of the file."""
        limit, boundary = self._rules.limit, self._rules.boundary
        if self._encoding in utf16_cutting.ENCODINGS:
            return self._cut_utf16(block, offset, whole=whole)
        cut = line_cutting.cut(block, limit, self._ending if whole else Ending.OPEN)
        if not cut.blank:
            if boundary is None or cut.partial:
                return cut
            over = whole and (self._event_over or self._ending is not Ending.OPEN)
            return line_cutting.cut_at_events(block, cut, limit, boundary, over=over)
        end = self._data_after(offset, offset + len(block))
        if end is None:  # nothing was written after the block
            return line_cutting.cut(block, limit, self._ending)
        if block.strip(b"\0"):
            return line_cutting.piece_before_hole(block)
        return Cut(hole=end - offset)  # a hole may be very long: it is skipped without being read

    def _cut_utf16(self, block: bytes, offset: int, *, whole: bool) -> Cut:
        """Decide as `_cut` for a file in UTF-16."""
        rules, ending = self._rules, self._ending if whole else Ending.OPEN
        cut = utf16_cutting.cut(block, rules.limit, ending, self._encoding)
        if cut.blank:
            end = self._data_after(offset, offset + len(block))
            return Cut() if end is None else Cut(hole=(end - offset) // 2 * 2)
        boundary = rules.boundaries.get(self._encoding, rules.boundary)
        if boundary is None or cut.partial:
            return cut
        over = whole and (self._event_over or ending is not Ending.OPEN)
        return utf16_cutting.cut_at_events(block, cut, rules.limit, boundary, self._encoding, over=over)

    def _data_after(self, begin: int, offset: int) -> int | None:
        """Return where the hole that begins at `begin` ends; None if only NULs are left, or the search is unfinished.

        A hole without blocks costs nothing. NULs on the disk have to be read, so that the search goes on in the next
        reads, unless the input is at its end.
        """
        most = _MOST_SEARCHED if self._ending is Ending.OPEN else None
        searches = self._searches()
        at, descriptor = searches.pop(begin, offset), self._descriptor or 0
        found, reached = data_after(descriptor, at, self._length, most, self._read_at)
        if found is None and reached < self._length:
            searches[begin] = reached
        return found


def data_after(
    descriptor: int, offset: int, length: int, most: int | None = None, read_at: ReadAt | None = None
) -> tuple[int | None, int]:
    """Return the offset of the first byte, from `offset` on, that is not NUL, and where the search has ended.

    None: only NULs are left, or after `most` steps of up to _SEARCH bytes none was found yet.
    """
    for _ in itertools.count() if most is None else range(most):
        if offset >= length:
            break
        if read_at is not None:
            data = read_at(offset, _SEARCH)
        else:
            try:
                offset = os.lseek(descriptor, offset, os.SEEK_DATA)
            except OSError:
                return None, length  # a hole up to the end of the file
            data = os.pread(descriptor, _SEARCH, offset)
        if not data:
            return None, length
        found = data.lstrip(b"\0")
        if found:
            return offset + len(data) - len(found), offset
        offset += len(data)
    return None, offset


def rest_of_a_cut_line(read_at: ReadAt, offset: int, length: int, limit: int) -> int:
    """Return the number of bytes after `offset` that LONG_LINES=cut drops.

    They are the rest of a line whose first `limit` bytes, up to `offset`, were shipped, or the next _MOST_DROPPED bytes
    of it: a line without an end may have terabytes. Return 0 if `offset` is not within such a line.
    """
    shipped = limit - UTF8_LONGEST  # a piece may be so much shorter
    if offset < shipped or read_at(offset - 1, 1) == b"\n" or b"\n" in read_at(offset - shipped, shipped):
        return 0
    rest = 0
    while rest < _MOST_DROPPED and (block := read_at(offset + rest, min(_SEARCH, length - offset - rest))):
        end = block.find(b"\n") + 1
        if end:
            return rest + end
        rest += len(block)
    return rest
