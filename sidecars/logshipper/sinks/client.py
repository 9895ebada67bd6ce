"""The client of the sinks that POST: one receiver, and why there is no answer, in our words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import SplitResult

import h11

import chassis
from chassis import client
from chassis.client import Answer, Closed, NoAnswer, Progress, TooLarge
from chassis.tls import Reloading
from sidecars.logshipper.sinks.base import TryLater
from sidecars.logshipper.sinks.dial import not_connected

Headers = Sequence[tuple[str, str]]

_AGENT = f"logshipper/{chassis.__version__}"
_ANSWER = 32 * 1024 * 1024  # bytes of an answer's body, at most: a bulk answer has a line for every event
_KEEP = 50.0  # seconds; load balancers close an idle connection after a minute
_PORTS = {"http": 80, "https": 443}


class Client:
    """One receiver. Requests may be made at the same time, each on a connection of its own."""

    def __init__(self, scheme: str, url: SplitResult, timeout: float, tls: Reloading | None) -> None:
        self._host = url.hostname or ""
        self._port = url.port or _PORTS[scheme]
        self._authority = url.netloc
        self._timeout = timeout
        self._client = client.Client(self._host, self._port, tls.context if tls else lambda: None, keep=_KEEP)

    async def post(self, target: str, headers: Headers, blocks: Sequence[bytes]) -> Answer:
        """The answer, whatever its status. Raises TryLater where there is none."""
        length = str(sum(map(len, blocks)))
        fields = [("Host", self._authority), ("User-Agent", _AGENT), *headers, ("Content-Length", length)]
        request = h11.Request(method="POST", target=target, headers=fields)
        progress = Progress()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._client.request(request, blocks, max_body=_ANSWER, progress=progress)
        except TimeoutError:
            raise TryLater(f"no answer within {self._timeout:g} s") from None
        except NoAnswer as error:
            raise TryLater(_what_came(error, progress)) from None
        except OSError as error:
            raise TryLater(not_connected(error, self._host, self._port)) from None

    def close(self) -> None:
        self._client.close()


def _what_came(error: NoAnswer, progress: Progress) -> str:
    match error:
        case Closed():
            place = "in the middle of its" if progress.status else "without an"
            return f"the receiver closed the connection {place} answer"
        case TooLarge():
            return f"the answer is longer than {_ANSWER // 2**20} MiB"
    return "the answer is not HTTP/1.1"
