"""The sink `stdout:`: the lines as they are, for the program that collects the container's output.

With `SINK_SCHEMA` it writes records instead.

Accepted: the pipe took the lines. The write blocks, on a thread: a non-blocking stdout would be non-blocking for every
program that shares it, for instance for stderr on the same terminal. A reader that stalls delays this sink alone.

Repeats: at least once. After kill -9 the lines of the batch in flight are there twice, and have no mark. Records have
their `id`.
"""

from __future__ import annotations

import os
import select
from typing import Any

from sidecars.chassis.config.settings import variable
from sidecars.chassis.runtime.blocking_thread import BlockingThread
from sidecars.chassis.runtime.lifecycle import Unavailable
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import Outcome, RetryLater
from sidecars.logshipper.sinks.encodings import ndjson

_STDOUT = 1


def create(_settings: Settings, sink: SinkSettings) -> StdoutSink:
    schema = sink.sink_schema
    return StdoutSink(variable(Settings, "url", sink.name), encode=None if schema == "none" else ndjson.encoder(schema))


class StdoutSink:
    """Standard output of this process. See `base.Sink`."""

    max_in_flight = 1  # a failed write goes on where it ended

    def __init__(self, variable_name: str, descriptor: int = _STDOUT, encode: ndjson.Encode | None = None) -> None:
        self._variable = variable_name
        self._encode = encode  # None: the lines as they are
        self._descriptor = descriptor
        self._written = ("", 0)  # key of the batch whose last attempt failed, and the bytes of it that are written
        self._thread = BlockingThread("stdout")

    async def open(self, _receipt: Any) -> None:
        """Do nothing: standard output is open."""

    async def deliver(self, batch: Batch) -> Outcome:
        try:
            lines = batch.raw() if self._encode is None else await batch.encoded(self._encode)
            await self._thread.call(self._write, batch.key, b"".join(lines))
        except BrokenPipeError:
            raise Unavailable(
                f"{self._variable}=stdout: nobody reads our standard output any more", code="stdout-closed"
            ) from None
        except OSError as error:
            raise RetryLater(f"standard output cannot be written: {error.strerror}") from None
        return Outcome()

    def _write(self, key: str, data: bytes) -> None:
        written = self._written[1] if self._written[0] == key else 0
        while written < len(data):
            try:
                written += os.write(self._descriptor, memoryview(data)[written:])
            except BlockingIOError:  # another program that shares the pipe made it non-blocking
                self._wait_for_room()
            self._written = (key, written)
        self._written = ("", 0)

    def _wait_for_room(self) -> None:
        room = select.poll()  # select(2) takes no descriptor of 1024 or above
        room.register(self._descriptor, select.POLLOUT)
        room.poll()

    async def close(self) -> None:
        """Do nothing: standard output is not ours to close."""
