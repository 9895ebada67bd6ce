"""openat2(2): open a name beneath a directory, with no link followed on the way (Linux 5.6).

The C library has no wrapper before glibc 2.42, so the call is made by its number. The number is the same on every
architecture that Python runs on but Alpha. A seccomp profile that is older than the call answers EPERM where an old
kernel answers ENOSYS (https://github.com/opencontainers/runc/issues/4984): both mean "absent".
"""

from __future__ import annotations

import ctypes
import errno
import os

_NUMBER = 437
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RESOLVE = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS


class _OpenHow(ctypes.Structure):
    """`struct open_how` of linux/openat2.h."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_SIZE = ctypes.sizeof(_OpenHow)
_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
_syscall.restype = ctypes.c_long
# The same function without errno and without declared types: that takes a fifth less time, and few calls fail. Each
# argument that the kernel reads as 64 bits is an object that has them.
_quick = ctypes.CDLL(None).syscall
_LONG_NUMBER, _LONG_SIZE = ctypes.c_long(_NUMBER), ctypes.c_size_t(_SIZE)
# One structure for each pair of flags and mode. It is never changed after it is made, so threads can share it.
_hows: dict[tuple[int, int], ctypes._CArgObject] = {}
probed: list[str] = []  # "" if the call works, else the error; empty until it was tried


def absence() -> str:
    """Return "" if the kernel lets this process call openat2, else the name of the error: ENOSYS or EPERM."""
    if not probed and not hasattr(os, "O_PATH"):
        probed.append(errno.errorcode[errno.ENOSYS])  # not Linux
    if not probed:
        try:
            os.close(open_beneath(-100, b".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))  # -100 is AT_FDCWD
        except OSError as error:
            absent = error.errno in (errno.ENOSYS, errno.EPERM)
            probed.append(errno.errorcode[error.errno or 0] if absent else "")
        else:
            probed.append("")
    return probed[0]


def open_beneath(directory: int, name: bytes, flags: int, mode: int = 0) -> int:
    """Return a descriptor of the name beneath the directory. `mode` must be 0 without O_CREAT.

    `name` must have no NUL byte and no "..". Raises OSError: ELOOP if a link stands on the way or at the end.
    """
    try:
        how = _hows[flags, mode]
    except KeyError:
        how = _hows[flags, mode] = ctypes.byref(_OpenHow(flags, mode, _RESOLVE))
    descriptor: int = _quick(_LONG_NUMBER, directory, name, how, _LONG_SIZE)
    while descriptor < 0:  # again, to learn why it failed; it may also succeed now
        descriptor = _syscall(_NUMBER, directory, name, how, _SIZE)
        if descriptor < 0 and (number := ctypes.get_errno()) != errno.EINTR:
            raise OSError(number, os.strerror(number))
    return descriptor
