"""One bucket of an object store: its address, and requests that are signed with the keys and the time of the moment.

| address | host | path |
|---|---|---|
| AWS | `<bucket>.s3.<region>.amazonaws.com` | `/<key>` |
| AWS, and the bucket's name has dots | `s3.<region>.amazonaws.com` | `/<bucket>/<key>` |
| SINK_ENDPOINT | as it is | `/<bucket>/<key>` |
| SINK_ENDPOINT and SINK_PATH_STYLE=false | `<bucket>.` before it | `/<key>` |

A wildcard certificate covers one label alone, so a name with dots is in the path. A store refuses requests whose time
is more than 15 minutes off. It says its own time then, which is used from now on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from sidecars.chassis.config.cloud_settings import china, region_of
from sidecars.chassis.config.urls import DEFAULT_PORTS, Url
from sidecars.chassis.http.client import ClientResponse
from sidecars.chassis.http.retry_after import unix_time
from sidecars.chassis.identity import service_clock
from sidecars.chassis.identity.aws_signature import EMPTY_BODY, AwsKeys, Request, Scope, encoded, signed_fields
from sidecars.chassis.runtime import logs
from sidecars.logshipper.config.over_http.http_settings import proxy_for
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.identity import aws_credentials
from sidecars.logshipper.sinks.protocols.credentials import tls_context
from sidecars.logshipper.sinks.protocols.http_client import Headers, ReceiverClient

log = logs.get("s3")

_LONGEST_ANSWER = 64 * 1024  # bytes


def address(settings: SinkSettings, region: str) -> tuple[Url, str]:
    """Return where the bucket is: a URL of scheme, host and port, and what is in the path before a key."""
    bucket = settings.url.host_port
    endpoint = settings.sink_endpoint or Url(urlsplit(f"https://s3.{region}.amazonaws.com{china(region)}"))
    in_path = settings.sink_path_style
    if in_path is None:
        in_path = settings.sink_endpoint is not None or "." in bucket
    if in_path:
        return endpoint, f"/{bucket}/"
    return Url(urlsplit(f"{endpoint.scheme}://{bucket}.{endpoint.host_port}")), "/"


class Store:
    """A bucket. The sink owns it. `clock` gives seconds since 1970."""

    def __init__(self, settings: Settings, sink: SinkSettings, clock: Callable[[], float] = time.time) -> None:
        region = region_of(settings, sink.sink_region)
        self._scope = Scope("s3", region)
        self._url, self._path = address(sink, region)
        self._settings, self._sink = settings, sink
        self._clock = clock
        self._ahead = 0.0  # seconds that the store's clock is ahead of this one
        self._client: ReceiverClient
        self._credentials: aws_credentials.AwsCredentials

    def open(self) -> None:
        """Load the TLS files. Raises IOFailed if they are unusable."""
        url = self._url
        tls = tls_context(self._sink) if url.scheme == "https" else None
        port = url.port or DEFAULT_PORTS[url.scheme]
        proxy = proxy_for(self._settings, self._sink, url.scheme, url.hostname, port)
        self._client = ReceiverClient(url.scheme, url, self._sink.request_timeout, tls, proxy)
        self._credentials = aws_credentials.create(self._settings, self._sink, self._clock)

    async def send(
        self,
        method: str,
        key: str,
        query: str,
        fields: Headers,
        blocks: Sequence[bytes],
        content_hash: str = EMPTY_BODY,
    ) -> tuple[ClientResponse, AwsKeys]:
        """Send a signed request, and return the answer of any status, and the keys that were used.

        `query`: as it is sent. `content_hash`: the body's SHA-256 in hexadecimal. Raises RetryLater without an answer.
        """
        keys = await self._credentials.current()
        target = self._path + encoded(key, "/") + query
        request = Request(method, target, [("Host", self._client.authority), *fields], content_hash)
        added = signed_fields(keys, self._scope, request, self._clock() + self._ahead)
        return await self._client.send(method, target, [*fields, *added], blocks, _LONGEST_ANSWER), keys

    def reject(self, keys: AwsKeys) -> None:
        """Note that the store does not accept these keys any more."""
        self._credentials.reject(keys)

    def take_clock(self, response: ClientResponse) -> bool:
        """Use the time of the answer from now on, for the signatures. Return False if it is no other time."""
        theirs = unix_time(response.headers.get("date", ""), self._clock())
        if theirs is None or abs(theirs - self._clock() - self._ahead) < service_clock.SAME:
            return False
        self._ahead = theirs - self._clock()
        log.warning(
            "the store's clock differs from this one, and is used for signatures",
            code="clock-differs",
            sink=self._sink.name,
            seconds=round(self._ahead),
        )
        return True

    async def close(self) -> None:
        self._client.close()
        await self._credentials.close()
