"""The sinks `http://` and `https://`: one request for each batch, as a rule a POST of NDJSON.

Accepted: any 2xx, for the whole batch. Rejected: after a 400 or 422, the events that are found by halves.
`http_outcome` has the other statuses.

| SINK_ENCODING | body |
|---|---|
| ndjson | records as JSON lines |
| json | the same records as one JSON array |
| text | the lines as they were in the file, or as filters and redaction left them |

Repeats: at least once, unless the receiver honours the key. `Idempotency-Key` is the same whenever the same bytes of
the same file generations are sent again to this sink, also after kill -9
(draft-ietf-httpapi-idempotency-key-header). The same key replaces `{batch_key}` in the URL, such as ClickHouse's
insert_deduplication_token.
"""

from __future__ import annotations

from typing import Any

from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.config.url_forms import BATCH_KEY
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import Outcome
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.sinks.encodings.compression import compressor, content_encoding
from sidecars.logshipper.sinks.over_http.poster import create_poster
from sidecars.logshipper.sinks.protocols.http_outcome import raise_for_status
from sidecars.logshipper.sinks.protocols.http_post import request_target


def create(settings: Settings, sink: SinkSettings) -> HttpSink:
    return HttpSink(settings, sink)


_CONTENT_TYPES = {
    "ndjson": "application/x-ndjson",
    "json": "application/json",
    "text": "text/plain; charset=utf-8",
}


class HttpSink:
    """A receiver of NDJSON over HTTP. See `base.Sink`."""

    max_in_flight = 64

    def __init__(self, process: Settings, settings: SinkSettings) -> None:
        self._poster = create_poster(process, settings)
        self._compress = compressor(settings.compression)
        self._method = settings.sink_method
        self._encoding = settings.sink_encoding
        self._records = ndjson.encoder(settings.sink_schema)
        content_type = settings.sink_content_type or _CONTENT_TYPES[settings.sink_encoding]
        self._headers = [("Content-Type", content_type), *content_encoding(settings.compression)]
        self._target = request_target(settings, "/")

    async def open(self, _receipt: Any) -> None:
        self._poster.open()

    async def deliver(self, batch: Batch) -> Outcome:
        headers = [*self._headers, ("Idempotency-Key", batch.key)]
        target = self._target.replace(BATCH_KEY, batch.key) if BATCH_KEY in self._target else self._target
        raise_for_status(await self._poster.send(self._method, target, headers, await batch.encoded(self._encode)))
        return Outcome()

    def _encode(self, batch: Batch) -> list[bytes]:
        if self._encoding == "text":
            return self._compress(list(batch.raw()))
        lines = self._records(batch)
        return self._compress(as_array(lines) if self._encoding == "json" else lines)

    async def close(self) -> None:
        self._poster.close()


def as_array(lines: list[bytes]) -> list[bytes]:
    """Return blocks of JSON lines as one JSON array. A line has no line feed but its last character."""
    blocks = [block.replace(b"\n", b",\n") for block in lines]
    return [b"[", *blocks[:-1], blocks[-1].removesuffix(b",\n"), b"]\n"]
