"""Is this really a zip that Java can open? All of it is read: the end record, the directory, every entry's checksum.

What comes out can be handed to a `Sink` at the same time, which is how a WAR is unpacked: no entry is read twice, and
nothing is unpacked that is not checked. Memory stays flat: entries are inflated piece by piece, and only a few numbers
an entry are kept, to find entries that overlap (the trick of bombs that fold one stream into thousands of files) and
files with one name.

First the directory is surveyed as a whole, then each entry is proven; the second can be done part by part, and by
several at a time. Sizes that the archive declares are never trusted: an entry from which more comes out than was
declared is refused at that very byte, so the limits, which the declared sizes keep, hold for what really comes out.
"""

from __future__ import annotations

import zlib
from array import array
from itertools import islice, pairwise
from operator import le

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass
from sidecars.warcopier.archive import zip_directory
from sidecars.warcopier.archive.entry_names import (
    DirectoryCounter,
    DuplicateNameFinder,
    require_safe_name,
    require_unpackable,
)
from sidecars.warcopier.archive.entry_times import dos_to_unix_time
from sidecars.warcopier.archive.zip_directory import BadArchive, CentralDirectory, ReadAhead

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Protocol

    from sidecars.warcopier.archive.zip_directory import Entry, ReadAt

    class EntrySink(Protocol):
        """Takes what an archive holds. Either may raise BadArchive or OSError."""

        def directory(self, path: bytes) -> None: ...

        def file(self, path: bytes, pieces: Iterable[bytes], crc: int, modified: int) -> None:
            """The bytes have been proven once `pieces` ends: their CRC-32 is `crc`. `modified` is a Unix time."""

    EntryRanges = bytes
    """Of each entry where it begins and where it ends, as unsigned numbers of 8 bytes."""

_PARTS = 450  # of one archive, about
_PART_ENTRIES = 32  # in a part, at least
_PART_BYTES = 1 << 18  # of the archive, likewise

NAMES = ("any", "safe", "unpackable")
"""What is demanded of names: nothing; that none leads out of the application and none stands twice; or also that they
can be unpacked anywhere: no link or device, no backslash, no two that differ only in their case, none too deep or long
for a file system."""


@dataclass(frozen=True)
class Limits:
    """The most that one archive may hold; `ratio` is how many bytes may come out of each byte of it."""

    entries: int
    unpacked: int
    ratio: int


@dataclass(frozen=True)
class Contents:
    """What a good archive holds."""

    entries: int
    unpacked: int
    has_web_inf: bool


@dataclass(frozen=True)
class ArchiveSummary:
    """The central directory of an archive, read as a whole. No entry has been verified yet.

    `parts` are ranges of the directory, for `verify_part`. `room` is the number of bytes that the files will take in
    whole blocks, `files` the number of files and directories. `modified` is the Unix time of the newest entry.
    """

    directory: CentralDirectory
    parts: tuple[CentralDirectory, ...]
    room: int
    files: int
    modified: int
    contents: Contents


def verify_archive(read: ReadAt, size: int, limits: Limits, names: str = "safe") -> Contents:
    """Read all of an archive of `size` bytes. `names` is one of NAMES. Raises BadArchive, or what `read` raises."""
    found = summarize(read, size, limits, names)
    require_no_overlap(verify_part(read, found, part, names) for part in found.parts)
    return found.contents


