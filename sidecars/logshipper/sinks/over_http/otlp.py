"""The sinks `otlp+http://` and `otlp+https://`: OTLP/HTTP logs.

Accepted: a 2xx with an ExportLogsServiceResponse. A `partial_success` that refuses some records is final, too: nothing
is sent again, and the number that the receiver gives is counted as rejected. The receiver does not name the records.

Repeats: at least once. The attribute `log.record.uid` is the same.

The specification calls 500 final. Here it is retried as every other 5xx is: somebody has to repair the receiver, and
until then the lines are safe in the app's files.
"""

from __future__ import annotations

from typing import Any

import orjson

from sidecars.chassis.http.peer_text import error_message, sanitized
from sidecars.chassis.protobuf import parse_fields
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import BatchRefused, Outcome, RetryLater
from sidecars.logshipper.sinks.encodings import otlp_logs
from sidecars.logshipper.sinks.encodings.compression import compressor, content_encoding
from sidecars.logshipper.sinks.over_http.poster import create_poster
from sidecars.logshipper.sinks.protocols.http_outcome import raise_for_status
from sidecars.logshipper.sinks.protocols.http_post import request_target

_PATH = "/v1/logs"
_MAX_RESPONSE = 16 * 1024  # bytes: a count and a message
_REJECTED, _MESSAGE = 1, 2  # fields of ExportLogsPartialSuccess; the message of google.rpc.Status has the same number


def create(settings: Settings, sink: SinkSettings) -> OtlpSink:
    return OtlpSink(settings, sink)


class OtlpSink:
    """An OTLP receiver, such as an OpenTelemetry collector. See `base.Sink`."""

    max_in_flight = 64

    def __init__(self, settings: Settings, sink: SinkSettings) -> None:
        self._poster = create_poster(settings, sink, settings.otel_exporter_otlp_headers)
        self._compress = compressor(sink.compression)
        self._headers = [("Content-Type", "application/x-protobuf"), *content_encoding(sink.compression)]
        self._target = request_target(sink, _PATH)
        self._resource = dict(settings.otel_resource_attributes or {})
        if settings.otel_service_name:
            self._resource["service.name"] = settings.otel_service_name

    async def open(self, _receipt: Any) -> None:
        self._poster.open()

    async def deliver(self, batch: Batch) -> Outcome:
        response = await self._poster.post(
            self._target, self._headers, await batch.encoded(self._encode), _MAX_RESPONSE
        )
        raise_for_status(response, status_message)
        is_json = response.headers.get("content-type", "").partition(";")[0].strip() == "application/json"
        refused, message = (partial_success_in_json if is_json else partial_success)(response.body)
        reason = f"the receiver refused {refused} of {batch.events} records" + (f": {message}" if message else "")
        if refused >= batch.events:
            raise BatchRefused(reason, [reason] * batch.events)
        return Outcome(unnamed_rejections=(refused, reason) if refused else None)

    def _encode(self, batch: Batch) -> list[bytes]:
        return self._compress(otlp_logs.encode(batch, self._resource, batch.at))

    async def close(self) -> None:
        self._poster.close()


def partial_success(body: bytes) -> tuple[int, str]:
    """Return the number of refused records in an ExportLogsServiceResponse, and the message.

    Raises RetryLater if the body is no such message.
    """
    refused, message = 0, b""
    try:
        for field, value in parse_fields(body):
            if field == 1 and isinstance(value, bytes):
                for inner, content in parse_fields(value):
                    if inner == _REJECTED and isinstance(content, int):
                        refused = content
                    elif inner == _MESSAGE and isinstance(content, bytes):
                        message = content
    except ValueError:
        raise RetryLater("the receiver's response is not OTLP") from None
    return refused, sanitized(message.decode("utf-8", "replace"))


def partial_success_in_json(body: bytes) -> tuple[int, str]:
    """Return the same of a response in JSON: some receivers send it even to a request in protobuf.

    Raises RetryLater if the body is no such message.
    """
    try:
        found = orjson.loads(body)
        partial = found.get("partialSuccess") or {}
        refused, message = int(partial.get("rejectedLogRecords", 0)), partial.get("errorMessage", "")
    except (ValueError, TypeError, AttributeError):
        raise RetryLater("the receiver's response is not OTLP") from None
    return max(0, refused), sanitized(message) if isinstance(message, str) else ""


def status_message(body: bytes) -> str:
    """Return the message of a google.rpc.Status, the body of an OTLP failure; for other bodies see `error_message`."""
    try:
        found = parse_fields(body[:_MAX_RESPONSE])
        messages = [value for field, value in found if field == _MESSAGE and isinstance(value, bytes)]
    except ValueError:
        messages = []
    return sanitized(messages[0].decode("utf-8", "replace")) if messages else error_message(body)
