"""One client of the live tail: what it wants, the lines that wait for it, and how many it was not shown. Pure.

A line that is offered is queued, does not match, or is skipped. It is skipped

- beyond `RATE` lines a second, with as many at once,
- if `QUEUE` bytes wait already, since the client does not read,
- if the client's share of the processor for the search of `match` is used up; whether it matches is not known then.

In the place of the lines that were skipped, the client gets `{"skipped":n}`. Nothing else ever happens to a client that
is slow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sidecars.logshipper.live.tail_query import TailQuery
from sidecars.logshipper.live.work_share import Clocks, WorkShare

RATE = 200  # lines a second
QUEUE = 128 * 1024  # bytes of lines that wait
SEARCHED = 4096  # bytes of a line in which `match` is looked for
_SHARE, _MOST = 0.0025, 0.0025  # of what is earned, and seconds at once, for the search of one client's `match`


class Viewer:
    """The queue of one client. `LiveTail` offers lines, the client's connection takes them."""

    def __init__(self, query: TailQuery, clocks: Clocks) -> None:
        self.query = query
        self.shown = 0  # lines that were queued so far
        self.skipped = 0  # lines that were skipped so far
        self.has_news = asyncio.Event()  # set if `take` has something to return, or the end has come
        self.ended = asyncio.Event()  # set if the client gets nothing more than what waits
        self._clock = clocks.now
        self._share = WorkShare(_SHARE, _MOST, clocks)
        self._lines: list[bytes] = []
        self._size = 0  # bytes of the lines that wait
        self._unsaid = 0  # skipped lines that the client does not know of
        self._allowance = float(RATE)  # lines that it may get now
        self._allowed_at = clocks.now()

    @property
    def is_over(self) -> bool:
        """True if the client has all lines that it wanted, or has left."""
        return self.ended.is_set()

    @property
    def has_room(self) -> bool:
        """True if a short line that matches would be queued now."""
        return self._size < QUEUE and self._allowance_now() >= 1

    def offer(self, lines: Sequence[bytes]) -> None:
        """Queue those of the lines that the client wants, as far as they may be queued. A line ends in a line feed."""
        pattern = self.query.match
        left = pattern is None or (self.has_room and self._share.begin())
        if left and pattern is not None and not pattern.search(b"".join(lines)):  # a fiftieth of a search in each
            self._share.goes_on()
            return
        for index, line in enumerate(lines):
            if self.is_over:
                return
            if not (left and self.has_room):
                self.skip(len(lines) - index)
                return
            if pattern is not None:
                matches = pattern.search(line[: min(len(line) - 1, SEARCHED)])
                left = self._share.goes_on()
                if not matches:
                    continue
            self._add(line)

    def skip(self, count: int) -> None:
        """Note that the client was not shown so many lines."""
        if count and not self.is_over:
            self.skipped += count
            self._unsaid += count
            self.has_news.set()

    def take(self) -> bytes:
        """Return the whole lines that wait, and the number of those that were skipped after them. b"" for none."""
        self._say_what_was_skipped()
        taken, self._lines, self._size = b"".join(self._lines), [], 0
        if not self.is_over:
            self.has_news.clear()
        return taken

    def end(self) -> None:
        """Offer the client nothing more."""
        self.ended.set()
        self.has_news.set()

    def _add(self, line: bytes) -> None:
        if self._size + len(line) > QUEUE:
            self.skip(1)
            return
        self._say_what_was_skipped()
        self._lines.append(line)
        self._size += len(line)
        self._allowance -= 1
        self.shown += 1
        self.has_news.set()
        if self.shown == self.query.limit:
            self.end()

    def _say_what_was_skipped(self) -> None:
        if self._unsaid:
            self._lines.append(b'{"skipped":%d}\n' % self._unsaid)
            self._unsaid = 0

    def _allowance_now(self) -> float:
        now = self._clock()
        self._allowance = min(float(RATE), self._allowance + (now - self._allowed_at) * RATE)
        self._allowed_at = now
        return self._allowance
