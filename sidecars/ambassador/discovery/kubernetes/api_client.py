"""GET requests to the API server, whose responses may have no end. h11 has the protocol; this is the I/O.

Each request has a connection of its own: there are few, and a watch keeps its connection for minutes. So a new token, a
new authority and another API server behind the same address are used with the next request.

Bounds of a response: 32 KiB of head, pieces of at most 16 KiB, 64 MiB of body. Then a watch is resumed on another
connection. The response is read no faster than it is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from typing import Final, cast

import h11

from sidecars.ambassador.discovery.kubernetes.api_place import ApiFailed, ApiPlace
from sidecars.ambassador.discovery.kubernetes.backoff import LONGEST_ASKED
from sidecars.ambassador.transport.tcp_keepalive import set_keepalive
from sidecars.chassis.http.connecting import connect
from sidecars.chassis.http.error_reasons import certificate_reason, reason_of
from sidecars.chassis.http.response_parser import protocol
from sidecars.chassis.http.retry_after import retry_after

_OPEN_WITHIN: Final = 5.0  # seconds until the head of a response
_KEEPALIVE: Final = 15.0  # seconds of silence; a host that is gone is noticed after twice this time
_PIECE: Final = 16 * 1024  # bytes
_LARGEST_BODY: Final = 64 * 1024 * 1024  # bytes
_INTERIM: Final = 16  # responses 1xx
_TURN: Final = 64  # events of a response before the event loop serves others


class ConnectionBroke(ApiFailed):
    """The connection broke, or the response is not HTTP/1.1."""


class ApiClient:
    """Requests to one API server. A watch owns it."""

    def __init__(self, place: ApiPlace) -> None:
        self.place = place

    @contextlib.asynccontextmanager
    async def get(self, target: str) -> AsyncIterator[ApiResponse]:
        """Send a GET request, and close the connection at the end of the context.

        Raises ApiFailed, also while the body is read.
        """
        connection: _Connection | None = None
        try:
            try:
                async with asyncio.timeout(_OPEN_WITHIN):
                    connection = await self._connect()
                    response = ApiResponse(connection)
                    await response.begin(self._request(target))
            except TimeoutError:
                raise ApiFailed(f"{self._named()} did not answer in {_OPEN_WITHIN:g} s") from None
            yield response
        except OSError as error:
            raise ConnectionBroke(f"the connection to {self._named()} broke: {reason_of(error)}") from None
        except h11.RemoteProtocolError:
            raise ConnectionBroke(f"{self._named()} broke off its response, or it is not HTTP/1.1") from None
        finally:
            if connection is not None:
                connection.transport.abort()

    async def _connect(self) -> _Connection:
        self.place.check()
        context = self.place.context()
        try:
            connection = await connect(_Connection, self.place.host, self.place.port, context)
        except ssl.SSLCertVerificationError as error:
            raise ApiFailed(
                f"the certificate of {self._named()} is not accepted: {certificate_reason(error)}"
            ) from None
        except TimeoutError:
            raise
        except OSError as error:
            raise ApiFailed(f"{self._named()} cannot be reached: {reason_of(error)}") from None
        set_keepalive(connection.transport.get_extra_info("socket"), _KEEPALIVE)
        return connection

    def _request(self, target: str) -> h11.Request:
        return h11.Request(
            method="GET",
            target=target,
            headers=[
                (b"Host", self.place.authority.encode()),
                (b"Accept", b"application/json"),
                (b"User-Agent", b"sidecars-ambassador"),
                (b"Authorization", b"Bearer " + self.place.token()),
                (b"Connection", b"close"),
            ],
        )

    def _named(self) -> str:
        return f"the API server {self.place.authority}"


class _Connection(asyncio.StreamReaderProtocol):
    """One connection, which buffers at most twice a piece."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader(_PIECE)
        super().__init__(self.reader)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        super().connection_made(transport)


class ApiResponse:
    """One response. `read` returns the pieces of its body."""

    def __init__(self, connection: _Connection) -> None:
        self.status = 0
        self.pause = 0.0  # seconds that its Retry-After asks for
        self._connection = connection
        self._h11 = protocol()
        self._left = _LARGEST_BODY
        self._events = 0

    async def begin(self, request: h11.Request) -> None:
        """Send the request and wait for the head. Raises ApiFailed, OSError and h11.RemoteProtocolError."""
        self._connection.transport.write(self._h11.send(request) or b"")
        self._connection.transport.write(self._h11.send(h11.EndOfMessage()) or b"")
        for _ in range(_INTERIM):
            event = await self._next()
            if isinstance(event, h11.Response):
                self.status = event.status_code
                for name, value in event.headers:
                    if name == b"retry-after":
                        self.pause = retry_after(value.decode("latin-1"), time.time(), LONGEST_ASKED) or 0.0
                return
        raise ApiFailed("the API server sent too many interim responses")

    async def read(self) -> bytes:
        """Return the next piece of the body; b"" at its end. Raises OSError and h11.RemoteProtocolError."""
        while self._left > 0:
            event = await self._next()
            if not isinstance(event, h11.Data):
                return b""
            self._left -= len(event.data)
            if event.data:
                return bytes(event.data)
        return b""

    async def read_whole(self, largest: int) -> bytes | None:
        """Return the whole body; None if it is larger. Raises OSError and h11.RemoteProtocolError."""
        body = bytearray()
        while piece := await self.read():
            body += piece
            if len(body) > largest:
                return None
        return bytes(body)

    async def _next(self) -> object:
        self._events += 1
        if self._events % _TURN == 0:
            await asyncio.sleep(0)
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            self._h11.receive_data(await self._connection.reader.read(_PIECE))
        return event
