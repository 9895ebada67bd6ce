"""The copier on a slow disk, 20 ms for each 64 KiB of a WAR: `python -m tests.warcopier.slowly`.

A test that must look, or stop it, in the middle of a copy is so free of the speed and of the free space of a disk.
"""

from __future__ import annotations

import os
import sys
import time

from sidecars.warcopier import __main__ as program
from sidecars.warcopier.transfer import copying

PAUSE = 0.02  # seconds


def main() -> int:
    copy_file_range = os.copy_file_range

    def slow(reader: int, writer: int, count: int, start: int | None = None, end: int | None = None) -> int:
        time.sleep(PAUSE)
        return copy_file_range(reader, writer, count, start, end)

    copying._KERNEL_PIECE = 1 << 16
    setattr(os, "copy_file_range", slow)  # noqa: B010 - its stub has names of its own for the arguments
    return program.main()


if __name__ == "__main__":
    sys.exit(main())
