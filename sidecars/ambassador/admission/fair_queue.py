"""A queue in which clients take turns: each turn gives one place to one client. No I/O.

A client that sends ten times as much as another one fills its own line and no other. If the queue is full, the client
with the longest line gives up its newest place, unless the newcomer's line would be as long. So an upstream without
room for all serves clients in equal shares (max-min fairness): who wants less than the share gets all of it.

All steps take constant time: lines are kept by their length, too.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Items that wait, each with the key of its client."""

    __slots__ = ("_by_length", "_lines", "size")

    def __init__(self) -> None:
        self._lines: OrderedDict[object, deque[T]] = OrderedDict()  # in the order of their turns
        self._by_length: list[OrderedDict[object, None]] = [OrderedDict()]  # the keys whose lines have this length
        self.size = 0  # items in all lines; only read elsewhere

    def push(self, key: object, item: T) -> None:
        """Add an item at the end of its client's line."""
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = deque()
        line.append(item)
        self._note_length(key, len(line) - 1, len(line))
        self.size += 1

    def pop(self) -> T:
        """Take the oldest item of the client whose turn it is. Call it only if there is one."""
        key, line = next(iter(self._lines.items()))
        item = line.popleft()
        if line:
            self._lines.move_to_end(key)
        else:
            del self._lines[key]
        self._note_length(key, len(line) + 1, len(line))
        self.size -= 1
        return item

    def can_evict_for(self, key: object) -> bool:
        """Return True if a line is longer than this client's would be with one more item."""
        line = self._lines.get(key)
        return len(self._by_length) - 1 > (len(line) if line is not None else 0) + 1

    def evict(self) -> T:
        """Take the newest item of the longest line. Call it only if there is one."""
        longest = len(self._by_length) - 1
        victim = next(iter(self._by_length[longest]))
        item = self._lines[victim].pop()
        self._note_length(victim, longest, longest - 1)
        self.size -= 1
        return item

    def items(self) -> list[tuple[object, T]]:
        """Return all items with their keys: client by client."""
        return [(key, item) for key, line in self._lines.items() for item in line]

    def clear(self) -> None:
        self._lines.clear()
        self._by_length = [OrderedDict()]
        self.size = 0

    def _note_length(self, key: object, before: int, after: int) -> None:
        by_length = self._by_length
        if before:
            del by_length[before][key]
        if after:
            if after == len(by_length):
                by_length.append(OrderedDict())
            by_length[after][key] = None
        while len(by_length) > 1 and not by_length[-1]:
            by_length.pop()
