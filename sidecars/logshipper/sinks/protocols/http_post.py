"""One POST to a receiver, with the credentials of the moment: the shared part of all HTTP sinks."""

from __future__ import annotations

from collections.abc import Sequence

from sidecars.chassis.config.setting_types import Secret
from sidecars.chassis.http.client import ClientResponse
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.sinks.protocols.credentials import Credentials, tls_context
from sidecars.logshipper.sinks.protocols.http_client import Headers, ReceiverClient

SHORT_RESPONSE = 64 * 1024
"""Bytes of a response that has a status and a reason."""


class HttpPoster:
    """Sends the requests of one sink, which owns it.

    `standard`: header fields from the environment of OpenTelemetry. The sink's own fields win.
    """

    def __init__(self, settings: SinkSettings, standard: Secret | None = None) -> None:
        self._settings = settings
        self._credentials = Credentials(settings, standard)
        self._client: ReceiverClient | None = None

    def open(self) -> None:
        """Load the TLS files, if the scheme has TLS. Raises IOFailed if they are unusable."""
        scheme = self._settings.url.scheme.rpartition("+")[2]
        tls = tls_context(self._settings) if scheme == "https" else None
        self._client = ReceiverClient(scheme, self._settings.url, self._settings.request_timeout, tls)

    async def post(
        self, target: str, headers: Headers, blocks: Sequence[bytes], max_body: int | None = None
    ) -> ClientResponse:
        """Send a request, and return the response whatever its status.

        `max_body`: bytes of the response's body. Unset, as many as the request has and a little more, since some
        receivers send the request back; only SHORT_RESPONSE of them are kept then. Raises ResponseTooLong for a 2xx
        with more, and RetryLater without a response.
        """
        if self._client is None:
            raise AssertionError("post before open")
        limit = SHORT_RESPONSE + sum(map(len, blocks)) if max_body is None else max_body
        kept = SHORT_RESPONSE if max_body is None else None
        return await self._client.post(target, [*headers, *self._credentials.headers()], blocks, limit, kept)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


def request_target(settings: SinkSettings, default: str) -> str:
    """Return path and query of the sink's URL, with the `default` path if the URL has none."""
    path, question_mark, query = settings.url.target.reveal().partition("?")
    return f"{default if path in ('', '/') else path}{question_mark}{query}"