def summarize(read: ReadAt, size: int, limits: Limits, names: str = "safe", block: int = 1) -> ArchiveSummary:
    """What the directory says, before any entry is looked at. Raises BadArchive.

    `block` is the size of the blocks in which a file system gives room. Sizes are what the archive declares; that no
    entry has more, `verify_part` sees to.
    """
    directory = _directory(read, size, limits)
    budget = _Budget(limits, size)
    seen = DuplicateNameFinder(fold=names == "unpackable")
    made = DirectoryCounter(limits.entries) if names == "unpackable" else None
    parts = _Parts(directory, size)
    room = newest = 0
    has_web_inf = False
    for entry in zip_directory.entries(ReadAhead(read), directory):
        budget.spend(entry.unpacked)
        parts.add(entry)
        if names != "any":
            seen.add(entry)
        if made is not None:
            made.add(entry.name)
        room += -(-entry.unpacked // block) * block
        newest = max(newest, entry.dos_time)
        has_web_inf = has_web_inf or entry.name.startswith(b"WEB-INF/")
    seen.demand_each_once(zip_directory.entries(ReadAhead(read), directory))
    contents = Contents(directory.entries, budget.spent, has_web_inf)
    files = directory.entries
    if made is not None:
        files, room = made.files + len(made), room + len(made) * block
    return ArchiveSummary(directory, parts.all(), room, files, dos_to_unix_time(newest), contents)


def verify_part(
    read: ReadAt, found: ArchiveSummary, part: CentralDirectory, names: str = "safe", sink: EntrySink | None = None
) -> EntryRanges:
    """Read the entries of one part of what was surveyed, and hand them to the sink. Raises BadArchive.

    Which bytes of the archive they take, for `demand_no_overlap`.
    """
    window = ReadAhead(read)
    spans = array("Q")
    for entry in zip_directory.entries(ReadAhead(read), part):
        if names != "any":
            require_safe_name(entry)
        if names == "unpackable":
            require_unpackable(entry)
        start = zip_directory.data_offset(window, entry, found.directory)
        spans.append(entry.header + found.directory.shift)
        spans.append(start + entry.packed)
        pieces = (
            _proven_at_once(window, entry, start) if zip_directory.is_small(entry) else _proven(window, entry, start)
        )
        if sink is None:
            for _ in pieces:
                pass
        elif entry.name.endswith(b"/"):
            sink.directory(entry.name)
            _demand_nothing(entry, pieces)
        else:
            sink.file(entry.name, pieces, entry.crc, entry.modified())
    return spans.tobytes()


def require_no_overlap(parts: Iterable[EntryRanges]) -> None:
    """Raise BadArchive when two entries share bytes. `parts` are what `verify_part` has found of all of them."""
    spans = array("Q")
    for part in parts:
        spans.frombytes(part)
    starts, ends = spans[::2], spans[1::2]
    if all(map(le, ends, islice(starts, 1, None))):  # they come in order, as nearly always
        return
    order = sorted(range(len(starts)), key=starts.__getitem__)
    if any(ends[one] > starts[other] for one, other in pairwise(order)):
        raise BadArchive("has entries that overlap")


def _directory(read: ReadAt, size: int, limits: Limits) -> CentralDirectory:
    directory = zip_directory.find_central_directory(read, size)
    if not directory.entries:
        raise BadArchive("is an archive without any entry")
    if directory.entries > limits.entries:
        raise BadArchive(f"has {directory.entries} entries, more than WARCOPIER_MAX_ENTRIES={limits.entries}")
    return directory


# -- one entry ----------------------------------------------------------------------------------------------------


def _demand_nothing(entry: Entry, pieces: Iterable[bytes]) -> None:
    if any(pieces):
        raise BadArchive(f"has a directory with data in it: {entry}")


class _Budget:
    """The bytes that may come out of the archive."""

    def __init__(self, limits: Limits, size: int) -> None:
        self._limits = limits
        self._size = size
        self.spent = 0

    def spend(self, count: int) -> None:
        self.spent += count
        if self.spent > self._limits.unpacked:
            raise BadArchive(f"unpacks to more than WARCOPIER_MAX_UNPACKED_SIZE={self._limits.unpacked} bytes")
        if self.spent > self._limits.ratio * self._size:
            raise BadArchive(f"unpacks to more than WARCOPIER_MAX_RATIO={self._limits.ratio} times its size")


def _proven(window: ReadAhead, entry: Entry, start: int) -> Iterator[bytes]:
    """The entry's data; where it ends, length and checksum have been found right."""
    crc = total = 0
    for piece in zip_directory.data(window, entry, start):
        crc = zlib.crc32(piece, crc)
        total += len(piece)
        if total > entry.unpacked:
            break
        yield piece
    _demand(entry, total, crc)


def _proven_at_once(window: ReadAhead, entry: Entry, start: int) -> tuple[bytes]:
    """Return the data of a small entry, as most are, once length and checksum have been found right."""
    piece = zip_directory.read_small_data(window, entry, start)
    _demand(entry, len(piece), zlib.crc32(piece))
    return (piece,)


def _demand(entry: Entry, total: int, crc: int) -> None:
    """Raise BadArchive unless so many bytes with that checksum are what the directory says of the entry."""
    if total != entry.unpacked:
        raise BadArchive(f"is damaged: {entry} does not have the {entry.unpacked} bytes that the directory says")
    if crc != entry.crc:
        raise BadArchive(f"is damaged: the checksum of {entry} is wrong")


# -- all entries --------------------------------------------------------------------------------------------------


class _Parts:
    """Divides a directory into parts of which there are not very many, and each is not very much work."""

    def __init__(self, directory: CentralDirectory, size: int) -> None:
        self._directory = directory
        self._most_entries = max(_PART_ENTRIES, directory.entries // _PARTS)
        self._most_bytes = max(_PART_BYTES, size // _PARTS)
        self._parts: list[CentralDirectory] = []
        self._start = self._end = directory.start
        self._entries = self._bytes = 0
        self._rest = directory.start  # bytes that may be entries' data

    def add(self, entry: Entry) -> None:
        self._rest -= entry.packed
        if self._rest < 0:
            raise BadArchive(f"has entries that overlap, or is damaged: there is no room for the data of {entry}")
        self._end = entry.end
        self._entries += 1
        self._bytes += entry.packed
        if self._entries >= self._most_entries or self._bytes >= self._most_bytes:
            self._complete()

    def _complete(self) -> None:
        self._parts.append(CentralDirectory(self._start, self._end, self._entries, self._directory.shift))
        self._start = self._end
        self._entries = self._bytes = 0

    def all(self) -> tuple[CentralDirectory, ...]:
        if self._entries:
            self._complete()
        return tuple(self._parts)
