"""The sinks `otlp+http://` and `otlp+https://`: OTLP/HTTP logs.

Yes is a 2xx whose body is an ExportLogsServiceResponse. One with a `partial_success` that refuses some records is still
final: nothing is sent again, and as many are counted as rejected as the receiver says. It does not say which. Repeats
can be recognised by the attribute `log.record.uid`.

The specification calls 500 final, too. Here it is tried again as every other 5xx is: what it means is that somebody has
to look, and until then the lines are safe in the app's files.
"""

from __future__ import annotations

import time
from typing import Any

from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import BatchRefused, Outcome, RetryLater
from sidecars.logshipper.sinks.encodings import otlp_logs
from sidecars.logshipper.sinks.encodings.compression import compressor, content_encoding
from sidecars.logshipper.sinks.encodings.protobuf import parse_fields
from sidecars.logshipper.sinks.protocols.http_outcome import raise_for_status
from sidecars.logshipper.sinks.protocols.http_post import HttpPoster, target
from sidecars.logshipper.sinks.protocols.peer_text import error_message, sanitized

_PATH = "/v1/logs"
_ANSWER = 16 * 1024  # bytes: a count and a message
_REJECTED, _MESSAGE = 1, 2  # fields of ExportLogsPartialSuccess; the message is that of google.rpc.Status, too


def create(settings: Settings, sink: SinkSettings) -> OtlpSink:
    return OtlpSink(settings, sink)


class OtlpSink:
    max_in_flight = 64

    def __init__(self, settings: Settings, sink: SinkSettings) -> None:
        self._poster = HttpPoster(sink, settings.otel_exporter_otlp_headers)
        self._pack = compressor(sink.compression)
        self._headers = [("Content-Type", "application/x-protobuf"), *content_encoding(sink.compression)]
        self._target = target(sink, _PATH)
        self._resource = dict(settings.otel_resource_attributes or {})
        if settings.otel_service_name:
            self._resource["service.name"] = settings.otel_service_name

    async def open(self, _receipt: Any) -> None:
        self._poster.open()

    async def deliver(self, batch: Batch) -> Outcome:
        answer = await self._poster.post(self._target, self._headers, batch.encoded(self._encode), _ANSWER)
        raise_for_status(answer, status_message)
        refused, why = partial_success(answer.body)
        reason = f"the receiver refused {refused} of {batch.events} records" + (f": {why}" if why else "")
        if refused >= batch.events:
            raise BatchRefused(reason, [reason] * batch.events)
        return Outcome(unnamed_rejections=(refused, reason) if refused else None)

    def _encode(self, batch: Batch) -> list[bytes]:
        return self._pack(otlp_logs.encode(batch, self._resource, time.time_ns()))

    async def close(self) -> None:
        self._poster.close()


def partial_success(body: bytes) -> tuple[int, str]:
    """Return how many records an ExportLogsServiceResponse refuses, and why. Raise TryLater when the body is none."""
    refused, reason = 0, b""
    try:
        for field, value in parse_fields(body):
            if field == 1 and isinstance(value, bytes):
                for inner, content in parse_fields(value):
                    if inner == _REJECTED and isinstance(content, int):
                        refused = content
                    elif inner == _MESSAGE and isinstance(content, bytes):
                        reason = content
    except ValueError:
        raise RetryLater("the receiver's answer is not OTLP") from None
    return refused, sanitized(reason.decode("utf-8", "replace"))


def status_message(body: bytes) -> str:
    """Return what a google.rpc.Status says, which is the body of a failure, or what a body of another kind says."""
    try:
        said = [
            value for field, value in parse_fields(body[:_ANSWER]) if field == _MESSAGE and isinstance(value, bytes)
        ]
    except ValueError:
        said = []
    return sanitized(said[0].decode("utf-8", "replace")) if said else error_message(body)
