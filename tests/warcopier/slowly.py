"""The copier on a slow disk, 20 ms for each 64 KiB of a WAR: `python -m tests.warcopier.slowly`."""

from __future__ import annotations

import os
import sys
import time

from sidecars.chassis import commandline
from sidecars.warcopier import app
from sidecars.warcopier.settings import Settings
from sidecars.warcopier.transfer import copying

PAUSE = 0.02  # seconds


def main() -> int:
    copy_file_range = os.copy_file_range

    def slow(reader: int, writer: int, count: int, start: int | None = None, end: int | None = None) -> int:
        time.sleep(PAUSE)
        return copy_file_range(reader, writer, count, start, end)

    copying._KERNEL_PIECE = 1 << 16
    setattr(os, "copy_file_range", slow)  # noqa: B010 - its stub has names of its own for the arguments
    return commandline.job(Settings, app.run)


if __name__ == "__main__":
    sys.exit(main())
