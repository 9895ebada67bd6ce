"""Framing of the entries of a container runtime: entries to lines of the container, and lines to events.

    entries of the file ─► lines of the container ─► events
      a piece that goes on      joined within        MULTILINE, within
      in a later entry          its stream           a stream

Entries of the other stream may come between the pieces. A line in another format is a line of its own, and completes no
other line. Lines are joined to events within a stream: a line of the other stream ends an event.

`cri` and `docker` read the entries. Where no entry is a piece and each line is an event, which is the rule, all is done
in columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sidecars.logshipper.transform.framing.line_framing import Events, offsets

if TYPE_CHECKING:
    from sidecars.logshipper.transform.framing.multiline import Splitter


class Entry(NamedTuple):
    """One entry, or a line in another format, which has no stream."""

    time: str
    stream: str
    goes_on: bool  # True if the text is a piece: the line goes on in the next entry of the stream
    text: str
    attributes: Mapping[str, Any] | None = None


class EntryReader(Protocol):
    """Reads the entries of one runtime."""

    def entry(self, line: bytes) -> Entry:
        """Return the entry of a line. In the text of a piece surrogates stand for bytes that are no text: a runtime may
        cut a line within a character.
        """

    def whole(self, text: str) -> Columns | None:
        """Return the columns of the lines of a text if each is an entry with a whole line, without attributes."""

    def may_go_on(self, block: bytes) -> bool:
        """True if a line of the block may be an entry that goes on in a later one."""


class Columns(NamedTuple):
    """The entries of many lines."""

    times: Sequence[str]
    streams: Sequence[str]
    texts: list[str]


@dataclass(slots=True)
class _Line:
    """A line of the container, put together from its pieces."""

    text: str
    time: str
    stream: str  # "" for a line in another format
    attributes: Mapping[str, Any] | None
    offset: int  # of the first piece
    size: int  # bytes of all pieces
    end: int  # offset behind the last piece
    count: int = 1  # pieces
    open: bool = False  # the next piece is not there yet


class EntryFraming:
    """Makes events of entries. `limit`: the largest number of bytes of a line that comes in pieces."""

    def __init__(self, reader: EntryReader, splitter: Splitter | None, limit: int) -> None:
        self._reader = reader
        self._splitter = splitter
        self._limit = limit
        self.boundary: Callable[[bytes], int] | None = self._boundary

    def events(self, data: bytes, start: int) -> Events:
        if self._splitter is None and (whole := self._whole(data, start)):
            return whole
        groups = self._groups(self._lines(data, start))
        firsts = [group[0] for group in groups]
        attributes = [line.attributes for line in firsts]
        return Events(
            ["\n".join([line.text for line in group]) for group in groups],
            [line.offset for line in firsts],
            [sum(line.size for line in group) for group in groups],
            [sum(line.count for line in group) for group in groups],
            [line.time for line in firsts],
            [line.stream for line in firsts],
            attributes if any(attributes) else None,
        )

    def _whole(self, data: bytes, start: int) -> Events | None:
        """Return an event for each line, if each line is an entry with a whole line of the container."""
        body = data.removesuffix(b"\n")
        text = body.decode("utf-8", "replace")
        columns = self._reader.whole(text)
        if columns is None:
            return None
        sizes = [len(line) + 1 for line in (text.split("\n") if text.isascii() else body.split(b"\n"))]
        sizes[-1] -= len(body) == len(data)
        return Events(columns.texts, offsets(sizes, start), sizes, [1] * len(sizes), columns.times, columns.streams)

    def _boundary(self, block: bytes) -> int:
        if self._splitter is None and not self._reader.may_go_on(block):
            return len(block)
        groups = self._groups(self._lines(block, 0), certain=True)
        if self._splitter is None and not any(group[0].open for group in groups):
            return len(block)
        return _last_cut(groups)

    def _lines(self, data: bytes, start: int) -> list[_Line]:
        """Return the lines of the container, in the order of their first pieces."""
        lines: list[_Line] = []
        pieces: dict[str, _Line] = {}  # by stream: a line whose next piece is not there yet
        read = self._reader.entry
        for raw in data.removesuffix(b"\n").split(b"\n"):
            end = start + len(raw) + 1
            time, stream, goes_on, text, attributes = read(raw.removesuffix(b"\r"))
            line = pieces.get(stream)
            if line is None or line.size + end - start > self._limit:
                line = _Line(text, time, stream, attributes, start, end - start, end)
                lines.append(line)
            else:
                line.text += text
                line.size += end - start
                line.count += 1
                line.end = end
            line.open = goes_on
            if line.open:
                pieces[stream] = line
            else:
                pieces.pop(stream, None)
            start = end
        if lines and not data.endswith(b"\n"):
            max(lines, key=lambda line: line.end).size -= 1
        for line in lines:
            line.text = _joined_text(line.text)
        return lines

    def _groups(self, lines: list[_Line], *, certain: bool = False) -> list[list[_Line]]:
        """Return the lines of each event. `certain`: those that later lines may still join are one group, the last."""
        if self._splitter is None:
            return [[line] for line in lines]
        groups: list[list[_Line]] = []
        for _, run in groupby(lines, lambda line: line.stream):
            same = list(run)
            text = "\n".join([line.text.replace("\n", " ") for line in same])  # a text of docker may have a newline
            data = text.encode()
            rest = len(same)
            if certain and same[-1] is lines[-1]:
                rest = (data + b"\n").count(b"\n", 0, self._splitter.boundary(data + b"\n"))
            at = 0
            for event in self._splitter.split(text, data).events:
                after = at + event.count("\n") + 1
                if at >= rest:
                    after = len(same)
                groups.append(same[at:after])
                at = after
                if at == len(same):
                    break
        return groups


def _joined_text(text: str) -> str:
    """Return the text without surrogates: the bytes of a character that was cut are together again.

    Other bytes that are no text become U+FFFD.
    """
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


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
