"""The manifest `.warcopier.json`: the artifacts that earlier runs published into the target, with their digests.

It lies where others may write, so it is a hint and no authority (`artifacts`, `planning`). It saves a second run from
checking archives again, and it lists the artifacts that WARCOPIER_PRUNE may remove if they are ours. A file of another
user, or one that others may write into, is not read. Without a valid manifest everything is checked again, nothing is
pruned, and a new one is written. Removing it is always safe.

A name that ends in `.war` is an archive. Any other name is an exploded directory. Each artifact is one line, and lines
are read one by one, so that a file that was planted takes little memory.
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
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import BinaryIO

    from sidecars.chassis.isolation.beneath import Root
    from sidecars.warcopier.target.directory import TargetDirectory
    from sidecars.warcopier.target.staging_area import StagingArea

    Manifest = dict[str, ManifestEntry]
    """The entry of each artifact by its name in the target."""

_BEGIN, _END = b'{"version":1,"artifacts":{\n', b"}}\n"
MAX_BYTES = 4 << 20  # of some 15,000 artifacts; a larger file was not written by us
_MAX_LINE = 4096  # bytes; each byte of a name of 255 may be an escape of 6
_MODE = 0o644
_WRITTEN_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_WRITE_SIZE = 1 << 16  # bytes written at a time


def load(root: Root, is_own_user: Callable[[int], bool]) -> Manifest:
    """Return the manifest of the target; {} if it has none. Raises OSError, or ValueError if it is not valid.

    `is_own_user` returns True for the user to whom our new files belong.
    """
    try:
        descriptor = root.open_file(tomcat_names.MANIFEST)
    except FileNotFoundError:
        return {}
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if found.st_size > MAX_BYTES:
            raise ValueError("it is not a manifest")
        if found.st_mode & _WRITTEN_BY_OTHERS or not is_own_user(found.st_uid):
            raise ValueError(f"it belongs to user {found.st_uid} and has mode {stat.S_IMODE(found.st_mode):04o}")
        manifest = parse(file)
    if not all(map(_is_published_name, manifest)):
        raise ValueError("it has a name that no artifact can have")
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


def parse(file: BinaryIO) -> Manifest:
    """Return the manifest in this file. Raises ValueError if this version did not write it."""
    import json  # noqa: PLC0415 - a first run, which an application waits for, has no manifest

    manifest: Manifest = {}
    try:
        if file.readline(_MAX_LINE) not in (_BEGIN, _BEGIN[:-1]):
            raise ValueError("its first line is not that of a manifest")
        while (line := file.readline(_MAX_LINE)) != _END:
            ((name, entry),) = json.loads(b"{%s}" % line.removesuffix(b"\n").removesuffix(b",")).items()
            manifest[name] = _parse_entry(entry)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is not a manifest: {error}") from None
    if file.readline(1):
        raise ValueError("it goes on after its end")
    return manifest


def render(manifest: Mapping[str, ManifestEntry]) -> Iterator[bytes]:
    """Yield the JSON of the manifest: one line an artifact, sorted by name. Equal manifests have equal bytes."""
    yield _BEGIN.removesuffix(b"\n")
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


def _is_published_name(name: str) -> bool:
    """True if a run could have published an artifact of that name: one component, which Tomcat would serve."""
    if "/" in name or "\0" in name or name.upper() in tomcat_names.NEVER_DEPLOYED:
        return False
    try:
        war = name if tomcat_names.is_war(name) else f"{name}{tomcat_names.WAR_SUFFIX}"
        os.fsencode(name)
        return name not in ("", ".", "..") and tomcat_names.published_name(war) == war
    except ValueError:  # UnicodeEncodeError, too
        return False


def _parse_entry(entry: Mapping[str, object]) -> ManifestEntry:
    sha256, check = entry["sha256"], entry["check"]
    if not isinstance(sha256, str) or not isinstance(check, str):
        raise TypeError("sha256 and check must be text")
    return ManifestEntry(sha256, check, _parse_fingerprint(entry["file"]))


def _parse_fingerprint(fields: object) -> Fingerprint:
    if not isinstance(fields, dict) or not all(type(value) is int for value in fields.values()):
        raise TypeError("a file's fields must be whole numbers")
    return Fingerprint(fields["size"], fields["mtime_ns"], fields["ctime_ns"], fields["inode"])
