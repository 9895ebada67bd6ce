"""Rules about artifacts, without I/O: names that collide, the use of the manifest, and the mtime that Tomcat notices.

An artifact is a WAR or an exploded directory in the target. The manifest of earlier runs (`target.manifest`) lies in
the target, where others may write: it is a hint, and no digest in it is believed. A run takes each digest that it
states itself, of the bytes in the source and of those in the target. The manifest only says which artifacts may be ours
to remove, and which check the bytes with a digest have passed.

The source is read in every run. It may lie in an image whose file system makes up inode, mtime and ctime (erofs,
squashfs), and with reproducible builds two different WARs of one size then look the same.
"""

from __future__ import annotations

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass
from sidecars.warcopier import tomcat_names

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

SECOND = 1_000_000_000  # nanoseconds
MOST_SHOWN = 200  # artifacts of a run on the page of the admin server
_SOON = 60  # seconds


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The identity of a file by its metadata. For one path, two equal fingerprints mean the same unchanged file."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def fingerprint(stat: os.stat_result) -> Fingerprint:
    return Fingerprint(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


@dataclass(frozen=True, slots=True)
class Source:
    """A WAR to publish: its path, the name to publish it under, and its device and fingerprint when it was listed.

    `base` is the directory that the setting names in full. No link below it leads out of it (`source.opening`).
    """

    path: str
    name: str
    device: int
    fingerprint: Fingerprint
    base: str


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """An artifact as the manifest records it, once it was published.

    `sha256` is the digest of the archive, also for an exploded directory; "" if no digest was taken. `check` is the
    name of the check that it passed (`ArchiveCheck.name`), `file` its fingerprint in the target.
    """

    sha256: str
    check: str
    file: Fingerprint


def name_in_target(source: Source, *, unpack: bool) -> str:
    """Return the name under which the source is published: that of its WAR, or of its exploded directory."""
    return tomcat_names.exploded_directory_name(source.name) if unpack else source.name


class DuplicateContext(Exception):
    """Two sources would be the same web application."""

    def __init__(self, first: Source, second: Source) -> None:
        super().__init__(f"{tomcat_names.escaped(first.path)} and {tomcat_names.escaped(second.path)}")
        self.first, self.second = first, second


def without_duplicates(sources: Iterable[Source]) -> list[Source]:
    """Return the sources sorted by name. A file that was listed twice is in it once. Raises DuplicateContext."""
    by_context: dict[tomcat_names.ContextName, Source] = {}
    for source in sources:
        first = by_context.setdefault(tomcat_names.context_name(source.name), source)
        same = (first.device, first.fingerprint.inode) == (source.device, source.fingerprint.inode)
        if first is not source and not (same and first.name == source.name):
            raise DuplicateContext(first, source)
    return sorted(by_context.values(), key=lambda source: source.name)


def has_passed(entry: ManifestEntry | None, sha256: str, check: str) -> bool:
    """True if the manifest says that the bytes with this digest have passed the check with this name."""
    return entry is not None and entry.sha256 == sha256 and entry.check == check


def new_mtime(now_ns: int, known_ns: Iterable[int | None]) -> int:
    """Return the mtime for a new artifact: now, in whole seconds, or the second after the last one Tomcat may know.

    All times are nanoseconds. Tomcat takes a WAR for changed if its mtime differs from the mtime of the WAR before, and
    from that of `META-INF/war-tracker` in the exploded directory. Old Java sees whole seconds only, so these must
    differ. The new mtime must also be later: of several WARs in one second Tomcat may have seen the first only, and the
    third must not look like the first. But Tomcat waits until a time has passed before it deploys, so a known time far
    in the future is only avoided, not exceeded.
    """
    now = now_ns // SECOND
    known = {mtime // SECOND for mtime in known_ns if mtime is not None}
    second = max([now, *(one + 1 for one in known if one <= now + _SOON)])
    while second in known:
        second += 1
    return second * SECOND
