"""A program without some system calls: `python -m tests.without_calls ENOSYS openat2,landlock -- program …`.

A seccomp filter answers each of these calls with the error, as the profile of a container does that is older than the
call (EPERM) or as an old kernel does (ENOSYS). The filter holds for everything that the program starts.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

# The numbers are the same on x86-64 and arm64.
CALLS = {"openat2": (437,), "landlock": (444, 445, 446)}
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38
_FILTER_MODE = 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # instructions of the classic BPF


class _Program(ctypes.Structure):
    """`struct sock_fprog` of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def refuse(names: list[str], error: int) -> None:
    """Let each of these calls fail with the error, in this process and in those that it starts."""
    numbers = [number for name in names for number in CALLS[name]]
    steps = [(_LOAD, 0, 0, 0)]  # the number of the call is the first word of `struct seccomp_data`
    for left, number in zip(range(len(numbers), 0, -1), numbers, strict=True):
        steps.append((_JUMP_IF_EQUAL, left, 0, number))
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | error)]
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    program = _Program(len(steps), code)
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value, more in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0),
        (_PR_SET_SECCOMP, _FILTER_MODE, ctypes.addressof(program)),
    ):
        if libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(more), ctypes.c_ulong(0), ctypes.c_ulong(0)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    refuse(sys.argv[2].split(","), getattr(errno, sys.argv[1]))
    os.execvp(sys.argv[4], sys.argv[4:])
