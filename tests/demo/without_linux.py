"""Python as on another Unix: `python without_linux.py PROGRAM …` runs a program without the calls that only Linux has.

The names are those that CPython on macOS lacks in `os`, `socket`, `select`, `fcntl` and `signal`. This is no macOS: it
only finds code that uses such a call without a check.
"""

from __future__ import annotations

import fcntl
import os
import runpy
import select
import signal
import socket
import sys
from types import ModuleType

LINUX_ONLY: dict[ModuleType, str] = {
    os: """
        sched_getaffinity sched_setaffinity sched_getscheduler sched_setscheduler sched_getparam sched_setparam
        copy_file_range fdatasync posix_fadvise posix_fallocate memfd_create eventfd eventfd_read eventfd_write
        pidfd_open splice getrandom listxattr getxattr setxattr removexattr pipe2
        O_TMPFILE O_PATH O_DIRECT O_LARGEFILE O_NOATIME O_RSYNC
    """,
    socket: """
        TCP_USER_TIMEOUT TCP_KEEPIDLE TCP_QUICKACK TCP_INFO TCP_DEFER_ACCEPT TCP_LINGER2 SOCK_NONBLOCK SOCK_CLOEXEC
        MSG_NOSIGNAL MSG_MORE MSG_ERRQUEUE AF_NETLINK AF_PACKET AF_VSOCK
        SO_PEERCRED SO_BINDTODEVICE SO_DOMAIN SO_PROTOCOL SO_MARK SO_INCOMING_CPU
    """,
    select: "epoll",
    fcntl: "F_GETPIPE_SZ F_SETPIPE_SZ F_SETLEASE F_GETLEASE F_ADD_SEALS F_GET_SEALS F_NOTIFY",
    signal: "SIGRTMIN SIGRTMAX SIGPWR SIGSTKFLT SIGPOLL pidfd_send_signal sigtimedwait sigwaitinfo",
}


def remove_what_only_linux_has() -> None:
    for module, names in LINUX_ONLY.items():
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)


if __name__ == "__main__":
    remove_what_only_linux_has()
    program = sys.argv[1:]
    if program[0] == "-m":
        sys.argv = program[1:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = program
        runpy.run_path(sys.argv[0], run_name="__main__")
