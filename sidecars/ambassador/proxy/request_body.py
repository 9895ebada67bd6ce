"""The body of a request on its way upstream, in plain pieces, held for another attempt. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.upstream.buffer_memory import SHARE, BufferMemory


class RequestBody:
    """The body of one request, which its exchange owns.

    The part that has come is `held`. It is dropped when it is larger than may be held, when memory is short, or when it
    has been written for a method that must not be repeated. Only while all of it is held can the request be sent again.
    """

    __slots__ = ("_counted", "_limit", "_memory", "added", "held", "is_complete", "size", "total", "trailers")

    def __init__(self, limit: int, memory: BufferMemory) -> None:
        """More than `limit` bytes are not held once they are written."""
        self._memory = memory
        self._counted = 0  # bytes of those that are held, as far as they count for the memory
        self._limit = limit
        self.held: list[bytes] | None = []
        self.size = 0  # bytes that were held, at the most
        self.added = 0  # bytes that were added last
        self.total = 0  # bytes that have come, held or not
        self.is_complete = False
        self.trailers: Sequence[Field] = ()  # once it is complete

    def add(self, pieces: Sequence[bytes], trailers: Sequence[Field], *, done: bool) -> None:
        """Add pieces that have come. `done` is True if that was all of the body, which ends with these trailers."""
        added = 0
        for piece in pieces:
            added += len(piece)
        self.added = added
        self.total += added
        if done:
            self.is_complete = True
            self.trailers = trailers
        if self.held is not None:
            self.held.extend(pieces)
            self.size += self.added
            if self.size > SHARE:
                counted, self._counted = self._counted, self.size
                self._memory.change(self.size - counted)

    @property
    def is_too_large(self) -> bool:
        """True if more has come than may be held: the limit, or the share of a connection while memory is short."""
        return self.size > self._limit or (self.size > SHARE and self._memory.is_short)

    def note_written(self, *, repeatable: bool) -> None:
        """Drop the held body if the request cannot be sent again."""
        if self.held is not None and (self.is_too_large or not repeatable):
            if repeatable and self.size <= self._limit:
                self._memory.note_unkept()
            self.drop()

    def drop(self) -> None:
        """Hold it no more."""
        self.held = None
        counted, self._counted = self._counted, 0
        if counted:
            self._memory.change(-counted)
