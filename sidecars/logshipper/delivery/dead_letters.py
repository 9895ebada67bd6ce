"""Dead letters: what a sink will never take, put aside with the reason.

One file for each sink, `<sink>.ndjson`: the record as a sink of records gets it, with its id, behind `sink`, `reason`
and `rejected` (when). It is flushed to the disk before the position moves. A crash in between repeats a letter: its id
tells.

Bounded: when the file is half of the limit it becomes `<sink>.1.ndjson`, in place of the one before it. So at least the
last half of the limit is kept; all of it was counted.
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
    def __init__(self, folder: Path, sink: str, limit: int = LIMIT) -> None:
        self.where = str(folder / f"{sink}.ndjson")
        self._folder = folder
        self._sink = sink
        self._half = limit // 2
        self._thread = BlockingThread("dead letters")

    async def put(self, batch: Batch, rejected: Sequence[tuple[int, str]]) -> None:
        """Append the rejected events (index and reason), durably. Raises OSError."""
        await self._thread.call(self._append, b"".join(self._letters(batch, rejected)))

    def _letters(self, batch: Batch, rejected: Sequence[tuple[int, str]]) -> Iterable[bytes]:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for index, reason in rejected:
            (record,) = ndjson.encode(batch.select([index]))
            head = orjson.dumps({"sink": self._sink, "reason": reason, "rejected": now})
            yield head[:-1] + b"," + record[1:]

    def _append(self, letters: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = Path(self.where)
        if path.exists() and path.stat().st_size + len(letters) > self._half:
            path.replace(path.with_name(f"{self._sink}.1.ndjson"))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            length = os.fstat(descriptor).st_size
            try:
                if length and os.pread(descriptor, 1, length - 1) != b"\n":  # torn by a crash
                    letters = b"\n" + letters
                write_all(descriptor, letters)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, length)
                raise
        finally:
            os.close(descriptor)
