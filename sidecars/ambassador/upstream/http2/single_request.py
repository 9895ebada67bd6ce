"""A connection of HTTP/2 for one request, such as a health check: it sends it, and waits for the whole response."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, cast

from sidecars.ambassador.http.head_rules import MessageRejected
from sidecars.ambassador.http2.connection import Connection
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.http2.frames import CANCEL
from sidecars.ambassador.http2.handler import ConnectionHandler
from sidecars.ambassador.http2.heads import RequestHead, ResponseHead
from sidecars.ambassador.http2.streams import Stream
from sidecars.ambassador.transport.streams import Transport

_MAX_BODY: Final = 64 * 1024  # bytes
_MAX_HEADER_SIZE: Final = 64 * 1024
_MAX_HEADERS: Final = 128


class SingleResponse:
    """The response: its head, its body and its trailers."""

    def __init__(self, head: ResponseHead) -> None:
        self.head = head
        self.body = b""
        self.trailers: Sequence[Field] = ()

    @property
    def fields(self) -> Sequence[Field]:
        """The trailers and, behind them, the fields of the head: the first of a name counts."""
        return (*self.trailers, *self.head.fields)


class SingleRequest(ConnectionHandler):
    """The connection. The outcome is a SingleResponse, or MessageRejected with the reason why there is none."""

    transport: Transport  # from `connection_made` on

    def __init__(self, outcome: asyncio.Future[SingleResponse], block: bytes, body: bytes = b"") -> None:
        """`block`: the head of the request in our encoding of HPACK."""
        self.outcome = outcome
        self._block = block
        self._body = body
        self._response: SingleResponse | None = None
        self._core = Connection(self, is_client=True, max_header_size=_MAX_HEADER_SIZE, max_headers=_MAX_HEADERS)

    # -- for the event loop ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("Transport", transport)
        core = self._core
        core.begin()
        stream = core.open_stream(self._block, None, end=not self._body, is_head=False)
        if self._body:
            core.send_body(stream, [self._body], end=True)
        self.write_output()

    def data_received(self, data: bytes) -> None:
        self._core.receive(data)
        self.write_output()
        if self._core.is_held:  # so that acknowledgements do not pile up
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - the same outcome
        self._fail("the connection was closed before a response came")

    def pause_writing(self) -> None:
        self._core.hold_output()

    def resume_writing(self) -> None:
        self._core.resume_output()
        self.write_output()
        self.transport.resume_reading()

    # -- for the core ---------------------------------------------------------------------------------------------

    def on_output(self) -> None:
        """Do nothing: each read ends with a write."""

    def write_output(self) -> None:
        output = b"".join(self._core.output())
        if output and not self.transport.is_closing():
            self.transport.write(output)

    def on_response(
        self, stream: Stream, head: ResponseHead, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]
    ) -> None:
        self._response = SingleResponse(head)
        self.on_body(stream, pieces, end=end, trailers=trailers)

    def on_body(self, stream: Stream, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]) -> None:
        response = self._response
        if response is None:
            return
        response.body += b"".join(pieces)
        response.trailers = trailers
        if len(response.body) > _MAX_BODY:
            self._core.reset(stream, CANCEL)
            self._fail(f"its response is larger than {_MAX_BODY} bytes")
        elif end and not self.outcome.done():
            self.outcome.set_result(response)

    def on_interim(self, stream: Stream, head: ResponseHead) -> None:
        """Do nothing: the final response follows."""

    def on_reset(self, stream: Stream, code: int, *, is_unprocessed: bool) -> None:  # noqa: ARG002 - the same outcome
        self._fail(f"it reset the stream with the error {code}")

    def on_malformed(self, stream: Stream, status: int, reason: str) -> None:  # noqa: ARG002 - the same outcome
        self._core.reset(stream, CANCEL)
        self._fail(reason)

    def on_broken(self, code: int, reason: str) -> None:  # noqa: ARG002 - the same outcome
        self._fail(reason)

    def on_goaway(self, last_stream_id: int, code: int) -> None:
        """Do nothing: the response may come all the same; if not, the stream was reset."""

    def on_settings(self) -> None:
        """Do nothing: there is no further request."""

    def on_ping_ack(self, payload: bytes) -> None:
        """Do nothing: we send no PING."""

    def on_writable(self, stream: Stream) -> None:
        """Do nothing: the body is small."""

    def on_request(
        self, stream: Stream, head: RequestHead, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]
    ) -> None:
        raise NotImplementedError("an endpoint sends no requests")

    def on_rejected(self, stream: Stream, status: int, reason: str, content_type: bytes) -> None:
        raise NotImplementedError("an endpoint sends no requests")

    def _fail(self, reason: str) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(MessageRejected(502, reason))
        if not self.outcome.cancelled():  # by the time-out of the check
            self.outcome.exception()  # retrieve it, since no check may be waiting
