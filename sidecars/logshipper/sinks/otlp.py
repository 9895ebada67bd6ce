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

from sidecars.logshipper.batch import Batch
from sidecars.logshipper.settings import Settings, Sink
from sidecars.logshipper.sinks import otlp_logs
from sidecars.logshipper.sinks.answers import judge, words
from sidecars.logshipper.sinks.base import Outcome, TryLater
from sidecars.logshipper.sinks.compress import compressor, content_encoding
from sidecars.logshipper.sinks.post import Poster, target
from sidecars.logshipper.sinks.protobuf import fields

_PATH = "/v1/logs"


def create(settings: Settings, sink: Sink) -> OtlpSink:
    return OtlpSink(settings, sink)


class OtlpSink:
    at_once = 64

    def __init__(self, settings: Settings, sink: Sink) -> None:
        self._poster = Poster(sink, settings.otel_exporter_otlp_headers)
        self._pack = compressor(sink.compression)
        self._headers = [("Content-Type", "application/x-protobuf"), *content_encoding(sink.compression)]
        self._target = target(sink, _PATH)
        self._resource = dict(settings.otel_resource_attributes or {})
        if settings.otel_service_name:
            self._resource["service.name"] = settings.otel_service_name

    async def open(self, _receipt: Any) -> None:
        self._poster.open()

    async def deliver(self, batch: Batch) -> Outcome:
        answer = await self._poster.post(self._target, self._headers, batch.encoded(self._encode))
        judge(answer)
        refused, why = partial_success(answer.body)
        reason = f"the receiver refused {refused} of {batch.events} records" + (f": {why}" if why else "")
        return Outcome(unnamed=(min(refused, batch.events), reason) if refused else None)

    def _encode(self, batch: Batch) -> list[bytes]:
        return self._pack(otlp_logs.encode(batch, self._resource, time.time_ns()))

    async def close(self) -> None:
        self._poster.close()


def partial_success(body: bytes) -> tuple[int, str]:
    """How many records an ExportLogsServiceResponse refuses, and why. Raises TryLater when the body is none."""
    refused, reason = 0, ""
    try:
        for field, value in fields(body):
            if field == 1 and isinstance(value, bytes):
                for inner, content in fields(value):
                    if inner == 1 and isinstance(content, int):
                        refused = content
                    elif isinstance(content, bytes):
                        reason = content.decode()
    except ValueError:
        raise TryLater("the receiver's answer is not OTLP") from None
    return refused, words(reason)
