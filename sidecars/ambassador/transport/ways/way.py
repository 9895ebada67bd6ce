"""The way to the endpoints of an upstream, in steps: see the package's picture.

| a step fails | cause (RFC 9209 section 2.3) |
|---|---|
| no connection to the proxy, or to the unix socket | as with an endpoint, with the proxy or the socket in the text |
| 401 or 407 of the proxy, or no password to be had | `proxy_configuration_error` |
| another 4xx of the proxy | `destination_ip_prohibited` |
| 5xx, or any other status | `destination_unavailable` |
| no HTTP/1.1, or bytes behind the 2xx that no endpoint can have sent | `http_protocol_error` |
| a head of more than 16 KiB | `http_response_header_section_size` |
| the answer to SSLRequest is no S; or TLS began at once, and the server selects no protocol | `tls_protocol_error` |
| a step is late | `connection_timeout`, with the step in the text |

All of them are failures to connect: they are retried as such, and eject the endpoint.
"""

from __future__ import annotations

import asyncio
import errno
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.config.setting_types import DIRECT
from sidecars.ambassador.config.way_settings import VERSION_2
from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.settings import Settings
from sidecars.ambassador.transport import connect_errors
from sidecars.ambassador.transport.connect_errors import ConnectFailed
from sidecars.ambassador.transport.ways.opening import Opening
from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.http import tls
from sidecars.chassis.http.error_reasons import os_reason
from sidecars.chassis.runtime.lifecycle import IOFailed

if TYPE_CHECKING:
    from ssl import SSLContext

    from sidecars.ambassador.config.upstream_settings import UpstreamSettings
    from sidecars.ambassador.transport.streams import Transport
    from sidecars.chassis.http.proxy.connect_exchange import NotConnected
    from sidecars.chassis.http.proxy.proxies import Proxy

P = TypeVar("P", bound=asyncio.BaseProtocol)

_AGENT: Final = ("User-Agent", "ambassador")
_UNIX_REASONS: Final = {
    errno.ENOENT: "there is none",
    errno.ECONNREFUSED: "nobody listens on it",
    errno.EAGAIN: "its queue of connections is full",
    errno.EACCES: "this process may not use it",
    errno.EPERM: "this process may not use it",
}
_NO_POSTGRES: Final = Cause(
    "tls_protocol_error",
    502,
    "the server does not select PostgreSQL's protocol in TLS (ALPN): TLS_NEGOTIATION=direct needs PostgreSQL 17",
)
_LATE_POSTGRES: Final = Cause("connection_timeout", 504, "the server did not answer SSLRequest in time")


class ProxyAddresses(ABC):
    """The addresses of a proxy."""

    @abstractmethod
    async def current(self) -> Sequence[str]:
        """Return the addresses, the best one first; wait for the first look-up. Raises ConnectFailed."""

    @abstractmethod
    def note_failure(self, address: str) -> None:
        """Let another address be the first, if there is one."""


class Way:
    """The way to the endpoints of one upstream, whose pool owns it."""

    def __init__(
        self, settings: UpstreamSettings, loop: asyncio.AbstractEventLoop, proxy_addresses: ProxyAddresses | None
    ) -> None:
        """`proxy_addresses` is given if there is a proxy. Raises IOFailed if PROXY_CA cannot be used."""
        self.settings = settings
        self.loop = loop
        self.proxy = settings.proxy
        self.proxy_addresses = proxy_addresses
        self.proxy_tls: tls.ReloadingContext | None = None
        if self.proxy is not None and self.proxy.scheme == "https":
            try:
                self.proxy_tls = tls.client_context(tls.pem_file(settings, "proxy_ca", Settings, settings.name))
            except tls.UnusableTLSFiles as error:
                raise IOFailed(error.reason, code="tls-files-unusable") from None

    def steps(self, endpoint: Endpoint, app: Transport | None) -> Steps:
        """Return the steps of one connection. `app` is the app's, if this one is for it alone."""
        return Steps(self, endpoint, app)


