"""Directories replaced in one step, and removed with everything in them.

A directory cannot be renamed over another one that has files in it. Linux can exchange two directories in one step
(`renameat2` with `RENAME_EXCHANGE`; ext4, xfs, btrfs, tmpfs and most others). Then there is no instant without the
directory, and a run that is killed before or after the step leaves the old one or the new one. Where the file system
cannot (NFS), there are two renames: the old directory aside, the new one in. Tomcat looks again after half a second
before it undeploys an application; a run that is killed between the two renames leaves none, and the next run publishes
it.

A neighbour may exchange or plant directories at any time. Every name is one component below an open directory, no link
is followed, and a removal does for a neighbour only what the neighbour could do itself:

- it enters no mount: each directory is renamed before it is entered, and the place of a mount cannot be renamed;
- below a directory of another user it enters only directories of that user.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecars.chassis.isolation.beneath import Root

_RENAME_EXCHANGE = 2  # renameat2(2)
_CANNOT_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)
_OWNER_ALL = 0o700
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PATH_ONLY = getattr(os, "O_PATH", 0) | _DIRECTORY  # also opens a directory that may not be read
_MOVED = ".warcopier-moved-"  # begins the names of directories that were moved, so they are no places of mounts


class SomethingElse(OSError):
    """Something took the place of a directory after that was examined. It is back in that place."""

    def __init__(self, place: str) -> None:
        super().__init__(errno.EAGAIN, f"something else took the place of {place} at this moment, and it stays", place)


def replace_directory(
    area: Root, new: str, target: Root, place: str, aside: str, may_go: Callable[[Root, str], bool]
) -> bool:
    """Give the directory `new` of `area` the name `place` in `target`. Each name is one component. Raises OSError.

    Return True if there was something with that name; it is in `area` under the name `new` or `aside` afterwards. It is
    examined there, where no other user can exchange it, by `may_go(area, name)`. Raises SomethingElse if it may not go.
    """
    try:
        target.status(place)
    except FileNotFoundError:
        area.rename(new, place, to=target)
        return False
    try:
        exchange(area, new, target, place)
    except OSError as error:
        if error.errno not in _CANNOT_EXCHANGE:
            raise
    else:
        if not may_go(area, new):
            exchange(area, new, target, place)
            raise SomethingElse(place)
        return True
    put_aside(target, place, area, aside, may_go)
    try:
        area.rename(new, place, to=target)
    except OSError:
        area.rename(aside, place, to=target)
        raise
    return True


def put_aside(target: Root, place: str, area: Root, aside: str, may_go: Callable[[Root, str], bool]) -> None:
    """Move the directory `place` into `area`, and examine it there as `replace_directory` does. Raises OSError."""
    target.rename(place, aside, to=area)
    if not may_go(area, aside):
        area.rename(aside, place, to=target)
        raise SomethingElse(place)


def exchange(one_root: Root, one: str, other_root: Root, other: str) -> None:
    """Exchange two names in one step. Raises OSError, with ENOSYS if the C library has no renameat2."""
    import ctypes  # noqa: PLC0415 - only for this call

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if "/" in one or "/" in other:
        raise ValueError("only a single component is safe: the call follows links on the way")
    old, new = os.fsencode(one), os.fsencode(other)
    if rename(one_root.descriptor, old, other_root.descriptor, new, _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), one, None, other)


def remove_tree(root: Root, name: str) -> None:
    """Remove a file, or a directory with everything in it. `name` is one component. Raises OSError.

    It takes three descriptors and flat memory for any depth: before a subdirectory is removed, the directories in it
    are moved up to the top. A run that is killed at any step leaves less, all of it still below `name`.
    """
    if _unlink(name, root.descriptor):
        return
    owner = root.status(name).st_uid
    top = _open_to_empty(name, root.descriptor, owner)
    try:
        number = 0
        while names := os.listdir(top):  # noqa: PTH208 - pathlib has no listing of a descriptor
            for below in names:
                if _unlink(below, top):
                    continue
                moved = below
                if not below.startswith(_MOVED):
                    moved, number = _move(below, top, top, number)
                number = _flatten(moved, top, number, owner)
                os.rmdir(moved, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=root.descriptor)


def _unlink(name: str, directory: int) -> bool:
    """Remove anything but a directory. Return False for a directory. Raises OSError."""
    try:
        os.unlink(name, dir_fd=directory)
    except (IsADirectoryError, PermissionError):
        if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise
        return False
    return True


def _flatten(name: str, top: int, number: int, owner: int) -> int:
    """Empty a directory in `top`. Its own directories move to `top` under numbers, from `number` on.

    Return the next free number. Raises OSError.
    """
    inside = _open_to_empty(name, top, owner)
    try:
        for below in os.listdir(inside):  # noqa: PTH208 - pathlib has no listing of a descriptor
            if not _unlink(below, inside):
                os.close(_open_to_empty(below, inside, owner))  # it moves only if its mode lets us write into it
                _, number = _move(below, inside, top, number)
    finally:
        os.close(inside)
    return number


def _move(name: str, directory: int, top: int, number: int) -> tuple[str, int]:
    """Move a directory to `top`. Return its new name there, and the next number. Raises OSError."""
    while True:
        new = f"{_MOVED}{number}"
        number += 1
        try:
            os.rename(name, new, src_dir_fd=directory, dst_dir_fd=top)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        else:
            return new, number


def _open_to_empty(name: str, directory: int, owner: int) -> int:
    """Open a directory that is to be emptied, and which is below one of the user `owner`. Raises OSError.

    The user of a directory gets all rights to it if its mode lacks one.
    """
    found = os.open(name, _PATH_ONLY, dir_fd=directory)
    try:
        status = os.fstat(found)
        if status.st_uid != owner != os.geteuid():
            raise PermissionError(errno.EPERM, f"a directory of user {status.st_uid} lies in one of user {owner}", name)
        if status.st_mode & _OWNER_ALL != _OWNER_ALL:
            with suppress(OSError):  # another user's directory: emptying it may fail then
                os.chmod(f"/proc/self/fd/{found}", _OWNER_ALL)  # noqa: PTH101 - the directory that is open
        return os.open(".", _DIRECTORY, dir_fd=found)
    finally:
        os.close(found)
