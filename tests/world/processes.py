"""The processes of the sidecar: when one is killed, and which calls of it fail.

kill -9 may come at each call that reaches the disk, or at any time. From then on the process has no effect: its
connections and files are closed by the kernel, each further call to the disk raises `Killed`, and what is left of its
tasks is cancelled. A write may be done in part when the kill comes.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from tests.world.universe import OWNER

if TYPE_CHECKING:
    from tests.world.disk import Inode
    from tests.world.kernel import Kernel

_MAY_FAIL = frozenset({"open", "getdents", "read", "write", "fsync", "rename", "unlink", "ftruncate"})


class Killed(BaseException):
    """The process was killed: none of its code has an effect any more."""


class Processes:
    """Those that were killed, and the faults of the disk."""

    def __init__(self, kernel: Kernel) -> None:
        self.dead: set[str] = set()
        self.calls = 0  # to the disk, of the process that runs
        self.kill_at = 0  # the call at which it is killed; 0: none
        self.on_kill: Callable[[], object] = lambda: None
        self.failures = 0  # of calls to the disk
        self._kernel = kernel

    def begin(self, call: str, inode: Inode, size: int = 0) -> None:
        """Begin a call to the disk. Raises Killed, or OSError if the disk fails."""
        owner = OWNER.get()
        if owner in self.dead:
            raise Killed
        self.calls += 1
        if self.calls == self.kill_at:
            self.kill(owner, f"{call} {size}".rstrip(" 0"))
            raise Killed
        share = inode.volume.error_share
        if share and call in _MAY_FAIL and self._kernel.universe.chance(share):
            self.fail(errno.EIO, call, inode)

    def fail(self, number: int, call: str, inode: Inode) -> NoReturn:
        """Let a call fail."""
        self.failures += 1
        inode.failed_at = self._kernel.universe.now
        self._kernel.universe.record(f"{call} fails with {errno.errorcode[number]}")
        raise OSError(number, os.strerror(number))

    def room_for_write(self, inode: Inode, offset: int, data: bytes) -> int:
        """Return the number of bytes that a write takes. Raises Killed or OSError."""
        dice = self._kernel.universe.dice
        if self.calls + 1 == self.kill_at and len(data) > 1 and OWNER.get() not in self.dead and dice.random() < 0.5:
            inode.write(offset, data[: dice.randint(1, len(data) - 1)])
        self.begin("write", inode, len(data))
        if inode.volume.is_full:
            if len(data) < 2 or dice.random() < 0.5:
                self.fail(errno.ENOSPC, "write", inode)
            self.failures += 1
            taken = dice.randint(1, len(data) - 1)
            self._kernel.universe.record(f"write takes {taken} of {len(data)} bytes")
            return taken
        return len(data)

    def kill(self, owner: str, where: str) -> None:
        """Kill the process. Its files and connections are closed at once."""
        kernel = self._kernel
        kernel.universe.record(f"{owner} is killed: {where}")
        self.end(owner)
        self.on_kill()

    def end(self, owner: str) -> None:
        """Close the files and connections of a process that has ended."""
        kernel = self._kernel
        self.dead.add(owner)
        self.calls = self.kill_at = 0
        for number, file in list(kernel.files.items()):
            if kernel.owners.get(number) == owner and number in kernel.files:
                _close(file)

    async def bury(self, owner: str, tasks: Callable[[], list[Any]]) -> None:
        """Cancel what is left of the tasks of a killed process. `tasks` returns those of all processes."""
        for _ in range(100):
            left = [task for task in tasks() if task.owner == owner]
            if not left:
                return
            for task in left:
                task.cancel()
            await asyncio.sleep(0)
        raise AssertionError(f"tasks of a killed process go on: {left}")


def _close(file: Any) -> None:
    if hasattr(file, "inode") and hasattr(file, "release"):
        file.release("killed")
        return
    file.on_readable = None
    transport = getattr(file, "transport", None)
    file.close()
    if transport is not None:
        transport.die()
