"""The HTTP client of one receiver. Every failure without a complete response becomes `RetryLater`, with a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import h11

from sidecars import chassis
from sidecars.chassis.config.urls import DEFAULT_PORTS, Url
from sidecars.chassis.http import client
from sidecars.chassis.http.client import BodyTooLarge, ClientResponse, ConnectionClosed, RequestFailed, ResponseProgress
from sidecars.chassis.http.tls import ReloadingContext
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.protocols.connecting import connect_error

Headers = Sequence[tuple[str, str]]

_AGENT = f"logshipper/{chassis.__version__}"
_KEEP_ALIVE = 50.0  # seconds; load balancers close an idle connection after a minute
_SUCCESS = range(200, 300)


class ResponseTooLong(RetryLater):
    """The receiver accepted the request, but its response is too long to be read."""


class ReceiverClient:
    """The connections to one receiver. Simultaneous requests have a connection each. Owned by an `HttpPoster`.

    `timeout`: seconds of a request, from the connection to the last byte of the response.
    """

    def __init__(self, scheme: str, url: Url, timeout: float, tls: ReloadingContext | None) -> None:
        self._host = url.hostname
        self._port = url.port or DEFAULT_PORTS[scheme]
        self._authority = url.host_port
        self._timeout = timeout
        self._client = client.HttpClient(
            self._host, self._port, tls.context if tls else lambda: None, keep_alive=_KEEP_ALIVE
        )

    async def post(
        self, target: str, headers: Headers, blocks: Sequence[bytes], max_body: int, keep: int | None = None
    ) -> ClientResponse:
        """Send a request, and return the response whatever its status.

        `max_body`: bytes of the response's body, of which the first `keep` are kept. A longer body is dropped and its
        connection closed: the status says enough, unless it is a 2xx. Raises ResponseTooLong for that, and RetryLater
        if there is no response.
        """
        length = str(sum(map(len, blocks)))
        fields = [("Host", self._authority), ("User-Agent", _AGENT), *headers, ("Content-Length", length)]
        request = h11.Request(method="POST", target=target, headers=fields)
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
            raise RetryLater(_no_response_reason(error, progress)) from None
        except OSError as error:
            raise RetryLater(connect_error(error, self._host, self._port)) from None

    def close(self) -> None:
        self._client.close()


def _no_response_reason(error: RequestFailed, progress: ResponseProgress) -> str:
    if isinstance(error, ConnectionClosed):
        place = "in the middle of its" if progress.status else "without a"
        return f"the receiver closed the connection {place} response"
    return f"the response cannot be used: {error}"
