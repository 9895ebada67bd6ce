"""Directories: put in place in one step, and removed whatever is in them.

A directory cannot be renamed over another that has files in it. Linux can let two of them change places in one step
(`renameat2` with `RENAME_EXCHANGE`, on ext4, xfs, btrfs, tmpfs and most others): there is no instant without one, and
killed before or after it a run leaves the old one or the new one. Where the file system cannot (NFS), two renames are
all there is: the old one aside, the new one in. Tomcat looks again after half a second before it takes an application
for removed; a run that is killed between the two leaves none, and the next run publishes it.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

_EXCHANGE = 2  # RENAME_EXCHANGE, renameat2(2)
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)
_MAY_BE_EMPTIED = 0o700


def put(new: str, place: str, aside: str, directory: int) -> bool:
    """Put the directory `new` in its place. True when there was one, which then is found under `new` or `aside`."""
    try:
        found = os.stat(place, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        found = None
    if found is None:
        os.rename(new, place, src_dir_fd=directory, dst_dir_fd=directory)
        return False
    try:
        exchange(new, place, directory)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        os.rename(place, aside, src_dir_fd=directory, dst_dir_fd=directory)
        try:
            os.rename(new, place, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError:
            os.rename(aside, place, src_dir_fd=directory, dst_dir_fd=directory)
            raise
    return True


def exchange(one: str, other: str, directory: int) -> None:
    """Let two names change places, in one step. Raises OSError, ENOSYS where the C library knows no such call."""
    import ctypes  # noqa: PLC0415 - only for this, and not cheap to load

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if rename(directory, os.fsencode(one), directory, os.fsencode(other), _EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), one, None, other)


def flush_all(directory: int) -> None:
    """Bring all of the file system to the disk: for many files that is one call instead of one each. Raises OSError."""
    import ctypes  # noqa: PLC0415 - as above

    sync = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if sync is None:
        os.sync()
    elif sync(directory):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def remove(path: str, directory: int) -> None:
    """Remove a file or a directory with all that is in it; links are not followed. Raises OSError."""
    try:
        os.unlink(path, dir_fd=directory)
    except (IsADirectoryError, PermissionError):
        found = os.stat(path, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            raise
        _remove_directory(path, directory, found.st_mode)


def _remove_directory(path: str, directory: int, mode: int) -> None:
    if mode & _MAY_BE_EMPTIED != _MAY_BE_EMPTIED:
        with suppress(OSError):  # somebody else's: then it shows whether it can be emptied
            os.chmod(path, _MAY_BE_EMPTIED, dir_fd=directory)
    inside = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        for name in os.listdir(inside):  # noqa: PTH208 - of the open directory
            remove(name, inside)
    finally:
        os.close(inside)
    os.rmdir(path, dir_fd=directory)
