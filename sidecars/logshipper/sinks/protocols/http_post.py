"""Requests to a receiver, with the credentials of the moment: the shared part of all HTTP sinks."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sidecars.chassis.config.setting_types import Secret
from sidecars.chassis.http.client import ClientResponse
from sidecars.logshipper.config.limits import SHORT_RESPONSE
from sidecars.logshipper.config.over_http.http_settings import proxy_of
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.protocols.credentials import BEARER, Credentials, tls_context
from sidecars.logshipper.sinks.protocols.http_client import Headers, ReceiverClient

if TYPE_CHECKING:
    from sidecars.logshipper.sinks.protocols.signing import Signer


class HttpPoster:
    """Sends the requests of one sink, which owns it.

    `standard`: header fields from the environment of OpenTelemetry. The sink's own fields win. `token_scheme`: the
    scheme of the Authorization field with SINK_TOKEN. `process`: the settings that all sinks share; without them there
    is no proxy. `signer` identifies us in each request, in addition to the fields of the settings.
    """

    def __init__(
        self,
        settings: SinkSettings,
        standard: Secret | None = None,
        token_scheme: str = BEARER,
        *,
        process: Settings | None = None,
        signer: Signer | None = None,
    ) -> None:
        self._settings = settings
        self._proxy = proxy_of(process, settings) if process else None
        self._credentials = Credentials(settings, standard, token_scheme)
        self._signer = signer
        self._owns_signer = True
        self._client: ReceiverClient | None = None

    def open(self) -> None:
        """Load the TLS files, if the scheme has TLS. Raises IOFailed if they are unusable."""
        scheme = self._settings.url.scheme.rpartition("+")[2]
        tls = tls_context(self._settings) if scheme == "https" else None
        self._client = ReceiverClient(scheme, self._settings.url, self._settings.request_timeout, tls, self._proxy)

    async def post(
        self, target: str, headers: Headers, blocks: Sequence[bytes], max_body: int | None = None
    ) -> ClientResponse:
        """Send a POST as `send` does, and return its response."""
        return await self.send("POST", target, headers, blocks, max_body)

    async def send(
        self, method: str, target: str, headers: Headers, blocks: Sequence[bytes], max_body: int | None = None
    ) -> ClientResponse:
        """Send a request, and return the response of any status, with its header fields.

        `max_body`: bytes of the response's body. Unset, as many as the request has and a little more, since some
        receivers send the request back; only SHORT_RESPONSE of them are kept then. Raises ResponseTooLong for a 2xx
        with more, and RetryLater without a response.
        """
        if self._client is None:
            raise AssertionError("a request before open")
        limit = SHORT_RESPONSE + sum(map(len, blocks)) if max_body is None else max_body
        kept = SHORT_RESPONSE if max_body is None else None
        fields = [*headers, *self._credentials.headers()]
        if self._signer is None:
            return await self._client.send(method, target, fields, blocks, limit, kept)
        sent_at = time.monotonic()
        fields += await self._signer.fields(method, self._client.authority, target, fields, blocks)
        response = await self._client.send(method, target, fields, blocks, limit, kept)
        self._signer.responded(response, sent_at)
        return response

    def pinned(self) -> HttpPoster:
        """Return a poster with the same credentials that has one connection in its life. The caller closes it."""
        if self._client is None:
            raise AssertionError("a connection before open")
        one = copy.copy(self)
        one._owns_signer = False  # noqa: SLF001 - it is of this class
        one._client = self._client.pinned()  # noqa: SLF001 - it is of this class
        return one

    @property
    def is_connected(self) -> bool:
        """True if an idle connection is open."""
        return self._client is not None and self._client.is_connected

    def close(self) -> None:
        if self._signer is not None and self._owns_signer:
            self._signer.close()
        if self._client is not None:
            self._client.close()


def request_target(settings: SinkSettings, default: str) -> str:
    """Return path and query of the sink's URL, with the `default` path if the URL has none."""
    path, question_mark, query = settings.url.target.reveal().partition("?")
    return f"{default if path in ('', '/') else path}{question_mark}{query}"
