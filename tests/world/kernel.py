"""The kernel of the world: the table of descriptors, and the calls of `os`, `select` and `resource` that reach it.

Only calls that the sidecars make are here. A descriptor that the world has not given out goes to the real call.
"""

from __future__ import annotations

import errno
import heapq
import itertools
import os
import resource
import select
import stat
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.world.processes import Processes
from tests.world.universe import OWNER

if TYPE_CHECKING:
    from tests.world.disk import Disk
    from tests.world.event_loop import VirtualLoop
    from tests.world.network import Network
    from tests.world.sockets import VirtualSocket
    from tests.world.universe import Universe

_FIRST = 100  # the lowest descriptor of the world; those of the real process are below
_LIMIT = 1 << 16
_FIRST_FILE = 100_000
# The descriptors of files are not used again, by no universe: the rest of a killed process may still close one.
_file_numbers = itertools.count(_FIRST_FILE)


class Kernel:
    """Descriptors and sockets of one universe."""

    network: Network
    loop: VirtualLoop

    def __init__(self, universe: Universe) -> None:
        self.universe = universe
        self.files: dict[int, Any] = {}
        self.owners: dict[int, str] = {}  # by descriptor
        self.awake: dict[int, VirtualSocket] = {}  # sockets that may be readable, by their inodes
        self.disk: Disk | None = None
        self.processes = Processes(self)
        self._free = list(range(_FIRST, _FIRST + 4096))
        self._inodes = 5000

    def attach(self, loop: VirtualLoop) -> None:
        self.loop = loop

    def open(self, file: Any) -> int:
        """Return the lowest free descriptor for the file. Raises OSError."""
        if not self._free:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        number = heapq.heappop(self._free)
        self.files[number] = file
        self.owners[number] = OWNER.get()
        return number

    def open_file(self, file: Any) -> int:
        """Return a descriptor for a file on the disk."""
        number = next(_file_numbers)
        self.files[number] = file
        self.owners[number] = OWNER.get()
        return number

    def close(self, number: int) -> None:
        if self.files.pop(number, None) is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if number < _FIRST_FILE:
            heapq.heappush(self._free, number)

    def new_inode(self) -> int:
        self._inodes += 1
        return self._inodes

    def socket_of(self, fd: Any) -> VirtualSocket:
        own: VirtualSocket = self.files[fd] if isinstance(fd, int) else fd
        return own


class _NoKernel:
    """No universe runs: sockets cannot be made."""

    files: dict[int, Any] = {}  # noqa: RUF012 - it stays empty
    owners: dict[int, str] = {}  # noqa: RUF012 - it stays empty
    disk: Any = None


_kernel: Any = _NoKernel()


def kernel() -> Kernel:
    """Return the kernel of the universe that runs."""
    running: Kernel = _kernel
    return running


def boot(fresh: Kernel) -> None:
    """Make this the kernel that all calls reach from now on."""
    global _kernel  # noqa: PLW0603 - a process has one kernel
    _kernel = fresh


class _Poll:
    """select.poll, for descriptors of the world."""

    def __init__(self) -> None:
        self._numbers: list[int] = []

    def register(self, fd: Any, _mask: int = 0) -> None:
        self._numbers.append(fd if isinstance(fd, int) else fd.fileno())

    def poll(self, _timeout: float | None = None) -> list[tuple[int, int]]:
        files = kernel().files
        return [(number, select.POLLHUP) for number in self._numbers if number in files and files[number].is_hung_up()]


_read, _fstat, _close = os.read, os.fstat, os.close


def _os_read(number: int, size: int, /) -> bytes:
    file = _kernel.files.get(number)
    return _read(number, size) if file is None else file.recv(size)


def _os_fstat(number: int) -> Any:
    file = _kernel.files.get(number)
    return _fstat(number) if file is None else SimpleNamespace(st_ino=file.inode, st_mode=stat.S_IFSOCK | 0o777)


def _os_close(number: int) -> None:
    file = _kernel.files.get(number)
    if file is not None:
        file.close()
    elif number < _FIRST_FILE:
        _close(number)
    elif number in _kernel.owners and _kernel.owners[number] not in _kernel.processes.dead:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def install() -> None:
    """Replace the calls of this process that reach descriptors."""
    select.poll = _Poll  # type: ignore[assignment,misc] # it takes the place of the real one
    for name, call in {"read": _os_read, "fstat": _os_fstat, "close": _os_close}.items():
        setattr(os, name, call)
    resource.getrlimit = lambda _which: (_LIMIT, _LIMIT)
    resource.setrlimit = lambda _which, _limits: None
