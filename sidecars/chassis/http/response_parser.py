"""Reading one HTTP/1.1 answer from the bytes of a peer that may be hostile. No I/O.

The protocol is h11's. Around it stand the limits that keep an answer from costing more than what was asked for:

    head        32 KiB and 128 fields                  Malformed
    interim     16 answers 1xx before the real one     Malformed
    body        `max_body` bytes                       TooLarge
    pieces      4,096, and one more for each 64 bytes  Malformed: chunks of a byte cost as much as large ones
                of `max_body`
    in all      256 KiB and four times `max_body`      Malformed: more framing than content

Work is done in steps, so that the event loop can turn to others between them: `advance` takes so many at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import h11

_HEAD = 32 * 1024  # bytes of an answer's head, at most
_FIELDS = 128  # header fields of it, at most
_INTERIM = 16  # answers 1xx, at most
_PIECES = 4096  # of a body of any size, at most
_BYTES_A_PIECE = 64  # of a larger body, on average at least
_OVERHEAD = 256 * 1024  # bytes of heads and framing, at most
_FRAMING = 4  # times `max_body`: bytes beyond it


class NoResponse(Exception):
    """There is no answer; what was sent is never repeated by the exception."""


class ConnectionClosed(NoResponse):
    """The other side closed the connection, or it broke, before the end of the answer."""


class MalformedResponse(NoResponse):
    """What came is not HTTP/1.1, or is beyond a limit of its form. The text says which, in our words."""


class BodyTooLarge(NoResponse):
    """The answer's body is larger than is taken."""


@dataclass(frozen=True, slots=True)
class ClientResponse:
    """A whole answer, whatever its status. Header names are in lower case; the first of each counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    early: bool  # it came before the whole request had left


class ResponseProgress:
    """How far an answer has come: its status (0: there is none yet) and the bytes of its body."""

    __slots__ = ("received", "status")

    def __init__(self) -> None:
        self.status = 0
        self.received = 0


def protocol() -> h11.Connection:
    """Return the state of a new connection, with the limit of an answer's head."""
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)


class ResponseParser:
    """Reads the answer to the request that was sent last on the connection."""

    def __init__(self, connection: h11.Connection, max_body: int, progress: ResponseProgress) -> None:
        self.is_whole = False
        self._connection = connection
        self._max_body = max_body
        self._progress = progress
        self._head: h11.Response | None = None
        self._body: list[bytes] = []
        self._interim = 0
        self._pieces_left = _PIECES + max_body // _BYTES_A_PIECE
        self._bytes_left = _OVERHEAD + _FRAMING * max_body
        self._unread = b""  # what h11 has not been given yet
        self._hungry = True  # h11 has nothing that it could go on with
        self._at_end = self._told_end = False

    def receive(self, data: bytes) -> None:
        """Take bytes of the answer; b"" is the end of the connection."""
        self._unread += data
        self._bytes_left -= len(data)
        self._at_end = self._at_end or not data

    def has_more(self) -> bool:
        """Return True if bytes have come beyond the answer's end."""
        return bool(self._unread or self._connection.trailing_data[0])

    def advance(self, steps: int) -> bool:
        """Go on with what has come, by so many steps at most. Return True if nothing more can be done for now.

        Raises Closed, Malformed or TooLarge.
        """
        try:
            for _ in range(steps):
                if self._hungry and not self._feed():
                    return True
                event = self._connection.next_event()
                if event is h11.NEED_DATA:
                    self._hungry = True
                elif self._take(event):
                    return True
        except h11.RemoteProtocolError:
            if self._told_end:
                raise ConnectionClosed from None
            raise MalformedResponse("it is not HTTP/1.1, or has too large a head") from None
        return False

    def answer(self, *, early: bool) -> ClientResponse:
        """Return the answer, once it `is_whole`."""
        if self._head is None:
            raise AssertionError("an answer without a head")
        headers: dict[str, str] = {}
        for name, value in self._head.headers:
            headers.setdefault(name.decode("ascii"), value.decode("latin-1"))
        return ClientResponse(self._head.status_code, headers, b"".join(self._body), early)

    def _feed(self) -> bool:
        """Give h11 more of what has come. A head is given in pieces: else its limit would not hold for a whole one."""
        if self._bytes_left < 0:
            raise MalformedResponse("it has more framing than content")
        if self._unread:
            size = _HEAD if self._head is None else len(self._unread)
            piece, self._unread = self._unread[:size], self._unread[size:]
            self._connection.receive_data(piece)
            self._hungry = False
            return True
        if self._at_end and not self._told_end:
            self._told_end = True
            self._hungry = False
            self._connection.receive_data(b"")  # for an answer without a length this is its end
            return True
        return False

    def _take(self, event: object) -> bool:
        """One step of the answer; True at its end."""
        match event:
            case h11.Data(data=part):
                self._take_body(bytes(part))
            case h11.Response():
                self._begin(event)
            case h11.InformationalResponse():
                self._interim += 1
                if self._interim > _INTERIM:
                    raise MalformedResponse(f"there are more than {_INTERIM} interim answers before it")
            case h11.EndOfMessage():
                self.is_whole = True
            case _:  # ConnectionClosed, or PAUSED behind a whole answer
                raise ConnectionClosed
        return self.is_whole

    def _begin(self, head: h11.Response) -> None:
        self._head, self._progress.status = head, head.status_code
        if len(head.headers) > _FIELDS:
            raise MalformedResponse(f"its head has more than {_FIELDS} fields")
        for name, value in head.headers:
            if name == b"content-length" and int(value) > self._max_body:  # h11 has seen to the digits
                raise BodyTooLarge

    def _take_body(self, part: bytes) -> None:
        self._progress.received += len(part)
        self._pieces_left -= 1
        if self._progress.received > self._max_body:
            raise BodyTooLarge
        if self._pieces_left < 0:
            raise MalformedResponse("its body comes in too many pieces")
        self._body.append(part)
