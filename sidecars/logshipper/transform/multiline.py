"""Which lines make one event: cut a text into events, and tell where the last one begins, which may go on.

A kind either knows the lines that continue an event (`java`, `python`, `go`, `indent`) or those that begin one (a
regex). What a line is never depends on the lines behind it. So the events are the same wherever the text is cut, as
long as it is cut where an event begins: `boundary` says where.

Python's tracebacks need a look back: the exception's own line, behind the indented lines of a traceback, looks like any
other. An event that ends within a traceback is therefore *open*, and takes the next one in.

An event of more bytes than the limit is cut into pieces of whole lines, counted from its beginning; so they, too, are
the same everywhere. (But for a traceback that is cut so: the exception's line cannot be told any more: it is an event.)
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import AnyStr, Protocol

from sidecars.logshipper.transform import linear_regex

_BLANK = r"\r?(?:\n|\Z)"
_TRACEBACK = r"Traceback \(most recent call last\):"

CONTINUED = {
    "java": (
        rf"[ \t]|{_BLANK}|Caused by: |Wrapped by: |Suppressed: "
        r"|(?:[A-Za-z_$][\w$]*\.)+[A-Z$_][\w$]*(?:: |:?\r?(?:\n|\Z))"  # the class of an exception
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
"""What begins the lines that continue an event; a blank line always does. Each takes time linear in the line."""

REGEX = "regex:"

Split = tuple[list[str], list[int]]
"""The events, and of each how many bytes it has in the file, with its newline."""


class Splitter(Protocol):
    def split(self, text: str, data: bytes) -> Split:
        """The events of a text; `data` are its bytes. Both without the last newline."""

    def boundary(self, block: bytes) -> int:
        """Where the last event (or its last piece) begins in a chunk of whole lines."""


def create_splitter(kind: str, limit: int) -> Splitter | None:
    """Return the splitter for a value of MULTILINE; None for `none`. `limit`: bytes of an event.

    A value that is no kind is the regex of an event's first line, with `regex:` before it or without. Raises ValueError
    for a bad regex.
    """
    if kind == "none":
        return None
    return (
        ContinuationSplitter(kind, limit) if kind in CONTINUED else FirstLineSplitter(kind.removeprefix(REGEX), limit)
    )


class ContinuationSplitter:
    """A kind that knows the lines which continue an event."""

    def __init__(self, kind: str, limit: int) -> None:
        end = rf"\n(?!{CONTINUED[kind]})"
        self._limit = limit
        self._texts = re.compile(end, re.ASCII).split
        self._bytes = re.compile(end.encode(), re.ASCII).split
        self._goes_on = re.compile(CONTINUED[kind].encode(), re.ASCII).match
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
        """Where the event begins that ends there, as far as the lines' beginnings tell."""
        at = block.rfind(b"\n", 0, end - 1) + 1
        while at and self._goes_on(block, at):
            at = block.rfind(b"\n", 0, at - 1) + 1
        return at


class FirstLineSplitter:
    """A kind that knows the line which begins an event."""

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
_OPEN = re.compile(rf"^{_TRACEBACK}\r?(?:\n[ \t][^\n]*)*\Z", re.MULTILINE)
_OPEN_BYTES = re.compile(_OPEN.pattern.encode(), re.MULTILINE)


def _is_open(event: AnyStr) -> bool:
    """Whether the event ends with the indented lines of a traceback."""
    return (_OPEN.search(event) if isinstance(event, str) else _OPEN_BYTES.search(event)) is not None


def _joined(events: list[AnyStr], newline: AnyStr) -> list[AnyStr]:
    """What follows an open event goes to it."""
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
    """Where the first piece ends of what lies between: all of it, or whole lines within the limit, or one line."""
    if end - start <= limit:
        return end
    return data.rfind(b"\n", start, start + limit) + 1 or data.find(b"\n", start, end) + 1 or end


def _last_piece(block: bytes, start: int, end: int, limit: int) -> int:
    while (after := _piece_end(block, start, end, limit)) < end:
        start = after
    return start
