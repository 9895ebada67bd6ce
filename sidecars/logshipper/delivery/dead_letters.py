"""Dead letters: a file of the events that a sink will never take, each with the reason.

One file a sink, `<sink>.ndjson`. A letter is the record as a sink of records gets it, with its id, behind the members
`sink`, `reason`, `rejected` (the time) and `labels` (the names of those members of the record that are labels). It is
on the disk before the position moves, and so is the name of its file: no loss of power takes it. After a crash in
between, the same letter is there twice, with the same id. An input with FORMAT=record sends letters again
(`transform.parsing.own_records`).

The files are bounded. A file of half the limit becomes `<sink>.1.ndjson`, and replaces the one before it. So at least
the last half of the limit is kept. The ledger has counted all of them.

The directory may be shared: it is held open, no link in it is followed, and a file that is not ours is not written to.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson

from sidecars.chassis.isolation.beneath import Root
from sidecars.chassis.runtime.blocking_thread import BlockingThread
from sidecars.chassis.runtime.file_io import write_all
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.packed_batch import PackedBatch
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.volumes.configured_paths import ConfiguredDirectory
from sidecars.logshipper.volumes.own_files import removal

LIMIT = 64 * 1024 * 1024  # bytes, of both files of a sink


class DeadLetters:
    """The dead letters of one sink. Owned by its `Rejections`. Files are written on a thread."""

    def __init__(self, folder: Path, sink: str, limit: int = LIMIT) -> None:
        self.path = folder / f"{sink}.ndjson"
        self._sink = sink
        self._half = limit // 2
        self._directory = ConfiguredDirectory(str(folder), create=True, mode=0o777)  # less the umask
        self._synced: Root | None = None  # the directory that has the name of the file on the disk, as far as we know
        self._thread = BlockingThread("dead letters")

    async def append(self, batch: Batch, rejected: Sequence[tuple[int, str]]) -> None:
        """Append the rejected events (index and reason), and flush them to the disk. Raises OSError."""
        await self._thread.call(lambda: self._write(b"".join(self._encode(batch, rejected))))

    def _encode(self, batch: Batch, rejected: Sequence[tuple[int, str]]) -> Iterable[bytes]:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        packed = batch.encoded_records([index for index, _ in rejected]) if isinstance(batch, PackedBatch) else None
        for index, reason in rejected:
            (record,) = [next(packed)] if packed is not None else ndjson.encode(batch.select([index]))
            labels = list(batch.find(index)[0].labels)
            head = orjson.dumps({"sink": self._sink, "reason": reason, "rejected": now, "labels": labels})
            yield head[:-1] + b"," + record[1:]

    def _write(self, letters: bytes) -> None:
        folder = self._directory.opened()
        if _size(folder, self.path.name) + len(letters) > self._half:
            older = f"{self._sink}.1.ndjson"
            with removal(folder, older), contextlib.suppress(FileNotFoundError):
                folder.rename(self.path.name, older)
        descriptor = folder.open_own(self.path.name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            length = os.fstat(descriptor).st_size
            try:
                if length and os.pread(descriptor, 1, length - 1) != b"\n":  # a crash has torn the last letter
                    letters = b"\n" + letters
                write_all(descriptor, letters)
                os.fsync(descriptor)
                if not length or self._synced is not folder:  # the process that made the file may have been killed
                    folder.sync()
                    self._synced = folder
            except OSError:
                os.ftruncate(descriptor, length)
                raise
        finally:
            os.close(descriptor)


def _size(folder: Root, name: str) -> int:
    try:
        return folder.status(name).st_size
    except FileNotFoundError:
        return 0
