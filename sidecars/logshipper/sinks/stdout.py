"""The sink `stdout:`: the lines as they are, for whatever collects the container's output.

Yes means that the pipe took them. The write is a blocking one, on a thread: setting stdout to non-blocking would do so
for everybody who shares it, stderr on the same terminal for one. A reader that stalls holds up this sink alone.
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

_STDOUT = 1


def create(_settings: Settings, sink: SinkSettings) -> StdoutSink:
    return StdoutSink(variable(Settings, "url", sink.name))


class StdoutSink:
    max_in_flight = 1  # it goes on where a failed write ended

    def __init__(self, variable_name: str, descriptor: int = _STDOUT) -> None:
        self._variable = variable_name
        self._descriptor = descriptor
        self._taken = ("", 0)  # how much of a batch a failed attempt has written: it goes on from there
        self._thread = BlockingThread("stdout")

    async def open(self, _receipt: Any) -> None:
        """Nothing to make ready."""

    async def deliver(self, batch: Batch) -> Outcome:
        try:
            await self._thread.call(self._write, batch.key, b"".join(batch.raw()))
        except BrokenPipeError:
            raise Unavailable(f"{self._variable}=stdout: nobody reads our standard output any more") from None
        except OSError as error:
            raise RetryLater(f"standard output cannot be written: {error.strerror}") from None
        return Outcome()

    def _write(self, key: str, data: bytes) -> None:
        taken = self._taken[1] if self._taken[0] == key else 0
        while taken < len(data):
            try:
                taken += os.write(self._descriptor, memoryview(data)[taken:])
            except BlockingIOError:  # somebody who shares the pipe made it so
                self._wait_for_room()
            self._taken = (key, taken)
        self._taken = ("", 0)

    def _wait_for_room(self) -> None:
        room = select.poll()  # select(2) takes no descriptor of 1024 or above
        room.register(self._descriptor, select.POLLOUT)
        room.poll()

    async def close(self) -> None:
        """Standard output is not ours to close."""
