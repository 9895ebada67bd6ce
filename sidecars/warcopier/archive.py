"""Is this really a zip that Java can open? All of it is read: the end record, the directory, every entry's checksum.

What comes out can be handed to a `Sink` at the same time, which is how a WAR is unpacked: nothing is read twice, and
nothing is unpacked that is not checked. Memory stays flat: entries are inflated piece by piece, and only a few numbers
an entry are kept, to find entries that overlap (the trick of bombs that fold one stream into thousands of files) and
files with one name.

Sizes that the archive declares are never trusted: limits hold for the bytes that really come out.
"""

from __future__ import annotations

import stat
import zlib
from array import array
from itertools import pairwise

from chassis.frozen import TYPE_CHECKING, dataclass
from sidecars.warcopier import zipdir
from sidecars.warcopier.zipdir import NotAnArchive, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Protocol

    from sidecars.warcopier.zipdir import Directory, Entry, Read

    class Sink(Protocol):
        """Takes what an archive holds. Either may raise NotAnArchive or OSError."""

        def directory(self, path: bytes) -> None: ...

        def file(self, path: bytes, pieces: Iterable[bytes], crc: int) -> None:
            """The bytes have been proven once `pieces` ends: their CRC-32 is `crc`."""


NAMES = ("any", "safe", "unpackable")
"""What is demanded of names: nothing; that none leads out of the application and none stands twice; or also that they
can be unpacked anywhere: no link or device, no backslash, no two that differ only in their case."""


@dataclass(frozen=True)
class Limits:
    """The most that one archive may hold. Bytes are counted as they come out."""

    entries: int
    unpacked: int
    ratio: int


@dataclass(frozen=True)
class Contents:
    """What a good archive turned out to hold."""

    entries: int
    unpacked: int
    has_web_inf: bool


def examine(read: Read, size: int, limits: Limits, names: str = "safe", sink: Sink | None = None) -> Contents:
    """Read all of an archive of `size` bytes. `names` is one of NAMES. Raises NotAnArchive, or what `read` raises."""
    directory = _directory(read, size, limits)
    window = Window(read)
    spans = _Spans()
    seen = _Names(fold=names == "unpackable")
    budget = _Budget(limits, size)
    has_web_inf = False
    for entry in zipdir.entries(Window(read), directory):
        if names != "any":
            _demand_safe_name(entry)
            seen.add(entry)
        if names == "unpackable":
            _demand_unpackable(entry)
        has_web_inf = has_web_inf or entry.name.startswith(b"WEB-INF/")
        start = zipdir.data_start(window, entry, directory)
        spans.add(entry.header + directory.shift, start + entry.packed)
        pieces = _proven(window, entry, start, budget)
        if sink is None:
            for _ in pieces:
                pass
        elif entry.name.endswith(b"/"):
            sink.directory(entry.name)
            _demand_nothing(entry, pieces)
        else:
            sink.file(entry.name, pieces, entry.crc)
    spans.demand_no_overlap()
    seen.demand_each_once(zipdir.entries(Window(read), directory))
    return Contents(directory.entries, budget.spent, has_web_inf)


