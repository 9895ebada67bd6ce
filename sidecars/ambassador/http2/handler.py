"""The calls of a connection on its owner: on its I/O shell, in the server role or in the client role.

All that one read has brought is parsed first. Then the calls come, stream by stream, in the order in which the streams
were touched: a head, its body and its end that came together are one call. A request that was reset in the same read is
never reported. A handler may call any method of the connection, for any stream, within a call.

    on_request | on_response ──▶ on_body … ──▶ (the call in which `end` is True)
          └── at any time instead of the rest: on_reset, on_malformed, or the end of the connection (on_broken)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.http2.heads import RequestHead, ResponseHead
from sidecars.ambassador.http2.streams import Stream


class ConnectionHandler(ABC):
    """The reports of a connection. The I/O shell of a connection implements this class.

    `Stream.user` is the handler's own: the object that it keeps for a stream.
    """

    # -- server role ----------------------------------------------------------------------------------------------

    @abstractmethod
    def on_request(
        self, stream: Stream, head: RequestHead, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]
    ) -> None:
        """Take a request: its head, and the part of its body that is there. `end` is True if it is complete.

        The stream counts for MAX_CONCURRENT_STREAMS until `Connection.release`.
        """

    @abstractmethod
    def on_rejected(self, stream: Stream, status: int, reason: str, content_type: bytes) -> None:
        """Answer a request whose head is malformed (400) or too large (431), which is never reported as a request.

        The handler sends a head and an end, and calls `Connection.release`. The connection resets the stream then.
        """

    # -- client role ----------------------------------------------------------------------------------------------

    @abstractmethod
    def on_interim(self, stream: Stream, head: ResponseHead) -> None:
        """Take a 1xx response."""

    @abstractmethod
    def on_response(
        self, stream: Stream, head: ResponseHead, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]
    ) -> None:
        """Take the final response: its head, and the part of its body that is there."""

    @abstractmethod
    def on_settings(self) -> None:
        """Note that SETTINGS of the peer were applied: more or fewer streams may be open at once."""

    @abstractmethod
    def on_goaway(self, last_stream_id: int, code: int) -> None:
        """Note that no further stream may be opened. Streams above `last_stream_id` were reset before this call."""

    # -- both -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def on_body(self, stream: Stream, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]) -> None:
        """Take more of a body. `end` is True if the message is complete; trailers come with the end alone."""

    @abstractmethod
    def on_reset(self, stream: Stream, code: int, *, is_unprocessed: bool) -> None:
        """Note that the peer has ended the stream with this error code.

        `is_unprocessed` is True if it is certain that the peer has not begun with the request (REFUSED_STREAM, or a
        GOAWAY with a lower last id).
        """

    @abstractmethod
    def on_malformed(self, stream: Stream, status: int, reason: str) -> None:
        """Note that a message that was reported became malformed. Nothing more of it is reported.

        `status` is 431 if its fields are too large, else 502 for a response and 400 for a request.
        The handler calls `Connection.reset`, after a response of its own if it likes.
        """

    @abstractmethod
    def on_writable(self, stream: Stream) -> None:
        """Note that the stream takes more of the body that is sent: `Connection.send_body` had returned False."""

    @abstractmethod
    def on_ping_ack(self, payload: bytes) -> None:
        """Note that the peer has answered a PING of ours."""

    @abstractmethod
    def on_output(self) -> None:
        """Note that there are bytes to write where there were none: call `Connection.output` before long."""

    @abstractmethod
    def write_output(self) -> None:
        """Write the pieces of `Connection.output`, at the end of a read or turn (`on_output`). It raises nothing."""

    @abstractmethod
    def on_broken(self, code: int, reason: str) -> None:
        """Note that the peer has broken the framing: write the remaining output, which ends with GOAWAY, and close.

        No stream is reported any more. The handler ends them all.
        """


class NoHandler(ConnectionHandler):
    """The handler of connections whose own one is gone: nobody hears of what still happens."""

    def on_request(
        self, stream: Stream, head: RequestHead, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]
    ) -> None: ...

    def on_rejected(self, stream: Stream, status: int, reason: str, content_type: bytes) -> None: ...

    def on_interim(self, stream: Stream, head: ResponseHead) -> None: ...

    def on_response(
        self, stream: Stream, head: ResponseHead, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]
    ) -> None: ...

    def on_settings(self) -> None: ...

    def on_goaway(self, last_stream_id: int, code: int) -> None: ...

    def on_body(self, stream: Stream, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]) -> None: ...

    def on_reset(self, stream: Stream, code: int, *, is_unprocessed: bool) -> None: ...

    def on_malformed(self, stream: Stream, status: int, reason: str) -> None: ...

    def on_writable(self, stream: Stream) -> None: ...

    def on_ping_ack(self, payload: bytes) -> None: ...

    def on_output(self) -> None: ...

    def write_output(self) -> None: ...

    def on_broken(self, code: int, reason: str) -> None: ...


NOBODY: Final = NoHandler()


class DelegatingHandler(ConnectionHandler):
    """Passes each call on to an object with the same methods that is not compiled, such as a stand-in of the tests.

    Compiled classes have no subclasses that are not compiled.
    """

    def __init__(self, target: Any) -> None:
        self._target = target

    def on_request(
        self, stream: Stream, head: RequestHead, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]
    ) -> None:
        self._target.on_request(stream, head, pieces, end=end, trailers=trailers)

    def on_rejected(self, stream: Stream, status: int, reason: str, content_type: bytes) -> None:
        self._target.on_rejected(stream, status, reason, content_type)

    def on_interim(self, stream: Stream, head: ResponseHead) -> None:
        self._target.on_interim(stream, head)

    def on_response(
        self, stream: Stream, head: ResponseHead, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]
    ) -> None:
        self._target.on_response(stream, head, pieces, end=end, trailers=trailers)

    def on_settings(self) -> None:
        self._target.on_settings()

    def on_goaway(self, last_stream_id: int, code: int) -> None:
        self._target.on_goaway(last_stream_id, code)

    def on_body(self, stream: Stream, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]) -> None:
        self._target.on_body(stream, pieces, end=end, trailers=trailers)

    def on_reset(self, stream: Stream, code: int, *, is_unprocessed: bool) -> None:
        self._target.on_reset(stream, code, is_unprocessed=is_unprocessed)

    def on_malformed(self, stream: Stream, status: int, reason: str) -> None:
        self._target.on_malformed(stream, status, reason)

    def on_writable(self, stream: Stream) -> None:
        self._target.on_writable(stream)

    def on_ping_ack(self, payload: bytes) -> None:
        self._target.on_ping_ack(payload)

    def on_output(self) -> None:
        self._target.on_output()

    def write_output(self) -> None:
        self._target.write_output()

    def on_broken(self, code: int, reason: str) -> None:
        self._target.on_broken(code, reason)
