r"""Tells the lines that a logger began with the date of the day from all others, without a regex for each line.

Most lines of most logs are such lines. No rule of `multiline_kinds` joins one to the line before it, unless that line
expects another one. So only the other lines have to be looked at, each run of them with the dated line before and the
one after it: a *range*.

    2026-01-31 10:00:00 INFO a         an event of one line
    2026-01-31 10:00:01 ERROR b     ┐
    java.io.IOException: closed     │  a range
    \tat shop.Order.take            │
    2026-01-31 10:00:02 INFO c      ┘
    2026-01-31 10:00:03 INFO d         an event of one line
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sidecars.logshipper.transform.framing.line_spans import Span

_DATE_PATTERN = r"[\[<(\"']?(?:\d{4}[-/.]\d\d[-/.]\d\d|\d\d-[A-Z][a-z]{2}-\d{4})"
_SEARCHED = 4096  # characters in which a date is looked for


class DatedLines:
    """The forms of dates. `separators`: the characters that may follow a date, as the inside of a regex's set."""

    def __init__(self, separators: str) -> None:
        pattern = rf"{_DATE_PATTERN}[{separators}]"
        self._first = re.compile(pattern, re.ASCII).match
        self._next = re.compile(rf"\n({pattern})", re.ASCII).search
        self._in_bytes = re.compile(pattern.encode()).match

    def date(self, text: str) -> str | None:
        """Return the date at the beginning of the first line that has one; None if no line of the beginning has."""
        if found := self._first(text):
            return found[0]
        later = self._next(text, 0, _SEARCHED)
        return later[1] if later else None

    def last(self, block: bytes) -> int | None:
        """Return the offset of the last of several whole lines if it and the one before it begin with dates."""
        at = block.rfind(b"\n", 0, len(block) - 1) + 1
        if not at or not self._in_bytes(block, at):
            return None
        before = block.rfind(b"\n", 0, at - 1) + 1
        return at if self._in_bytes(block, before) else None


def ranges(lines: Sequence[str], date: str) -> list[Span]:
    """Return the ranges of the lines that do not begin with this date, in their order. They do not overlap."""
    found: list[Span] = []
    begin = end = 0
    for index in [index for index, line in enumerate(lines) if not line.startswith(date)]:
        if index > end:
            if end:
                found.append((begin, end))
            begin = index - 1
        end = index + 2
    if end:
        found.append((begin, min(end, len(lines))))
    return found
