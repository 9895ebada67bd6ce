"""The text of a compressed file, at any offset: what a tail reads instead of the file.

A *cursor* is a decompression with the last bytes that it has made. A read beyond a cursor goes forward with it; a read
before all cursors begins a new one at the beginning. Each sink reads forward, so with a cursor for each every byte is
decompressed once for each.

A read that is far ahead of all cursors would take long. `seek` makes it in steps.
"""

from __future__ import annotations

from collections.abc import Generator

from sidecars.logshipper.input.compressed.decompression import Bomb, Damaged, Decompression, Unfinished

KEPT = 64 * 1024  # bytes before the end of a read that a cursor keeps: more than a reader looks back
_HEAD = 1024  # bytes: the prefix of a generation
_STEP = 256 * 1024  # bytes that are decompressed at once: about half a millisecond
_NEAR = 1 << 20  # bytes that a read may skip
_MOST_CURSORS = 4


class _Cursor:
    def __init__(self, descriptor: int) -> None:
        self._decompression = Decompression(descriptor)
        self.data = b""  # the last bytes of the text so far

    @property
    def end(self) -> int:
        return self._decompression.length

    @property
    def begin(self) -> int:
        return self.end - len(self.data)

    def forward(self, most: int, keep_from: int) -> bool:
        """Make up to `most` more bytes, and keep those from `keep_from` on, or KEPT. Return False at the end."""
        begin = self.begin
        more = self._decompression.read(most)
        start = max(begin, min(keep_from, self.end - KEPT))
        self.data = self.data[start - begin :] + more
        return bool(more)


class CompressedContent:
    """The text of an open compressed file. The descriptor stays the tail's. `size`: bytes of the text."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.size = size
        self._descriptor = descriptor
        self._head = b""
        self._cursors: list[_Cursor] = []  # the last used last

    def is_near(self, offset: int) -> bool:
        """Return True if a read at the offset takes a short time."""
        return offset < _NEAR or any(one.begin <= offset <= one.end + _NEAR for one in self._cursors)

    def seek(self, offset: int) -> Generator[None, None, None]:
        """Make a read at the offset take a short time, in steps. Raises OSError if the file has changed."""
        cursor = self._cursor_for(offset)
        while cursor.end < offset and _advance(cursor, min(_STEP, offset - cursor.end), offset):
            yield

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of the text, as os.pread does. Raises OSError if the file has changed."""
        end = min(offset + length, self.size)
        if end <= len(self._head):
            return self._head[offset:end]
        if offset >= end:
            return b""
        cursor = self._cursor_for(offset)
        while cursor.end < end and _advance(cursor, min(_STEP, end - cursor.end), offset):
            pass
        data = cursor.data[offset - cursor.begin : end - cursor.begin]
        if not offset and len(self._head) < _HEAD:
            self._head = data[:_HEAD]
        return data

    def _cursor_for(self, offset: int) -> _Cursor:
        """Return the cursor that is the nearest to the offset, and not after it."""
        able = [one for one in self._cursors if one.begin <= offset]
        if able:
            cursor = max(able, key=lambda one: one.end)
            self._cursors.remove(cursor)
        else:
            cursor = _Cursor(self._descriptor)
            del self._cursors[: 1 - _MOST_CURSORS]
        self._cursors.append(cursor)
        return cursor


def _advance(cursor: _Cursor, most: int, keep_from: int) -> bool:
    try:
        return cursor.forward(most, keep_from)
    except (Unfinished, Damaged, Bomb) as error:
        raise OSError(5, f"the compressed file is not what it was ({type(error).__name__})") from None