def declared(read: Read, size: int, limits: Limits, block: int) -> tuple[int, int]:
    """How many entries the archive declares, and the bytes that they will take in blocks of that size.

    Only good for asking whether there is room. Raises NotAnArchive.
    """
    directory = _directory(read, size, limits)
    blocks = sum(-(-entry.unpacked // block) for entry in zipdir.entries(Window(read), directory))
    return directory.entries, blocks * block


def _directory(read: Read, size: int, limits: Limits) -> Directory:
    directory = zipdir.find_directory(read, size)
    if not directory.entries:
        raise NotAnArchive("is an archive without any entry")
    if directory.entries > limits.entries:
        raise NotAnArchive(f"has {directory.entries} entries, more than WARCOPIER_MAX_ENTRIES={limits.entries}")
    return directory


# -- one entry ----------------------------------------------------------------------------------------------------


def _demand_safe_name(entry: Entry) -> None:
    """Nothing that would land outside the web application when it is unpacked."""
    parts = entry.name.replace(b"\\", b"/").split(b"/")
    drive = entry.name[1:2] == b":" and entry.name[:1].isalpha()
    if not entry.name or parts[0] == b"" or b".." in parts or b"\0" in entry.name or drive:
        raise NotAnArchive(f"has an entry with an unsafe name: {entry}")


def _demand_unpackable(entry: Entry) -> None:
    """Nothing that a file system could take for something else than a file or directory of that very name."""
    if b"\\" in entry.name:
        raise NotAnArchive(f"has an entry with a backslash in its name, so it is not unpacked: {entry}")
    kind = stat.S_IFMT(entry.unix_mode)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or (kind == stat.S_IFDIR and not entry.name.endswith(b"/")):
        raise NotAnArchive(f"has an entry that is neither file nor directory, so it is not unpacked: {entry}")


def _demand_nothing(entry: Entry, pieces: Iterator[bytes]) -> None:
    if any(pieces):
        raise NotAnArchive(f"has a directory with data in it: {entry}")


class _Budget:
    """The bytes that may still come out of the archive."""

    def __init__(self, limits: Limits, size: int) -> None:
        self._limits = limits
        self._size = size
        self.spent = 0

    def spend(self, count: int) -> None:
        self.spent += count
        if self.spent > self._limits.unpacked:
            raise NotAnArchive(f"unpacks to more than WARCOPIER_MAX_UNPACKED_SIZE={self._limits.unpacked} bytes")
        if self.spent > self._limits.ratio * self._size:
            raise NotAnArchive(f"unpacks to more than WARCOPIER_MAX_RATIO={self._limits.ratio} times its size")


def _proven(window: Window, entry: Entry, start: int, budget: _Budget) -> Iterator[bytes]:
    """The entry's data; where it ends, length and checksum have been found right."""
    crc = total = 0
    for piece in zipdir.data(window, entry, start):
        crc = zlib.crc32(piece, crc)
        total += len(piece)
        budget.spend(len(piece))
        if total > entry.unpacked:
            break
        yield piece
    if total != entry.unpacked:
        raise NotAnArchive(f"is damaged: {entry} does not have the {entry.unpacked} bytes that the directory says")
    if crc != entry.crc:
        raise NotAnArchive(f"is damaged: the checksum of {entry} is wrong")


# -- all entries --------------------------------------------------------------------------------------------------


class _Spans:
    """Which bytes belong to which entry: two numbers each, and no more work than that when they come in order."""

    def __init__(self) -> None:
        self._starts = array("Q")
        self._ends = array("Q")
        self._in_order = True

    def add(self, start: int, end: int) -> None:
        self._in_order = self._in_order and (not self._ends or start >= self._ends[-1])
        self._starts.append(start)
        self._ends.append(end)

    def demand_no_overlap(self) -> None:
        if self._in_order:
            return
        order = sorted(range(len(self._starts)), key=self._starts.__getitem__)
        if any(self._ends[one] > self._starts[other] for one, other in pairwise(order)):
            raise NotAnArchive("has entries that overlap")


class _Names:
    """Whether two files have one name: one number each, and names are compared only where the numbers are alike.

    Of two such files Tomcat serves one and whoever looked into the archive before may have seen the other. That a
    directory is listed twice, as many build tools do, means nothing. `fold`: names that differ only in case are one, as
    they are to some file systems.
    """

    def __init__(self, *, fold: bool) -> None:
        self._hashes = array("q")
        self._fold = fold

    def _key(self, name: bytes) -> bytes | str:
        return name.decode(errors="surrogateescape").casefold() if self._fold else name

    def add(self, entry: Entry) -> None:
        if not entry.name.endswith(b"/"):
            self._hashes.append(hash(self._key(entry.name)))

    def demand_each_once(self, entries: Iterable[Entry]) -> None:
        alike = {one for one, other in pairwise(sorted(self._hashes)) if one == other}
        if not alike:
            return
        seen: set[bytes | str] = set()
        for entry in entries:
            key = self._key(entry.name)
            if not entry.name.endswith(b"/") and hash(key) in alike:
                if key in seen:
                    raise NotAnArchive(self._reason(entry))
                seen.add(key)

    def _reason(self, entry: Entry) -> str:
        if self._fold:
            return f"has two files whose names differ in nothing or in case only, so it is not unpacked: {entry}"
        return f"has two files of one name, which WARCOPIER_VALIDATE=zip would allow: {entry}"
