"""The sinks `loki+http://` and `loki+https://`: Grafana Loki's push API.

Yes is a 2xx: 204, or 200 from what stands in front of it. 260 is none: by that Loki tells that ingestion is blocked.
A 400 means that it will not take some of the entries, and may have stored the rest: what it names is rejected, and
nothing is sent again (see `loki_refusal`); but when it takes no structured metadata, that is mended by people. 429
says no to the whole request. Repeats are recognised by Loki itself, which takes two entries of one stream with the
same time and the same line for one: an event with a time of its own has the same time whenever it is sent (see
`stamps`).

With `COMPRESSION=snappy` requests are protobuf, which is the cheaper form for both sides; else they are JSON.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import BatchRefused, Outcome, RetryLater
from sidecars.logshipper.sinks.encodings.compression import compressor, content_encoding, snappy
from sidecars.logshipper.sinks.encodings.loki_push import encode_json, encode_protobuf
from sidecars.logshipper.sinks.encodings.unique_timestamps import unique_timestamps
from sidecars.logshipper.sinks.protocols.http_outcome import raise_for_status
from sidecars.logshipper.sinks.protocols.http_post import SHORT_RESPONSE, HttpPoster, target
from sidecars.logshipper.sinks.protocols.loki_refusal import ignored_count, refused_entries
from sidecars.logshipper.sinks.protocols.peer_text import error_message

_BAD_REQUEST = 400
_BLOCKED = 260  # block_ingestion_status_code: a status that clients shall not repeat, and nothing is stored
_READ = 16 * 1024  # bytes of an answer that are read: Loki names ten entries at most
_NO_METADATA = "includes structured metadata, but this feature is disallowed"
_PATH = "/loki/api/v1/push"


def create(_settings: Settings, sink: SinkSettings) -> LokiSink:
    return LokiSink(sink)


@dataclass(frozen=True, slots=True)
class _Push:
    now: int  # what events without a time were given, counted up
    blocks: list[bytes]


class LokiSink:
    max_in_flight = 64

    def __init__(self, sink: SinkSettings) -> None:
        self._poster = HttpPoster(sink)
        self._coding = sink.compression
        self._target = target(sink, _PATH)
        if self._coding == "snappy":  # the coding is a part of this content type, and has no header
            self._headers = [("Content-Type", "application/x-protobuf")]
        else:
            self._headers = [("Content-Type", "application/json"), *content_encoding(self._coding)]

    async def open(self, _receipt: Any) -> None:
        self._poster.open()

    async def deliver(self, batch: Batch) -> Outcome:
        push = batch.encoded(self._encode)
        answer = await self._poster.post(self._target, self._headers, push.blocks, SHORT_RESPONSE)
        if answer.status == _BAD_REQUEST and not answer.early:
            text = answer.body[:_READ].decode("utf-8", "replace")
            if _NO_METADATA in text:
                raise RetryLater("it takes no structured metadata: set allow_structured_metadata in its limits_config")
            indices = _refused(batch, push.now, text)
            if indices is None:
                return _unnamed(batch, text)
            reason = f"the receiver answered 400: {_kind(text)}"
            return Outcome(rejected=[(index, reason) for index in indices])
        if answer.status == _BLOCKED:
            raise RetryLater("the receiver answered 260: ingestion is blocked")
        raise_for_status(answer)
        return Outcome()

    def _encode(self, batch: Batch) -> _Push:
        now = time.time_ns()
        if self._coding == "snappy":
            return _Push(now, snappy(encode_protobuf(batch, now)))
        return _Push(now, compressor(self._coding)(encode_json(batch, now)))

    async def close(self) -> None:
        self._poster.close()


def _refused(batch: Batch, now: int, text: str) -> list[int] | None:
    streams = [records for records in batch.records if records.bodies]
    return refused_entries(text, streams[0].bodies, unique_timestamps(streams[0], now)) if len(streams) == 1 else None


def _unnamed(batch: Batch, text: str) -> Outcome:
    """Raise Rejected where not even the number can be told: then the lines are found out by halves."""
    count = ignored_count(text) if sum(bool(records.bodies) for records in batch.records) == 1 else None
    if count is None:
        raise BatchRefused(f"the receiver answered 400: {_kind(text)}")
    reason = f"the receiver answered 400, and does not say about which {count} of {batch.events} lines"
    return Outcome(unnamed_rejections=(min(count, batch.events), f"{reason}: {_kind(text)}"))


def _kind(text: str) -> str:
    """Return what the text says, without what it repeats of the lines' labels."""
    for kind in ("max entry size", "timestamp too old", "too far behind", "out of order"):
        if kind in text.lower():
            return kind
    return error_message(text.encode()) or "entries were ignored"
