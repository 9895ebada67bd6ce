"""Dead letters: a file of the events that a sink will never take, each with the reason.

One file a sink, `<sink>.ndjson`. A letter is the record as a sink of records gets it, with its id, behind the members
`sink`, `reason` and `rejected` (the time). It is on the disk before the position moves. After a crash in between, the
same letter is there twice, with the same id.

The files are bounded. A file of half the limit becomes `<sink>.1.ndjson`, and replaces the one before it. So at least
the last half of the limit is kept. The ledger has counted all of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson

from sidecars.chassis.runtime.blocking_thread import BlockingThread
from sidecars.chassis.runtime.file_io import write_all
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.encodings import ndjson

LIMIT = 64 * 1024 * 1024  # bytes, of both files of a sink


class DeadLetters:
    """The dead letters of one sink. Owned by its `Rejections`. Files are written on a thread."""

    def __init__(self, folder: Path, sink: str, limit: int = LIMIT) -> None:
        self.path = folder / f"{sink}.ndjson"
        self._sink = sink
        self._half = limit // 2
        self._thread = BlockingThread("dead letters")

    async def append(self, batch: Batch, rejected: Sequence[tuple[int, str]]) -> None:
        """Append the rejected events (index and reason), and flush them to the disk. Raises OSError."""
        await self._thread.call(self._write, b"".join(self._encode(batch, rejected)))

    def _encode(self, batch: Batch, rejected: Sequence[tuple[int, str]]) -> Iterable[bytes]:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for index, reason in rejected:
            (record,) = ndjson.encode(batch.select([index]))
            head = orjson.dumps({"sink": self._sink, "reason": reason, "rejected": now})
            yield head[:-1] + b"," + record[1:]

    def _write(self, letters: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and self.path.stat().st_size + len(letters) > self._half:
            self.path.replace(self.path.with_name(f"{self._sink}.1.ndjson"))
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            length = os.fstat(descriptor).st_size
            try:
                if length and os.pread(descriptor, 1, length - 1) != b"\n":  # a crash has torn the last letter
                    letters = b"\n" + letters
                write_all(descriptor, letters)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, length)
                raise
        finally:
            os.close(descriptor)
