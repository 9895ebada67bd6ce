"""The sinks `http://` and `https://`: a POST of NDJSON for each batch.

Yes is any 2xx. `Idempotency-Key` is the same whenever the same bytes of the same file generations are sent again to
this sink, also after kill -9, so that a receiver can tell a repeat (draft-ietf-httpapi-idempotency-key-header).

No is final only where the body itself is at fault: 400 and 422, and 413 for a single line. Everything else is tried
again for ever, 401, 403 and 404 among it: those are mended by whoever runs this, with a rotated token or a route,
and the lines are safe in the app's files until then.
"""

from __future__ import annotations

import asyncio
import os
import time
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

import chassis
from chassis import logs
from chassis.kinds import Secret
from sidecars.logshipper import ndjson
from sidecars.logshipper.batch import Batch
from sidecars.logshipper.settings import Settings, Sink
from sidecars.logshipper.sinks.base import Outcome, Rejected, TooLarge, TryLater

log = logs.get("http")

_REJECTED = frozenset({400, 422})
_TOO_LARGE = 413
_LONGEST_PAUSE = 3600.0  # seconds; more than any Retry-After that is meant


def create(_settings: Settings, sink: Sink) -> HttpSink:
    return HttpSink(sink.sink.geturl(), sink.sink_token, sink.request_timeout)


class HttpSink:
    at_once = 64

    def __init__(self, url: str, token: Secret | None, timeout: float) -> None:
        self._url = url
        self._token = token
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def open(self, _receipt: Any) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.at_once),
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"logshipper/{chassis.__version__}"},
            skip_auto_headers=["Accept", "Accept-Encoding"],
        )

    async def deliver(self, batch: Batch) -> Outcome:
        if self._session is None:
            raise AssertionError("deliver before open")
        headers = {"Idempotency-Key": batch.key, **self._authorization()}
        body = _Body(batch.encoded(ndjson.encode))
        try:
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                status, after = response.status, response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise TryLater(_reason(error, self._timeout)) from None
        self._judge(status, after)
        if not body.sent:
            raise TryLater(f"the receiver answered {status} before it had the whole batch")
        return Outcome()

    def _authorization(self) -> dict[str, str]:
        if self._token is None:
            return {}
        try:
            token = self._token.reveal()
        except (OSError, UnicodeDecodeError):
            raise TryLater("the file of the bearer token cannot be read") from None
        if not (token.isascii() and token.isprintable()):
            raise TryLater("the bearer token has line breaks or other characters that no header can carry")
        return {"Authorization": f"Bearer {token}"}

    @staticmethod
    def _judge(status: int, after: str) -> None:
        if 200 <= status < 300:  # noqa: PLR2004 - the class of success
            return
        if status == _TOO_LARGE:
            raise TooLarge
        if status in _REJECTED:
            raise Rejected(f"the receiver answered {status}")
        raise TryLater(f"the receiver answered {status}", retry_after(after, time.time()))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class _Body(Payload):
    """The encoded blocks, written one by one: aiohttp would join them first, or warn of a large body."""

    def __init__(self, blocks: list[bytes]) -> None:
        super().__init__(blocks, content_type="application/x-ndjson")
        self._blocks = blocks
        self._size = sum(map(len, blocks))
        self.sent = False  # all of it has left; a yes before that is none

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return b"".join(self._blocks).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        for block in self._blocks:
            await writer.write(block)
        self.sent = True

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        if content_length not in (None, self._size):
            raise AssertionError(f"{self._size} bytes announced as {content_length}")
        await self.write(writer)


def retry_after(value: str, now: float) -> float | None:
    """The seconds that a Retry-After header asks for (RFC 9110, 10.2.3); None when it is neither number nor date."""
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), _LONGEST_PAUSE)
    try:
        seconds = parsedate_to_datetime(value).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, seconds), _LONGEST_PAUSE)


def _reason(error: BaseException, timeout: float) -> str:
    if isinstance(error, asyncio.TimeoutError):
        return f"no answer within {timeout:g} s"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the host name {error.host} cannot be looked up"
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno:
        return f"cannot connect to {error.host}:{error.port}: {os.strerror(error.os_error.errno)}"
    return str(error) or type(error).__name__
