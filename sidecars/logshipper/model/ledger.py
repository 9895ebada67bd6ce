"""The ledger: for every file and sink, `read = delivered + dropped{reason} + pending`, in bytes of the source.

*Read* is every byte that was seen in a file, whether it is in memory by now or still waits in the file, which is the
only buffer there is. *Delivered* has the sink's yes. *Dropped* will never be delivered, and the reason says why; it is
always counted, never silent. *Pending* is the rest. The books are kept when something happens, and can be checked at
any time against where the positions really are: that is what `check` does, and `/status` shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

REJECTED = "rejected"  # the sink will never take it
DEAD_LETTER = "dead_letter"  # likewise, and it was put aside with the reason
FILTERED = "filtered"  # by KEEP or DROP
CUT = "cut"  # the end of a line that is longer than MAX_LINE_SIZE, where LONG_LINES is to cut them
HOLE = "hole"  # NULs that a writer left behind; not lines
LOST = "lost"  # truncated, or deleted while nobody held it, before it was shipped

REASONS = (REJECTED, DEAD_LETTER, FILTERED, CUT, HOLE, LOST)


class Account:
    """One line of the books."""

    __slots__ = ("delivered", "dropped", "dropped_lines", "lines", "read")

    def __init__(self) -> None:
        self.read = 0
        self.delivered = 0
        self.lines = 0
        self.dropped: Counter[str] = Counter()
        self.dropped_lines: Counter[str] = Counter()

    @property
    def pending(self) -> int:
        return self.read - self.delivered - self.dropped.total()

    def as_dict(self) -> dict[str, object]:
        return {
            "read_bytes": self.read,
            "delivered_bytes": self.delivered,
            "delivered_lines": self.lines,
            "dropped_bytes": dict(self.dropped),
            "pending_bytes": self.pending,
        }


class Ledger:
    """The books of one sink: an account for each file that is followed, and one for all there ever were."""

    def __init__(self) -> None:
        self.total = Account()
        self.files: dict[str, Account] = {}

    def open(self, file: str) -> None:
        self.files.setdefault(file, Account())

    def read(self, file: str, count: int) -> None:
        for account in (self.total, self.files[file]):
            account.read += count

    def delivered(self, file: str, count: int, lines: int) -> None:
        for account in (self.total, self.files[file]):
            account.delivered += count
            account.lines += lines

    def dropped(self, file: str, reason: str, count: int, lines: int = 0) -> None:
        for account in (self.total, self.files[file]):
            account.dropped[reason] += count
            account.dropped_lines[reason] += lines

    def close(self, file: str) -> None:
        """The file is followed no longer. Everything in it must be accounted for: anything else is a defect."""
        account = self.files.pop(file)
        if account.pending:
            raise AssertionError(f"file {file} is let go with {account.pending} bytes neither delivered nor dropped")

    def check(self, pending: Mapping[str, int]) -> list[str]:
        """Where the books differ from `pending`, the bytes behind each file's position; empty when they are right."""
        wrong = [
            f"{file}: {account.pending} bytes pending by the books, {pending.get(file, 0)} by the position"
            for file, account in self.files.items()
            if account.pending != pending.get(file, 0)
        ]
        if self.total.pending != sum(pending.values()):
            wrong.append(f"all: {self.total.pending} bytes pending by the books, {sum(pending.values())} by positions")
        return wrong


class ArrivalTimes:
    """Since when the bytes of a file have been there: (size, time) of its growth, thinned so that memory stays flat."""

    __slots__ = ("_samples",)
    _LIMIT = 256
    _GRAIN = 0.05  # seconds

    def __init__(self) -> None:
        self._samples: list[tuple[int, float]] = []

    def grew(self, size: int, now: float) -> None:
        samples = self._samples
        if samples and now - samples[-1][1] < self._GRAIN:
            samples[-1] = (size, samples[-1][1])
            return
        samples.append((size, now))
        if len(samples) > self._LIMIT:  # a pair becomes one, as old as its elder
            samples[:] = [(later[0], earlier[1]) for earlier, later in zip(samples[::2], samples[1::2], strict=False)]

    def since(self, offset: int) -> float | None:
        """When the byte at `offset` was first seen (perhaps a little earlier); None when nothing is there."""
        return next((when for size, when in self._samples if size > offset), None)

    def forget_before(self, offset: int) -> None:
        """Every sink is beyond the offset."""
        self._samples[:] = [read_at for read_at in self._samples if read_at[0] > offset]
