"""A limit for the bytes that unfinished requests hold, over all connections of a server. No I/O.

The limit of one head, times the number of connections, may be more than the memory of a container: 4,096 connections
with 64 KiB each are 256 MiB. So the sum has a limit of its own. When it is exceeded, the connection that holds most
is ended; of equals, the one that has gone without a change for longest. A request that arrives whole holds nothing.
"""

from __future__ import annotations

from typing import Protocol


class Holder(Protocol):
    """A connection that holds bytes of an unfinished request."""

    def end_for_memory(self) -> None:
        """End the connection: it holds most, and the server holds too much."""


class BufferedBytes:
    """The bytes that the connections of one server hold. The server owns it.

    held   bytes at present
    ended  connections that were ended because of the limit, so far
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = self.ended = 0
        self._by_holder: dict[Holder, int] = {}

    def note(self, holder: Holder, count: int) -> None:
        """Note the number of bytes that the connection holds now. This may end connections, also this one."""
        self.held += count - self._by_holder.pop(holder, 0)
        if count:
            self._by_holder[holder] = count
        while self.held > self.limit:
            largest = max(self._by_holder, key=self._by_holder.__getitem__)
            self.held -= self._by_holder.pop(largest)
            self.ended += 1
            largest.end_for_memory()
