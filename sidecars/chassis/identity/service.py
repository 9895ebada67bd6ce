"""One request to a service that gives credentials. Every failure without a response becomes `NoCredentials`.

Each request has a connection of its own: there is about one in an hour. No redirect is followed, so a secret goes to
the address of the setting alone. A response is bounded, in bytes and in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
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
from sidecars.chassis.identity.answers import LONGEST_ANSWER, NoCredentials

if TYPE_CHECKING:
    from sidecars.chassis.http.proxy.proxies import Proxy

Headers = Sequence[tuple[str, str]]
ProxyFor = Callable[[str, str, int], "Proxy | None"]
"""Returns the proxy for a scheme, host and port."""

TOKEN_TIMEOUT = 10.0
"""Seconds of a request to a token endpoint."""

FORM = ("Content-Type", "application/x-www-form-urlencoded")
JSON = ("Accept", "application/json")
_AGENT = f"sidecars/{chassis.__version__}"
_PROXY_REFUSES = 407


def directly(_scheme: str, _host: str, _port: int) -> Proxy | None:
    """Return no proxy, for any place."""
    return None


class Service:
    """The address of one service. `timeout`: seconds of a request, from the connection to the last byte."""

    def __init__(
        self, url: Url, timeout: float, tls: ReloadingContext | None = None, proxy: Proxy | None = None
    ) -> None:
        self.url, self._timeout, self._proxy = url, timeout, proxy
        self._tls = tls if url.scheme == "https" else None

    async def ask(self, method: str, target: str, headers: Headers, body: bytes | None = None) -> ClientResponse:
        """Send a request, and return the response of any status. Raises NoCredentials without a response."""
        url, proxy = self.url, self._proxy
        port = url.port or DEFAULT_PORTS[url.scheme]
        connector = None
        fields = [("Host", url.host_port), ("User-Agent", _AGENT), *headers]
        if body is not None or method not in ("GET", "DELETE"):
            fields.append(("Content-Length", str(len(body or b""))))
        if proxy is not None:
            from sidecars.chassis.http.proxy.tunnel import ProxyConnector  # noqa: PLC0415 - few have a proxy

            connector = ProxyConnector(proxy, url.hostname, port, _AGENT)
            if self._tls is None:  # the proxy reads and repeats the request
                target = f"http://{url.host_port}{target}"
                fields += proxy.fields()
        context = self._tls.context if self._tls else lambda: None
        asking = client.HttpClient(url.hostname, port, context, keep_alive=0, connector=connector)
        request = h11.Request(method=method, target=target, headers=fields)
        progress = ResponseProgress()
        try:
            async with asyncio.timeout(self._timeout):
                return await asking.request(request, [body] if body else (), max_body=LONGEST_ANSWER, progress=progress)
        except TimeoutError:
            raise NoCredentials(f"no response within {self._timeout:g} s") from None
        except BodyTooLarge:
            raise NoCredentials(f"the response is longer than {LONGEST_ANSWER} bytes") from None
        except RequestFailed as error:
            if progress.status == _PROXY_REFUSES:
                return ClientResponse(progress.status, {}, b"", early=False)
            raise NoCredentials(_reason(error, progress)) from None
        except OSError as error:
            raise NoCredentials(connect_error(error, url.hostname, port)) from None
        finally:
            asking.close()


def _reason(error: RequestFailed, progress: ResponseProgress) -> str:
    if isinstance(error, ConnectorFailed):
        return str(error)
    if isinstance(error, ConnectionClosed):
        place = "in the middle of its" if progress.status else "without a"
        return f"the service closed the connection {place} response"
    return f"the response cannot be used: {error}"
