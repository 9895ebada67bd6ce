"""Handles of files: they tell a file from a later one that has the same inode number.

An inode number is free again when its file is deleted, and ext4 gives it to the next file at once. These differ:

| identity | from | where |
|---|---|---|
| `h:…` | name_to_handle_at(2): the inode and its generation, as NFS servers use it | ext4, XFS, Btrfs, tmpfs |
| `b:…` | the time of birth, statx(2) | file systems without such handles, as overlayfs and most network volumes |
| `""` | | neither is known: only the content tells files apart |

A handle stays when the file is renamed, truncated, or its volume is mounted again. A file system in user space (FUSE,
virtiofs) makes new ones at will, so only the handles of the file systems above are taken. No privilege is needed, and
Landlock has no rule about it. A seccomp profile from before 2023 refuses the call (moby#45766).
"""

from __future__ import annotations

import ctypes
import struct
import sys

_AT_EMPTY_PATH = 0x1000
_STATX_BTIME = 0x800
_HANDLE_SIZE = 128  # bytes: MAX_HANDLE_SZ of fcntl.h
_HANDLE = struct.Struct("=Ii")  # `struct file_handle`: the size of the handle, its type
_STATX_SIZE = 256  # bytes
_BIRTH = struct.Struct("=qI")  # `stx_btime` of `struct statx`: seconds, nanoseconds
_BIRTH_AT = 80  # offset in `struct statx`
_STATFS_SIZE = 256  # bytes, more than `struct statfs` has
# `f_type` of statfs(2): ext4, XFS, Btrfs, tmpfs.
_WITH_HANDLES = frozenset((0xEF53, 0x58465342, 0x9123683E, 0x01021994))

_library = ctypes.CDLL(None, use_errno=True)
_call_handle = getattr(_library, "name_to_handle_at", None)
_call_statx = getattr(_library, "statx", None)
_call_statfs = getattr(_library, "fstatfs", None)
_by_device: dict[int, bool] = {}  # device -> True if its file system has handles
_MOST_DEVICES = 1000


def identity(descriptor: int, device: int) -> str:
    """Return the identity of an open file on the device; "" if the system tells none. Raises nothing.

    Two identities of the same kind, of files with the same device and inode, differ if the files do.
    """
    if _has_handles(descriptor, device):
        found = _handle(descriptor)
        if found:
            return f"h:{found}"
    return _birth(descriptor)


def differ(one: str, other: str) -> bool:
    """Return True if two identities are of different files. Those of two kinds, or an unknown one, prove nothing."""
    return bool(one and other) and one[0] == other[0] and one != other


def _has_handles(descriptor: int, device: int) -> bool:
    if device not in _by_device:
        if len(_by_device) >= _MOST_DEVICES:
            _by_device.clear()
        _by_device[device] = _file_system(descriptor) in _WITH_HANDLES
    return _by_device[device]


def _file_system(descriptor: int) -> int:
    buffer = ctypes.create_string_buffer(_STATFS_SIZE)
    if _call_statfs is None or _call_statfs(descriptor, buffer):
        return 0
    return int.from_bytes(buffer.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder) & 0xFFFFFFFF


def _handle(descriptor: int) -> str:
    if _call_handle is None:
        return ""
    buffer = ctypes.create_string_buffer(_HANDLE.size + _HANDLE_SIZE)
    _HANDLE.pack_into(buffer, 0, _HANDLE_SIZE, 0)
    mount = ctypes.c_int()
    if _call_handle(descriptor, b"", buffer, ctypes.byref(mount), _AT_EMPTY_PATH):
        return ""
    size, kind = _HANDLE.unpack_from(buffer)
    return f"{kind:x}:{buffer.raw[_HANDLE.size : _HANDLE.size + size].hex()}"


def _birth(descriptor: int) -> str:
    buffer = ctypes.create_string_buffer(_STATX_SIZE)
    if _call_statx is None or _call_statx(descriptor, b"", _AT_EMPTY_PATH, _STATX_BTIME, buffer):
        return ""
    (mask,) = struct.unpack_from("=I", buffer)
    seconds, nanoseconds = _BIRTH.unpack_from(buffer, _BIRTH_AT)
    return f"b:{seconds * 10**9 + nanoseconds}" if mask & _STATX_BTIME and seconds else ""
