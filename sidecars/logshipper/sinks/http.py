"""The sinks `http://` and `https://`: one POST of NDJSON for each batch.

Accepted: any 2xx, for the whole batch. `http_outcome` has the other statuses.

Repeats: `Idempotency-Key` is the same whenever the same bytes of the same file generations are sent again to this sink,
also after kill -9 (draft-ietf-httpapi-idempotency-key-header).
"""

from __future__ import annotations

from typing import Any

from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import Outcome
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.sinks.encodings.compression import compressor, content_encoding
from sidecars.logshipper.sinks.protocols.http_outcome import raise_for_status
from sidecars.logshipper.sinks.protocols.http_post import HttpPoster, request_target


def create(_settings: Settings, sink: SinkSettings) -> HttpSink:
    return HttpSink(sink)


class HttpSink:
    """A receiver of NDJSON over HTTP. See `base.Sink`."""

    max_in_flight = 64

    def __init__(self, settings: SinkSettings) -> None:
        self._poster = HttpPoster(settings)
        self._compress = compressor(settings.compression)
        self._headers = [("Content-Type", "application/x-ndjson"), *content_encoding(settings.compression)]
        self._target = request_target(settings, "/")

    async def open(self, _receipt: Any) -> None:
        self._poster.open()

    async def deliver(self, batch: Batch) -> Outcome:
        headers = [*self._headers, ("Idempotency-Key", batch.key)]
        raise_for_status(await self._poster.post(self._target, headers, await batch.encoded(self._encode)))
        return Outcome()

    def _encode(self, batch: Batch) -> list[bytes]:
        return self._compress(ndjson.encode(batch))

    async def close(self) -> None:
        self._poster.close()
