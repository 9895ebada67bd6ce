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
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_EVEN_CLOSED = getattr(os, "O_PATH", 0)  # opens what may not be read; only Linux has it


def replace_directory(new: str, place: str, aside: str, directory: int) -> bool:
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


def sync_file_system(directory: int) -> None:
    """Bring all of the file system to the disk: for many files that is one call instead of one each. Raises OSError."""
    import ctypes  # noqa: PLC0415 - as above

    sync = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if sync is None:
        os.sync()
    elif sync(directory):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def remove_tree(path: str, directory: int) -> None:
    """Remove a file or a directory with all that is in it; links are not followed. Raises OSError.

    However deep it is, this takes three descriptors and flat memory: the directories in a directory are moved up to
    the top before it is removed itself. Killed at any step it leaves less, all of it still below `path`.
    """
    if _unlinked(path, directory):
        return
    top = _opened(path, directory)
    try:
        number = 0
        while names := os.listdir(top):  # noqa: PTH208 - of the open directory
            for name in names:
                if not _unlinked(name, top):
                    number = _flatten(name, top, number)
                    os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(path, dir_fd=directory)


def _unlinked(name: str, directory: int) -> bool:
    """Remove what is no directory; False where it is one. Raises OSError."""
    try:
        os.unlink(name, dir_fd=directory)
    except (IsADirectoryError, PermissionError):
        if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise
        return False
    return True


def _flatten(name: str, top: int, number: int) -> int:
    """Empty a directory in `top`, and move those that are in it to `top`, under numbers from `number` on.

    Returns the next number. Raises OSError.
    """
    inside = _opened(name, top)
    try:
        for below in os.listdir(inside):  # noqa: PTH208 - of the open directory
            if _unlinked(below, inside):
                continue
            os.close(_opened(below, inside))  # whoever moves a directory must be allowed to write into it
            while not _moved(below, inside, f".{number}", top):
                number += 1
            number += 1
    finally:
        os.close(inside)
    return number


def _moved(name: str, directory: int, new: str, top: int) -> bool:
    """Move a directory; False where something else has the new name. Raises OSError."""
    try:
        os.rename(name, new, src_dir_fd=directory, dst_dir_fd=top)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        return False
    return True


def _opened(name: str, directory: int) -> int:
    """Open a directory that is to be emptied; where its mode forbids that, it gets another one. Raises OSError."""
    found = os.open(name, _EVEN_CLOSED | _DIRECTORY, dir_fd=directory)
    try:
        if os.fstat(found).st_mode & _MAY_BE_EMPTIED != _MAY_BE_EMPTIED:
            with suppress(OSError):  # somebody else's: then it shows whether it can be emptied
                os.chmod(f"/proc/self/fd/{found}", _MAY_BE_EMPTIED)  # noqa: PTH101 - the directory that is open
        return os.open(".", _DIRECTORY, dir_fd=found)
    finally:
        os.close(found)
