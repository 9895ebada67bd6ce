"""Verification: is this an archive that Java can open? Every byte is read, of the directory and of every entry.

The data can be handed to an `EntrySink` at the same time, which is how a WAR is unpacked: no entry is read twice, and
nothing is unpacked that is not verified. Memory stays flat: entries are inflated piece by piece. Only a few numbers for
each entry are kept, to find entries that overlap (a zip bomb folds one stream into thousands of files) and files with
the same name.

    summarize ─▶ parts of the central directory ─▶ verify_part, for each ─▶ require_no_overlap
    limits, duplicates, space needed               local header, CRC-32      ranges of all parts

`verify_part` may run in several processes. The sizes that the archive declares are never trusted: an entry that
inflates to more than its declared size is refused at the first byte too many. So the limits, which count declared
sizes, also hold for the real ones.
"""

from __future__ import annotations

import zlib
from array import array
from itertools import islice, pairwise
from operator import le

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass
from sidecars.warcopier.archive import zip_format
from sidecars.warcopier.archive.entry_names import (
    DirectoryCounter,
    DuplicateNameFinder,
    require_safe_name,
    require_unpackable,
)
from sidecars.warcopier.archive.zip_format import BadArchive, CentralDirectory, ReadAhead

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Protocol

    from sidecars.warcopier.archive.zip_format import Entry
    from sidecars.warcopier.io_errors import ReadAt

    class EntrySink(Protocol):
        """Takes the entries of an archive. Each method may raise BadArchive or OSError."""

        def directory(self, path: bytes) -> None: ...

        def file(self, entry: Entry, pieces: Iterable[bytes]) -> None:
            """Take a file. Its data is verified once `pieces` ends."""

    EntryRanges = bytes
    """The offsets in the file at which each entry begins and ends, as unsigned numbers of 8 bytes."""

_PARTS = 450  # of one archive, about
_MIN_PART_ENTRIES = 32
_MIN_PART_BYTES = 1 << 18  # of compressed data

NAME_RULES = ("any", "safe", "unpackable")
"""Requirements on the names of entries. `any`: none. `safe`: no name leads out of the application, and no file stands
twice. `unpackable`: the names are also files on any file system, so there is no link or device, no backslash, no two
names that differ only in case, and none too deep or too long."""


@dataclass(frozen=True)
class Limits:
    """The most that one archive may contain. `ratio` is uncompressed bytes for each byte of the archive."""

    entries: int
    uncompressed_size: int
    ratio: int


@dataclass(frozen=True)
class Contents:
    """The contents of a good archive. `uncompressed_size` is in bytes."""

    entries: int
    uncompressed_size: int
    has_web_inf: bool


@dataclass(frozen=True)
class ArchiveSummary:
    """The contents that the central directory declares. No entry has been verified yet.

    `parts` are ranges of the directory, for `verify_part`. `disk_size` is the number of bytes that the files will take
    in whole blocks, `files` the number of files and directories. `newest_dos_time` is that of the newest entry.
    """

    directory: CentralDirectory
    parts: tuple[CentralDirectory, ...]
    disk_size: int
    files: int
    newest_dos_time: int
    contents: Contents


def verify_archive(read: ReadAt, size: int, limits: Limits, name_rule: str = "safe") -> Contents:
    """Verify all of an archive of `size` bytes. `name_rule` is one of NAME_RULES.

    Raises BadArchive, or the error of `read`.
    """
    summary = summarize(read, size, limits, name_rule)
    require_no_overlap(verify_part(read, summary, part, name_rule) for part in summary.parts)
    return summary.contents


