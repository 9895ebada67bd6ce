"""The copier, interrupted at a step: `python -m tests.warcopier.interrupted KILL|TERM|TRACE N [shared]`.

Every call of the job that can change the disk is counted. Before the Nth call the process gets the signal. TRACE sends
none and writes the calls to stderr, one a line. The kernel copies small pieces, so that one WAR takes several calls.
`shared` means that two processes unpack. Their calls are counted together, almost exactly; the signal is for the first.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
import stat
import sys
from collections.abc import Callable
from typing import Any

from sidecars.chassis import commandline
from sidecars.chassis.isolation import openat2
from sidecars.warcopier import app
from sidecars.warcopier.settings import Settings
from sidecars.warcopier.target import directory_swap, stager
from sidecars.warcopier.transfer import copying

CHANGING = (
    *("copy_file_range", "sendfile", "pwrite", "write", "fchmod", "chmod", "utime", "fsync"),
    *("rename", "unlink", "mkdir", "rmdir"),
)

_write = os.write


class Interruption:
    def __init__(self, mode: str, at: int) -> None:
        self.mode = mode
        self.at = at
        self.calls = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")
        self.process = os.getpid()

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            if name == "write" and not stat.S_ISREG(os.fstat(args[0]).st_mode):
                return call(*args, **kwargs)  # a log line
            calls = self.calls[0] + 1  # two processes may count one call less, but no number is skipped
            self.calls[0] = calls
            if self.mode == "TRACE":
                _write(2, f"{name} {args[0]!r}\n".encode())
            elif calls == self.at:
                os.kill(self.process, signal.SIGKILL if self.mode == "KILL" else signal.SIGTERM)
            return call(*args, **kwargs)

        return counted


def main() -> int:
    interruption = Interruption(sys.argv[1], int(sys.argv[2]))
    if sys.argv[3:]:
        stager.WORTH_A_PROCESS = 1
        os.sched_getaffinity = lambda _process: {0, 1}
    del sys.argv[1:]
    opened = os.open

    def open_(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        create = interruption.around("create", opened) if flags & os.O_CREAT else opened
        return int(create(path, flags, *args, **kwargs))

    opened_beneath = openat2.open_beneath

    def beneath(directory: int, name: bytes, flags: int, mode: int = 0) -> int:
        create = interruption.around("create", opened_beneath) if flags & os.O_CREAT else opened_beneath
        return int(create(directory, name, flags, mode))

    def run(settings: Settings) -> None:
        copying._KERNEL_PIECE = stager.SMALL = 1 << 16
        for name in CHANGING:
            setattr(os, name, interruption.around(name, getattr(os, name)))
        os.open = open_
        openat2.open_beneath = beneath
        fcntl.flock = interruption.around("flock", fcntl.flock)
        directory_swap.exchange = interruption.around("exchange", directory_swap.exchange)
        for module in (app, stager):
            flush = interruption.around("flush_file_system", copying.flush_file_system)
            setattr(module, "flush_file_system", flush)  # noqa: B010 - a module has no such attribute for mypy
        app.run(settings)

    return commandline.job(Settings, run)


if __name__ == "__main__":
    sys.exit(main())
