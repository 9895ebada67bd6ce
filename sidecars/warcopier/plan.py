"""What to do, decided from what is there: no file is opened here.

One source is settled in at most two steps. `first_step` looks at sizes alone. Where they cannot settle it, the digests
are compared, and `second_step` decides.

The record of an earlier run (see `record`) is only ever a reason not to read again. It is believed about the file in
the target, as long as that has the very inode, size, mtime and ctime that were noted when it was published: a file
system that can be written keeps the ctime itself, and nobody can set it back. The source is read in every run: it may
lie in an image whose format makes up inode, mtime and ctime (erofs, squashfs), and with reproducible builds two
different WARs of one size then look the same.

Plain facts are named tuples in this sidecar: a dataclass takes five times as long to be made, at every start.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from sidecars.warcopier import naming

SECOND = 1_000_000_000  # nanoseconds


class Fingerprint(NamedTuple):
    """What a file looks like from outside. Two that are equal were, for one path, the same unchanged file."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Fingerprint:
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


class Source(NamedTuple):
    """A WAR to publish: where it lies, under which name, and what it looked like when it was listed."""

    path: str
    name: str
    device: int
    fingerprint: Fingerprint


class Published(NamedTuple):
    """What the record says of a WAR: its digest, which check it has passed, and how it looked once it was published."""

    sha256: str
    check: str
    file: Fingerprint


class Step(Enum):
    """What to do about one source."""

    COPY = "copy"
    COMPARE = "compare"  # only the bytes can tell
    CHECK = "check"  # the bytes are there already, but have not passed the check that is asked for
    KEEP = "keep"


class Clash(Exception):
    """Two sources want to be the same web application."""

    def __init__(self, one: Source, other: Source) -> None:
        super().__init__(f"{naming.shown(one.path)} and {naming.shown(other.path)}")
        self.one, self.other = one, other


def without_doubles(sources: Iterable[Source]) -> list[Source]:
    """The sources in the order of their names; a file that was listed twice counts once. Raises Clash."""
    by_context: dict[naming.Context, Source] = {}
    for source in sources:
        first = by_context.setdefault(naming.context_of(source.name), source)
        same = (first.device, first.fingerprint.inode) == (source.device, source.fingerprint.inode)
        if first is not source and not (same and first.name == source.name):
            raise Clash(first, source)
    return sorted(by_context.values(), key=lambda source: source.name)


def first_step(size: int, present: Fingerprint | None) -> Step:
    """COPY or COMPARE, for a source of that size. `present` is the regular file that has its name now."""
    return Step.COMPARE if present and present.size == size else Step.COPY


def believed_sha256(present: Fingerprint, known: Published | None) -> str | None:
    """The digest of the file that is present, if the record can be believed about it."""
    return known.sha256 if known and known.file == present else None


def second_step(source_sha256: str, present_sha256: str, known: Published | None, check: str) -> Step:
    """COPY, KEEP or CHECK, once both digests are known. `check` is the check asked for."""
    if source_sha256 != present_sha256:
        return Step.COPY
    passed = known is not None and known.sha256 == present_sha256 and known.check == check
    return Step.KEEP if passed else Step.CHECK


def modification_time(now_ns: int, taken_ns: Iterable[int]) -> int:
    """The mtime for a new WAR: now, in whole seconds, or the first second after now that is not taken.

    Tomcat takes a WAR for changed when its mtime *differs* from the one it knows: that of the WAR before and that of
    `META-INF/war-tracker` in the unpacked directory. Old Java sees whole seconds only, so these must differ.
    """
    taken = {mtime // SECOND for mtime in taken_ns}
    second = now_ns // SECOND
    while second in taken:
        second += 1
    return second * SECOND
