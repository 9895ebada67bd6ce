"""The calls of `os` and `fcntl` that reach the disk of the world, and the faults that meet the sidecar there.

A path of a mounted directory, or a descriptor of a file of the world, is of the world. All else goes to the real call.
There are no links: what a hostile neighbour can plant is for tests/hostile. openat2 is absent, so that each name is
opened by openat, component by component.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sidecars.chassis.isolation import file_handles, openat2
from tests.world import kernel as kernels
from tests.world.disk import Inode, failure
from tests.world.disk_objects import Entries, RawFile
from tests.world.processes import Killed
from tests.world.universe import OWNER

_real: dict[str, Callable[..., Any]] = {}


@dataclass
class Description:
    """An open file description: what all descriptors share that one open has given."""

    flags: int
    position: int = 0
    is_locked: bool = False

    @property
    def is_readable(self) -> bool:
        return self.flags & os.O_ACCMODE != os.O_WRONLY

    @property
    def is_writable(self) -> bool:
        return self.flags & os.O_ACCMODE != os.O_RDONLY


class OpenFile:
    """A descriptor."""

    def __init__(self, inode: Inode, description: Description) -> None:
        self.kernel = kernels.kernel()
        self.inode = inode
        self.description = description
        inode.opens += 1
        self.number = self.kernel.open_file(self)

    def close(self) -> None:
        self.release("closed")

    def release(self, cause: str) -> None:
        self.kernel.close(self.number)
        self.inode.close(cause)

    def recv(self, size: int) -> bytes:
        data = read_at(self, size, self.description.position)
        self.description.position += len(data)
        return data


def _begin(call: str, inode: Inode, size: int = 0) -> None:
    """Let the process be killed at this call, or the call fail."""
    kernels.kernel().processes.begin(call, inode, size)


def _file(number: Any) -> OpenFile | None:
    if not isinstance(number, int):
        return None
    kernel = kernels.kernel()
    file = kernel.files.get(number)
    if file is None and number in kernel.owners and OWNER.get() in kernel.processes.dead:
        raise Killed  # its files are closed
    return file if isinstance(file, OpenFile) else None


def _is_ours(path: Any, dir_fd: int | None) -> bool:
    kernel = kernels.kernel()
    return _file(dir_fd) is not None or (dir_fd is None and kernel.disk is not None and kernel.disk.has(path))


def _folder(path: str, dir_fd: int | None) -> tuple[Inode, str]:
    """Return the directory of a path's last component, and the component; "" if the path is the directory itself."""
    disk, opened = kernels.kernel().disk, _file(dir_fd)
    assert disk is not None, "a path of the world without a disk"
    inode = disk.image.root if opened is None else opened.inode
    parts = [part for part in path.split("/") if part not in ("", ".")]
    for part in parts[:-1]:
        inode = inode.lookup(part)
    return inode, parts[-1] if parts else ""


def _find(path: str, dir_fd: int | None) -> Inode:
    folder, name = _folder(path, dir_fd)
    return folder.lookup(name) if name else folder


