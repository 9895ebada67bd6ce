"""One connection to a broker: requests go out, and each gets its response, in the order of the requests.

    framed request ─► broker ─► length, correlation id, body ─► the future of the oldest request

A response that is longer than `MAX_RESPONSE`, or has another number than the oldest request, ends the connection: all
requests that wait fail with `ConnectionFailed`, and their outcome is unknown.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from sidecars.chassis.http.error_reasons import reason_of
from sidecars.logshipper.sinks.kafka.protocol import requests, responses
from sidecars.logshipper.sinks.kafka.protocol.error_codes import NONE, BrokerError
from sidecars.logshipper.sinks.kafka.protocol.requests import Api
from sidecars.logshipper.sinks.kafka.protocol.wire import MalformedResponse, Reader
from sidecars.logshipper.sinks.protocols.connecting import ConnectionFailed, connect

T = TypeVar("T")

MAX_RESPONSE = 1024 * 1024
"""Bytes of a response. The longest proper ones name the records of a batch that are refused, or a group's offsets."""

_LENGTH = 4  # bytes in front of a response


class BrokerConnection:
    """An open connection. Owned by the `Cluster` that opened it.

    host, port   the address that it leads to
    context      the TLS context that it was made with; None without TLS
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self.host = host
        self.port = port
        self.context = context
        self.ends_at: float | None = None  # time of the loop at which the broker will end the session (KIP-368)
        self._stream = _Stream()
        self._versions: dict[int, tuple[int, int]] = {}
        self._numbers = itertools.count()

    async def open(self) -> None:
        """Connect, and ask for the versions of requests that the broker knows. Raises ConnectionFailed."""
        await connect(lambda: self._stream, self.host, self.port, self.context)
        code, self._versions = await self.request(requests.API_VERSIONS, [], responses.api_versions)
        if code != NONE:
            raise BrokerError(code, f"{self.host}:{self.port} ApiVersions")

    @property
    def is_open(self) -> bool:
        return self._stream.is_open

    @property
    def is_idle(self) -> bool:
        """True if no request waits for its response."""
        return not self._stream.waiting

    def end_session_at(self, moment: float | None) -> None:
        """Note the time of the loop at which the broker ends the session; None: it does not."""
        self.ends_at = moment

    def has(self, api: Api) -> bool:
        """True if the broker knows a version of the request that we write."""
        low, high = self._versions.get(api.key, (0, -1))
        return max(low, api.lowest) <= min(high, api.highest)

    def version(self, api: Api) -> int:
        """Return the highest version that both sides know. Raises ConnectionFailed if there is none."""
        if api is requests.API_VERSIONS:
            return 0
        if not self.has(api):
            raise ConnectionFailed(f"{self.host}:{self.port} knows no version of {api.name} that logshipper knows, too")
        return min(self._versions[api.key][1], api.highest)

    async def request(self, api: Api, body: Sequence[bytes], read: Callable[[Reader], T]) -> T:
        """Send a request of the version that `version` returns. Return the result of `read` on the response.

        Raises ConnectionFailed if there is no proper response: the outcome is unknown then.
        """
        number = next(self._numbers) & 0x7FFFFFFF
        frame = await self._stream.exchange(requests.framed(api, self.version(api), number, body))
        try:
            return responses.parse(api, responses.body(frame, number), read)
        except MalformedResponse as error:
            self.abort()
            raise ConnectionFailed(f"{self.host}:{self.port} sent no response to {api.name}: {error}") from None

    def abort(self) -> None:
        self._stream.abort()


class _Stream(asyncio.Protocol):
    """The bytes of a connection: blocks go out, frames come in."""

    def __init__(self) -> None:
        self.waiting: deque[asyncio.Future[bytes]] = deque()
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._reason = ""  # why there is no connection any more

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._reason and not self._transport.is_closing()

    async def exchange(self, blocks: list[bytes]) -> bytes:
        """Send a request, and return the frame of its response without its length. Raises ConnectionFailed."""
        if self._transport is None or not self.is_open:
            raise ConnectionFailed(self._reason or "the connection is closed")
        response: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.waiting.append(response)
        self._transport.writelines(blocks)
        try:
            return await response
        except asyncio.CancelledError:
            self.abort()  # the response would be taken for that of the next request
            raise

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        while len(received) >= _LENGTH:
            size = int.from_bytes(received[:_LENGTH], "big")
            if size > MAX_RESPONSE or not self.waiting:
                self._end("the peer does not speak Kafka's protocol, or a response is too long")
                return
            if len(received) < _LENGTH + size:
                return
            frame = bytes(received[_LENGTH : _LENGTH + size])
            del received[: _LENGTH + size]
            response = self.waiting.popleft()
            if not response.done():
                response.set_result(frame)

    def connection_lost(self, error: Exception | None) -> None:
        reason = reason_of(error) if isinstance(error, OSError) else ""
        self._end(f"the connection broke: {reason}" if reason else "the broker closed the connection")

    def abort(self) -> None:
        self._end("the connection was given up")

    def _end(self, reason: str) -> None:
        self._reason = self._reason or reason
        self._received.clear()
        while self.waiting:
            response = self.waiting.popleft()
            if not response.done():
                response.set_exception(ConnectionFailed(self._reason))
        if self._transport is not None:
            self._transport.abort()
