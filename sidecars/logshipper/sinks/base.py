"""What a sink is to the rest of the program.

`deliver` returns when, and only when, the sink has said yes to the whole batch: the positions move on that alone. It
may be cancelled at any point; the batch is then delivered again, by this process or the next. What it returns is a
*receipt*: anything that JSON can hold, saved together with the positions and handed back to `open` after a restart.
"""

from __future__ import annotations

from typing import Any, Protocol

from sidecars.logshipper.batch import Batch


class TryLater(Exception):
    """Not now. `after`: the seconds that the other side asked for."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class TooLarge(Exception):
    """The batch is too large for the sink: its halves may not be."""


class Rejected(Exception):
    """The sink understood, and will never take this batch."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Delivery(Protocol):
    """One sink, as it is delivered to."""

    async def open(self, receipt: Any) -> Any:
        """Make ready; the receipt to save before the first batch. Raises a chassis Failure when it never can be."""

    async def deliver(self, batch: Batch) -> Any:
        """See above. Raises TryLater, TooLarge or Rejected; a chassis Failure where going on makes no sense."""

    async def close(self) -> None:
        """Let go of what it holds."""
