"""The planter: a process that does what a compromised app can do to the volumes that it shares with a sidecar.

It reads one step a line from stdin, `["link", "/volume/token.log", "/outside/secret"]`, and answers each with a line:
`"ok"`, or the name of the error with which the kernel refused (`"EXDEV"`). A storm goes on in a child until stdin ends.
It runs as a program of its own with the user that the test gives it, and needs the standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable
from typing import Any

from tests.hostile.storms import STORMS, exchange

PTRACE_SEIZE = 0x4206  # ptrace(2)

_libc = ctypes.CDLL(None, use_errno=True)
_kept: list[Any] = []  # descriptors and sockets, which stay open until the end


# -- what stays where it is planted ------------------------------------------------------------------------------------


def link(name: str, target: str) -> None:
    os.symlink(target, name)


def hard_link(name: str, target: str) -> None:
    os.link(target, name, follow_symlinks=False)


def file(name: str, text: str = "", mode: int = 0o644) -> None:
    with open(name, "w", encoding="utf-8", errors="surrogateescape") as made:
        made.write(text)
    os.chmod(name, mode)


def bytes_of(name: str, digits: str) -> None:
    with open(name, "wb") as made:
        made.write(bytes.fromhex(digits))


def append(name: str, text: str) -> None:
    with open(name, "a", encoding="utf-8") as opened:
        opened.write(text)


def fifo(name: str) -> None:
    os.mkfifo(name, 0o666)
    os.chmod(name, 0o666)


def unix_socket(name: str) -> None:
    made = socket.socket(socket.AF_UNIX)
    made.bind(name)
    made.listen()
    _kept.append(made)


def device(name: str, major: int, minor: int) -> None:
    os.mknod(name, 0o666 | stat.S_IFCHR, os.makedev(major, minor))


def directory(name: str, mode: int = 0o777) -> None:
    os.makedirs(name, exist_ok=True)
    os.chmod(name, mode)


def sparse(name: str, size: int) -> None:
    with open(name, "ab") as made:
        made.truncate(size)


def deep(name: str, depth: int, file_name: str) -> None:
    """Make directories in each other, each called `d`, and a file in the last one: no path is as long as that."""
    here = os.open(".", os.O_RDONLY)
    try:
        os.makedirs(name, exist_ok=True)
        os.chdir(name)
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
        with open(file_name, "w", encoding="utf-8") as made:
            made.write("a line far below\n")
    finally:
        os.fchdir(here)
        os.close(here)


def many(folder: str, count: int, suffix: str) -> None:
    os.makedirs(folder, exist_ok=True)
    parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for number in range(count):
        os.close(os.open(f"{number:06}{suffix}", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=parent))
    os.close(parent)


def rename(name: str, new: str) -> None:
    os.rename(name, new)


def remove(name: str) -> None:
    os.unlink(name)


def swap(name: str, other: str) -> None:
    if not exchange(os.fsencode(name), os.fsencode(other)):
        raise OSError(ctypes.get_errno(), "renameat2")


def forge_record(folder: str, name: str, digest: str) -> None:
    """Write a record of the copier which says that the file with this name has that digest and passed every check."""
    found = os.stat(f"{folder}/{name}")
    fields = {
        "size": found.st_size,
        "mtime_ns": found.st_mtime_ns,
        "ctime_ns": found.st_ctime_ns,
        "inode": found.st_ino,
    }
    entry = {"sha256": digest, "check": "war", "file": fields}
    text = f'{{"version":1,"artifacts":{{\n{json.dumps(name)}:{json.dumps(entry)}\n}}}}\n'  # as the copier writes it
    file(f"{folder}/.warcopier.json", text)


# -- locks -------------------------------------------------------------------------------------------------------------


def lease(name: str) -> None:
    """Take a write lease, and never give it back: `open` of another process waits for 45 seconds without O_NONBLOCK."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    _kept.append(descriptor)


def flock(name: str) -> None:
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT, 0o666)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    _kept.append(descriptor)


# -- other processes: what the kernel lets a process of this user do to another one ------------------------------------


def read(name: str) -> None:
    with open(name, "rb") as opened:
        opened.read(1)


def write_memory(pid: str) -> None:
    os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))


def list_names(name: str) -> None:
    os.listdir(name)


def attach(pid: str) -> None:
    """Seize a process as a debugger does, in a child: it is let go when the child ends."""
    child = os.fork()
    if child == 0:
        refused = _libc.ptrace(PTRACE_SEIZE, int(pid), 0, 0)
        os._exit(ctypes.get_errno() if refused else 0)
    _, status = os.waitpid(child, 0)
    if number := os.waitstatus_to_exitcode(status):
        raise OSError(number, "ptrace")


class _Range(ctypes.Structure):
    """`struct iovec` of process_vm_readv(2)."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def read_memory(pid: str) -> None:
    """Copy one byte out of the memory of a process. At address 0 there is none: EFAULT says that one might have."""
    byte = ctypes.create_string_buffer(1)
    here, there = _Range(ctypes.addressof(byte), 1), _Range(None, 1)
    if _libc.process_vm_readv(int(pid), ctypes.byref(here), 1, ctypes.byref(there), 1, 0) < 0:
        raise OSError(ctypes.get_errno(), "process_vm_readv")


STEPS: dict[str, Callable[..., None]] = {
    step.__name__: step
    for step in (
        *(
            link,
            hard_link,
            file,
            bytes_of,
            append,
            fifo,
            unix_socket,
            device,
            forge_record,
            directory,
            sparse,
            deep,
            many,
            rename,
            remove,
            swap,
        ),
        *(read, write_memory, list_names, attach, read_memory),
        *(lease, flock, *STORMS),
    )
}


def main() -> None:
    os.umask(0)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        answer = "ok"
        try:
            STEPS[name](*arguments)
        except OSError as error:
            answer = errno.errorcode.get(error.errno or 0, str(error))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