def summarize(read: ReadAt, size: int, limits: Limits, name_rule: str = "safe", block: int = 1) -> ArchiveSummary:
    """Read the central directory, and no entry. Raises BadArchive.

    `block` is the size of the file system's blocks. Sizes are those that the archive declares; `verify_part` refuses an
    entry that has more.
    """
    directory = _find_directory(read, size, limits)
    budget = _Budget(limits, size)
    duplicates = DuplicateNameFinder(fold_case=name_rule == "unpackable")
    counter = DirectoryCounter(limits.entries) if name_rule == "unpackable" else None
    parts = _Parts(directory, size)
    disk_size = newest = 0
    has_web_inf = False
    for entry in zip_format.entries(ReadAhead(read), directory):
        budget.spend(entry.uncompressed_size)
        parts.add(entry)
        if name_rule != "any":
            duplicates.add(entry)
        if counter is not None:
            counter.add(entry.name)
        disk_size += -(-entry.uncompressed_size // block) * block
        newest = max(newest, entry.dos_time)
        has_web_inf = has_web_inf or entry.name.startswith(b"WEB-INF/")
    duplicates.require_unique(zip_format.entries(ReadAhead(read), directory))
    contents = Contents(directory.entries, budget.spent, has_web_inf)
    files = directory.entries
    if counter is not None:
        files, disk_size = counter.files + len(counter), disk_size + len(counter) * block
    return ArchiveSummary(directory, parts.all(), disk_size, files, newest, contents)


def verify_part(
    read: ReadAt,
    summary: ArchiveSummary,
    part: CentralDirectory,
    name_rule: str = "safe",
    sink: EntrySink | None = None,
) -> EntryRanges:
    """Verify the entries of one part of the central directory, and hand them to the sink. Raises BadArchive.

    Return the ranges of the file that they take, for `require_no_overlap`.
    """
    buffer = ReadAhead(read)
    ranges = array("Q")
    for entry in zip_format.entries(ReadAhead(read), part):
        if name_rule != "any":
            require_safe_name(entry)
        if name_rule == "unpackable":
            require_unpackable(entry)
        start = zip_format.data_offset(buffer, entry, summary.directory)
        ranges.append(entry.header_offset + summary.directory.prefix)
        ranges.append(start + entry.compressed_size)
        pieces = (
            _verified_small(buffer, entry, start) if zip_format.is_small(entry) else _verified(buffer, entry, start)
        )
        if sink is None:
            for _ in pieces:
                pass
        elif entry.name.endswith(b"/"):
            sink.directory(entry.name)
            _require_no_data(entry, pieces)
        else:
            sink.file(entry, pieces)
    return ranges.tobytes()


def require_no_overlap(parts: Iterable[EntryRanges]) -> None:
    """Raise BadArchive if two entries share bytes. `parts` are the results of `verify_part` for all parts."""
    ranges = array("Q")
    for part in parts:
        ranges.frombytes(part)
    starts, ends = ranges[::2], ranges[1::2]
    if all(map(le, ends, islice(starts, 1, None))):  # the usual case: the entries lie in the order of the directory
        return
    order = sorted(range(len(starts)), key=starts.__getitem__)
    if any(ends[one] > starts[other] for one, other in pairwise(order)):
        raise BadArchive("has entries that overlap")


# -- the central directory ----------------------------------------------------------------------------------------


def _find_directory(read: ReadAt, size: int, limits: Limits) -> CentralDirectory:
    directory = zip_format.find_central_directory(read, size)
    if not directory.entries:
        raise BadArchive("is an archive without any entry")
    if directory.entries > limits.entries:
        raise BadArchive(f"has {directory.entries} entries, more than WARCOPIER_MAX_ENTRIES={limits.entries}")
    return directory


class _Budget:
    """The uncompressed bytes that one archive may have, and those that its entries declare so far (`spent`)."""

    def __init__(self, limits: Limits, size: int) -> None:
        self._limits = limits
        self._size = size
        self.spent = 0

    def spend(self, count: int) -> None:
        self.spent += count
        if self.spent > self._limits.uncompressed_size:
            raise BadArchive(f"unpacks to more than WARCOPIER_MAX_UNPACKED_SIZE={self._limits.uncompressed_size} bytes")
        if self.spent > self._limits.ratio * self._size:
            raise BadArchive(f"unpacks to more than WARCOPIER_MAX_RATIO={self._limits.ratio} times its size")


class _Parts:
    """Divides a central directory into parts: not very many, and each not very much work."""

    def __init__(self, directory: CentralDirectory, size: int) -> None:
        self._directory = directory
        self._enough_entries = max(_MIN_PART_ENTRIES, directory.entries // _PARTS)
        self._enough_bytes = max(_MIN_PART_BYTES, size // _PARTS)
        self._parts: list[CentralDirectory] = []
        self._start = self._end = directory.start
        self._entries = self._bytes = 0
        self._room = directory.start  # bytes of the file that may still be data of entries

    def add(self, entry: Entry) -> None:
        self._room -= entry.compressed_size
        if self._room < 0:
            raise BadArchive(f"has entries that overlap, or is damaged: there is no room for the data of {entry}")
        self._end = entry.central_end
        self._entries += 1
        self._bytes += entry.compressed_size
        if self._entries >= self._enough_entries or self._bytes >= self._enough_bytes:
            self._complete()

    def _complete(self) -> None:
        self._parts.append(CentralDirectory(self._start, self._end, self._entries, self._directory.prefix))
        self._start = self._end
        self._entries = self._bytes = 0

    def all(self) -> tuple[CentralDirectory, ...]:
        if self._entries:
            self._complete()
        return tuple(self._parts)


# -- the data of one entry ----------------------------------------------------------------------------------------


def _verified(buffer: ReadAhead, entry: Entry, start: int) -> Iterator[bytes]:
    """Yield the data of an entry. After the last piece its size and CRC-32 are verified."""
    crc = total = 0
    for piece in zip_format.read_data(buffer, entry, start):
        crc = zlib.crc32(piece, crc)
        total += len(piece)
        if total > entry.uncompressed_size:
            break
        yield piece
    _require_declared(entry, total, crc)


def _verified_small(buffer: ReadAhead, entry: Entry, start: int) -> tuple[bytes]:
    """Return the verified data of a small entry, which most are."""
    piece = zip_format.read_small_data(buffer, entry, start)
    _require_declared(entry, len(piece), zlib.crc32(piece))
    return (piece,)


def _require_declared(entry: Entry, total: int, crc: int) -> None:
    """Raise BadArchive unless this size and this CRC-32 are those that the central directory declares."""
    if total != entry.uncompressed_size:
        raise BadArchive(
            f"is damaged: {entry} does not have the {entry.uncompressed_size} bytes that the directory says"
        )
    if crc != entry.crc:
        raise BadArchive(f"is damaged: the checksum of {entry} is wrong")


def _require_no_data(entry: Entry, pieces: Iterable[bytes]) -> None:
    if any(pieces):
        raise BadArchive(f"has a directory with data in it: {entry}")
