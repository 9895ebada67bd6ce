"""The sink `file:///directory`: NDJSON records, appended to one file in it that is ours.

Accepted: the batch is flushed to the disk.

Exactly once: the receipt is the acknowledged length of the file, and is saved together with the positions. Bytes beyond
it after a crash (a whole batch, or a torn one) are cut off before the same lines are written again. Only the file of
the receipt is cut, which is recognised by its inode and by the bytes before that length. To any other file the sink
appends, on a new line.

With `SINK_ROTATE_SIZE` the file is rotated before a batch that does not fit. If the file of the receipt was rotated
before the crash, the files after it were never acknowledged, and are removed.
"""

from __future__ import annotations

import fcntl
import os
import re
from functools import partial
from pathlib import Path
from typing import Any

from sidecars.chassis.config.settings import DEFAULT_NAME, variable
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.blocking_thread import BlockingThread
from sidecars.chassis.runtime.file_io import fsync_directory, write_all
from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.fingerprint import POSITION_LENGTH, Fingerprint, position_fingerprint
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import Outcome, RetryLater
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.sinks.numbered_rotation import NumberedRotation

log = logs.get("file")

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


def create(settings: Settings, sink: SinkSettings) -> FileSink:
    own = "logshipper" if sink.name == DEFAULT_NAME else sink.name
    parts = [settings.pod_namespace, settings.pod_name, own]
    name = re.sub(r"[^\w.-]", "_", "_".join(part for part in parts if part))
    path = Path(str(sink.url.target)) / f"{name}.ndjson"
    rotation = NumberedRotation(path, sink.sink_rotate_size, sink.sink_rotate_count)
    return FileSink(path, variable(Settings, "url", sink.name), rotation)


class FileSink:
    """One file of NDJSON. All its I/O is done on one thread. See `base.Sink`."""

    max_in_flight = 1  # the receipt is a length

    def __init__(self, path: Path, variable_name: str, rotation: NumberedRotation) -> None:
        self._path = path
        self._rotation = rotation
        self._where = f"{variable_name}: {path}"
        self._descriptor: int | None = None
        self._length = 0  # acknowledged bytes of the open file
        self._thread = BlockingThread("file")

    async def open(self, receipt: Any) -> Any:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return await self._thread.call(self._open, receipt)
        except BlockingIOError:
            raise IOFailed(f"{self._where} is being written by another logshipper: give each its directory") from None
        except OSError as error:
            remedy = f"mount a volume there that user {os.geteuid()} can write"
            raise IOFailed(f"{self._where} cannot be written: {error.strerror}; {remedy}") from None

    def _open(self, receipt: Any) -> Any:
        """Open the file, and cut off the bytes beyond the receipt's length. No file is open if that fails."""
        self._close_file()
        self._descriptor = os.open(self._path, _FLAGS, 0o640)
        try:
            return self._continue(self._descriptor, receipt)
        except BaseException:
            self._close_file()
            raise

    def _continue(self, descriptor: int, receipt: Any) -> Any:
        """Lock the open file, bring it to the acknowledged length, and return the new receipt."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fsync_directory(self._path.parent)
        status = os.fstat(descriptor)
        self._length = status.st_size
        if receipt is not None:
            inode, *mark = receipt
            acknowledged = Fingerprint(*mark)
            if inode == status.st_ino:
                if acknowledged.offset <= status.st_size and acknowledged.matches_file(self._read_at):
                    self._length = acknowledged.offset
            elif self._truncate_rotated(inode, acknowledged):
                self._length = 0
        if self._length < status.st_size:
            _log_cut(self._path, status.st_size - self._length)
            os.ftruncate(descriptor, self._length)
        elif self._length and self._read_at(self._length - 1, 1) != b"\n":
            self._length += os.write(descriptor, b"\n")
        return self._receipt()

    def _truncate_rotated(self, inode: int, acknowledged: Fingerprint) -> bool:
        """Return True if the file of the receipt is a rotated one. Remove the bytes and files after the receipt."""
        found = self._rotation.find(inode)
        if found is None:
            return False
        path, later = found
        with path.open("r+b") as file:
            size = os.fstat(file.fileno()).st_size
            if acknowledged.offset > size or not acknowledged.matches_file(partial(_read_at, file.fileno())):
                return False
            if acknowledged.offset < size:
                _log_cut(path, size - acknowledged.offset)
                file.truncate(acknowledged.offset)
        for name in later:
            log.info("removing a file that was not acknowledged", file=str(name))
            name.unlink()
        return True

    async def deliver(self, batch: Batch) -> Outcome:
        try:
            return Outcome(await self._thread.call(self._append, ndjson.encode(batch)))
        except OSError as error:
            raise RetryLater(f"{self._path} cannot be written: {error.strerror}") from None

    def _append(self, blocks: list[bytes]) -> Any:
        if self._descriptor is None or self._is_replaced():
            self._open(None)
        if self._rotation.is_due(self._length, sum(map(len, blocks))):
            self._rotation.rotate()
            self._open(None)
        descriptor = self._descriptor
        if descriptor is None:
            raise AssertionError("no file after opening")
        try:
            self._length += _append_blocks(descriptor, blocks)
        except OSError:
            os.ftruncate(descriptor, self._length)  # readers see whole lines, and none twice
            raise
        return self._receipt()

    def _is_replaced(self) -> bool:
        """True if another program rotated, removed or truncated the file that is open."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 - beside fstat
        except FileNotFoundError:
            return True
        ours = os.fstat(self._descriptor or 0)
        return (status.st_dev, status.st_ino) != (ours.st_dev, ours.st_ino) or ours.st_size < self._length

    def _receipt(self) -> Any:
        length = min(POSITION_LENGTH, self._length)
        tail = position_fingerprint(self._length, self._read_at(self._length - length, length))
        return [os.fstat(self._descriptor or 0).st_ino, tail.offset, tail.length, tail.digest]

    def _read_at(self, offset: int, length: int) -> bytes:
        return _read_at(self._descriptor or 0, offset, length)

    def _close_file(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    async def close(self) -> None:
        await self._thread.call(self._close_file)


def _log_cut(path: Path, count: int) -> None:
    log.info("cutting off bytes that were not acknowledged", file=str(path), bytes=count)


def _append_blocks(descriptor: int, blocks: list[bytes]) -> int:
    """Append the blocks, flush them to the disk, and return their length. Raises OSError."""
    for block in blocks:
        write_all(descriptor, block)
    os.fsync(descriptor)
    return sum(map(len, blocks))


def _read_at(descriptor: int, offset: int, length: int) -> bytes:
    return os.pread(descriptor, length, offset)
