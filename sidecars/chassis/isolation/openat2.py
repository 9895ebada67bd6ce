"""openat2(2): open a name beneath a directory, with no link followed on the way (Linux 5.6).

The C library has no wrapper before glibc 2.42, so the call is made by its number. The number is the same on every
architecture that Python runs on but Alpha. A seccomp profile that is older than the call answers EPERM where an old
kernel answers ENOSYS (https://github.com/opencontainers/runc/issues/4984): both mean "absent".
"""

from __future__ import annotations

import errno
import os
import struct
from contextlib import suppress

from sidecars.chassis.isolation.c_library import Long, checked_syscall, syscall

_NUMBER = 437
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RESOLVE = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS

_HOW = struct.Struct("=QQQ")  # `struct open_how` of linux/openat2.h: flags, mode, resolve
_LONG_NUMBER, _LONG_SIZE = Long(_NUMBER), Long(_HOW.size)
# One structure for each pair of flags and mode. It is never changed after it is made, so threads can share it.
_hows: dict[tuple[int, int], bytes] = {}
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
        how = _hows[flags, mode] = _HOW.pack(flags, mode, _RESOLVE)
    descriptor = syscall(_LONG_NUMBER, directory, name, how, _LONG_SIZE)
    while descriptor < 0:  # again, to learn why it failed; it may also succeed now
        with suppress(InterruptedError):
            descriptor = checked_syscall(_NUMBER, directory, name, how, _LONG_SIZE)
    return descriptor
