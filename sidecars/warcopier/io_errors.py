"""File access whose errors are sentences: they name the setting or the file, the reason, and the cure.

An error while a source is read, or while the target is written, becomes IOFailed (exit code 74). A source that is not a
regular file becomes BadData (exit code 65).
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager

from sidecars.chassis.runtime.lifecycle import BadData, IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier.tomcat_names import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sidecars.chassis.isolation.beneath import Root
    from sidecars.warcopier.settings import Owner

    ReadAt = Callable[[int, int], bytes]
    """`read(offset, length)` returns that many bytes from the offset; fewer only at the end of the file."""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NOT_ALLOWED = (errno.EACCES, errno.EPERM)
_FILE_TYPES = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Raise IOFailed, which names the path, for an OSError in this context."""
    try:
        yield
    except OSError as error:
        raise _read_failure(path, error) from None


@contextmanager
def writing(target: str) -> Iterator[None]:
    """Raise IOFailed, which names WARCOPIER_TARGET and a remedy, for an OSError in this context."""
    try:
        yield
    except OSError as error:
        code = "target-full" if error.errno in _NO_SPACE else "target-not-writable"
        raise IOFailed(f"WARCOPIER_TARGET={escaped(target)}: {_write_reason(error)}", code=code) from None


def range_reader(descriptor: int, path: str) -> ReadAt:
    """Return a function that reads ranges of an open file. It raises IOFailed with this path, even inside `writing`."""

    def read(offset: int, length: int) -> bytes:
        try:
            return os.pread(descriptor, length, offset)
        except OSError as error:
            raise _read_failure(path, error) from None

    return read


@contextmanager
def opened_for_reading(directory: Root) -> Iterator[int]:
    """Open a directory that a root holds (O_PATH) again, to list or flush it, or to set its times. Raises OSError."""
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory.descriptor)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def require_regular_file(path: str, mode: int) -> None:
    """Raise BadData unless the mode (`st_mode`) is that of a regular file."""
    file_type = stat.S_IFMT(mode)
    if file_type != stat.S_IFREG:
        raise BadData(
            f"{escaped(path)}: is {_FILE_TYPES.get(file_type, 'no file')}; nothing was published",
            code="source-not-a-file",
        )


def change_owner(descriptor: int, owner: Owner) -> None:
    """Set the user and group of an open file. Raises IOFailed, which names WARCOPIER_OWNER, if it is not permitted."""
    try:
        os.fchown(descriptor, *owner)
    except PermissionError:
        raise IOFailed(
            f"WARCOPIER_OWNER={owner[0]}:{owner[1]}: user {os.geteuid()} may not change the owner of files: run as root"
            " with the capability CHOWN, or use fsGroup",
            code="owner-not-changed",
        ) from None


def _read_failure(path: str, error: OSError) -> IOFailed:
    return IOFailed(f"{escaped(path)}: cannot be read{_by_user(error)}: {_reason(error)}", code="source-unreadable")


def _write_reason(error: OSError) -> str:
    if error.errno in _NO_SPACE:
        return f"it is full ({_reason(error)}): make room, or give the volume more"
    if error.errno == errno.EROFS:
        return "it is read-only: mount it without readOnly"
    if error.errno in _NOT_ALLOWED:
        return f"cannot be written{_by_user(error)}: {_reason(error)}; in Kubernetes, fsGroup makes a volume writable"
    return f"cannot be written: {_reason(error)}"


def _by_user(error: OSError) -> str:
    return f" by user {os.geteuid()}, group {os.getegid()}" if error.errno in _NOT_ALLOWED else ""


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
