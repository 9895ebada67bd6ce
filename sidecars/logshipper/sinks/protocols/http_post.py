"""What the sinks that POST have in common: a client, and the credentials of each request."""

from __future__ import annotations

from collections.abc import Sequence

from sidecars.chassis.config.setting_types import Secret
from sidecars.chassis.http.client import ClientResponse
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.sinks.protocols.credentials import Credentials, tls_context
from sidecars.logshipper.sinks.protocols.http_client import Client, Headers

SHORT_RESPONSE = 64 * 1024
"""Bytes of an answer that says yes or no, and why."""


class HttpPoster:
    """`standard`: headers of the environment, which the sink's own go before."""

    def __init__(self, sink: SinkSettings, standard: Secret | None = None) -> None:
        self._sink = sink
        self._credentials = Credentials(sink, standard)
        self._client: Client | None = None

    def open(self) -> None:
        """Raises IOFailed when the TLS files cannot be used."""
        scheme = self._sink.url.scheme.rpartition("+")[2]
        tls = tls_context(self._sink) if scheme == "https" else None
        self._client = Client(scheme, self._sink.url, self._sink.request_timeout, tls)

    async def post(
        self, target: str, headers: Headers, blocks: Sequence[bytes], longest: int | None = None
    ) -> ClientResponse:
        """Return the answer, whatever its status.

        `longest`: the bytes of body that it may have; unless set, as many as the request has, since some receivers send
        back what they got. Raises LongAnswer for a yes with more, and TryLater where there is no answer.
        """
        if self._client is None:
            raise AssertionError("post before open")
        limit = SHORT_RESPONSE + sum(map(len, blocks)) if longest is None else longest
        return await self._client.post(target, [*headers, *self._credentials.headers()], blocks, limit)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


def target(sink: SinkSettings, default: str) -> str:
    """What to ask for: the URL's own path and query, or the default where it has no path."""
    query = f"?{sink.url.query}" if sink.url.query else ""
    return f"{default if sink.url.path in ('', '/') else sink.url.path}{query}"
