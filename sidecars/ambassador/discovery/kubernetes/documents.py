"""JSON documents of the API server: of bounded size, and in the lines of a watch. No I/O.

The API server is trusted to name endpoints, and yet a broken one, or another program in its place, must not fill the
memory. So a document has a limit of bytes and one of values, which is checked before anything is parsed: two megabytes
of `[[],[],…` would become a hundred.
"""

from __future__ import annotations

import json
from typing import Any, Final

LARGEST: Final = 2 * 1024 * 1024  # bytes of a document; etcd holds no object beyond 1.5 MiB
_MOST_VALUES: Final = 100_000  # of a document: a slice of 1,000 endpoints has 20,000


class UnusableDocument(Exception):
    """The text is no document that can be used; the message is a clause that repeats nothing of it."""


class TooLarge(UnusableDocument):
    """The document is beyond a limit."""


def parse(text: bytes) -> dict[str, Any]:
    """Return the object that the text is. Raises UnusableDocument."""
    if len(text) > LARGEST or text.count(b",") + text.count(b"[") + text.count(b"{") > _MOST_VALUES:
        raise TooLarge("a document of the API server is too large")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError, as is a number of 5,000 digits
        raise UnusableDocument("the API server sent no JSON") from None
    if not isinstance(found, dict):
        raise UnusableDocument("the API server sent JSON that is no object")
    return found


class WatchLines:
    """Cuts the body of a watch into its lines: one event each. The last one is kept until its line feed has come."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def cut(self, data: bytes) -> list[bytes]:
        """Return the lines that end in this piece of the body, without empty ones. Raises TooLarge."""
        head, *rest = data.split(b"\n")
        self._add(head)
        lines = []
        for part in rest:
            lines.append(b"".join(self._parts))
            self._parts, self._size = [], 0
            self._add(part)
        return [line for line in lines if line.strip()]

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > LARGEST:
            raise TooLarge("an event of the API server is too large")
        if part:
            self._parts.append(part)
            if len(self._parts) > _MOST_PARTS:
                self._parts = [b"".join(self._parts)]


_MOST_PARTS: Final = 1024  # pieces that are kept apart: a piece of one byte takes forty
