"""`.warcopier.json`: what earlier runs published into this directory, with digests.

It is a cache and a piece of evidence, never an authority. It saves a second run from reading and checking what it finds
in the target (see `plan` for when it is believed). Without it, or with one that cannot be
understood, everything is read and compared again, and a new one is written. Removing it is always safe.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping

from sidecars.warcopier import naming
from sidecars.warcopier.plan import Fingerprint, Published

VERSION = 1
_LARGEST = 16 << 20  # bytes; beyond that it is none of ours

Record = dict[str, Published]


def parse(raw: bytes) -> Record:
    """The record in these bytes. Raises ValueError when it is not one that this version wrote."""
    try:
        data = json.loads(raw)
        if data["version"] != VERSION:
            raise ValueError(f"its version is {data['version']}, not {VERSION}")
        return {name: _published(entry) for name, entry in data["artifacts"].items()}
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is not a record: {error}") from None


def render(record: Mapping[str, Published]) -> bytes:
    """The same record always gives the same bytes."""
    artifacts = {
        name: {
            "sha256": entry.sha256,
            "check": entry.check,
            "file": _fields(entry.file),
        }
        for name, entry in sorted(record.items())
    }
    return json.dumps({"version": VERSION, "artifacts": artifacts}, indent=1).encode() + b"\n"


def load(directory: int) -> Record:
    """The record in an open directory; {} when there is none yet. Raises OSError or ValueError when it is unusable."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = os.open(naming.RECORD, flags, dir_fd=directory)
    except FileNotFoundError:
        return {}
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            raise ValueError("it is not a record")
        return parse(os.pread(file, found.st_size, 0))
    finally:
        os.close(file)


def _published(entry: Mapping[str, object]) -> Published:
    sha256, check = entry["sha256"], entry["check"]
    if not isinstance(sha256, str) or not isinstance(check, str):
        raise TypeError("sha256 and check must be text")
    return Published(sha256, check, _fingerprint(entry["file"]))


def _fingerprint(fields: object) -> Fingerprint:
    if not isinstance(fields, dict) or not all(type(value) is int for value in fields.values()):
        raise TypeError("a file's fields must be whole numbers")
    return Fingerprint(fields["size"], fields["mtime_ns"], fields["ctime_ns"], fields["inode"])


def _fields(file: Fingerprint) -> dict[str, int]:
    return {"size": file.size, "mtime_ns": file.mtime_ns, "ctime_ns": file.ctime_ns, "inode": file.inode}
