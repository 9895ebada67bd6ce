"""Directories replaced in one step, and removed with everything in them.

A directory cannot be renamed over another one that has files in it. Linux can exchange two directories in one step
(`renameat2` with `RENAME_EXCHANGE`; ext4, xfs, btrfs, tmpfs and most others). Then there is no instant without the
directory, and a run that is killed before or after the step leaves the old one or the new one. Where the file system
cannot (NFS), there are two renames: the old directory aside, the new one in. Tomcat looks again after half a second
before it undeploys an application; a run that is killed between the two renames leaves none, and the next run publishes
it.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

_RENAME_EXCHANGE = 2  # renameat2(2)
_CANNOT_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)
_OWNER_ALL = 0o700
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PATH_ONLY = getattr(os, "O_PATH", 0)  # opens a directory that may not be read; only Linux has it


def replace_directory(new: str, place: str, aside: str, directory: int) -> bool:
    """Give the directory `new` the name `place`. All names are relative to the open `directory`. Raises OSError.

    Return True if there was one with that name; it is found under the name `new` or `aside` afterwards.
    """
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
        if error.errno not in _CANNOT_EXCHANGE:
            raise
        os.rename(place, aside, src_dir_fd=directory, dst_dir_fd=directory)
        try:
            os.rename(new, place, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError:
            os.rename(aside, place, src_dir_fd=directory, dst_dir_fd=directory)
            raise
    return True


def exchange(one: str, other: str, directory: int) -> None:
    """Exchange two names in one step. Raises OSError, with ENOSYS if the C library has no renameat2."""
    import ctypes  # noqa: PLC0415 - only for this call, and slow to load

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if rename(directory, os.fsencode(one), directory, os.fsencode(other), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), one, None, other)


def remove_tree(path: str, directory: int) -> None:
    """Remove a file, or a directory with everything in it. Links are not followed. Raises OSError.

    It takes three descriptors and flat memory for any depth: before a subdirectory is removed, the directories in it
    are moved up to the top. A run that is killed at any step leaves less, all of it still below `path`.
    """
    if _unlink(path, directory):
        return
    top = _open_to_empty(path, directory)
    try:
        number = 0
        while names := os.listdir(top):  # noqa: PTH208 - pathlib has no listing of a descriptor
            for name in names:
                if not _unlink(name, top):
                    number = _flatten(name, top, number)
                    os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(path, dir_fd=directory)


def _unlink(name: str, directory: int) -> bool:
    """Remove anything but a directory. Return False for a directory. Raises OSError."""
    try:
        os.unlink(name, dir_fd=directory)
    except (IsADirectoryError, PermissionError):
        if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise
        return False
    return True


def _flatten(name: str, top: int, number: int) -> int:
    """Empty a directory in `top`. Its own directories move to `top` under numbers, from `number` on.

    Return the next free number. Raises OSError.
    """
    inside = _open_to_empty(name, top)
    try:
        for below in os.listdir(inside):  # noqa: PTH208 - pathlib has no listing of a descriptor
            if _unlink(below, inside):
                continue
            os.close(_open_to_empty(below, inside))  # a directory moves only if its mode lets us write into it
            while not _move(below, inside, f".{number}", top):
                number += 1
            number += 1
    finally:
        os.close(inside)
    return number


def _move(name: str, directory: int, new: str, top: int) -> bool:
    """Move a directory. Return False if something else has the new name. Raises OSError."""
    try:
        os.rename(name, new, src_dir_fd=directory, dst_dir_fd=top)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        return False
    return True


def _open_to_empty(name: str, directory: int) -> int:
    """Open a directory that is to be emptied. Its owner gets all rights if its mode lacks one. Raises OSError."""
    found = os.open(name, _PATH_ONLY | _DIRECTORY, dir_fd=directory)
    try:
        if os.fstat(found).st_mode & _OWNER_ALL != _OWNER_ALL:
            with suppress(OSError):  # another user's directory: emptying it may fail then
                os.chmod(f"/proc/self/fd/{found}", _OWNER_ALL)  # noqa: PTH101 - the directory that is open
        return os.open(".", _DIRECTORY, dir_fd=found)
    finally:
        os.close(found)
