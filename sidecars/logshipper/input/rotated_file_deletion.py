"""DELETE_DELIVERED: deletes a rotated file that every sink has, while rotation may give its name to another file."""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from sidecars.logshipper.input.discovery import FileKey


class RotatedFilePolicy(NamedTuple):
    """ROTATE_WAIT and DELETE_DELIVERED."""

    wait: float  # seconds for which a rotated file must be quiet before it is over
    delete: bool = False  # True if it is then deleted


def delete(path: str, key: FileKey, suffix: str) -> bool:
    """Delete the file at the path if it has the key. Return True if it was deleted. Raises OSError.

    Rotation may put another file at the path between a check and a deletion. So the file is renamed first, to a name
    that ends with `suffix` (unique to it), then checked, and renamed back if it is another one. A file that was
    created at the path in the meantime is never overwritten.
    """
    aside = f"{path}.{suffix}"
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, aside)  # noqa: PTH104 - paths are text: globs give it, records need it
        status = os.lstat(aside)
        is_the_file = (status.st_dev, status.st_ino) == key
        if not is_the_file:
            os.link(aside, path, follow_symlinks=False)
        os.unlink(aside)  # noqa: PTH108 - paths are text: globs give it, records need it
        return is_the_file
    return False
