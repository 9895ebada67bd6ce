"""Connections through an HTTP proxy, for `client.HttpClient`.

    https   connect to the proxy ─► CONNECT host:port (RFC 9110, 9.3.6) ─► 2xx ─► TLS with the host, by its own name
    http    connect to the proxy; the request has the whole URL as its target (RFC 9112, 3.2.2)

The proxy sees the name of the host, and nothing that TLS protects. Its response is bounded as any other is. It is
the host's certificate that is checked: a proxy that opens TLS needs its authority in the trusted ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.http.connecting import connect
from sidecars.chassis.http.error_reasons import reason_of
from sidecars.chassis.http.proxy.connect_exchange import CREDENTIALS, REFUSED, ConnectExchange, NotConnected
from sidecars.chassis.http.proxy.proxies import Proxy
from sidecars.chassis.http.response_parser import ConnectorFailed

if TYPE_CHECKING:
    from ssl import SSLContext

P = TypeVar("P", bound=asyncio.Protocol)

_WORDS = {
    CREDENTIALS: "{}: they belong in its URL, http://user:password@host:port",
    REFUSED: "makes no connection to the receiver: it {}",
}


class ProxyConnector:
    """Makes the connections to one host through one proxy. The `HttpClient` of that host owns it."""

    def __init__(self, proxy: Proxy, host: str, port: int, agent: str) -> None:
        """`agent` is the value of User-Agent."""
        self.proxy = proxy
        self._host = host
        self._port = port
        self._agent = agent

    async def connect(self, protocol: Callable[[], P], context: SSLContext | None) -> P:
        """Return a connected protocol. Raises ConnectorFailed, and OSError for an error of TLS with the host."""
        if context is None:
            return await self._connect_to_proxy(protocol)
        exchange = self._connect_exchange()
        opening = await self._connect_to_proxy(lambda: _Opening(self.proxy, exchange))
        try:
            await opening.open()
            made = protocol()
            loop = asyncio.get_running_loop()
            transport = await loop.start_tls(opening.transport, made, context, server_hostname=self._host)
        except BaseException:
            opening.transport.abort()
            raise
        if transport is None:
            raise ConnectorFailed(f"the proxy {self.proxy} closed the connection")
        made.connection_made(transport)
        return made

    async def _connect_to_proxy(self, protocol: Callable[[], P]) -> P:
        try:
            return await connect(protocol, self.proxy.host, self.proxy.port, None)
        except OSError as error:
            reason = reason_of(error) or "it was closed"
            raise ConnectorFailed(f"cannot connect to the proxy {self.proxy}: {reason}") from None

    def _connect_exchange(self) -> ConnectExchange:
        fields = [("User-Agent", self._agent), *self.proxy.fields()]
        return ConnectExchange(str(Address(self._host, self._port)), fields)


class _Opening(asyncio.Protocol):
    """A connection to the proxy, until it leads to the host."""

    transport: asyncio.Transport

    def __init__(self, proxy: Proxy, exchange: ConnectExchange) -> None:
        self._proxy = proxy
        self._exchange = exchange
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        """Send CONNECT and wait for its response. Raises ConnectorFailed unless it is a 2xx."""
        self.transport.write(self._exchange.request)
        await self._opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._opened.done():
            self.transport.abort()
            return
        try:
            behind = self._exchange.feed(data)
        except NotConnected as error:
            self._fail(_WORDS.get(error.kind, "{}").format(error))
            return
        if behind:
            self._fail("sent more than its response before TLS began")
        elif behind is not None:
            self._opened.set_result(None)

    def connection_lost(self, _error: Exception | None) -> None:
        self._fail("closed the connection without a response")

    def _fail(self, reason: str) -> None:
        if not self._opened.done():
            self._opened.set_exception(ConnectorFailed(f"the proxy {self._proxy} {reason}"))
