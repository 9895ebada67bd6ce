"""The manifest `.warcopier.json`: the artifacts that earlier runs published into the target, with their digests.

It is a cache and a record. It saves a second run from reading and checking the artifacts in the target again
(`artifacts` says when it is trusted), and it lists the artifacts that WARCOPIER_PRUNE may remove. Without a valid
manifest everything is read and compared again, nothing is pruned, and a new one is written. Removing it is always safe.

A name that ends in `.war` is an archive. Any other name is an exploded directory.
"""

from __future__ import annotations

import os
import stat

from sidecars.chassis.runtime import json_text
from sidecars.chassis.runtime.file_io import write_all
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, asdict
from sidecars.warcopier import io_errors, tomcat_names
from sidecars.warcopier.artifacts import Fingerprint, ManifestEntry
from sidecars.warcopier.target import commit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sidecars.warcopier.target.directory import TargetDirectory
    from sidecars.warcopier.target.staging_area import StagingArea

    Manifest = dict[str, ManifestEntry]
    """The entry of each artifact by its name in the target."""

VERSION = 1
_MAX_BYTES = 64 << 20  # a larger file was not written by us
_MODE = 0o644
_WRITE_SIZE = 1 << 16  # bytes written at a time


def load(directory: int) -> Manifest:
    """Return the manifest of an open directory; {} if it has none. Raises OSError, or ValueError if it is not valid."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(tomcat_names.MANIFEST, flags, dir_fd=directory)
    except FileNotFoundError:
        return {}
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_BYTES:
            raise ValueError("it is not a manifest")
        manifest = parse(os.pread(descriptor, found.st_size, 0))
    finally:
        os.close(descriptor)
    if not all(map(_can_be_a_name, manifest)):
        raise ValueError("it has a name that no file can have")
    return manifest


def save(target: TargetDirectory, area: StagingArea, manifest: Mapping[str, ManifestEntry]) -> None:
    """Write the manifest as safely as a WAR: staged, flushed, renamed. Raises IOFailed."""
    with io_errors.writing(target.path):
        staging_name, descriptor = area.create_file(_MODE)
        try:
            for chunk in _chunks(render(manifest)):
                write_all(descriptor, chunk)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        commit.publish_file(target, area, staging_name, tomcat_names.MANIFEST)
        commit.flush_names(target)


def parse(raw: bytes) -> Manifest:
    """Return the manifest in these bytes. Raises ValueError if this version did not write them."""
    import json  # noqa: PLC0415 - a first run, which an application waits for, has no manifest

    try:
        data = json.loads(raw)
        if data["version"] != VERSION:
            raise ValueError(f"its version is {data['version']}, not {VERSION}")
        return {name: _parse_entry(entry) for name, entry in data["artifacts"].items()}
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is not a manifest: {error}") from None


def render(manifest: Mapping[str, ManifestEntry]) -> Iterator[bytes]:
    """Yield the JSON of the manifest: one line an artifact, sorted by name. Equal manifests have equal bytes."""
    yield b'{"version":%d,"artifacts":{' % VERSION
    comma = b"\n"
    for name in sorted(manifest):
        entry = manifest[name]
        fields = {"sha256": entry.sha256, "check": entry.check, "file": asdict(entry.file)}
        yield b"%s%s:%s" % (comma, _encoded(name), _encoded(fields))
        comma = b",\n"
    yield b"\n}}\n"


def _chunks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join the lines to chunks of about _WRITE_SIZE bytes."""
    chunk = bytearray()
    for line in lines:
        chunk += line
        if len(chunk) >= _WRITE_SIZE:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk)


def _encoded(value: object) -> bytes:
    """Return the value as JSON. A name that is not text has lone surrogates in it, which become escapes."""
    text = json_text.dumps(value)
    return text.encode() if text.isascii() else "".join(map(_escaped, text)).encode()


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}" if "\ud800" <= char <= "\udfff" else char


def _can_be_a_name(name: str) -> bool:
    """True if a directory can have an entry of that name. Others can write the manifest: it must not lead elsewhere."""
    try:
        raw = os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return raw not in (b"", b".", b"..") and b"/" not in raw and b"\0" not in raw


def _parse_entry(entry: Mapping[str, object]) -> ManifestEntry:
    sha256, check = entry["sha256"], entry["check"]
    if not isinstance(sha256, str) or not isinstance(check, str):
        raise TypeError("sha256 and check must be text")
    return ManifestEntry(sha256, check, _parse_fingerprint(entry["file"]))


def _parse_fingerprint(fields: object) -> Fingerprint:
    if not isinstance(fields, dict) or not all(type(value) is int for value in fields.values()):
        raise TypeError("a file's fields must be whole numbers")
    return Fingerprint(fields["size"], fields["mtime_ns"], fields["ctime_ns"], fields["inode"])
