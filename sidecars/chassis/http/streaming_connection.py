"""A connection whose responses may come in pieces, for a body that has no end: `server.serve(…, connection=…)`.

A response of the type `StreamedResponse` is sent in chunks (RFC 9112, section 7.1), or up to the end of the connection
to a client of HTTP/1.0. The connection ends with it. Such a response is a further kind of the state `working`:

    event                                 what the connection does
    a piece has come                      writes it, and asks for the next one
    the transport's buffer is full        asks for none until it has room; after `ClientLimits.write` it is reset
    the pieces have ended                 sends the end, and closes
    the client leaves, or half-closes     closes the pieces at once: what they hold is free for another client

So no more than one piece and the transport's buffer wait for a client that does not read.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import h11

from sidecars.chassis.accept.budget import Ticket
from sidecars.chassis.http.messages import Response
from sidecars.chassis.http.server_connection import Owner, ServerConnection
from sidecars.chassis.runtime import logs

log = logs.get("web")


class Pieces(Protocol):
    """The body of one streamed response. The connection owns it."""

    async def next(self) -> bytes:
        """Wait for the next piece and return it; b"" at the end, and after `close`."""

    def close(self) -> None:
        """Free the memory and files of the body. Further calls do nothing. A call of `next` that waits returns b""."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedResponse(Response):
    """A response with a body in pieces; `body` is not used.

    `begin` makes the pieces. It is called when the head is sent, in the turn of the loop in which the handler returns.
    """

    begin: Callable[[], Pieces]


class StreamingConnection(ServerConnection):
    """One connection to the small HTTP server, which may stream."""

    def __init__(self, server: Owner, ticket: Ticket) -> None:
        super().__init__(server, ticket)
        self._body: Pieces | None = None  # of the response that is streamed
        self._has_room = asyncio.Event()
        self._has_room.set()

    # -- events of the transport ----------------------------------------------------------------------------------

    def eof_received(self) -> bool:
        """End a stream: who closes its side has left. Keep any other connection as `ServerConnection` does."""
        if self._body is None:
            return super().eof_received()
        self.abort()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._has_room.set()
        if self._body is not None:
            self._body.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._has_room.clear()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._body is not None:
            self.deadline = math.inf
        self._has_room.set()

    # -- from pieces to bytes -------------------------------------------------------------------------------------

    def _send(self, response: Response) -> None:
        if not isinstance(response, StreamedResponse):
            super()._send(response)
            return
        headers = [(b"Date", self._server.date()), (b"Connection", b"close")]
        headers += [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.headers.items()]
        head = self._h11.send(h11.Response(status_code=response.status, headers=headers, reason=b"OK"))
        self._working = True
        self._ticket.work()
        self.deadline = math.inf
        self._transport.write(head or b"")
        self._body = response.begin()
        self._server.start(self._stream(self._body))

    async def _stream(self, pieces: Pieces) -> None:
        try:
            while piece := await pieces.next():
                if self._ended:
                    return
                self._transport.write(self._h11.send(h11.Data(data=piece)) or b"")
                await self._has_room.wait()
        except Exception as error:  # noqa: BLE001 - a defect ends this stream alone, and the log has it
            log.defect("a defect in a streamed response: please report the traceback", error)
            self.abort()
        finally:
            pieces.close()
        if not self._ended:
            self._transport.write(self._h11.send(h11.EndOfMessage()) or b"")
            self._end()
