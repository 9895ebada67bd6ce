"""What the operating system refused, as one sentence that names the setting or file and what to do."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager

from sidecars.chassis.runtime.lifecycle import BadData, IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier.tomcat_names import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidecars.warcopier.archive.zip_directory import ReadAt
    from sidecars.warcopier.settings import Owner

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NOT_ALLOWED = (errno.EACCES, errno.EPERM)
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # never hangs on a pipe that took a file's place


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn what goes wrong while a source is read into IOFailed."""
    try:
        yield
    except OSError as error:
        raise _not_read(path, error) from None


@contextmanager
def writing(target: str) -> Iterator[None]:
    """Turn what goes wrong while the target is written into IOFailed."""
    try:
        yield
    except OSError as error:
        raise IOFailed(f"WARCOPIER_TARGET={escaped(target)}: {_why_not_written(error)}") from None


def reader_of(file: int, path: str) -> ReadAt:
    """Reads ranges of an open source; what goes wrong is IOFailed, also in the midst of writing something."""

    def read(offset: int, length: int) -> bytes:
        try:
            return os.pread(file, length, offset)
        except OSError as error:
            raise _not_read(path, error) from None

    return read


def require_regular_file(path: str, mode: int) -> None:
    """Raise BadData unless the mode is that of a regular file."""
    kind = stat.S_IFMT(mode)
    if kind != stat.S_IFREG:
        raise BadData(f"{escaped(path)}: is {_KINDS.get(kind, 'no file')}; nothing was published")


def read_small_file(path: str, largest: int) -> bytes:
    """Read a file of at most `largest` bytes that somebody else has written. It never waits for a pipe or a device.

    Raises FileNotFoundError, IOFailed, or BadData where it is no regular file or a larger one.
    """
    try:
        file = os.open(path, READ_FLAGS)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a device without a driver
            raise BadData(f"{escaped(path)}: is a socket or a device; nothing was published") from None
        raise _not_read(path, error) from None
    try:
        require_regular_file(path, os.fstat(file).st_mode)
        raw = reader_of(file, path)(0, largest + 1)
    finally:
        os.close(file)
    if len(raw) > largest:
        raise BadData(f"{escaped(path)}: it has more than {largest} bytes; nothing was published")
    return raw


def change_owner(file: int, owner: Owner) -> None:
    """Let the open file belong to somebody. Raises IOFailed, which names the setting, when that is not allowed."""
    try:
        os.fchown(file, *owner)
    except PermissionError:
        raise IOFailed(
            f"WARCOPIER_OWNER={owner[0]}:{owner[1]}: user {os.geteuid()} may not give files to others: run as root with"
            " the capability CHOWN, or let fsGroup do it"
        ) from None


def _not_read(path: str, error: OSError) -> IOFailed:
    return IOFailed(f"{escaped(path)}: cannot be read{_by_whom(error)}: {_reason(error)}")


def _why_not_written(error: OSError) -> str:
    if error.errno in _NO_SPACE:
        return f"it is full ({_reason(error)}): make room, or give the volume more"
    if error.errno == errno.EROFS:
        return "it is read-only: mount it without readOnly"
    if error.errno in _NOT_ALLOWED:
        return f"cannot be written{_by_whom(error)}: {_reason(error)}; in Kubernetes, fsGroup makes a volume writable"
    return f"cannot be written: {_reason(error)}"


def _by_whom(error: OSError) -> str:
    return f" by user {os.geteuid()}, group {os.getegid()}" if error.errno in _NOT_ALLOWED else ""


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
