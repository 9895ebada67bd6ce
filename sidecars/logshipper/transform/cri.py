"""Framing of the format of container runtimes (CRI): `2026-01-31T10:00:00.123456789Z stdout F the line`.

| tag | the text is |
|---|---|
| P | a piece of a line that goes on in the next entry of the same stream |
| F | a whole line, or its last piece |

Entries of the other stream may come between the pieces. A line in another format is a line of its own, and completes no
other line. Lines are joined to events within a stream: a line of the other stream ends an event.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from sidecars.logshipper.transform.framing import Events
from sidecars.logshipper.transform.multiline import Splitter

_LINE = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d[^ ]{0,20}) (stdout|stderr) ([PF])(?::[^ ]*)? (.*)", re.ASCII | re.DOTALL
)
_PIECE = re.compile(rb"^[^ \n]{19,40} std(?:out|err) P[: ]", re.MULTILINE)


@dataclass(slots=True)
class _Line:
    """A line of the container, put together from its pieces."""

    text: str
    time: str
    stream: str  # "" for a line in another format
    offset: int  # of the first piece
    size: int  # bytes of all pieces
    end: int  # offset behind the last piece
    count: int = 1  # pieces
    open: bool = False  # the next piece is not there yet


class CriFraming:
    """Reads the entries of a container runtime. `limit`: the largest number of bytes of a line that comes in pieces."""

    def __init__(self, splitter: Splitter | None, limit: int) -> None:
        self._splitter = splitter
        self._limit = limit
        self.boundary: Callable[[bytes], int] | None = self._boundary

    def events(self, data: bytes, start: int) -> Events:
        lines = self._lines(data, start)
        groups = self._groups(lines)
        firsts = [group[0] for group in groups]
        return Events(
            ["\n".join([line.text for line in group]) for group in groups],
            [line.offset for line in firsts],
            [sum(line.size for line in group) for group in groups],
            [sum(line.count for line in group) for group in groups],
            [line.time for line in firsts],
            [line.stream for line in firsts],
        )

    def _boundary(self, block: bytes) -> int:
        if self._splitter is None and not _PIECE.search(block):
            return len(block)
        groups = self._groups(self._lines(block, 0))
        if self._splitter is None and not any(group[0].open for group in groups):
            return len(block)
        return _last_cut(groups)

    def _lines(self, data: bytes, start: int) -> list[_Line]:
        """Return the lines of the container, in the order of their first pieces."""
        lines: list[_Line] = []
        pieces: dict[str, _Line] = {}  # by stream: a line whose next piece is not there yet
        for raw in data.removesuffix(b"\n").split(b"\n"):
            end = start + len(raw) + 1
            text = raw.decode("utf-8", "replace").removesuffix("\r")
            found = _LINE.fullmatch(text)
            time, stream, tag, text = found.groups() if found else ("", "", "F", text)
            line = pieces.get(stream)
            if line is None or line.size + end - start > self._limit:
                line = _Line(text, time, stream, start, end - start, end)
                lines.append(line)
            else:
                line.text += text
                line.size += end - start
                line.count += 1
                line.end = end
            line.open = tag == "P"
            if line.open:
                pieces[stream] = line
            else:
                pieces.pop(stream, None)
            start = end
        if lines and not data.endswith(b"\n"):
            max(lines, key=lambda line: line.end).size -= 1
        return lines

    def _groups(self, lines: list[_Line]) -> list[list[_Line]]:
        """Return the lines of each event."""
        if self._splitter is None:
            return [[line] for line in lines]
        groups: list[list[_Line]] = []
        for _, run in groupby(lines, lambda line: line.stream):
            same = list(run)
            text = "\n".join([line.text for line in same])
            at = 0
            for event in self._splitter.split(text, text.encode())[0]:
                after = at + event.count("\n") + 1
                groups.append(same[at:after])
                at = after
        return groups


def _last_cut(groups: list[list[_Line]]) -> int:
    """Return the offset of an event: the last one before which no line lacks a piece."""
    last = reach = 0
    for group in groups:
        if reach <= group[0].offset:
            last = group[0].offset
        if any(line.open for line in group):
            break
        reach = max(reach, *(line.end for line in group))
    return last
