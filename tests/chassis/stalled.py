"""Full pipes, terminals and sockets, as the stderr of a program whose reader stalls."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import socket
import termios
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.support import PATIENCE


@dataclass
class Stalled:
    """The two ends of a stream: `theirs` is full, because no byte was read from `ours` yet.

    The kernel moves the bytes of a terminal from one buffer to the next when it likes, so a full one has room again a
    moment later. Its output is stopped, as by Ctrl-S, until the first read.
    """

    ours: int
    theirs: int
    filled: int = field(init=False)  # bytes

    def __post_init__(self) -> None:
        os.set_blocking(self.theirs, False)
        self.filled = 0
        for size in (4096, 1):
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.filled += os.write(self.theirs, b"." * size)
        os.set_blocking(self.theirs, True)
        self._flow(termios.TCOOFF)

    def _flow(self, action: int) -> None:
        """Stop or resume the output, if this is a terminal whose end was not closed."""
        with contextlib.suppress(termios.error):
            termios.tcflow(self.theirs, action)

    def read(self, until: bytes, patience: float = PATIENCE) -> bytes:
        """Return the bytes that were written after the filling, up to the given ones."""
        self._flow(termios.TCOON)
        data = b""
        while until not in data[self.filled :]:
            ready, _, _ = select.select([self.ours], [], [], patience)
            assert ready, f"not within {patience:g} s: {until!r}; so far {data[self.filled :][-500:]!r}"
            data += os.read(self.ours, 1 << 16)
        return data[self.filled :]

    def read_lines(self, is_enough: Callable[[list[str]], bool], patience: float = PATIENCE) -> list[str]:
        """Return the whole lines that were written after the filling, as soon as they are enough."""
        self._flow(termios.TCOON)
        data = b""
        lines: list[str] = []
        while not is_enough(lines):
            ready, _, _ = select.select([self.ours], [], [], patience)
            assert ready, f"not within {patience:g} s; {len(lines)} lines so far"
            data += os.read(self.ours, 1 << 16)
            lines = data[self.filled :].decode().split("\n")[:-1]
        return lines

    def is_still_blocking(self) -> bool:
        """Return True if the flags of the shared description are unchanged."""
        return not fcntl.fcntl(self.theirs, fcntl.F_GETFL) & os.O_NONBLOCK


@contextlib.contextmanager
def stalled(kind: str) -> Iterator[Stalled]:
    """Make a full `pipe`, `terminal` or `socket`."""
    with contextlib.ExitStack() as stack:
        if kind == "socket":
            ends = tuple(each.detach() for each in socket.socketpair())
        elif kind == "terminal":
            ends = pty.openpty()
            tty.setraw(ends[1])
        else:
            ends = os.pipe()
        for end in ends:
            stack.callback(_close, end)
        yield Stalled(*ends)


def _close(end: int) -> None:
    with contextlib.suppress(OSError):
        os.close(end)
