"""The size of batches for a receiver that has said that one was too large (413). Pure.

The receiver's limit is on the bytes of a request, and a batch is measured in bytes of the log; how they relate changes
with the lines. So the size is learned: down to the largest that was taken, or to the half, and up again by a quarter
after `_PATIENCE` batches that filled it, since the receiver may have a larger limit by now.
"""

from __future__ import annotations

from sidecars.logshipper.model.batch import Batch

SMALLEST = 4096  # bytes
_PATIENCE = 32  # batches
_FULL = 0.75  # of the room: a batch that fills it proves that it fits


class BatchSizeLimit:
    """The bytes of log that a batch may have. `largest` is the setting."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._fits = 0  # the largest batch that was taken since there is a limit
        self._full = 0  # batches in a row that filled the room and were taken
        self.bytes = largest

    @property
    def is_limited(self) -> bool:
        """True while batches are smaller than the setting says."""
        return self.bytes < self._largest

    def too_large(self, batch: Batch) -> None:
        """Note that the receiver refused a batch for its size."""
        size = batch.size
        if self._fits >= size:
            self._fits = 0
        self.bytes = min(self.bytes, max(SMALLEST, self._fits or size // 2))
        self._full = 0

    def taken(self, batch: Batch) -> None:
        """Note that the receiver took a batch."""
        if not self.is_limited:
            return
        size = batch.size
        self._fits = max(self._fits, size)
        if size < _FULL * self.bytes:
            return
        self._full += 1
        if self._full >= _PATIENCE:
            self._full = 0
            self.bytes = min(self._largest, self.bytes + self.bytes // 4)
