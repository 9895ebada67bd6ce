"""What becomes of rotated files, and how one is deleted while others are being rotated."""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from sidecars.logshipper.input.discovery import FileKey


class RotatedFilePolicy(NamedTuple):
    """What becomes of rotated files."""

    wait: float  # seconds that one must be quiet before it is let go
    delete: bool = False  # whether it is deleted then


def delete(path: str, key: FileKey, mark: str) -> bool:
    """Delete the file at the path if it is the one of that device and inode. Raises OSError when that cannot be done.

    Rotation may put another file there between a look and a deletion. So it is renamed first (`mark` makes the name its
    own), then looked at, and put back if it is another: never over what may be there by now.
    """
    aside = f"{path}.{mark}"
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, aside)  # noqa: PTH104 - paths are text throughout
        status = os.lstat(aside)
        ours = (status.st_dev, status.st_ino) == key
        if not ours:
            os.link(aside, path, follow_symlinks=False)
        os.unlink(aside)  # noqa: PTH108 - as above
        return ours
    return False
