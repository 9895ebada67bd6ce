"""The identity of a file: two names with the same key are one file, as long as it exists (inode numbers are reused)."""

from __future__ import annotations

import os

FileKey = tuple[int, int]
"""Device and inode of a file."""


def file_key(status: os.stat_result) -> FileKey:
    """Return the key of the file with this status."""
    return (status.st_dev, status.st_ino)
