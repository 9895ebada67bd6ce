"""The sinks `gelf+tcp://` and `gelf+tls://`: GELF messages for Graylog, each with a NUL behind it, uncompressed.

Accepted: the receiver's kernel has acknowledged every byte of the batch, see `kernel_acknowledged`. GELF over TCP has
no acknowledgement of its own: if the receiver is killed, the bytes that it had not read are lost. `gelf_http` has one.

Rejected: never.

Repeats: if the connection breaks in the middle of a batch, the whole batch is sent again, with the same `_event_id`.
"""

from __future__ import annotations

import socket
from typing import Any

from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import Outcome
from sidecars.logshipper.sinks.encodings.messages import gelf_messages
from sidecars.logshipper.sinks.over_tcp.kernel_acknowledged import KernelAcknowledgedStream
from sidecars.logshipper.sinks.protocols.credentials import tls_context

_PORT = 12201


def create(settings: Settings, sink: SinkSettings) -> GelfSink:
    return GelfSink(settings, sink)


class GelfSink:
    """A Graylog, or another receiver of GELF over TCP. See `base.Sink`."""

    max_in_flight = 1  # one stream

    def __init__(self, settings: Settings, sink: SinkSettings) -> None:
        self._settings = sink
        self._host = settings.pod_name or socket.gethostname()
        self._stream = KernelAcknowledgedStream("gelf", sink.url.hostname, sink.url.port or _PORT, sink.request_timeout)

    async def open(self, _receipt: Any) -> None:
        if self._settings.url.scheme == "gelf+tls":
            self._stream.use_tls(tls_context(self._settings))

    async def deliver(self, batch: Batch) -> Outcome:
        await self._stream.send(await batch.encoded(self._encode))
        return Outcome()

    def _encode(self, batch: Batch) -> list[bytes]:
        return [b"\0".join((*gelf_messages.encode(batch, self._host), b""))]  # JSON has no NUL in it

    async def close(self) -> None:
        await self._stream.close()
