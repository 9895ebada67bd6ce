"""The budget of buffered bytes of the whole process: bytes that peers have sent, and other peers have not taken. No
I/O.

A limit for each connection, times the number of connections, is more than the memory of a container: 4,096 connections
with 314 KiB in either direction are 2.5 GiB. So the sum has a limit of its own, `BUFFER_MEMORY`. These bytes count:

    the bytes that were written and that the app, an endpoint, or a tunnel's end does not take
    the part of a request's body that is kept for a retry, or until a connection is open
    heads of requests under way, if they are large
    unfinished heads and requests that wait, in either direction: `unfinished`, a part with a limit of its own

The first 4 KiB of each do not count. They belong to the connection: the memory ledger has them as its share. So most
exchanges never report anything.

States and their transitions:

    plentiful   each read is as large as the event loop makes it
    short       from plentiful, if less than 1 MiB of the budget is left
                - reads are small (`transport/small_reads`), and a side is not read while the other one is full. So a
                  connection holds no more than its own share beyond what it held before
                - a body is not kept for a retry beyond that share: its request cannot be sent again
                - a head that is larger than the share is refused with 503
    plentiful   from short, if less than half of the budget is in use

No exchange waits for memory: in both states each connection has its share, and a read that fits into it. So exchanges
cannot wait for each other, small ones pass as ever, and large ones go on in small steps. Connections that hold bytes
end by their own time-outs (`proxy/timeouts`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from sidecars.chassis.accept.buffered_bytes import BufferedBytes

SHARE: Final = 4096  # bytes of each direction and of each body that do not count
LARGE_HEAD: Final = 2048  # bytes; a smaller head does not count
_COPIES: Final = 3  # of a request's head, in its parsed form
_LEFT: Final = 1024 * 1024  # bytes: more than one read, and its copy
_PART_OF_HEADS: Final = 8  # an eighth of the budget
_LARGEST_HEADS: Final = 4  # of the largest size, at the least


class SmallReader(Protocol):
    """A connection whose reads can be made small."""

    def read_large(self) -> None:
        """Read as much as the event loop does at once."""


class Connections(Protocol):
    """The connections from the app to one upstream."""

    def read_small(self) -> None:
        """Make the reads small of all that are open, and of the connections to endpoints that serve them."""


class BufferMemory:
    """The budget. The data path owns it.

    limit      bytes that may be held, without those of `unfinished`
    held       bytes at present
    is_short   True if little is left
    shortages  the number of times that it became short
    refused    messages that were refused because of a large head, so far
    unkept     requests whose bodies were not kept for a retry, so far
    """

    def __init__(self, total: int, max_header_size: int) -> None:
        """`total` is the limit for all buffered bytes; `max_header_size` that of the largest head of any upstream."""
        heads = max(total // _PART_OF_HEADS, _LARGEST_HEADS * max_header_size)
        self.unfinished = BufferedBytes(heads)
        self.total = total
        self.limit = total - heads
        self._scarce = self.limit - _LEFT
        self._enough = self.limit // 2
        self.held = 0
        self.is_short = False
        self.shortages: int = 0
        self.refused: int = 0
        self.unkept: int = 0
        self._connections: list[Connections] = []
        self._small: dict[SmallReader, None] = {}

    def serve(self, connections: Connections) -> None:
        """Make the reads of these connections small while memory is short."""
        self._connections.append(connections)

    def change(self, size: int) -> None:
        """Note that so many bytes more are held, or fewer. This may change how all connections are read."""
        self.held += size
        if self.is_short:
            if self.held <= self._enough:
                self._end_shortage()
        elif self.held > self._scarce:
            self._begin_shortage()

    def is_too_much(self, bodies: int) -> bool:
        """Return True if a connection that has so many bytes of bodies, which nobody takes, may not add to them.

        It is so if more is held than may be: streams had their credit before memory was short, and use it up. A
        connection that waits for its peer's credit is read all the same: else neither side would go on.
        """
        return bodies > SHARE and self.held > self.limit

    def refuse(self, head: int) -> bool:
        """Return True, and count it, if a message must be refused because its head has so many bytes."""
        if self.is_short and head > SHARE:
            self.refused += 1
            return True
        return False

    def hold_head(self, size: int) -> int:
        """Note a head under way of this size, and return the bytes to give back at its end."""
        held = _COPIES * size
        self.change(held)
        return held

    def note_unkept(self) -> None:
        self.unkept += 1

    # -- readers --------------------------------------------------------------------------------------------------

    def add_small(self, reader: SmallReader) -> bool:
        """Note that the reads of this connection become small; return False if they are."""
        if reader in self._small:
            return False
        self._small[reader] = None
        return True

    def forget(self, reader: SmallReader) -> None:
        """Note that this connection is not read any more, or by another protocol."""
        self._small.pop(reader, None)

    def _begin_shortage(self) -> None:
        self.is_short = True
        self.shortages += 1
        for connections in self._connections:
            connections.read_small()

    def _end_shortage(self) -> None:
        self.is_short = False
        readers: Iterable[SmallReader] = list(self._small)
        self._small = {}
        for reader in readers:
            reader.read_large()

    def status(self) -> dict[str, int | bool]:
        """Return the state for `/status`."""
        return {
            "most": self.total,
            "held": self.held + self.unfinished.held,
            "unfinished": self.unfinished.held,
            "short": self.is_short,
            "shortages": self.shortages,
            "refused": self.refused,
            "unkept": self.unkept,
        }


class Untaken:
    """The bytes that were written to a connection, and that its peer has not taken. The connection owns it.

    The transport keeps a write whole until its last byte is taken. It has no room of its own: `pause_writing` of its
    protocol tells of the first byte that is left, and `resume_writing` that there is none.
    """

    __slots__ = ("_held", "_is_full", "_memory", "_writing")

    def __init__(self, memory: BufferMemory) -> None:
        self._memory = memory
        self._writing = 0  # bytes of the last write
        self._is_full = False
        self._held = 0  # bytes that count

    def note_write(self, size: int) -> None:
        """Note that so many bytes are written next."""
        self._writing = size
        if self._is_full:
            self._hold()

    def note_full(self) -> None:
        """Note that the last write was not taken whole."""
        self._is_full = True
        self._hold()

    def note_taken(self) -> None:
        """Note that all was taken, or that the connection is lost."""
        self._is_full = False
        held, self._held = self._held, 0
        if held:
            self._memory.change(-held)

    def _hold(self) -> None:
        if self._writing > SHARE:
            self._held += self._writing
            self._memory.change(self._writing)
