r"""The format of Docker's json-file driver: `{"log":"the line\n","stream":"stdout","time":"2026-01-31T10:00:00Z"}`.

A `log` without a newline at its end goes on in the next entry of the same stream: Docker cuts lines at 16 KiB
(moby, daemon/logger/copier.go). `attrs` has the labels and variables that the driver's options name: it is a field.
Docker writes texts in it; with other values the line is one in another format.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sidecars.logshipper.transform.framing.container_entries import Columns, Entry, EntryFraming
from sidecars.logshipper.transform.framing.multiline import Splitter

_LINE_END = "\n"
_ENDS = rb'\n","'  # the end of a `log` that is whole, as Docker writes it
_ESCAPED, _ATTRIBUTES = b"\\" + _ENDS, b'"attrs":'  # such a `log` may end otherwise; another text may end so


class _Entry(msgspec.Struct, gc=False):
    log: str
    stream: Literal["stdout", "stderr"]
    time: str
    attrs: dict[str, str] | None = None


_decode = msgspec.json.Decoder(_Entry).decode


class DockerReader:
    """Reads entries of Docker. See `EntryReader`."""

    def entry(self, line: bytes) -> Entry:
        text = line.decode("utf-8", "replace")  # JSON has no other bytes: Docker wrote U+FFFD where it cut a character
        try:
            found = _decode(text)
        except (msgspec.DecodeError, RecursionError):
            return Entry("", "", goes_on=False, text=text)
        return Entry(found.time, found.stream, not found.log.endswith(_LINE_END), _text(found.log), found.attrs)

    def whole(self, text: str) -> Columns | None:
        try:
            entries = list(map(_decode, text.split("\n")))
        except (msgspec.DecodeError, RecursionError):
            return None
        logs = [one.log for one in entries]
        if any(one.attrs for one in entries) or not all(log.endswith(_LINE_END) for log in logs):
            return None
        return Columns([one.time for one in entries], [one.stream for one in entries], list(map(_text, logs)))

    def may_go_on(self, block: bytes) -> bool:
        return block.count(_ENDS) < block.count(b"\n") or _ESCAPED in block or _ATTRIBUTES in block


def _text(log: str) -> str:
    return log.removesuffix(_LINE_END).removesuffix("\r")


class DockerFraming(EntryFraming):
    """Makes events of Docker's entries."""

    def __init__(self, splitter: Splitter | None, limit: int) -> None:
        super().__init__(DockerReader(), splitter, limit)
