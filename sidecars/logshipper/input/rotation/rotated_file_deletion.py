"""DELETE_DELIVERED: deletes a rotated file that every sink has, while rotation may give its name to another file."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from sidecars.logshipper.model.file_key import FileKey, file_key
from sidecars.logshipper.volumes.log_volumes import LogVolumes


class RotatedFilePolicy(NamedTuple):
    """ROTATE_WAIT, DELETE_DELIVERED and MAX_HELD."""

    wait: float  # seconds for which a rotated file must be quiet before it is over
    delete: bool = False  # True if it is then deleted
    max_held: int | None = None  # bytes of disk of deleted files that are held open; None: without limit


def delete(volumes: LogVolumes, path: str, key: FileKey, suffix: str) -> bool:
    """Delete the file at the path if it has the key. Return True if it was deleted. Raises OSError.

    Rotation may put another file at the path between a check and a deletion. So the file is renamed first, to a name
    that ends with `suffix` (unique to it), then checked, and renamed back if it is another one. A file that was
    created at the path in the meantime is never overwritten.

    All of this is done in one directory, which is held open. A file that is reached through a link is not deleted, and
    LeavesRoot is raised.
    """
    with contextlib.suppress(FileNotFoundError):
        folder, name = volumes.parent_without_links(path)
        with folder:
            aside = f"{name}.{suffix}"
            folder.rename(name, aside)
            is_the_file = file_key(folder.status(aside)) == key
            if not is_the_file:
                folder.link(aside, name)
            folder.remove(aside)
            return is_the_file
    return False