def _open(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    if not _is_ours(path, dir_fd):
        number: int = _real["open"](path, flags, mode, dir_fd=dir_fd)
        return number
    folder, name = _folder(path, dir_fd)
    _begin("open", folder)
    if flags & os.O_CREAT and folder.is_directory and name not in folder.names:
        if folder.volume.is_full:
            kernels.kernel().processes.fail(errno.ENOSPC, "open", folder)
        inode = folder.create(name)
    else:
        inode = folder.lookup(name) if name else folder
        if flags & os.O_CREAT and flags & os.O_EXCL:
            raise failure(errno.EEXIST, path)
    description = Description(flags)
    if flags & os.O_DIRECTORY and not inode.is_directory:
        raise failure(errno.ENOTDIR, path)
    if inode.is_directory and (description.is_writable or flags & (os.O_CREAT | os.O_TRUNC)):
        raise failure(errno.EISDIR, path)
    if flags & os.O_TRUNC:
        inode.truncate(0)
    return OpenFile(inode, description).number


def _stat(path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> Any:
    if _file(path) is not None:
        return _fstat(path)
    if not _is_ours(path, dir_fd):
        return _real["stat"](path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
    inode = _find(path, dir_fd)
    _begin("stat", inode)
    return inode.status()


def _lstat(path: Any, *, dir_fd: int | None = None) -> Any:
    return _stat(path, dir_fd=dir_fd, follow_symlinks=False)


def _fstat(number: int) -> Any:
    file = _file(number)
    if file is None:
        return _real["fstat"](number)
    _begin("fstat", file.inode)
    return file.inode.status()


def _scandir(path: Any = ".") -> Any:
    file = _file(path)
    if file is None:
        return _real["scandir"](path)
    _begin("getdents", file.inode)
    if not file.inode.is_directory:
        raise failure(errno.ENOTDIR)
    if not file.inode.links:
        raise failure(errno.ENOENT)
    return Entries(file.inode, _begin)


def _access(path: Any, mode: int, *, dir_fd: int | None = None, **more: Any) -> bool:
    if not _is_ours(path, dir_fd):
        return bool(_real["access"](path, mode, dir_fd=dir_fd, **more))
    _find(path, dir_fd)
    return True


def _readlink(path: Any, *, dir_fd: int | None = None) -> Any:
    if not _is_ours(path, dir_fd):
        return _real["readlink"](path, dir_fd=dir_fd)
    _find(path, dir_fd)
    raise failure(errno.EINVAL, path)


def _unlink(path: Any, *, dir_fd: int | None = None) -> None:
    if not _is_ours(path, dir_fd):
        _real["unlink"](path, dir_fd=dir_fd)
        return
    folder, name = _folder(path, dir_fd)
    _begin("unlink", folder)
    if folder.lookup(name).is_directory:
        raise failure(errno.EISDIR, path)
    folder.remove(name)


def _mkdir(path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
    if not _is_ours(path, dir_fd):
        _real["mkdir"](path, mode, dir_fd=dir_fd)
        return
    folder, name = _folder(path, dir_fd)
    _begin("mkdir", folder)
    folder.create(name, stat.S_IFDIR)


def _rename(old: Any, new: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
    if not _is_ours(old, src_dir_fd):
        _real["rename"](old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        return
    folder, name = _folder(old, src_dir_fd)
    target, new_name = _folder(new, dst_dir_fd)
    assert folder is target, "a rename to another directory"
    _begin("rename", folder)
    folder.rename(name, new_name)


def _link(
    src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None, follow_symlinks: bool = True
) -> None:
    if not _is_ours(src, src_dir_fd):
        _real["link"](src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, follow_symlinks=follow_symlinks)
        return
    folder, name = _folder(dst, dst_dir_fd)
    _begin("link", folder)
    inode = _find(src, src_dir_fd)
    if inode.is_directory and name not in folder.names:
        raise failure(errno.EPERM, src)
    folder.add(name, inode)


def read_at(file: OpenFile, size: int, offset: int) -> bytes:
    _begin("read", file.inode)
    if not file.description.is_readable:
        raise failure(errno.EBADF)
    if file.inode.is_directory:
        raise failure(errno.EISDIR)
    return bytes(file.inode.data[offset : offset + size])


def _pread(number: int, size: int, offset: int) -> Any:
    file = _file(number)
    return _real["pread"](number, size, offset) if file is None else read_at(file, size, offset)


def _write(number: int, data: Any) -> Any:
    file = _file(number)
    if file is None:
        return _real["write"](number, data)
    data = bytes(data)
    inode, description = file.inode, file.description
    if not description.is_writable:
        raise failure(errno.EBADF)
    offset = len(inode.data) if description.flags & os.O_APPEND else description.position
    processes = kernels.kernel().processes
    taken = processes.room_for_write(inode, offset, data)
    if taken:
        inode.write(offset, data[:taken])
        description.position = offset + taken
    return taken


def _ftruncate(number: int, size: int) -> None:
    file = _file(number)
    if file is None:
        _real["ftruncate"](number, size)
        return
    _begin("ftruncate", file.inode)
    if not file.description.is_writable:
        raise failure(errno.EINVAL)
    file.inode.truncate(size)


def _lseek(number: int, offset: int, how: int) -> Any:
    file = _file(number)
    if file is None:
        return _real["lseek"](number, offset, how)
    if how == os.SEEK_SET:
        file.description.position = offset
        return offset
    assert how == os.SEEK_DATA, "the sidecars seek for data, and from the beginning"
    if offset >= len(file.inode.data):
        raise failure(errno.ENXIO)
    return offset  # a file system without holes


def _fsync(number: int) -> None:
    file = _file(number)
    if file is None:
        _real["fsync"](number)
        return
    _begin("fsync", file.inode)
    file.inode.sync()


def _dup(number: int) -> Any:
    file = _file(number)
    return _real["dup"](number) if file is None else OpenFile(file.inode, file.description).number


def _flock(number: Any, operation: int) -> None:
    file = _file(number)
    if file is None:
        _real["flock"](number, operation)
        return
    same = [other for other in file.kernel.files.values() if isinstance(other, OpenFile) and other.inode is file.inode]
    if any(other.description.is_locked for other in same if other.description is not file.description):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    file.description.is_locked = True


def _fdopen(number: int, mode: str = "r", *more: Any, **named: Any) -> Any:
    if _file(number) is None:
        return _real["fdopen"](number, mode, *more, **named)
    assert mode == "rb", "the sidecars read bytes alone"
    return io.BufferedReader(RawFile(number))


def _identity(descriptor: int, device: int) -> str:
    file = _file(descriptor)
    return f"h:{file.inode.serial}" if file is not None and file.inode.volume.has_handles else ""


_PATHS_AND_FILES: dict[str, Callable[..., Any]] = {
    "open": _open,
    "stat": _stat,
    "lstat": _lstat,
    "fstat": _fstat,
    "scandir": _scandir,
    "access": _access,
    "readlink": _readlink,
    "unlink": _unlink,
    "mkdir": _mkdir,
    "rename": _rename,
    "link": _link,
    "pread": _pread,
    "write": _write,
    "ftruncate": _ftruncate,
    "lseek": _lseek,
    "fsync": _fsync,
    "dup": _dup,
    "fdopen": _fdopen,
}
CALLS = {**_PATHS_AND_FILES, "flock": _flock, "read": kernels._os_read, "close": kernels._os_close}
"""The calls of the world by their names in `os` and `fcntl`."""
_real.update({name: getattr(os, name) for name in _PATHS_AND_FILES}, flock=fcntl.flock)


def install() -> None:
    """Replace the calls of this process that reach files."""
    for name, call in _PATHS_AND_FILES.items():
        setattr(os, name, call)
    fcntl.flock = _flock
    file_handles.identity = _identity
    openat2.probed[:] = ["ENOSYS"]
