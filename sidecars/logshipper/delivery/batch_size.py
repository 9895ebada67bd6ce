"""The size of batches for a receiver that has refused one for its size (413). Pure.

The receiver limits the bytes of a request; a batch is measured in bytes of the log. Their ratio changes with the lines,
so the size is learned:

- Down: after a refusal, to the largest batch that was accepted, or to half of the refused one.
- Up: by a quarter, after `_PATIENCE` accepted batches that filled it. The receiver may have a larger limit by now.
"""

from __future__ import annotations

from sidecars.logshipper.model.batch import Batch

SMALLEST = 4096  # bytes
_PATIENCE = 32  # batches
_FULL = 0.75  # share of the limit: an accepted batch of at least this size proves that the limit fits


class BatchSizeLimit:
    """The bytes of log that the next batch may have. `largest` is the setting. Owned by the shipper."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._largest_accepted = 0  # bytes of the largest batch since `bytes` was lowered
        self._full_batches = 0  # accepted batches in a row that filled the limit
        self.bytes = largest

    @property
    def is_lowered(self) -> bool:
        """True while batches are smaller than the setting."""
        return self.bytes < self._largest

    def too_large(self, batch: Batch) -> None:
        """Lower the limit: the receiver refused this batch for its size."""
        size = batch.size
        if self._largest_accepted >= size:
            self._largest_accepted = 0
        self.bytes = min(self.bytes, max(SMALLEST, self._largest_accepted or size // 2))
        self._full_batches = 0

    def accepted(self, batch: Batch) -> None:
        """Raise the limit if enough batches like this one were accepted."""
        if not self.is_lowered:
            return
        size = batch.size
        self._largest_accepted = max(self._largest_accepted, size)
        if size < _FULL * self.bytes:
            return
        self._full_batches += 1
        if self._full_batches >= _PATIENCE:
            self._full_batches = 0
            self.bytes = min(self._largest, self.bytes + self.bytes // 4)
