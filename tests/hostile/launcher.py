"""Start a program in the circumstances of a test: `launcher.py '{"uid": 64912, …}' program argument …`.

| key | effect |
|---|---|
| `uid`, `gid`, `groups` | the user that the program runs as, without capabilities; absent: as the caller |
| `refuse` | errno with which a seccomp filter answers openat2(2), as an old profile of a container engine does |
| `pid_file` | file that gets the process's id, for a program below strace |

It runs isolated, before the program under test, and needs the standard library only.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import sys
from pathlib import Path
from typing import Any

OPENAT2 = 437  # the same on x86-64 and arm64
_NO_NEW_PRIVS, _SECCOMP, _FILTER = 38, 22, 2  # prctl(2)
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF: load a word at an offset; jump if equal; return
_ERRNO, _ALLOW = 0x00050000, 0x7FFF0000  # SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW


class Program(ctypes.Structure):
    """`struct sock_fprog` of seccomp(2)."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def refuse_openat2(number: int) -> None:
    """Let openat2 fail with this errno from now on, here and in each child."""
    instructions = [
        (_LOAD, 0, 0, 0),  # the number of the system call
        (_EQUAL, 0, 1, OPENAT2),
        (_RETURN, 0, 0, _ERRNO | number),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    program = Program(len(instructions), code)
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(_SECCOMP, _FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "no seccomp filter")


def prepare(circumstances: dict[str, Any]) -> None:
    if "pid_file" in circumstances:
        Path(circumstances["pid_file"]).write_text(f"{os.getpid()}\n", encoding="ascii")
    if circumstances.get("refuse"):
        refuse_openat2(circumstances["refuse"])
    if "uid" in circumstances:
        os.setgroups(circumstances.get("groups", []))
        os.setgid(circumstances["gid"])
        os.setuid(circumstances["uid"])


if __name__ == "__main__":
    prepare(json.loads(sys.argv[1]))
    os.chdir("/")
    os.execv(sys.argv[2], sys.argv[2:])
