"""One client of the small HTTP server, from its first byte to its end. The states stand in `server`."""

from __future__ import annotations

import asyncio
import math
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import h11

from sidecars.chassis.http.messages import TEXT, Request, Response, text
from sidecars.chassis.runtime import logs

if TYPE_CHECKING:
    from sidecars.chassis.http.server import Server

log = logs.get("web")

_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_UNSENDABLE = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_LINGER = 2.0  # seconds that a client may take to see the end
_REQUEST_TIMEOUT = 408
_HEAD_TOO_LARGE = 431
_CONTENT_TOO_LARGE = 413
_DEFECT = 500
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_HAS_NO_BODY = (204, 304)  # RFC 9110, sections 15.3.5 and 15.4.5


class ServerConnection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=server.limits.head)
        self._transport: asyncio.Transport
        self._request: h11.Request | None = None  # whose head has come
        self._unread = b""  # what h11 has not been given yet
        self._hungry = True  # h11 has nothing that it could go on with
        self._dropped = self._pieces = 0  # bytes of its body, and the pieces they came in
        self._at_end = self._told_end = False  # the client has half closed, and h11 knows it
        self._last = False  # the connection closes after the answer
        self._reading = False  # a request has begun to come
        self._working = False  # the handler has it
        self._write_paused = False
        self._ended = False  # the last answer was given
        self.deadline = math.inf

    # -- what the transport tells -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if len(self._server.connections) >= self._server.limits.connections or self._server.draining:
            self._transport.write(_BUSY)
            self._transport.close()
            return
        self._server.connections.add(self)
        self._owes(self._server.limits.idle)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return  # dropped, until the client has seen that we have ended
        if not self._reading and not self._working:
            self._reading = True
            self._owes(self._server.limits.request)
        self._unread += data
        if self._working:
            self._transport.pause_reading()  # the next request waits for the answer to this one
        self._advance()

    def eof_received(self) -> bool:
        """Half a close is no reason not to answer what was asked (over TLS there is no such thing)."""
        if not self._ended:
            self._at_end = True
            self._advance()
        return self._working and not self._is_secure()

    def connection_lost(self, _error: Exception | None) -> None:
        self._ended = True
        self._server.lost(self)

    def pause_writing(self) -> None:
        self._write_paused = True
        self._owes(self._server.limits.write)

    def resume_writing(self) -> None:
        self._write_paused = False
        if not self._working:
            self._next()

    # -- from bytes to a request --------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Go through what has come, up to a whole request or the need for more."""
        while not (self._working or self._write_paused or self._ended):
            if self._hungry:
                self._feed()
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                self._refuse(error.error_status_hint)
                return
            if event is not h11.NEED_DATA:
                self._take(event)
                continue
            self._hungry = True
            if not (self._unread or (self._at_end and not self._told_end)):
                if self._h11.they_are_waiting_for_100_continue:
                    self._work()  # a final answer will do: the body is of no use
                return

    def _take(self, event: object) -> None:
        """One event of a request."""
        match event:
            case h11.Request():
                self._begin(event)
            case h11.Data(data=data):
                self._dropped += len(data)
                self._pieces += 1
                if self._dropped > self._server.limits.body or self._pieces > self._server.limits.pieces:
                    self._refuse(_CONTENT_TOO_LARGE)
            case h11.EndOfMessage():
                self._work()
            case h11.ConnectionClosed():
                self._close()

    def _feed(self) -> None:
        """Give h11 more of what has come, in pieces: else the limit of a head would not hold for one that is whole."""
        self._hungry = False
        if self._unread:
            size = self._server.limits.head
            piece, self._unread = self._unread[:size], self._unread[size:]
            self._h11.receive_data(piece)
        elif self._at_end and not self._told_end:
            self._told_end = True
            self._h11.receive_data(b"")

    def _begin(self, head: h11.Request) -> None:
        """A request's head has come. A length beside an encoding may hide a second request (RFC 9112, section 6.1)."""
        self._request, self._dropped, self._pieces = head, 0, 0
        names = {name for name, _ in head.headers}
        self._last = b"transfer-encoding" in names and (b"content-length" in names or head.http_version < b"1.1")
        if len(head.headers) > self._server.limits.fields:
            self._refuse(_HEAD_TOO_LARGE)

    def _work(self) -> None:
        assert self._request is not None  # noqa: S101 - h11 ends no message that has not begun
        self._working, self._reading = True, False
        self.deadline = math.inf
        task = asyncio.get_running_loop().create_task(self._handle(_request(self._request)))
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)

    async def _handle(self, request: Request) -> None:
        try:
            response = await self._server.handler(request)
        except Exception as error:  # noqa: BLE001 - a client is answered whatever happens, and we hear of it
            log.defect("a defect while answering: please report the traceback", error)
            response = text(_DEFECT, "a defect: see the log\n")
        self._working = False
        if self._ended:
            return
        try:
            self._send(response)
        except (h11.LocalProtocolError, UnicodeEncodeError) as error:  # nothing of it has left
            log.defect("a defect: an answer that cannot be sent; please report the traceback", error)
            self._transport.write(_UNSENDABLE)
            self._end()

    # -- from an answer to bytes --------------------------------------------------------------------------------------

    def _send(self, response: Response) -> None:
        headers = [(b"Date", self._server.date())]
        headers += [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.headers.items()]
        if response.status not in _HAS_NO_BODY:
            headers.append((b"Content-Length", b"%d" % len(response.body)))
        if self._server.draining or self._last:
            headers.append((b"Connection", b"close"))
        send = self._h11.send
        reason = _REASONS.get(response.status, b"")
        head = send(h11.Response(status_code=response.status, headers=headers, reason=reason)) or b""
        is_bodiless = response.status in _HAS_NO_BODY or (self._request and self._request.method == b"HEAD")
        body = b"" if is_bodiless else send(h11.Data(data=response.body)) or b""
        self._transport.write(head + body + (send(h11.EndOfMessage()) or b""))
        if self._h11.our_state is h11.MUST_CLOSE or self._h11.their_state is not h11.DONE:
            self._end()
        else:
            self._h11.start_next_cycle()
            self._next()

    def _next(self) -> None:
        """Turn to what has come of the next request, unless the client has to take its answer first."""
        if self._write_paused or self._ended:
            return
        self._request = None
        self._reading = bool(self._unread or self._h11.trailing_data[0])
        self._owes(self._server.limits.request if self._reading else self._server.limits.idle)
        self._transport.resume_reading()
        self._advance()

    def _refuse(self, status: int) -> None:
        """Answer a request that is none, and end: what comes after it cannot be told apart."""
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._send(Response(status, _REASONS[status] + b"\n", {**TEXT, "Connection": "close"}))
        self._end()

    # -- ending -------------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """No more answers. The client may still be sending, and a close would reset what it has not read yet."""
        if self._ended:
            return
        self._ended = True
        if self._h11.their_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED) or self._is_secure():
            self._transport.close()
        else:
            self._transport.write_eof()
            self._transport.resume_reading()
        self._owes(_LINGER)

    def _close(self) -> None:
        self._ended = True
        self._transport.close()
        self._owes(_LINGER)

    def abort(self) -> None:
        self._ended = True
        self._transport.abort()

    def is_idle(self) -> bool:
        """True if no byte of a request has come since the last answer."""
        return not (self._working or self._reading or self._ended)

    def close_if_idle(self) -> None:
        if self.is_idle():
            self._close()

    def expire(self) -> None:
        """The deadline has passed."""
        if self._ended or self._write_paused:
            self.abort()
        elif self._reading:
            self._refuse(_REQUEST_TIMEOUT)
        else:
            self._close()

    def _owes(self, seconds: float) -> None:
        """The client has to move on within so many seconds."""
        self.deadline = time.monotonic() + seconds

    def _is_secure(self) -> bool:
        return self._transport.get_extra_info("sslcontext") is not None


def _request(head: h11.Request) -> Request:
    target = head.target.decode("ascii")
    if not target.startswith("/"):  # absolute form (RFC 9112, section 3.2.2): the path is what counts
        _, _, rest = target.partition("://")
        target = f"/{rest.partition('/')[2]}"
    path, _, query = target.partition("?")
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
    return Request(head.method.decode("ascii"), path, query, headers)
