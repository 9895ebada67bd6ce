"""The client of the sinks that POST: one receiver, and why there is no answer, in our words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import SplitResult

import h11

from sidecars import chassis
from sidecars.chassis.config.setting_types import DEFAULT_PORTS
from sidecars.chassis.http import client
from sidecars.chassis.http.client import BodyTooLarge, ClientResponse, ConnectionClosed, NoResponse, ResponseProgress
from sidecars.chassis.http.tls import ReloadingContext
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.protocols.connecting import connect_error

Headers = Sequence[tuple[str, str]]

_AGENT = f"logshipper/{chassis.__version__}"
_KEEP_ALIVE = 50.0  # seconds; load balancers close an idle connection after a minute
_SUCCESS = range(200, 300)


class ResponseTooLong(RetryLater):
    """The receiver says yes to something, but more than it was asked."""


class Client:
    """One receiver. Requests may be made at the same time, each on a connection of its own."""

    def __init__(self, scheme: str, url: SplitResult, timeout: float, tls: ReloadingContext | None) -> None:
        self._host = url.hostname or ""
        self._port = url.port or DEFAULT_PORTS[scheme]
        self._authority = url.netloc
        self._timeout = timeout
        self._client = client.HttpClient(
            self._host, self._port, tls.context if tls else lambda: None, keep_alive=_KEEP_ALIVE
        )

    async def post(self, target: str, headers: Headers, blocks: Sequence[bytes], longest: int) -> ClientResponse:
        """Return the answer, whatever its status. `longest`: the bytes that its body may have.

        A longer body is left out, and its connection closed, where the status alone says enough. Raises LongAnswer
        where it does not, and TryLater where there is no answer.
        """
        length = str(sum(map(len, blocks)))
        fields = [("Host", self._authority), ("User-Agent", _AGENT), *headers, ("Content-Length", length)]
        request = h11.Request(method="POST", target=target, headers=fields)
        progress = ResponseProgress()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._client.request(request, blocks, max_body=longest, progress=progress)
        except TimeoutError:
            raise RetryLater(f"no answer within {self._timeout:g} s") from None
        except BodyTooLarge:
            if progress.status in _SUCCESS:
                raise ResponseTooLong(f"the answer is longer than {longest} bytes") from None
            return ClientResponse(progress.status, {}, b"", early=False)
        except NoResponse as error:
            raise RetryLater(_what_came(error, progress)) from None
        except OSError as error:
            raise RetryLater(connect_error(error, self._host, self._port)) from None

    def close(self) -> None:
        self._client.close()


def _what_came(error: NoResponse, progress: ResponseProgress) -> str:
    if isinstance(error, ConnectionClosed):
        place = "in the middle of its" if progress.status else "without an"
        return f"the receiver closed the connection {place} answer"
    return f"the answer cannot be used: {error}"
