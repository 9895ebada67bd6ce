"""The HTTP client of one receiver. Every failure without a complete response becomes `RetryLater`, with a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import h11

from sidecars import chassis
from sidecars.chassis.config.urls import DEFAULT_PORTS, Url
from sidecars.chassis.http import client
from sidecars.chassis.http.client import (
    BodyTooLarge,
    ClientResponse,
    ConnectionClosed,
    ConnectorFailed,
    RequestFailed,
    ResponseProgress,
)
from sidecars.chassis.http.connecting import connect_error
from sidecars.chassis.http.tls import ReloadingContext
from sidecars.logshipper.sinks.base import RetryLater

if TYPE_CHECKING:
    from sidecars.chassis.http.proxy.proxies import Proxy

Headers = Sequence[tuple[str, str]]

_AGENT = f"logshipper/{chassis.__version__}"
_KEEP_ALIVE = 50.0  # seconds; load balancers close an idle connection after a minute
_PROXY_REFUSES = 407
_SUCCESS = range(200, 300)
_WITHOUT_BODY = frozenset({"GET", "DELETE"})  # methods whose requests have no body as a rule (RFC 9110 section 8.6)


class ResponseTooLong(RetryLater):
    """The receiver accepted the request, but its response is too long to be read."""


class NoResponse(RetryLater):
    """The connection was closed before the response began, as happens to one that was idle for long."""


class ReceiverClient:
    """The connections to one receiver. Simultaneous requests have a connection each. Owned by an `HttpPoster`.

    `timeout`: seconds of a request, from the connection to the last byte of the response. `pinned`: it has one
    connection in its life, and raises NoResponse once that is closed.
    """

    def __init__(
        self,
        scheme: str,
        url: Url,
        timeout: float,
        tls: ReloadingContext | None,
        proxy: Proxy | None = None,
        *,
        pinned: bool = False,
    ) -> None:
        self._arguments = (scheme, url, timeout, tls, proxy)
        self._host = url.hostname
        self._port = url.port or DEFAULT_PORTS[scheme]
        self.authority = url.host_port  # the value of Host: a signature covers it
        self._timeout = timeout
        self._is_relayed = proxy is not None and tls is None  # the proxy reads and repeats each request
        self._proxy = proxy
        connector = None
        if proxy is not None:
            from sidecars.chassis.http.proxy.tunnel import ProxyConnector  # noqa: PLC0415 - few sinks have a proxy

            connector = ProxyConnector(proxy, self._host, self._port, _AGENT)
        context = tls.context if tls else lambda: None
        self._client = client.HttpClient(
            self._host, self._port, context, keep_alive=_KEEP_ALIVE, pinned=pinned, connector=connector
        )

    def pinned(self) -> ReceiverClient:
        """Return a client of the same receiver that has one connection in its life."""
        return ReceiverClient(*self._arguments, pinned=True)

    @property
    def is_connected(self) -> bool:
        """True if an idle connection is open."""
        return self._client.has_idle_connection

    async def send(
        self,
        method: str,
        target: str,
        headers: Headers,
        blocks: Sequence[bytes],
        max_body: int,
        keep: int | None = None,
    ) -> ClientResponse:
        """Send a request, and return the response of any status, with its header fields.

        The fields Host, User-Agent and Content-Length are added; a GET or DELETE without a body has no Content-Length.
        `max_body`: bytes of the response's body, of which the first `keep` are kept. A longer body is dropped and its
        connection closed: the status says enough, unless it is a 2xx. Raises ResponseTooLong for that, and RetryLater
        if there is no response.
        """
        fields = [("Host", self.authority), ("User-Agent", _AGENT), *headers]
        if blocks or method not in _WITHOUT_BODY:
            fields.append(("Content-Length", str(sum(map(len, blocks)))))
        if self._proxy is not None and self._is_relayed:
            target = f"http://{self.authority}{target}"
            fields += self._proxy.fields()
        request = h11.Request(method=method, target=target, headers=fields)
        progress = ResponseProgress(keep)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._client.request(request, blocks, max_body=max_body, progress=progress)
        except TimeoutError:
            raise RetryLater(f"no response within {self._timeout:g} s") from None
        except BodyTooLarge:
            if progress.status in _SUCCESS:
                raise ResponseTooLong(f"the response is longer than {max_body} bytes") from None
            return ClientResponse(progress.status, {}, b"", early=False)
        except RequestFailed as error:
            if progress.status == _PROXY_REFUSES:  # tinyproxy closes without having read the request
                return ClientResponse(progress.status, {}, b"", early=False)
            failure = NoResponse if isinstance(error, ConnectionClosed) and not progress.status else RetryLater
            raise failure(_no_response_reason(error, progress)) from None
        except OSError as error:
            raise RetryLater(connect_error(error, self._host, self._port)) from None

    def close(self) -> None:
        self._client.close()


def _no_response_reason(error: RequestFailed, progress: ResponseProgress) -> str:
    if isinstance(error, ConnectorFailed):
        return str(error)
    if isinstance(error, ConnectionClosed):
        place = "in the middle of its" if progress.status else "without a"
        return f"the receiver closed the connection {place} response"
    return f"the response cannot be used: {error}"
