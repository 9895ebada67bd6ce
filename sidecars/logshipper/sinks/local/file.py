"""The sink `file:///directory`: NDJSON records, appended to one file in it that is ours.

Accepted: the batch is flushed to the disk. Rejected: never.

Exactly once: the receipt is the acknowledged length of the file, and is saved together with the positions. Bytes beyond
it after a crash (a whole batch, or a torn one) are cut off before the same lines are written again. Only the file of
the receipt is cut, which is recognised by its inode and by the bytes before that length. To any other file the sink
appends, on a new line.

The directory may be shared: it is held open, no link in it is followed, and the file must be a regular file of this
user with one name. Two shippers that write to one file would overwrite each other's receipts, so the file is locked by
an OFD lock (fcntl(2)): unlike flock(2), a write lock of it needs the right to write, so no reader of the file can take
it and keep the shipper from its file.

With `SINK_ROTATE_SIZE` the file is rotated before a batch that does not fit. If the file of the receipt was rotated
before the crash, the files after it were never acknowledged, and are removed.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
from functools import partial
from pathlib import Path
from typing import Any

from sidecars.chassis.config.settings import DEFAULT_NAME, variable
from sidecars.chassis.isolation.beneath import LeavesRoot, NotOurFile, Root
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.blocking_thread import BlockingThread
from sidecars.chassis.runtime.file_io import write_all
from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.fingerprint import POSITION_LENGTH, Fingerprint, position_fingerprint
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import Outcome, RetryLater
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.sinks.local.numbered_rotation import NumberedRotation
from sidecars.logshipper.state import saved_values
from sidecars.logshipper.volumes.configured_paths import ConfiguredDirectory
from sidecars.logshipper.volumes.own_files import removal

log = logs.get("file")

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND
_FLOCK = "hhqqi4x"  # struct flock of 64-bit systems: type, whence, start, length, pid


def create(settings: Settings, sink: SinkSettings) -> FileSink:
    own = "logshipper" if sink.name == DEFAULT_NAME else sink.name
    parts = [settings.pod_namespace, settings.pod_name, own]
    name = re.sub(r"[^\w.-]", "_", "_".join(part for part in parts if part))
    path = Path(str(sink.url.target)) / f"{name}.ndjson"
    rotation = NumberedRotation(path.name, sink.sink_rotate_size, sink.sink_rotate_count)
    return FileSink(path, variable(Settings, "url", sink.name), rotation, ndjson.encoder(sink.sink_schema))


class FileSink:
    """One file of NDJSON. All its I/O is done on one thread. See `base.Sink`."""

    max_in_flight = 1  # the receipt is a length

    def __init__(
        self, path: Path, variable_name: str, rotation: NumberedRotation, encode: ndjson.Encode = ndjson.encode
    ) -> None:
        self._path = path
        self._encode = encode
        self._rotation = rotation
        self._where = f"{variable_name}: {path}"
        self._directory = ConfiguredDirectory(str(path.parent), create=True, mode=0o777)  # less the umask
        self._descriptor: int | None = None
        self._length = 0  # acknowledged bytes of the open file
        self._thread = BlockingThread("file")

    async def open(self, receipt: Any) -> Any:
        try:
            return await self._thread.call(self._open, receipt)
        except BlockingIOError:
            raise IOFailed(
                f"{self._where} is being written by another logshipper: give each its directory",
                code="sink-file-in-use",
            ) from None
        except (LeavesRoot, NotOurFile) as error:
            raise IOFailed(
                f"{self._where} cannot be used: {error.filename}: {error.strerror}", code="sink-file-unsafe"
            ) from None
        except OSError as error:
            remedy = f"mount a volume there that user {os.geteuid()} can write"
            raise IOFailed(
                f"{self._where} cannot be written: {error.strerror}; {remedy}", code="sink-file-not-writable"
            ) from None

    def _open(self, receipt: Any) -> Any:
        """Open the file, and cut off the bytes beyond the receipt's length. No file is open if that fails."""
        self._close_file()
        folder = self._directory.opened()
        self._descriptor = folder.open_own(self._path.name, _FLAGS, 0o640)
        try:
            return self._continue(folder, self._descriptor, receipt)
        except BaseException:
            self._close_file()
            raise

    def _continue(self, folder: Root, descriptor: int, receipt: Any) -> Any:
        """Lock the open file, bring it to the acknowledged length, and return the new receipt."""
        _lock(descriptor)
        folder.sync()
        status = os.fstat(descriptor)
        self._length = status.st_size
        if receipt is not None and (known := _parse(receipt)):
            inode, acknowledged = known
            if inode == status.st_ino:
                if acknowledged.offset <= status.st_size and acknowledged.matches_file(self._read_at):
                    self._length = acknowledged.offset
            elif self._truncate_rotated(folder, inode, acknowledged):
                self._length = 0
        if self._length < status.st_size:
            _log_cut(self._path, status.st_size - self._length)
            os.ftruncate(descriptor, self._length)
        elif self._length and self._read_at(self._length - 1, 1) != b"\n":
            self._length += os.write(descriptor, b"\n")
        return self._receipt()

    def _truncate_rotated(self, folder: Root, inode: int, acknowledged: Fingerprint) -> bool:
        """Return True if the file of the receipt is a rotated one. Remove the bytes and files after the receipt."""
        found = self._rotation.find(folder, inode)
        if found is None:
            return False
        name, later = found
        descriptor = folder.open_own(name, os.O_RDWR)
        try:
            size = os.fstat(descriptor).st_size
            if acknowledged.offset > size or not acknowledged.matches_file(partial(_read_at, descriptor)):
                return False
            if acknowledged.offset < size:
                _log_cut(self._path.with_name(name), size - acknowledged.offset)
                os.ftruncate(descriptor, acknowledged.offset)
        finally:
            os.close(descriptor)
        for one in later:
            log.info("removing a file that was not acknowledged", file=str(self._path.with_name(one)))
            with removal(folder, one):
                folder.remove(one)
        return True

    async def deliver(self, batch: Batch) -> Outcome:
        try:
            return Outcome(await self._thread.call(self._append, await batch.encoded(self._encode)))
        except OSError as error:
            raise RetryLater(f"{self._path} cannot be written: {error.strerror}") from None

    def _append(self, blocks: list[bytes]) -> Any:
        if self._descriptor is None or self._is_replaced():
            self._open(None)
        if self._rotation.is_due(self._length, sum(map(len, blocks))):
            self._rotation.rotate(self._directory.opened())
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
            if not self._directory.is_current():
                return True
            status = self._directory.opened().status(self._path.name)
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
        self._directory.close()


def _lock(descriptor: int) -> None:
    """Lock the file for one writer. Raises BlockingIOError if another process has locked it.

    A reader may hold a read lock: that hinders nobody, and the file is then written without a lock of ours.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except OSError as error:
        asked = struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)  # in conflict with write locks only
        if struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked))[0] != fcntl.F_UNLCK:
            raise BlockingIOError(error.errno, error.strerror) from None
        log.warning(
            "another program holds a read lock on the file of the sink; it is written without a lock",
            code="sink-file-read-locked",
        )


def _parse(receipt: Any) -> tuple[int, Fingerprint] | None:
    """Return the inode and the acknowledged end of a receipt; None if it is none of this sink."""
    try:
        inode, *mark = receipt
        return saved_values.number(inode), saved_values.fingerprint(mark)
    except (ValueError, TypeError):
        log.warning(
            "the saved receipt of the sink is not one of a file: the sink appends to its file",
            code="sink-receipt-not-valid",
        )
        return None


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
