"""The number of connections of each worker, in memory that all of them share, so that they take equal parts.

All workers accept from the same sockets, and the kernel wakes each of them for each connection. The one that wakes
first could take all. So a worker that has more connections than another one leaves the next one to it
(`chassis/accept/acceptor` says for how long). A number may be old: a worker writes its own when it is woken. That costs
balance at the most, because no worker waits for another one without a limit.
"""

from __future__ import annotations

import mmap
import os
import tempfile

_SIZE = 4  # bytes of an unsigned int in native form, one for each worker; it is written and read as a whole
_GONE = 0xFFFFFFFF  # no process runs for this worker


class Shares:
    """The table of these numbers. The supervisor creates it and passes its descriptor to the workers."""

    def __init__(self, descriptor: int, workers: int) -> None:
        self.descriptor = descriptor
        self._counts: memoryview[int] = memoryview(mmap.mmap(descriptor, workers * _SIZE)).cast("I")

    @classmethod
    def create(cls, workers: int) -> Shares:
        """Return a table for that many workers, none of which runs yet. It lies in memory, and has no name."""
        descriptor = _anonymous_file()
        os.truncate(descriptor, workers * _SIZE)
        shares = cls(descriptor, workers)
        for number in range(1, workers + 1):
            shares.leave(number)
        return shares

    def is_turn_of(self, number: int, connections: int) -> bool:
        """Note the connections of this worker; return True if no other worker has fewer."""
        self._counts[number - 1] = connections
        return connections <= min(self._counts)

    def leave(self, number: int) -> None:
        """Note that no process runs for this worker, so that the others take its part."""
        self._counts[number - 1] = _GONE


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("connections")
    with tempfile.TemporaryFile() as file:  # a system other than Linux
        return os.dup(file.fileno())
