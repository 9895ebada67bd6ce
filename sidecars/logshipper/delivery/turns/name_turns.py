"""The order in which one sink reads its files: names in turns. The name that was read last comes last.

Pure: it knows no files, only items with names.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class NameTurns(Generic[T]):
    """The turns of one sink. Owned by its `SinkQueue`.

    `fill` gives the items of a batch by their names. Then `next` and `read` (or `skip`) are called in pairs.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, T]] = deque()
        self._quantum = 1
        self._last = ""

    def __bool__(self) -> bool:
        """True if something is left to read in this batch."""
        return bool(self._waiting)

    def fill(self, items: Mapping[str, T], quantum: int) -> None:
        """Take the items of a batch. `quantum`: the bytes that one may give before the others have their turns."""
        self._take(items.items(), quantum)
        if self._last in items:
            self._waiting.rotate(-list(items).index(self._last) - 1)

    def fill_by_age(self, items: Mapping[str, T], quantum: int) -> None:
        """Take the items of a batch, of which the first one has waited longest and comes first."""
        self._take(items.items(), quantum)

    def _take(self, items: Iterable[tuple[str, T]], quantum: int) -> None:
        self._waiting = deque(items)
        self._quantum = quantum

    def next(self) -> tuple[T, int]:
        """Return the item to read next, and the bytes that it may give. Raises IndexError if none is left."""
        return self._waiting[0][1], self._quantum

    def read(self, _size: int, *, has_more: bool) -> None:
        """Note that so many bytes of the item were read. `has_more`: True if it is to be read again in this batch."""
        self._last = self._waiting[0][0]
        if has_more:
            self._waiting.rotate(-1)
        else:
            self._waiting.popleft()

    def skip(self) -> None:
        """Note that the item gives nothing in this batch."""
        self._waiting.popleft()

    def clear(self) -> None:
        """Leave the rest to the next batch, which will have all items anew."""
        self._waiting.clear()
