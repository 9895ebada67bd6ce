"""The version that a WAR states of itself: `Implementation-Version` in its META-INF/MANIFEST.MF. Pure.

It is for people alone: nothing is decided by it. It comes from the archive, so it is printable and short. Java's tools
write the manifest as one of the first entries; an archive that has it later has no version here.
"""

from __future__ import annotations

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.chassis.runtime.printable import printable, truncate
from sidecars.warcopier.archive import zip_format
from sidecars.warcopier.archive.zip_format import BadArchive, ReadAhead

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidecars.warcopier.io_errors import ReadAt

MANIFEST = b"META-INF/MANIFEST.MF"
MOST_BYTES = 1 << 16  # of a manifest
_LOOKED_AT = 100  # entries
_LONGEST = 80  # characters
_ATTRIBUTES = ("implementation-version", "bundle-version", "specification-version")  # the first one that is there


def version_in_archive(read: ReadAt, size: int) -> str:
    """Return the version in the archive of `size` bytes; "" if it has none, or is no archive. Raises OSError."""
    try:
        directory = zip_format.find_central_directory(read, size)
        buffer = ReadAhead(read)
        for number, entry in enumerate(zip_format.entries(buffer, directory)):
            if entry.name == MANIFEST and zip_format.is_small(entry):
                inside = ReadAhead(read)
                data = zip_format.read_small_data(inside, entry, zip_format.data_offset(inside, entry, directory))
                return version_in_manifest(data.decode(errors="replace").splitlines())
            if number >= _LOOKED_AT:
                break
    except BadArchive:
        pass
    return ""


def version_in_manifest(lines: Iterable[str]) -> str:
    """Return the version in the main section of a manifest; "" if it has none.

    A line that begins with a space continues the one before (the JAR file specification). The section ends at the
    first empty line.
    """
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        if not line:
            break
        if line.startswith(" "):
            found[name] = found.get(name, "") + line[1:]
        else:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            found[name] = value.strip()
    version = next((found[one] for one in _ATTRIBUTES if found.get(one)), "")
    return printable(truncate(version, _LONGEST))
