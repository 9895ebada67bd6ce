"""The sinks `http://` and `https://`: a POST of NDJSON for each batch.

Yes is any 2xx to the whole of it. `Idempotency-Key` is the same whenever the same bytes of the same file generations
are sent again to this sink, also after kill -9, so that a receiver can tell a repeat
(draft-ietf-httpapi-idempotency-key-header). What the other answers mean stands in `answers`.
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
from sidecars.logshipper.sinks.protocols.http_post import HttpPoster, target


def create(_settings: Settings, sink: SinkSettings) -> HttpSink:
    return HttpSink(sink)


class HttpSink:
    max_in_flight = 64

    def __init__(self, sink: SinkSettings) -> None:
        self._poster = HttpPoster(sink)
        self._pack = compressor(sink.compression)
        self._headers = [("Content-Type", "application/x-ndjson"), *content_encoding(sink.compression)]
        self._target = target(sink, "/")

    async def open(self, _receipt: Any) -> None:
        self._poster.open()

    async def deliver(self, batch: Batch) -> Outcome:
        headers = [*self._headers, ("Idempotency-Key", batch.key)]
        raise_for_status(await self._poster.post(self._target, headers, batch.encoded(self._encode)))
        return Outcome()

    def _encode(self, batch: Batch) -> list[bytes]:
        return self._pack(ndjson.encode(batch))

    async def close(self) -> None:
        self._poster.close()
