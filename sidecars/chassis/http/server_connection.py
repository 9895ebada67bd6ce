"""One connection of a client to the small HTTP server, from its first byte to its end; `server` has its states."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, Protocol, cast

import h11

from sidecars.chassis.accept.budget import Ticket
from sidecars.chassis.accept.buffered_bytes import BufferedBytes
from sidecars.chassis.accept.peers import is_loopback
from sidecars.chassis.http.messages import SENT_AT_ONCE, TEXT, ClientLimits, Handler, Request, Response, text
from sidecars.chassis.runtime import logs

log = logs.get("web")

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_UNSENDABLE = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_OVERHEAD = 4096  # bytes of a connection with a parser, which has an unfinished request
_LINGER = 2.0  # seconds that a client may take to read the end
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_BODILESS = (204, 304)  # RFC 9110, sections 15.3.5 and 15.4.5


class Owner(Protocol):
    """The server, as its connections see it."""

    draining: bool

    @property
    def handler(self) -> Handler:
        """The function that returns the response to a request."""

    @property
    def limits(self) -> ClientLimits:
        """The limits of one client."""

    @property
    def unfinished(self) -> BufferedBytes:
        """The bytes of unfinished requests."""

    @property
    def unsent(self) -> BufferedBytes:
        """The bytes of responses that clients have not read yet."""

    def add(self, connection: ServerConnection, /) -> None:
        """Take a new connection."""

    def forget(self, connection: ServerConnection, /) -> None:
        """Note that the connection is lost."""

    def start(self, request: Coroutine[Any, Any, None], /) -> None:
        """Run the work on one request."""

    def date(self) -> bytes:
        """Return the value of the Date header."""


class _UnsentResponse:
    """The response that one client does not read. It counts only if it is larger than `SENT_AT_ONCE`."""

    __slots__ = ("_connection",)

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    def end_for_memory(self) -> None:
        """Reset the connection: of all unread responses, which are too much together, it has the largest."""
        asyncio.get_running_loop().call_soon(self._connection.abort)  # it may be the transport that is writing


class ServerConnection(asyncio.Protocol):
    """One connection. The event loop calls it, and the server that owns it."""

    def __init__(self, server: Owner, ticket: Ticket) -> None:
        """`ticket` is its place in the budget, which it owns."""
        self._server = server
        self._ticket = ticket
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=server.limits.head)
        self._transport: asyncio.Transport
        self._request: h11.Request | None = None  # the one whose head was read last
        self._unread = b""  # bytes that h11 has not received yet
        self._fed = 0  # bytes of a head that is not complete, which h11 has
        self._held = 0  # bytes that `Owner.unfinished` knows of
        self._needs_data = True  # True if h11 can do nothing without more bytes
        self._dropped = self._pieces = 0  # bytes of the request's body, and the pieces that they came in
        self._at_end = self._end_was_fed = False  # True if the client has closed its side; if h11 knows that
        self._close_after_response = False
        self._reading = self._working = False  # True if a request has begun; if the handler has it
        self._write_paused = False
        self._unsent: _UnsentResponse | None = None  # from the first response that the client does not read at once
        self._ended = False  # True if no further response will be sent
        self._is_local = False  # True if the client came through loopback
        self.deadline = math.inf  # of the monotonic clock

    # -- events of the transport ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=SENT_AT_ONCE)
        self._is_local = is_loopback(transport.get_extra_info("peername"))
        self._server.add(self)
        if self._ticket.is_released or self._server.draining:
            self.abort()  # it was shed while its transport was made, or comes too late
        else:
            self._ticket.on_shed = self.abort
            if self._is_secure():
                self._ticket.note_session()
            self._set_deadline(self._server.limits.idle)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return  # dropped until the client has read the end
        if not self._reading and not self._working:
            self._reading = True
            self._set_deadline(self._server.limits.request)
        self._unread += data
        if self._working or self._write_paused:
            self._transport.pause_reading()  # the next request waits until this one has its response
        self._advance()

    def eof_received(self) -> bool:
        """Keep the connection after a half-close while a request is in progress. TLS has no half-close."""
        if not self._ended:
            self._at_end = True
            self._advance()
        return self._working and not self._is_secure()

    def connection_lost(self, _error: Exception | None) -> None:
        self._ended = True
        self._unread, self._fed = b"", 0
        self._note_held()
        self._note_unsent(0)
        self._ticket.release()
        self._server.forget(self)

    def pause_writing(self) -> None:
        self._write_paused = True
        self._note_unsent(self._transport.get_write_buffer_size())
        self._set_deadline(self._server.limits.write)

    def resume_writing(self) -> None:
        self._write_paused = False
        self._note_unsent(0)
        if not self._working:
            self._begin_next()

    def _note_unsent(self, count: int) -> None:
        unsent = self._unsent or _UnsentResponse(self)
        self._server.unsent.note(unsent, count)
        self._unsent = unsent if count else None  # a circle would wait for the garbage collector

    # -- from bytes to a request ----------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Process the bytes that have arrived, up to a whole request or the need for more."""
        self._process_events()
        self._note_held()

    def _note_held(self) -> None:
        """Report the bytes of a request that is not complete, or that waits. Most requests never hold any."""
        held = self._fed + len(self._unread)
        if held or self._held:
            self._held = held + _OVERHEAD if held else 0
            self._server.unfinished.note(self, self._held)

    def _process_events(self) -> None:
        while not (self._working or self._write_paused or self._ended):
            if self._needs_data:
                self._feed()
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                self._refuse(error.error_status_hint)
                return
            if event is not h11.NEED_DATA:
                self._process(event)
                continue
            self._needs_data = True
            if not (self._unread or (self._at_end and not self._end_was_fed)):
                if self._h11.they_are_waiting_for_100_continue:
                    self._begin_work()  # a final response is enough, because no route uses the body
                return

    def _process(self, event: object) -> None:
        """Process one event of a request."""
        match event:
            case h11.Request():
                self._begin_request(event)
            case h11.Data(data=data):
                self._dropped += len(data)
                self._pieces += 1
                if self._dropped > self._server.limits.body or self._pieces > self._server.limits.pieces:
                    self._refuse(413)
            case h11.EndOfMessage():
                self._begin_work()
            case h11.ConnectionClosed():
                self._close()

    def _feed(self) -> None:
        """Give h11 more bytes. It checks the limit of a head only between two pieces, so a piece is no larger."""
        self._needs_data = False
        if self._unread:
            size = self._server.limits.head
            piece, self._unread = self._unread[:size], self._unread[size:]
            self._fed += len(piece)
            self._h11.receive_data(piece)
        elif self._at_end and not self._end_was_fed:
            self._end_was_fed = True
            self._h11.receive_data(b"")

    def _begin_request(self, head: h11.Request) -> None:
        """Keep a request's head. A length beside an encoding may hide a second request (RFC 9112, section 6.1)."""
        self._request, self._dropped, self._pieces, self._fed = head, 0, 0, 0
        names = {name for name, _ in head.headers}
        is_ambiguous = b"content-length" in names or head.http_version < b"1.1"
        self._close_after_response = b"transfer-encoding" in names and is_ambiguous
        if len(head.headers) > self._server.limits.fields:
            self._refuse(431)

    def _begin_work(self) -> None:
        assert self._request is not None  # noqa: S101 - h11 ends no message that has not begun
        self._working, self._reading = True, False
        self._ticket.work()
        self.deadline = math.inf
        self._server.start(self._handle(_request(self._request, is_local=self._is_local)))

    async def _handle(self, request: Request) -> None:
        try:
            response = await self._server.handler(request)
        except Exception as error:  # noqa: BLE001 - the client gets a response after any defect, and the log has it
            log.defect("a defect in a request: please report the traceback", error)
            response = text(500, "a defect: see the log\n")
        self._working = False
        self._ticket.rest()
        if self._ended:
            return
        try:
            self._send(response)
        except (h11.LocalProtocolError, UnicodeEncodeError) as error:  # no byte of it was sent
            log.defect("a defect: a response that cannot be sent; please report the traceback", error)
            self._transport.write(_UNSENDABLE)
            self._end()

    # -- from a response to bytes ---------------------------------------------------------------------------------

    def _send(self, response: Response) -> None:
        headers = [(b"Date", self._server.date())]
        headers += [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.headers.items()]
        if response.status not in _BODILESS:
            headers.append((b"Content-Length", b"%d" % len(response.body)))
        if self._server.draining or self._close_after_response:
            headers.append((b"Connection", b"close"))
        send = self._h11.send
        reason = _REASONS.get(response.status, b"")
        head = send(h11.Response(status_code=response.status, headers=headers, reason=reason)) or b""
        is_bodiless = response.status in _BODILESS or (self._request and self._request.method == b"HEAD")
        body = b"" if is_bodiless else send(h11.Data(data=response.body)) or b""
        send(h11.EndOfMessage())  # no bytes follow: the response has a length
        large = body if len(body) > SENT_AT_ONCE else b""  # shared by all that wait for it: no copy for each
        for part in (head, large) if large else (head + body,):
            self._transport.write(part)
        if self._h11.our_state is h11.MUST_CLOSE or self._h11.their_state is not h11.DONE:
            self._end()
        else:
            self._h11.start_next_cycle()
            self._begin_next()

    def _begin_next(self) -> None:
        """Begin the next request, unless the client has to read its response first."""
        if self._write_paused or self._ended:
            return
        self._request = None
        self._reading = bool(self._unread or self._h11.trailing_data[0])
        self._set_deadline(self._server.limits.request if self._reading else self._server.limits.idle)
        self._advance()
        if not (self._working or self._write_paused or self._ended):
            self._transport.resume_reading()  # the bytes that came before are used up

    def _refuse(self, status: int) -> None:
        """Respond to a malformed request, and end: its rest could be taken for the next request."""
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._send(Response(status, _REASONS[status] + b"\n", {**TEXT, "Connection": "close"}))
        self._end()

    # -- ending ---------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """Send no more responses. The client may still be sending; a close would reset what it has not read yet."""
        if self._ended:
            return
        self._ended = True
        if self._h11.their_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED) or self._is_secure():
            self._transport.close()
        else:
            self._transport.write_eof()
            self._transport.resume_reading()
        self._set_deadline(_LINGER)

    def _close(self) -> None:
        self._ended = True
        self._transport.close()
        self._set_deadline(_LINGER)

    def abort(self) -> None:
        self._ended = True
        self._transport.abort()

    def end_for_memory(self) -> None:
        """End the connection: it holds the most bytes of an unfinished request, and all together hold too many."""
        self._held = 0
        self._unread, self._fed = b"", 0
        self.abort()

    def close_if_idle(self) -> None:
        """Close the connection if no byte of a request has arrived since the last response."""
        if not (self._working or self._reading or self._ended):
            self._close()

    def expire(self) -> None:
        """End the connection, whose deadline has passed."""
        if self._ended or self._write_paused:
            self.abort()
        elif self._reading:
            self._refuse(408)
        else:
            self._close()

    def _set_deadline(self, seconds: float) -> None:
        """Give the client so many seconds for its next step."""
        self.deadline = time.monotonic() + seconds

    def _is_secure(self) -> bool:
        return self._transport.get_extra_info("sslcontext") is not None


def _request(head: h11.Request, *, is_local: bool) -> Request:
    target = head.target.decode("ascii")
    if not target.startswith("/"):  # absolute form (RFC 9112, section 3.2.2): only its path counts
        _, _, rest = target.partition("://")
        target = f"/{rest.partition('/')[2]}"
    path, _, query = target.partition("?")
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
    return Request(head.method.decode("ascii"), path, query, headers, is_local)
