"""Joins several lines to one event, such as a stack trace.

A splitter knows either the lines that continue an event (`java`, `python`, `go`, `indent`) or the line that begins one
(a regex). It never looks at the lines behind a line. So the events are the same wherever a text is cut, as long as it
is cut at the beginning of an event: `boundary` returns such a place.

Python's tracebacks need a look back: the line of the exception, after the indented lines of a traceback, looks like any
other line. An event that ends within a traceback is *open*, and the next event is joined to it.

An event of more bytes than the limit is cut into pieces of whole lines, counted from its beginning, so that the pieces
are the same everywhere, too. One exception: after a cut inside a traceback the line of the exception is an event of its
own, since the look back does not reach the traceback's first line.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import AnyStr, Protocol

from sidecars.logshipper.transform import linear_regex

_BLANK = r"\r?(?:\n|\Z)"
_TRACEBACK = r"Traceback \(most recent call last\):"

CONTINUATIONS = {
    "java": (
        rf"[ \t]|{_BLANK}|Caused by: |Wrapped by: |Suppressed: "
        r"|(?:[A-Za-z_$][\w$]*\.)++[A-Z$_][\w$]*(?:: |:?\r?(?:\n|\Z))"  # the class of an exception
    ),
    "python": (
        rf"[ \t]|{_BLANK}|{_TRACEBACK}"
        r"|During handling of the above exception, |The above exception was the direct cause "
    ),
    "go": (
        rf"[ \t]|{_BLANK}|goroutine \d+ |\[signal |created by |exit status \d"
        r"|[^\s(]+\([^\n]*\)\r?(?:\n|\Z)"  # a call: net/http.(*conn).serve(0xc000…)
    ),
    "indent": rf"[ \t]|{_BLANK}",
}
"""Beginnings of the lines that continue an event; a blank line always does. The match takes linear time."""

REGEX = "regex:"

Split = tuple[list[str], list[int]]
"""The events, and the bytes of each in the file, with its newline."""


class Splitter(Protocol):
    """Finds the events in a text of several lines."""

    def split(self, text: str, data: bytes) -> Split:
        """Return the events of a text; `data` are its bytes. Both without the last newline."""

    def boundary(self, chunk: bytes) -> int:
        """Return the offset in a chunk of whole lines at which the last event, or its last piece, begins."""


def create_splitter(kind: str, limit: int) -> Splitter | None:
    """Return the splitter for a value of MULTILINE; None for `none`. `limit`: bytes of an event.

    A value that is no known kind is the regex of an event's first line, with or without `regex:` before it. Raises
    ValueError for a bad regex.
    """
    if kind == "none":
        return None
    if kind in CONTINUATIONS:
        return ContinuationSplitter(kind, limit)
    return FirstLineSplitter(kind.removeprefix(REGEX), limit)


class ContinuationSplitter:
    """Splits before each line that does not continue the event."""

    def __init__(self, kind: str, limit: int) -> None:
        end = rf"\n(?!{CONTINUATIONS[kind]})"
        self._limit = limit
        self._texts = re.compile(end, re.ASCII).split
        self._bytes = re.compile(end.encode(), re.ASCII).split
        self._goes_on = re.compile(CONTINUATIONS[kind].encode(), re.ASCII).match
        self._tracebacks = kind == "python"

    def split(self, text: str, data: bytes) -> Split:
        events: list[str] = self._texts(text)
        if self._tracebacks and _TRACEBACK_BEGINS in data:
            events = _joined(events, "\n")
        if text.isascii():
            sizes = [len(event) + 1 for event in events]
        else:
            raw: list[bytes] = self._bytes(data)
            if self._tracebacks and _TRACEBACK_BEGINS in data:
                raw = _joined(raw, b"\n")
            sizes = [len(event) + 1 for event in raw]
        return _limited(events, sizes, data, self._limit)

    def boundary(self, block: bytes) -> int:
        at = self._event_before(block, len(block))
        while self._tracebacks and at:
            before = self._event_before(block, at)
            if not _is_open(block[before : at - 1]):
                break
            at = before
        return _last_piece(block, at, len(block), self._limit)

    def _event_before(self, block: bytes, end: int) -> int:
        """Return the offset at which the event that ends at `end` begins, by the beginnings of its lines alone."""
        at = block.rfind(b"\n", 0, end - 1) + 1
        while at and self._goes_on(block, at):
            at = block.rfind(b"\n", 0, at - 1) + 1
        return at


class FirstLineSplitter:
    """Splits before each line that matches the regex of a first line."""

    def __init__(self, pattern: str, limit: int) -> None:
        self._limit = limit
        self._begins = linear_regex.prefix_matcher(pattern)

    def split(self, text: str, data: bytes) -> Split:
        lines = text.split("\n")
        begins = [0, *(index for index, line in enumerate(lines) if index and self._begins(line))]
        lengths = list(map(len, lines if text.isascii() else data.split(b"\n")))
        if len(begins) == len(lines):
            return _limited(lines, [length + 1 for length in lengths], data, self._limit)
        spans = list(pairwise([*begins, len(lines)]))
        events = ["\n".join(lines[first:after]) for first, after in spans]
        sizes = [sum(lengths[first:after]) + after - first for first, after in spans]
        return _limited(events, sizes, data, self._limit)

    def boundary(self, block: bytes) -> int:
        at, end = len(block), len(block)
        while at:
            end, at = at, block.rfind(b"\n", 0, at - 1) + 1
            if at and self._begins(block[at : end - 1].decode("utf-8", "replace")):
                break
        return _last_piece(block, at, len(block), self._limit)


# -- open events ---------------------------------------------------------------------------------------------------

_TRACEBACK_BEGINS = b"Traceback (most"
_OPEN = re.compile(rf"^{_TRACEBACK}\r?(?:\n[ \t][^\n]*)*+\Z", re.MULTILINE)  # possessive: it goes back nowhere
_OPEN_BYTES = re.compile(_OPEN.pattern.encode(), re.MULTILINE)


def _is_open(event: AnyStr) -> bool:
    """True if the event ends with the indented lines of a traceback."""
    return (_OPEN.search(event) if isinstance(event, str) else _OPEN_BYTES.search(event)) is not None


def _joined(events: list[AnyStr], newline: AnyStr) -> list[AnyStr]:
    """Return the events, with the event after each open one joined to it."""
    groups: list[list[AnyStr]] = []
    goes_on = False
    for event in events:
        if goes_on:
            groups[-1].append(event)
        else:
            groups.append([event])
        goes_on = _is_open(event)
    return [newline.join(group) for group in groups]


# -- the limit -----------------------------------------------------------------------------------------------------


def _limited(events: list[str], sizes: list[int], data: bytes, limit: int) -> Split:
    if max(sizes) <= limit:
        return events, sizes
    cut: Split = ([], [])
    start = 0
    for event, size in zip(events, sizes, strict=True):
        end = start + size
        while (after := _piece_end(data, start, end, limit)) < end:
            cut[0].append(data[start : after - 1].decode("utf-8", "replace"))
            cut[1].append(after - start)
            start = after
        cut[0].append(event if end - start == size else data[start : end - 1].decode("utf-8", "replace"))
        cut[1].append(end - start)
        start = end
    return cut


def _piece_end(data: bytes, start: int, end: int, limit: int) -> int:
    """Return the end of the first piece of an event: whole lines within the limit, one longer line, or all of it."""
    if end - start <= limit:
        return end
    return data.rfind(b"\n", start, start + limit) + 1 or data.find(b"\n", start, end) + 1 or end


def _last_piece(block: bytes, start: int, end: int, limit: int) -> int:
    while (after := _piece_end(block, start, end, limit)) < end:
        start = after
    return start
