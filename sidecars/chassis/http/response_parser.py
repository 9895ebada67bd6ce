"""One HTTP/1.1 response from the bytes of a peer that may be hostile. No I/O.

h11 has the protocol. These limits keep a response from costing more than the caller asked for:

    head         32 KiB and 128 fields                        MalformedResponse
    interim      16 responses 1xx before the final one        MalformedResponse
    body         `max_body` bytes                             BodyTooLarge
    pieces       4,096, and one more for each 64 bytes of     MalformedResponse: a chunk of one byte
                 `max_body`                                   costs as much as a large one
    all bytes    256 KiB and four times `max_body`            MalformedResponse: more framing than content

The work is done in steps, so that the event loop can serve others between them: `advance` takes a number of steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import h11

_HEAD = 32 * 1024  # bytes of a response's head, at most
_FIELDS = 128  # header fields of it, at most
_INTERIM = 16  # responses 1xx, at most
_PIECES = 4096  # of a body of any size, at most
_BYTES_A_PIECE = 64  # of a larger body, on average at least
_OVERHEAD = 256 * 1024  # bytes of heads and framing, at most
_FRAMING = 4  # times `max_body`: bytes beyond it


class RequestFailed(Exception):
    """A request has no usable response. The text never repeats bytes of the peer."""


class ConnectionClosed(RequestFailed):
    """The peer closed the connection, or it broke, before the end of the response."""


class MalformedResponse(RequestFailed):
    """The bytes are not HTTP/1.1, or are beyond a limit of its form. The text names the limit."""


class BodyTooLarge(RequestFailed):
    """The response's body has more than `max_body` bytes."""


class ConnectorFailed(RequestFailed):
    """A proxy made no connection to the host. The text is a sentence."""


@dataclass(frozen=True, slots=True)
class ClientResponse:
    """A whole response, with any status. Header names are in lower case; of equal names the first counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    early: bool  # True if it came before the whole request was sent
    set_cookies: Sequence[str] = ()  # the values of all Set-Cookie fields


class ResponseProgress:
    """The progress of a response that may never be whole. The caller of a request owns it.

    `keep`: bytes of the body that `ClientResponse.body` has; the others are read and dropped. None: all.
    """

    __slots__ = ("keep", "received", "status")

    def __init__(self, keep: int | None = None) -> None:
        self.keep = keep
        self.status = 0  # 0 until the final head has arrived
        self.received = 0  # bytes of the body


def protocol() -> h11.Connection:
    """Return the state of a new connection, with the limit of a response's head."""
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)


class ResponseParser:
    """Parses the response to the last request on the connection."""

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
        self._unread = b""  # bytes that h11 has not received yet
        self._needs_data = True  # True if h11 can do nothing without more bytes
        self._at_end = self._end_was_fed = False

    def receive(self, data: bytes) -> None:
        """Take bytes of the response; b"" is the end of the connection."""
        self._unread += data
        self._bytes_left -= len(data)
        self._at_end = self._at_end or not data

    def has_more(self) -> bool:
        """Return True if there are bytes beyond the response's end."""
        return bool(self._unread or self._connection.trailing_data[0])

    def advance(self, steps: int) -> bool:
        """Take up to `steps` steps. Return True if the response is whole or needs more bytes.

        Raises ConnectionClosed, MalformedResponse or BodyTooLarge.
        """
        try:
            for _ in range(steps):
                if self._needs_data and not self._feed():
                    return True
                event = self._connection.next_event()
                if event is h11.NEED_DATA:
                    self._needs_data = True
                elif self._process(event):
                    return True
        except h11.RemoteProtocolError:
            if self._end_was_fed:
                raise ConnectionClosed from None
            raise MalformedResponse("it is not HTTP/1.1, or has too large a head") from None
        return False

    def response(self, *, early: bool) -> ClientResponse:
        """Return the response, after it `is_whole`."""
        if self._head is None:
            raise AssertionError("a response without a head")
        headers: dict[str, str] = {}
        cookies: list[str] = []
        for name, value in self._head.headers:
            headers.setdefault(name.decode("ascii"), value.decode("latin-1"))
            if name == b"set-cookie":
                cookies.append(value.decode("latin-1"))
        return ClientResponse(self._head.status_code, headers, b"".join(self._body), early, cookies)

    def _feed(self) -> bool:
        """Give h11 more bytes; return False if there are none.

        h11 checks the limit of a head only between two pieces, so a piece of a head is no larger than the limit.
        """
        if self._bytes_left < 0:
            raise MalformedResponse("it has more framing than content")
        if self._unread:
            size = _HEAD if self._head is None else len(self._unread)
            piece, self._unread = self._unread[:size], self._unread[size:]
            self._connection.receive_data(piece)
            self._needs_data = False
            return True
        if self._at_end and not self._end_was_fed:
            self._end_was_fed = True
            self._needs_data = False
            self._connection.receive_data(b"")  # the end of a response without a length
            return True
        return False

    def _process(self, event: object) -> bool:
        """Process one event of the response. Return True at its end."""
        match event:
            case h11.Data(data=part):
                self._take_body(bytes(part))
            case h11.Response():
                self._begin(event)
            case h11.InformationalResponse():
                self._interim += 1
                if self._interim > _INTERIM:
                    raise MalformedResponse(f"there are more than {_INTERIM} interim responses before it")
            case h11.EndOfMessage():
                self.is_whole = True
            case _:  # h11.ConnectionClosed, or PAUSED after a whole response
                raise ConnectionClosed
        return self.is_whole

    def _begin(self, head: h11.Response) -> None:
        self._head, self._progress.status = head, head.status_code
        if len(head.headers) > _FIELDS:
            raise MalformedResponse(f"its head has more than {_FIELDS} fields")
        for name, value in head.headers:
            if name == b"content-length" and int(value) > self._max_body:  # h11 has checked the digits
                raise BodyTooLarge

    def _take_body(self, part: bytes) -> None:
        self._progress.received += len(part)
        self._pieces_left -= 1
        if self._progress.received > self._max_body:
            raise BodyTooLarge
        if self._pieces_left < 0:
            raise MalformedResponse("its body comes in too many pieces")
        keep = self._progress.keep
        if keep is not None:
            part = part[: max(0, keep - (self._progress.received - len(part)))]
        if part:
            self._body.append(part)
