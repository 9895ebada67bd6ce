"""`.warcopier.json`: what earlier runs published into this directory, with digests.

It is a cache and a piece of evidence. It saves a second run from reading and checking what it finds in the target (see
`plan` for when it is believed), and it says what may be pruned. Without it, or with one that cannot be understood,
everything is read and compared again, nothing is pruned, and a new one is written. Removing it is always safe.

A name that ends in `.war` is an archive; any other is a directory that was unpacked.
"""

from __future__ import annotations

import os
import stat

from sidecars.chassis.runtime import json_text
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, asdict
from sidecars.warcopier import tomcat_names
from sidecars.warcopier.artifacts import Fingerprint, ManifestEntry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Manifest = dict[str, ManifestEntry]

VERSION = 1
_LARGEST = 64 << 20  # bytes; beyond that it is none of ours


def parse(raw: bytes) -> Manifest:
    """The record in these bytes. Raises ValueError when it is not one that this version wrote."""
    import json  # noqa: PLC0415 - the first run, which an app waits for, has no record

    try:
        data = json.loads(raw)
        if data["version"] != VERSION:
            raise ValueError(f"its version is {data['version']}, not {VERSION}")
        return {name: _published(entry) for name, entry in data["artifacts"].items()}
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is not a record: {error}") from None


def render(record: Mapping[str, ManifestEntry]) -> Iterator[bytes]:
    """The same record always gives the same bytes: an artifact a line, by name."""
    yield b'{"version":%d,"artifacts":{' % VERSION
    comma = b"\n"
    for name in sorted(record):
        entry = record[name]
        fields = {"sha256": entry.sha256, "check": entry.check, "file": asdict(entry.file)}
        yield b"%s%s:%s" % (comma, _encoded(name), _encoded(fields))
        comma = b",\n"
    yield b"\n}}\n"


def _encoded(value: object) -> bytes:
    """A name of bytes that are no text has lone surrogates in it, which JSON writes as escapes."""
    text = json_text.dumps(value)
    return text.encode() if text.isascii() else "".join(map(_escaped, text)).encode()


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}" if "\ud800" <= char <= "\udfff" else char


def load(directory: int) -> Manifest:
    """The record in an open directory; {} when there is none yet. Raises OSError or ValueError when it is unusable."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = os.open(tomcat_names.MANIFEST, flags, dir_fd=directory)
    except FileNotFoundError:
        return {}
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            raise ValueError("it is not a record")
        known = parse(os.pread(file, found.st_size, 0))
    finally:
        os.close(file)
    if not all(map(_can_be_a_name, known)):
        raise ValueError("it has a name that no file can have")
    return known


def _can_be_a_name(name: str) -> bool:
    """True if a directory can have an entry of that name. Others can write the record: it must not lead elsewhere."""
    try:
        raw = os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return raw not in (b"", b".", b"..") and b"/" not in raw and b"\0" not in raw


def _published(entry: Mapping[str, object]) -> ManifestEntry:
    sha256, check = entry["sha256"], entry["check"]
    if not isinstance(sha256, str) or not isinstance(check, str):
        raise TypeError("sha256 and check must be text")
    return ManifestEntry(sha256, check, _fingerprint(entry["file"]))


def _fingerprint(fields: object) -> Fingerprint:
    if not isinstance(fields, dict) or not all(type(value) is int for value in fields.values()):
        raise TypeError("a file's fields must be whole numbers")
    return Fingerprint(fields["size"], fields["mtime_ns"], fields["ctime_ns"], fields["inode"])
