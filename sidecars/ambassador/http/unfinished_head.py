"""A head whose end has not come: it collects the bytes without a copy of those that are there. No I/O.

A peer may send a head byte by byte. Each byte costs the same then, however long the head is.
"""

from __future__ import annotations

from sidecars.ambassador.http.head_rules import never_in_heads

_END = b"\r\n\r\n"


class UnfinishedHead:
    """The beginning of a head, which its connection owns. `check_beginning` has accepted it."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = bytearray(data)

    def __len__(self) -> int:
        return len(self._data)

    def add(self, data: bytes, limit: int) -> bytes:
        """Add bytes. Return all of them if they are to be parsed, else b"".

        They are if the end of the head has come, if they are more than `limit`, and if the new ones are wrong.
        """
        own = self._data
        checked = len(own)
        own += data
        if len(own) > limit or own.find(_END, max(0, checked - 3)) >= 0:  # its end may have begun before
            return bytes(own)
        if own.startswith(b"\r\n"):  # an empty line before the request line
            return bytes(own)
        # With the two bytes before the new ones: a CR LF may have begun there.
        return bytes(own) if never_in_heads(bytes(own[max(0, checked - 2) :]), min(1, max(0, checked - 1))) else b""

    def whole(self) -> bytes:
        """Return all bytes."""
        return bytes(self._data)
