"""A hostile neighbour with our uid: `python -m tests.warcopier.swap_storm PATTERN NAME OUTSIDE`.

It waits for a directory that the pattern matches, plants a link to OUTSIDE in it, and exchanges the link with the
directory NAME in it as fast as it can, until it is killed. It writes a line once the first exchange is done.
"""

from __future__ import annotations

import contextlib
import ctypes
import glob
import os
import sys
from pathlib import Path

from sidecars.warcopier.target import directory_swap

_RENAME = ctypes.CDLL(None, use_errno=True).renameat2
_EXCHANGE = directory_swap._RENAME_EXCHANGE


def main(pattern: str, name: str, outside: str) -> None:
    told = False
    while True:
        for folder in glob.glob(pattern):  # noqa: PTH207 - as fast as it can
            with contextlib.suppress(OSError):
                storm = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                with contextlib.suppress(FileExistsError):
                    Path(folder, "planted").symlink_to(outside)
                while _RENAME(storm, name.encode(), storm, b"planted", _EXCHANGE) == 0:
                    if not told:
                        told = True
                        os.write(1, b"storm\n")
                os.close(storm)


if __name__ == "__main__":
    main(*sys.argv[1:])
