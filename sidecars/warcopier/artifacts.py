"""What to do, decided from what is there: no file is opened here.

The record of an earlier run (see `record`) is only ever a reason not to read again. It is believed about the file in
the target, as long as that has the very inode, size, mtime and ctime that were noted when it was published: a file
system that can be written keeps the ctime itself, and nobody can set it back. An unpacked directory is believed to be
the one that was published while it has the same inode: an app may well write into its own directory.

The source is read in every run: it may lie in an image whose format makes up inode, mtime and ctime (erofs, squashfs),
and with reproducible builds two different WARs of one size then look the same.
"""

from __future__ import annotations

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass
from sidecars.warcopier import tomcat_names

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

SECOND = 1_000_000_000  # nanoseconds
_SOON = 60  # seconds


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a file looks like from outside. Two that are equal were, for one path, the same unchanged file."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def fingerprint(stat: os.stat_result) -> Fingerprint:
    return Fingerprint(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


@dataclass(frozen=True, slots=True)
class Source:
    """A WAR to publish: where it lies, under which name, and what it looked like when it was listed."""

    path: str
    name: str
    device: int
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """What the record says of an artifact: its digest, which check it has passed, and how it looked once it was there.

    `sha256` is that of the archive, also where that was unpacked; "" where none was taken.
    """

    sha256: str
    check: str
    file: Fingerprint


class DuplicateContext(Exception):
    """Two sources want to be the same web application."""

    def __init__(self, one: Source, other: Source) -> None:
        super().__init__(f"{tomcat_names.escaped(one.path)} and {tomcat_names.escaped(other.path)}")
        self.one, self.other = one, other


def without_duplicates(sources: Iterable[Source]) -> list[Source]:
    """The sources in the order of their names; a file that was listed twice counts once. Raises Clash."""
    by_context: dict[tomcat_names.ContextName, Source] = {}
    for source in sources:
        first = by_context.setdefault(tomcat_names.context_name(source.name), source)
        same = (first.device, first.fingerprint.inode) == (source.device, source.fingerprint.inode)
        if first is not source and not (same and first.name == source.name):
            raise DuplicateContext(first, source)
    return sorted(by_context.values(), key=lambda source: source.name)


def trusted_sha256(present: Fingerprint, known: ManifestEntry | None) -> str:
    """The digest of the file that is present, if the record can be believed about it; else ""."""
    return known.sha256 if known and known.file == present else ""


def has_passed(known: ManifestEntry | None, sha256: str, check: str) -> bool:
    """Whether the bytes with that digest are known to have passed the check that is asked for."""
    return known is not None and known.sha256 == sha256 and known.check == check


def new_mtime(now_ns: int, known_ns: Iterable[int | None]) -> int:
    """The mtime for a new artifact: now, in whole seconds, or the second after the last that Tomcat may know.

    Tomcat takes a WAR for changed when its mtime *differs* from the one it knows: that of the WAR before and that of
    `META-INF/war-tracker` in the unpacked directory. Old Java sees whole seconds only, so these must differ. It must be
    later, too: of several WARs in one second Tomcat may have seen the first only, and the third must not look like it.
    But Tomcat waits until a time has passed, so one that lies far in the future is only kept clear of.
    """
    now = now_ns // SECOND
    known = {mtime // SECOND for mtime in known_ns if mtime is not None}
    second = max([now, *(one + 1 for one in known if one <= now + _SOON)])
    while second in known:
        second += 1
    return second * SECOND
