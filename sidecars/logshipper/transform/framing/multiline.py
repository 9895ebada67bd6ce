"""Joins several lines to one event, such as a stack trace.

A splitter knows either the lines of stack traces (`TraceSplitter`) or the line that begins an event (a regex,
`FirstLineSplitter`). An event depends on its own lines, and on up to 20 lines after it. So the events are the same
wherever a text is cut, as long as it is cut where an event certainly begins: `boundary` returns such a place.

An event of more bytes than the limit is cut into pieces of whole lines, counted from its beginning, so that the pieces
are the same everywhere, too. One exception: after a cut inside a stack trace the rules do not know what was before it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol

from sidecars.logshipper.transform.framing import multiline_kinds
from sidecars.logshipper.transform.framing.event_limit import Split, last_piece, limited
from sidecars.logshipper.transform.framing.line_spans import joined, lines_of
from sidecars.logshipper.transform.framing.trace_splitter import TraceSplitter
from sidecars.logshipper.transform.patterns import linear_regex

REGEX = "regex:"


class Splitter(Protocol):
    """Finds the events in a text of several lines."""

    def split(self, text: str, data: bytes) -> Split:
        """Return the events of a text; `data` are its bytes. Both without the last newline."""

    def boundary(self, chunk: bytes) -> int:
        """Return the offset in a chunk of whole lines at which the last event, or its last piece, begins.

        It is an earlier event's if lines after the chunk may still change where the last one begins.
        """


def create_splitter(kind: str, limit: int) -> Splitter | None:
    """Return the splitter for a value of MULTILINE; None for `none`. `limit`: bytes of an event.

    A value that is no known kind is the regex of an event's first line, with or without `regex:` before it. Raises
    ValueError for a bad regex.
    """
    if kind == "none":
        return None
    rules = multiline_kinds.find(kind)
    if rules is not None:
        return TraceSplitter(rules, limit)
    return FirstLineSplitter(kind.removeprefix(REGEX), limit)


class FirstLineSplitter:
    """Splits before each line that matches the regex of a first line."""

    def __init__(self, pattern: str, limit: int) -> None:
        self._limit = limit
        self._begins = linear_regex.prefix_matcher(pattern)

    def split(self, text: str, data: bytes) -> Split:
        lines = lines_of(text, data)
        begins = [0, *(index for index, line in enumerate(lines.events) if index and self._begins(line))]
        spans = [(first, after) for first, after in pairwise([*begins, len(lines.events)]) if after > first + 1]
        return limited(joined(lines, spans), data, self._limit)

    def boundary(self, block: bytes) -> int:
        at, end = len(block), len(block)
        while at:
            end, at = at, block.rfind(b"\n", 0, at - 1) + 1
            if at and self._begins(block[at : end - 1].decode("utf-8", "replace")):
                break
        return last_piece(block, at, len(block), self._limit)
