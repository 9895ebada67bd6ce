"""The format of container runtimes (CRI): `2026-01-31T10:00:00.123456789Z stdout F the line`.

| tag | the text is |
|---|---|
| P | a piece of a line that goes on in the next entry of the same stream |
| F | a whole line, or its last piece |

A runtime cuts a long line after 16 KiB, also within a character.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sidecars.logshipper.transform.framing.container_entries import Columns, Entry, EntryFraming

if TYPE_CHECKING:
    from sidecars.logshipper.transform.framing.multiline import Splitter

_HEAD = r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d[^ \n]{0,20}) (stdout|stderr) "
_LINE = re.compile(rf"{_HEAD}([PF])(?::[^ ]*)? (.*)", re.ASCII | re.DOTALL)
_WHOLE = re.compile(rf"^{_HEAD}F(?::[^ \n]*)? (.*)$", re.ASCII | re.MULTILINE)
_OF_PIECES = (b" stdout P", b" stderr P")
_PIECE = re.compile(rb"^[^ \n]{19,40} std(?:out|err) P[: ]", re.MULTILINE)


class CriReader:
    """Reads entries of CRI. See `EntryReader`."""

    def entry(self, line: bytes) -> Entry:
        text = line.decode("utf-8", "surrogateescape")
        found = _LINE.fullmatch(text)
        if found is None:
            return Entry("", "", goes_on=False, text=text)
        time, stream, tag, text = found.groups()
        return Entry(time, stream, tag == "P", text)

    def whole(self, text: str) -> Columns | None:
        entries = _WHOLE.findall(text)
        if len(entries) <= text.count("\n"):
            return None
        times, streams, texts = zip(*entries, strict=True)
        if "\r" in text:
            return Columns(times, streams, [line.removesuffix("\r") for line in texts])
        return Columns(times, streams, list(texts))

    def may_go_on(self, block: bytes) -> bool:
        if not any(text in block for text in _OF_PIECES):  # a search for the whole form takes five times as long
            return False
        return _PIECE.search(block) is not None


class CriFraming(EntryFraming):
    """Makes events of CRI's entries."""

    def __init__(self, splitter: Splitter | None, limit: int) -> None:
        super().__init__(CriReader(), splitter, limit)
