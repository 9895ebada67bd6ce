"""A connection from an app that speaks PostgreSQL's protocol: its beginning is read, then it is a tunnel."""

from __future__ import annotations

import asyncio
from typing import Final

from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.proxy.tcp.postgres_server_end import ServerEnd
from sidecars.ambassador.proxy.tcp.tcp_connection import TcpConnection
from sidecars.ambassador.proxy.tunnel import TunnelEnd
from sidecars.ambassador.transport.ways.postgres import ClientStart, NotPostgres, error_message
from sidecars.ambassador.upstream.upstream import Upstream

_SILENT: Final = Cause("http_request_error", 408, "the app did not begin a session in time")


class PostgresConnection(TcpConnection):
    """The app's connection. It looks for an endpoint once the app has begun a session, or cancels one."""

    __slots__ = ("_begun", "_start")

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream)
        self._start = ClientStart()
        self._begun: asyncio.Future[None] = upstream.loop.create_future()

    def take(self, data: bytes | memoryview) -> None:
        if self._start.is_over:
            TunnelEnd.take(self, data)
            return
        try:
            answer, begun = self._start.feed(bytes(data))
        except NotPostgres as error:
            self.give_up(Cause("http_request_error", 400, f"the app does not speak PostgreSQL's protocol: {error}"))
            return
        if answer:
            self.transport.write(answer)
        if begun:
            TunnelEnd.take(self, begun)
            self._wake()

    def eof_received(self) -> bool:
        """Return False, which closes the connection, if the app has ended before it has begun anything."""
        return self._start.is_over and TunnelEnd.eof_received(self)

    def connection_lost(self, error: Exception | None) -> None:
        TcpConnection.connection_lost(self, error)
        self._wake()

    def _wake(self) -> None:
        if not self._begun.done():
            self._begun.set_result(None)

    async def attempt_all(self) -> None:
        try:
            async with asyncio.timeout(self.upstream.settings.idle_timeout):
                await self._begun
        except TimeoutError:
            self.give_up(_SILENT)
        if self.lost or not self._start.is_over:
            return
        key = self._start.cancel_key
        if key:
            self.preferred = self.upstream.cancel_keys.get(key)
        await TcpConnection.attempt_all(self)

    def new_end(self) -> TunnelEnd:
        return ServerEnd(self.upstream, is_cancelling=bool(self._start.cancel_key))

    def give_up(self, cause: Cause) -> None:
        """Tell an app that has begun a session why there is none, as PostgreSQL would, and close."""
        if self._start.is_over and not self._start.cancel_key and not self.lost:
            self.transport.write(error_message(f"ambassador: {cause.text}"))
            self.note_failure(cause)
            self.transport.close()
        else:
            TcpConnection.give_up(self, cause)
