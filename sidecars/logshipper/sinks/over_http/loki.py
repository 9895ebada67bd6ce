"""The sinks `loki+http://` and `loki+https://`: Grafana Loki's push API.

| status | meaning | outcome |
|---|---|---|
| 2xx, except 260 | 204, or 200 from a proxy in front of Loki | accepted |
| 260 | ingestion is blocked, and nothing is stored | `RetryLater` |
| 400 | structured metadata is disallowed: people have to change the configuration | `RetryLater` |
| 400 | Loki refused some entries, and may have stored the others | the named ones are rejected, see `loki_refusal` |
| 429 | nothing is stored | `RetryLater` |

Repeats: Loki treats two entries of one stream with the same time and the same line as one. An event with its own time
has the same time whenever it is sent (see `unique_timestamps`). Without one, a batch that is sent again whole has the
same times, and a part of it has others: those lines are there twice. So a line is there exactly once, except after
some 400s without a time.

With `COMPRESSION=snappy` requests are protobuf, which is the cheaper form for both sides. Otherwise they are JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sidecars.chassis.http.peer_text import error_message
from sidecars.logshipper.config.limits import SHORT_RESPONSE
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import BatchRefused, Outcome, RetryLater
from sidecars.logshipper.sinks.encodings.compression import compressor, content_encoding, snappy
from sidecars.logshipper.sinks.encodings.loki_push import encode_json, encode_protobuf, whole_files
from sidecars.logshipper.sinks.encodings.unique_timestamps import unique_timestamps
from sidecars.logshipper.sinks.over_http.poster import create_poster
from sidecars.logshipper.sinks.protocols.http_outcome import raise_for_status
from sidecars.logshipper.sinks.protocols.http_post import request_target
from sidecars.logshipper.sinks.protocols.loki_refusal import ignored_count, refused_entries

if TYPE_CHECKING:
    from sidecars.logshipper.sinks.encodings.loki_streams import StreamLabels

_BLOCKED = 260  # block_ingestion_status_code: clients shall not repeat the request, and nothing is stored
_READ = 16 * 1024  # bytes of a response that are read: Loki names ten entries at most
_NO_METADATA = "includes structured metadata, but this feature is disallowed"
_PATH = "/loki/api/v1/push"


def create(settings: Settings, sink: SinkSettings) -> LokiSink:
    return LokiSink(settings, sink)


@dataclass(frozen=True, slots=True)
class _Push:
    """The request for one batch. Events without a time have `now` (nanoseconds since 1970), counted up."""

    now: int
    blocks: list[bytes]
    streams: int  # with events


class LokiSink:
    """A Loki, or a proxy in front of one. See `base.Sink`."""

    max_in_flight = 64

    def __init__(self, process: Settings, settings: SinkSettings) -> None:
        self._poster = create_poster(process, settings)
        self._compression = settings.compression
        self.targets: StreamLabels | None = None
        if settings.sink_labels is not None:
            from sidecars.logshipper.sinks.encodings.loki_streams import StreamLabels  # noqa: PLC0415 - few sinks have it

            self.targets = StreamLabels(settings.sink_labels)
        self._target = request_target(settings, _PATH)
        if self._compression == "snappy":  # it is a part of this content type, and has no Content-Encoding
            self._headers = [("Content-Type", "application/x-protobuf")]
        else:
            self._headers = [("Content-Type", "application/json"), *content_encoding(self._compression)]

    async def open(self, receipt: Any) -> Any:
        self._poster.open()
        return self.targets.restore(receipt) if self.targets else None

    async def deliver(self, batch: Batch) -> Outcome:
        if self.targets is None:
            return await self._deliver(batch, await batch.encoded(self._encode))
        async with self.targets.in_order:
            push = await batch.encoded(self._encode)
        return replace(await self._deliver(batch, push), receipt=self.targets.receipt)

    async def _deliver(self, batch: Batch, push: _Push) -> Outcome:
        response = await self._poster.post(self._target, self._headers, push.blocks, SHORT_RESPONSE)
        if response.status == 400 and not response.early:
            return _bad_request(batch, push, response.body[:_READ].decode("utf-8", "replace"))
        if response.status == _BLOCKED:
            raise RetryLater("the receiver responded with 260: ingestion is blocked")
        raise_for_status(response)
        return Outcome()

    def _encode(self, batch: Batch) -> _Push:
        now, streams = batch.at, self.targets.streams(batch) if self.targets else whole_files(batch)
        if self._compression == "snappy":
            return _Push(now, snappy(encode_protobuf(batch, now, streams)), len(streams))
        return _Push(now, compressor(self._compression)(encode_json(batch, now, streams)), len(streams))

    async def close(self) -> None:
        self._poster.close()


def _bad_request(batch: Batch, push: _Push, text: str) -> Outcome:
    """Return the outcome of a 400 with this text. Raises RetryLater or BatchRefused."""
    if _NO_METADATA in text:
        raise RetryLater("it takes no structured metadata: set allow_structured_metadata in its limits_config")
    indices = _refused(batch, push, text)
    if indices is None:
        return _unnamed(batch, push, text)
    reason = f"the receiver responded with 400: {_kind(text)}"
    return Outcome(rejected=[(index, reason) for index in indices])


def _refused(batch: Batch, push: _Push, text: str) -> list[int] | None:
    """Return the indices of the refused events; None if the text does not name all of them."""
    if push.streams != 1:
        return None
    records = next(records for records in batch.records if records.bodies)
    return refused_entries(text, records.bodies, unique_timestamps(records, push.now))


def _unnamed(batch: Batch, push: _Push, text: str) -> Outcome:
    """Return the number of refused events. Raises BatchRefused if it is unknown: halves of the batch are sent then."""
    count = ignored_count(text) if push.streams == 1 else None
    if count is None:
        raise BatchRefused(f"the receiver responded with 400: {_kind(text)}")
    reason = f"the receiver responded with 400, and does not name the {count} of {batch.events} lines"
    return Outcome(unnamed_rejections=(min(count, batch.events), f"{reason}: {_kind(text)}"))


def _kind(text: str) -> str:
    """Return the reason in the text, without the labels of the lines, which Loki repeats there."""
    for kind in ("max entry size", "timestamp too old", "too far behind", "out of order"):
        if kind in text.lower():
            return kind
    return error_message(text.encode()) or "entries were ignored"
