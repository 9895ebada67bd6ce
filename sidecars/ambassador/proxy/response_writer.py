"""The writing half of an app's connection of HTTP/1.1: it writes responses, and closes in the ways that HTTP needs.

A connection that closes behind a response which the app may not have read yet *lingers*: it sends EOF, and drops for a
moment the bytes that still come, since closing with unread bytes would take the response back (RFC 9112 section 9.6).
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.bodies import LAST_CHUNK, encode_chunk, encode_last_chunk
from sidecars.ambassador.http.head_rules import CHUNKED, UNTIL_CLOSE
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.messages import Request, Response
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.proxy.app_side import AppSide
from sidecars.ambassador.proxy.timeouts import Delivery
from sidecars.ambassador.transport.streams import Transport, discard_unread, peer_host, reset
from sidecars.ambassador.upstream.access_log import Failures
from sidecars.ambassador.upstream.buffer_memory import Untaken
from sidecars.ambassador.upstream.upstream import Upstream

_MAX_JOINED: Final = 64 * 1024  # bytes of a body that are copied behind its head, to be one write; more does not wait

monotonic: Final = time.monotonic


class ResponseWriter(AppSide):
    """The half of the app's connection that writes. The whole, `ClientConnection`, derives from it."""

    __slots__ = (
        "_is_framed",
        "_sends_chunks",
        "closes",
        "delivery",
        "ended",
        "lingers",
        "since",
        "transport",
        "untaken",
        "upstream",
    )

    transport: Transport  # from `connection_made` on

    def __init__(self, upstream: Upstream) -> None:
        super().__init__()
        self.upstream = upstream
        self.since = 0.0  # when it began to wait for a request, or to linger
        self.lingers = False  # True if nothing that still comes matters
        self.ended = False  # True after EOF: the app sends no more
        # Of the response that was written last:
        self.closes = False  # True if the connection ends with it
        self._sends_chunks = False
        self._is_framed = False  # True if the app can tell a whole response from a part
        self.delivery: Delivery = Delivery()
        self.untaken: Untaken = Untaken(upstream.memory)

    # -- of the reading half --------------------------------------------------------------------------------------

    @abstractmethod
    def closes_after(self, request: Request, *, complete: bool) -> bool:
        """Return True if the connection ends after the response to this request. `complete`: all of it has come."""

    @abstractmethod
    def replying(self) -> Upstream:
        """Return the upstream of the exchange under way, in whose name a local reply is written; or the port."""

    @abstractmethod
    def leave(self) -> None:
        """Leave the exchange, and drop the bytes that were read."""

    # -- writing --------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        size = len(data)
        self.upstream.counters.count_delivered(size)
        self.untaken.note_write(size)
        self.transport.write(data)

    def writelines(self, pieces: Sequence[bytes]) -> None:
        size = sum(map(len, pieces))
        self.upstream.counters.count_delivered(size)
        self.untaken.note_write(size)
        self.transport.writelines(pieces)

    def peer_host(self) -> str:
        return peer_host(self.transport)

    # -- responses ------------------------------------------------------------------------------------------------

    def tell_to_continue(self) -> None:
        self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def interim(self, request: Request, response: Response) -> None:
        if request.minor:  # HTTP/1.0 knows no 1xx
            self.write(response.interim_head())

    def respond_whole(
        self, request: Request, response: Response, body: bytes, trailers: Sequence[Field], *, complete: bool
    ) -> None:
        if response.length < 0:  # it came in frames, without a length
            self.respond(request, response, complete=complete)
            if body:
                self.pass_on((body,))
            self.end(request, trailers, complete=complete)
            return
        close = self.closes = self.closes_after(request, complete=complete)
        head = response.head(request.minor, close=close)
        if len(body) <= _MAX_JOINED:
            self.write(head + body)
        else:
            self.writelines((head, body))

    def respond(self, request: Request, response: Response, *, complete: bool) -> None:
        has_no_length = response.length in (CHUNKED, UNTIL_CLOSE)
        self._sends_chunks = bool(request.minor) and has_no_length
        self._is_framed = self._sends_chunks or response.content_length >= 0
        self.closes = self.closes_after(request, complete=complete) or (has_no_length and not self._sends_chunks)
        self.write(response.head(request.minor, close=self.closes))

    def pass_on(self, pieces: Sequence[bytes]) -> None:
        if self._sends_chunks:
            pieces = encode_chunk(pieces)
        if len(pieces) == 1:
            self.write(pieces[0])
        elif pieces:
            self.writelines(pieces)

    def end(self, request: Request, trailers: Sequence[Field], *, complete: bool) -> None:
        if self._sends_chunks:
            self.write(encode_last_chunk(trailers) if trailers else LAST_CHUNK)
        self.closes = self.closes or self.closes_after(request, complete=complete)

    def reply(self, request: Request, cause: Cause, failures: Failures, *, complete: bool) -> None:
        close = self.closes = self.closes_after(request, complete=complete) or not request.minor
        self._write_local_reply(cause, failures, head_only=request.is_head, close=close)

    def _write_local_reply(self, cause: Cause, failures: Failures, *, head_only: bool, close: bool) -> None:
        upstream = self.replying()
        self.write(local_replies.failure_reply(cause, upstream.name, failures, head_only=head_only, close=close))
        upstream.counters.count_error(cause.error_type)

    # -- ends -----------------------------------------------------------------------------------------------------

    def cut(self, cause: Cause) -> None:  # noqa: ARG002 - HTTP/1.1 cannot tell
        self.break_off(by_reset=not self._is_framed)

    def reset(self) -> None:
        self.break_off(by_reset=True)

    def break_off(self, *, by_reset: bool) -> None:
        """Close so that the app cannot take the delivered part for a whole response.

        `by_reset` is True if an orderly end would look like one: the response's length was not announced.
        """
        self.leave()
        self.lingers = True
        if by_reset:
            reset(self.transport)
        else:
            self.transport.close()

    def close(self) -> None:
        """Close behind the bytes that are written."""
        self.lingers = True
        self.transport.close()

    def linger(self) -> None:
        """Close behind the bytes that are written, and drop for a moment those that still come."""
        self.leave()
        self.lingers = True
        self.since = monotonic()
        self.transport.resume_reading()
        if self.ended or self.transport.is_closing():
            self.transport.close()
        else:
            self.transport.write_eof()

    def turn_away(self, cause: Cause) -> None:
        """Send a response before there is a request, and close. A descriptor of the reserve is given back at once."""
        self._write_local_reply(cause, (), head_only=False, close=True)
        self.upstream.counters.count_response(cause.status, 0.0)
        if cause.own_fault:
            discard_unread(self.transport)
            self.close()
        else:
            self.linger()
