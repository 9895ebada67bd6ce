"""The sinks `syslog+tcp://` and `syslog+tls://`: RFC 5424 messages with octet counting.

Accepted: the receiver's kernel has acknowledged every byte of the batch, see `kernel_acknowledged`. Syslog has no
acknowledgement of its own: if the receiver is killed, the bytes that it had not read are lost. `relp` has one.

Rejected: never.

Repeats: if the connection breaks in the middle of a batch, the whole batch is sent again. Receivers drop the torn
message at the end of the connection, and get the others twice, with the same `id` in the structured data.
"""

from __future__ import annotations

from typing import Any

from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import Outcome
from sidecars.logshipper.sinks.encodings.messages.syslog_frames import encode_frames
from sidecars.logshipper.sinks.over_tcp.kernel_acknowledged import KernelAcknowledgedStream
from sidecars.logshipper.sinks.protocols.credentials import tls_context

_PORTS = {"syslog+tcp": 514, "syslog+tls": 6514}


def create(_settings: Settings, sink: SinkSettings) -> SyslogSink:
    return SyslogSink(sink)


class SyslogSink:
    """A syslog receiver over TCP. See `base.Sink`."""

    max_in_flight = 1  # one stream

    def __init__(self, settings: SinkSettings) -> None:
        self._settings = settings
        port = settings.url.port or _PORTS[settings.url.scheme]
        self._stream = KernelAcknowledgedStream("syslog", settings.url.hostname, port, settings.request_timeout)

    async def open(self, _receipt: Any) -> None:
        if self._settings.url.scheme == "syslog+tls":
            self._stream.use_tls(tls_context(self._settings))

    async def deliver(self, batch: Batch) -> Outcome:
        await self._stream.send(await batch.encoded(lambda batch: encode_frames(batch, batch.at)))
        return Outcome()

    async def close(self) -> None:
        await self._stream.close()