class Steps:
    """The steps of one connection, whose coroutine owns it. `late` is the cause if the time is over now."""

    def __init__(self, way: Way, endpoint: Endpoint, app: Transport | None) -> None:
        self.late = local_replies.CONNECT_TIMEOUT
        self._way = way
        self._endpoint = endpoint
        self._app = app

    async def connect(
        self, protocol: Callable[[], P], *, ssl: SSLContext | None = None, server_hostname: str = ""
    ) -> tuple[asyncio.Transport, P]:
        """Return the open connection and its protocol. Raises OSError or ValueError, and leaves nothing open then."""
        settings = self._way.settings
        opening = await self._open()
        try:
            if settings.send_proxy == VERSION_2:
                opening.transport.write(self._header())
            if settings.upstream.is_postgres and settings.tls_negotiation != DIRECT:
                await self._ask_for_tls(opening)
            if ssl is not None:
                opening = await opening.begin_tls(ssl, server_hostname)
                self._check_protocol(opening)
            return opening.give(protocol)
        except BaseException:
            opening.abort()
            raise

    def _header(self) -> bytes:
        from sidecars.ambassador.transport.ways import proxy_protocol  # noqa: PLC0415 - few send it

        if self._app is None:
            return proxy_protocol.LOCAL
        return proxy_protocol.header(self._app.get_extra_info("peername"), self._app.get_extra_info("sockname"))

    async def _ask_for_tls(self, opening: Opening) -> None:
        """Let PostgreSQL begin TLS. Raises ConnectFailed if it does not."""
        from sidecars.ambassador.transport.ways import postgres  # noqa: PLC0415 - few speak it

        self.late = _LATE_POSTGRES
        opening.transport.write(postgres.SSL_REQUEST)
        answer = await opening.read()
        if not answer:
            raise ConnectFailed(local_replies.CONNECTION_CLOSED)
        fault = postgres.fault_of_answer(answer)
        if fault is not None:
            raise ConnectFailed(fault)
        self.late = local_replies.CONNECT_TIMEOUT

    def _check_protocol(self, opening: Opening) -> None:
        """Check that a server with which TLS began at once expects PostgreSQL. Raises ConnectFailed."""
        if self._way.settings.tls_negotiation == DIRECT and opening.selected_protocol() is None:
            raise ConnectFailed(_NO_POSTGRES)

    # -- the first step -------------------------------------------------------------------------------------------

    async def _open(self) -> Opening:
        """Return a connection that leads to the endpoint."""
        endpoint, settings, loop = self._endpoint, self._way.settings, self._way.loop
        if not endpoint.port:
            return await self._open_unix(endpoint.ip)
        places = {endpoint.server_name, endpoint.ip}  # a name that NO_PROXY covers, or an address of it
        if self._way.proxy is not None and all(settings.is_proxied(place, endpoint.port) for place in places):
            return await self._open_through(self._way.proxy)
        _, opening = await loop.create_connection(lambda: Opening(loop), endpoint.ip, endpoint.port)
        return opening

    async def _open_unix(self, path: str) -> Opening:
        loop = self._way.loop
        try:
            _, opening = await loop.create_unix_connection(lambda: Opening(loop), path)
        except OSError as error:
            cause = connect_errors.of_connecting(error, "")
            if cause.own_fault:
                raise ConnectFailed(cause) from None
            reason = _UNIX_REASONS.get(error.errno or 0) or os_reason(error) or "it cannot be used"
            raise ConnectFailed(Cause("connection_refused", 502, f"the unix socket: {reason}")) from None
        return opening

    async def _open_through(self, proxy: Proxy) -> Opening:
        where = f"the proxy {Address(proxy.host, proxy.port)}"
        self.late = Cause("connection_timeout", 504, f"{where} made no connection in time")
        opening = await self._open_proxy(proxy, where)
        try:
            opening = await self._begin_proxy_tls(opening, proxy, where)
            await self._ask_proxy(opening, proxy, where)
        except BaseException:
            opening.abort()
            raise
        self.late = local_replies.CONNECT_TIMEOUT
        return opening

    async def _open_proxy(self, proxy: Proxy, where: str) -> Opening:
        """Return a connection to the first address of the proxy that accepts."""
        loop, addresses = self._way.loop, self._way.proxy_addresses
        assert addresses is not None  # noqa: S101 - there is a proxy
        failed = ConnectFailed(Cause("dns_error", 503, f"{where} has no address"))
        for address in await addresses.current():
            is_open = False
            try:
                _, opening = await loop.create_connection(lambda: Opening(loop), address, proxy.port)
                is_open = True
            except OSError as error:
                failed = ConnectFailed(_of_proxy(connect_errors.of_connecting(error, address), where))
            finally:
                if not is_open:  # also if the time is over: the next connection begins with another address
                    addresses.note_failure(address)
            if is_open:
                return opening
        raise failed

    async def _begin_proxy_tls(self, opening: Opening, proxy: Proxy, where: str) -> Opening:
        reloading = self._way.proxy_tls
        if reloading is None:
            return opening
        try:
            return await opening.begin_tls(reloading.context(), proxy.host)
        except OSError as error:
            raise ConnectFailed(_of_proxy(connect_errors.of_connecting(error, ""), where)) from None
        except ValueError as refusal:
            raise ConnectFailed(Cause("tls_protocol_error", 502, f"{where}: {refusal}")) from None

    async def _ask_proxy(self, opening: Opening, proxy: Proxy, where: str) -> None:
        """Let the proxy connect to the endpoint. The bytes behind its response are the endpoint's."""
        from sidecars.chassis.http.proxy import connect_exchange  # noqa: PLC0415 - few have a proxy

        settings, endpoint = self._way.settings, self._endpoint
        try:
            credentials = proxy.fields(settings.proxy_password)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ConnectFailed(
                Cause("proxy_configuration_error", 502, f"the password for {where} cannot be read: {reason}")
            ) from None
        exchange = connect_exchange.ConnectExchange(str(Address(endpoint.ip, endpoint.port)), [_AGENT, *credentials])
        opening.transport.write(exchange.request)
        try:
            while (behind := exchange.feed(await opening.read())) is None:
                pass
        except connect_exchange.NotConnected as refusal:
            raise ConnectFailed(_of_refusal(refusal, where)) from None
        # Only a server that may speak first, in TCP or HTTP/2, has sent them.
        if behind and (endpoint.tls or (settings.upstream.protocol == "http" and not endpoint.http2)):
            raise ConnectFailed(Cause("http_protocol_error", 502, f"{where} sent more than its response"))
        opening.unread = behind + opening.unread


def _of_proxy(cause: Cause, where: str) -> Cause:
    """Return the cause why no connection to the proxy opened."""
    if cause.own_fault:
        return cause
    return Cause(cause.error_type, cause.status, f"{where}: {cause.text}")


def _of_refusal(refusal: NotConnected, where: str) -> Cause:
    from sidecars.chassis.http.proxy import connect_exchange  # noqa: PLC0415 - loaded already

    text = f"{where} {refusal}"
    if refusal.kind == connect_exchange.REFUSED and 400 <= refusal.status < 500:  # noqa: PLR2004 - the class of a status
        return Cause("destination_ip_prohibited", 502, text)
    causes = {
        connect_exchange.CREDENTIALS: Cause("proxy_configuration_error", 502, text),
        connect_exchange.REFUSED: Cause("destination_unavailable", 502, text),
        connect_exchange.TOO_LARGE: Cause("http_response_header_section_size", 502, text),
        connect_exchange.CLOSED: Cause("connection_terminated", 502, text),
    }
    return causes.get(refusal.kind) or Cause("http_protocol_error", 502, text)
