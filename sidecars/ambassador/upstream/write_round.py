"""Write once for each connection that a read has touched, and not once for each message.

A read of one connection makes others write: requests of HTTP/2 come together, and so do responses. Whoever has bytes to
write adds itself to the round. The round ends with the read that began it, or in the next turn of the event loop if no
read has begun it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sidecars.ambassador.http2.handler import ConnectionHandler


class WriteRound:
    """The connections that have something to write. The upstream owns it; both sides of its exchanges use it."""

    __slots__ = ("_call_soon", "_depth", "_is_due", "_writers")

    def __init__(self, call_soon: Callable[..., Any]) -> None:
        self._call_soon = call_soon
        self._writers: list[ConnectionHandler] = []
        self._depth: int = 0  # reads under way
        self._is_due = False  # True if `_end_turn` is called in the next turn of the loop

    def add(self, connection: ConnectionHandler) -> None:
        """Let this connection write at the end of the round. It adds itself once for each round."""
        self._writers.append(connection)
        if not self._depth and not self._is_due:
            self._is_due = True
            self._call_soon(self._end_turn)

    def begin_read(self) -> None:
        """Begin a round: bytes that are added wait until `end_read`."""
        self._depth += 1

    def end_read(self) -> None:
        """End the round: all write."""
        self._depth -= 1
        if not self._depth:
            self._write()

    def _end_turn(self) -> None:
        self._is_due = False
        if not self._depth:
            self._write()

    def _write(self) -> None:
        """Let all write that are there now. Those that have more to write then wait for the next turn."""
        connections, self._writers = self._writers, []
        for connection in connections:
            connection.write_output()
