"""The spans that wait for the collector: encoded, bounded by their bytes, and counted. No I/O.

The data path puts spans in, and never waits: spans that find no room are dropped and counted. The exporter takes
batches out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

LIMIT: Final = 4 * 1024 * 1024  # bytes that wait
BATCH: Final = 512 * 1024  # bytes of one request to the collector: receivers take some MiB
_ENOUGH: Final = 128 * 1024  # bytes that are worth a request at once


class SpanQueue:
    """The queue of one process. The data path owns it."""

    def __init__(self, wake: Callable[[], Any] | None = None, hurry: Callable[[], Any] | None = None) -> None:
        """`wake` is called when there are spans again, `hurry` when there are many."""
        self._wake = wake
        self._hurry = hurry
        self._waiting: deque[tuple[bytes, int]] = deque()
        self.held: int = 0  # bytes that wait
        self.exported: int = 0  # spans that the collector has accepted
        self.dropped: int = 0  # spans that found no room, since the collector was away or too slow
        self.refused: int = 0  # spans that the collector has refused, or that were left at the end

    def put(self, spans: bytes, count: int) -> None:
        """Add the encoded spans of one exchange."""
        size = len(spans)
        if self.held + size > LIMIT:
            self.dropped += count
            return
        is_first = not self.held
        self.held += size
        self._waiting.append((spans, count))
        if is_first and self._wake is not None:
            self._wake()
        if self.held >= _ENOUGH and self._hurry is not None:
            self._hurry()

    def take(self) -> tuple[list[bytes], int]:
        """Take the oldest spans out, of at most BATCH bytes, or one exchange; return them and their number."""
        found: list[bytes] = []
        size = number = 0
        while self._waiting and (not found or size + len(self._waiting[0][0]) <= BATCH):
            spans, count = self._waiting.popleft()
            found.append(spans)
            size += len(spans)
            number += count
        self.held -= size
        return found, number

    def count_exported(self, count: int) -> None:
        self.exported += count

    def count_refused(self, count: int) -> None:
        self.refused += count
