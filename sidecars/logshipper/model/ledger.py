"""The ledger: accounts of bytes. For each file and sink, `read = delivered + dropped{reason} + pending`.

All counts are bytes of the log files:

| count | meaning |
|---|---|
| read | was seen in a file, whether it is in memory or still only in the file (the files are the only buffer) |
| delivered | the sink has accepted it |
| dropped | it will never be delivered, for one of REASONS; it is always counted |
| pending | the rest |

The invariant: an account's `pending` equals the number of bytes behind the sink's position in that file. The accounts
change when something happens, and never from the positions, so the two can be compared at any time: `check` does that,
and `/status` shows the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

REJECTED = "rejected"  # the sink will never accept it
DEAD_LETTER = "dead_letter"  # the sink will never accept it, and it was written to the dead letters with the reason
EXPIRED = "expired"  # given up beyond RETRY_LIMIT or RETRY_MAX_AGE; the dead letters have it, if there are any
FILTERED = "filtered"  # by KEEP or DROP of the input, or SINK_KEEP or SINK_DROP of the sink
SAMPLED = "sampled"  # by SAMPLE: other events stand for it
RATE_LIMITED = "rate_limited"  # beyond RATE_LIMIT, with RATE_EXCESS=drop
CUT = "cut"  # the end of a line that is longer than MAX_LINE_SIZE, with LONG_LINES=cut
HOLE = "hole"  # NULs that a writer left behind, or the bytes of a file without a text: they are not lines
IGNORED = "ignored"  # it was older than IGNORE_OLDER when its file was first seen
GIVEN_UP = "given_up"  # of a deleted file that was held open: MAX_HELD was reached
LOST = "lost"  # truncated, or deleted while no process held it open, before it was shipped

REASONS = (REJECTED, DEAD_LETTER, EXPIRED, FILTERED, SAMPLED, RATE_LIMITED, CUT, HOLE, IGNORED, GIVEN_UP, LOST)


class Account:
    """The counts of one file for one sink, or of all files for one sink. Owned and changed by a `Ledger`."""

    __slots__ = ("_drops", "delivered", "lines", "read")

    def __init__(self) -> None:
        self.read = 0
        self.delivered = 0
        self.lines = 0  # delivered ones
        # Bytes and lines by reason. Of most of very many files nothing is dropped.
        self._drops: tuple[Counter[str], Counter[str]] | None = None

    @property
    def dropped(self) -> Counter[str]:
        """The dropped bytes by reason, to be read."""
        return Counter() if self._drops is None else self._drops[0]

    @property
    def dropped_lines(self) -> Counter[str]:
        """The dropped lines by reason, to be read."""
        return Counter() if self._drops is None else self._drops[1]

    def drop(self, reason: str, count: int, lines: int) -> None:
        """Count bytes and lines as dropped."""
        self._drops = self._drops or (Counter(), Counter())
        self._drops[0][reason] += count
        self._drops[1][reason] += lines

    @property
    def pending(self) -> int:
        return self.read - self.delivered - (self._drops[0].total() if self._drops else 0)

    def as_dict(self) -> dict[str, object]:
        """Return the counts as `/status` shows them."""
        return {
            "read_bytes": self.read,
            "delivered_bytes": self.delivered,
            "delivered_lines": self.lines,
            "dropped_bytes": dict(self.dropped),
            "pending_bytes": self.pending,
        }


class Ledger:
    """The accounts of one sink: one for each followed generation, and `total` for all that this process has followed.

    The tails change it (`input.tail`); metrics and `/status` read it.
    """

    def __init__(self) -> None:
        self.total = Account()
        self.files: dict[str, Account] = {}  # by generation

    def open(self, generation: str) -> None:
        """Begin an account, if the generation has none."""
        self.files.setdefault(generation, Account())

    def read(self, generation: str, count: int) -> None:
        """Count bytes that were seen in the file."""
        for account in (self.total, self.files[generation]):
            account.read += count

    def delivered(self, generation: str, count: int, lines: int) -> None:
        """Count bytes and lines that the sink accepted."""
        for account in (self.total, self.files[generation]):
            account.delivered += count
            account.lines += lines

    def dropped(self, generation: str, reason: str, count: int, lines: int = 0) -> None:
        """Count bytes and lines that will never be delivered."""
        for account in (self.total, self.files[generation]):
            account.drop(reason, count, lines)

    def close(self, generation: str) -> None:
        """End an account. Raises AssertionError, a defect, if bytes are pending."""
        account = self.files.pop(generation)
        if account.pending:
            raise AssertionError(
                f"generation {generation} is closed with {account.pending} bytes neither delivered nor dropped"
            )

    def check(self, pending: Mapping[str, int]) -> list[str]:
        """Compare the accounts with `pending`: for each generation the bytes behind the sink's position.

        Return a sentence for each difference; none if the invariant holds.
        """
        files = [self.check_file(generation, pending.get(generation, 0)) for generation in self.files]
        return [wrong for wrong in (*files, self.check_total(sum(pending.values()))) if wrong]

    def check_file(self, generation: str, pending: int) -> str:
        """Compare the account of one file with the bytes behind the sink's position. Return a sentence, or ""."""
        counted = self.files[generation].pending
        if counted == pending:
            return ""
        return f"{generation}: {counted} bytes pending by the ledger, {pending} by the position"

    def check_total(self, pending: int) -> str:
        """Compare `total` with the bytes behind all positions of the sink. Return a sentence, or ""."""
        if self.total.pending == pending:
            return ""
        return f"all: {self.total.pending} bytes pending by the ledger, {pending} by positions"


class ArrivalTimes:
    """The times at which the bytes of one file were first seen, for the age of the oldest byte that waits.

    It holds (size, time) for each growth. Growths within _GRAIN are one; beyond _LIMIT every second one is dropped, so
    that memory does not grow. A byte then seems older than it is, never younger. Most files have grown once.
    """

    __slots__ = ("_earlier", "_size", "_time")
    _LIMIT = 256
    _GRAIN = 0.05  # seconds

    def __init__(self, size: int, now: float) -> None:
        self._size, self._time = size, now  # of the last growth
        self._earlier: list[tuple[int, float]] | None = None

    def grew(self, size: int, now: float) -> None:
        """Note that the file has this size now."""
        if now - self._time < self._GRAIN:
            self._size = size
            return
        earlier = self._earlier = self._earlier or []
        earlier.append((self._size, self._time))
        self._size, self._time = size, now
        if len(earlier) >= self._LIMIT:  # two become one, with the size of the later and the time of the earlier
            earlier[:] = [(later[0], first[1]) for first, later in zip(earlier[::2], earlier[1::2], strict=False)]

    def since(self, offset: int) -> float | None:
        """Return the time at which the byte at `offset` was first seen; None if there is no such byte."""
        found = next((when for size, when in self._earlier or () if size > offset), None)
        return self._time if found is None and self._size > offset else found
