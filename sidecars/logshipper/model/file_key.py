"""The identity of a file: two names with the same key are one file, as long as it exists (inode numbers are reused)."""

from __future__ import annotations

import os
from functools import lru_cache

FileKey = tuple[int, int]
"""Device and inode of a file."""


def file_key(status: os.stat_result) -> FileKey:
    """Return the key of the file with this status."""
    return (same_device(status.st_dev), status.st_ino)


@lru_cache(maxsize=256)
def same_device(device: int) -> int:
    """Return the number of a device as the same object each time: very many files are on few devices."""
    return device
