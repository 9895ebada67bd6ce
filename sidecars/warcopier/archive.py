"""Is this really a zip that Java can open? All of it is read: the end record, the directory, every entry's checksum.

After APPNOTE.TXT 6.3.10 (PKWARE) and java.util.zip.ZipFile, which is what Tomcat opens it with. The file is given as a
function that reads a range, so that nothing here opens anything. Memory stays flat: the directory is walked through a
small window, entries are inflated piece by piece and thrown away, and only three numbers an entry are kept, to find
entries that overlap (the trick of bombs that fold one stream into thousands of files) and files with one name.

Sizes that the archive declares are never trusted: limits hold for the bytes that really come out.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from struct import Struct
from typing import NamedTuple

from sidecars.warcopier.naming import shown

Read = Callable[[int, int], bytes]
"""`read(offset, length)`: that many bytes from there; fewer only at the end of the file."""

_END = Struct("<4sHHHHLLH")  # 4.3.16 end of central directory record
_END64 = Struct("<4sQHHLLQQQQ")  # 4.3.14 zip64 end of central directory record
_LOCATOR64 = Struct("<4sLQL")  # 4.3.15 zip64 end of central directory locator
_CENTRAL = Struct("<4sHHHHHHLLLHHHHHLL")  # 4.3.12 central directory header
_LOCAL = Struct("<4sHHHHHLLLHH")  # 4.3.7 local file header
_EXTRA = Struct("<HH")  # 4.5.1 extensible data fields
_U64 = Struct("<Q")

_END_SIGNATURE, _END64_SIGNATURE, _LOCATOR64_SIGNATURE = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_CENTRAL_SIGNATURE, _LOCAL_SIGNATURE = b"PK\1\2", b"PK\3\4"
_LONGEST_COMMENT = 0xFFFF
_IS_64 = (0xFFFF, 0xFFFFFFFF)  # "see the zip64 field"
_ZIP64_FIELD = 0x0001
_ENCRYPTED = 0x0001
_STORED, _DEFLATED = 0, 8
_PIECE = 1 << 18  # bytes read or inflated at a time
_WINDOW = 1 << 16  # bytes read ahead around headers


class NotAnArchive(Exception):
    """Why it is not one, as the end of a sentence that begins with the file's name."""


class Limits(NamedTuple):
    """The most that one archive may hold. Bytes are counted as they come out."""

    entries: int
    unpacked: int
    ratio: int


class Contents(NamedTuple):
    """What a good archive turned out to hold."""

    entries: int
    unpacked: int
    has_web_inf: bool


class _Directory(NamedTuple):
    """Where the central directory lies. `shift` is how many bytes stand before the archive proper."""

    start: int
    end: int
    entries: int
    shift: int


class _Entry(NamedTuple):
    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    unpacked: int
    header: int

    def __str__(self) -> str:
        return shown(self.name.decode(errors="surrogateescape"))


def examine(read: Read, size: int, limits: Limits, *, safe_names: bool) -> Contents:
    """Read all of an archive of `size` bytes. Raises NotAnArchive, or whatever `read` raises."""
    directory = _find_directory(read, size)
    if not directory.entries:
        raise NotAnArchive("is an archive without any entry")
    if directory.entries > limits.entries:
        raise NotAnArchive(f"has {directory.entries} entries, more than WARCOPIER_MAX_ENTRIES={limits.entries}")
    window = _Window(read)
    spans = _Spans()
    names = _Names()
    budget = _Budget(limits, size)
    has_web_inf = False
    for entry in _entries(_Window(read), directory):
        if safe_names:
            _demand_safe_name(entry)
            names.add(entry)
        has_web_inf = has_web_inf or entry.name.startswith(b"WEB-INF/")
        start = _data_start(window, entry, directory)
        spans.add(entry.header + directory.shift, start + entry.packed)
        _demand_good_data(window, entry, start, budget)
    spans.demand_no_overlap()
    names.demand_each_once(_entries(_Window(read), directory))
    return Contents(directory.entries, budget.spent, has_web_inf)


class _Window:
    """Reads ahead, so that many small entries cost few reads."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._at = 0
        self._buffer = b""

    def take(self, offset: int, length: int) -> bytes:
        skip = offset - self._at
        if skip < 0 or skip + length > len(self._buffer):
            self._at, skip = offset, 0
            self._buffer = self._read(offset, max(length, _WINDOW))
        return self._buffer[skip : skip + length]

    def demand(self, offset: int, length: int, what: str) -> bytes:
        taken = self.take(offset, length)
        if len(taken) < length:
            raise NotAnArchive(f"is cut short or damaged: {what} ends outside the file")
        return taken


# -- the end record and the directory -----------------------------------------------------------------------------


def _find_directory(read: Read, size: int) -> _Directory:
    if size == 0:
        raise NotAnArchive("is empty")
    end = _find_end_record(read, size)
    _, disk, first_disk, here, total, length, offset, _ = _END.unpack(read(end, _END.size))
    stop = end
    if total in _IS_64 or length in _IS_64 or offset in _IS_64:
        record = _find_end64_record(read, end)
        if record is not None:
            stop = record
            _, _, _, _, disk, first_disk, here, total, length, offset = _END64.unpack(read(record, _END64.size))
    if disk or first_disk or here != total:
        raise NotAnArchive("is one part of an archive that was split")
    shift = stop - length - offset
    if shift < 0:
        raise NotAnArchive("is cut short or damaged: its directory does not fit before its end record")
    return _Directory(stop - length, stop, total, shift)


def _find_end_record(read: Read, size: int) -> int:
    """The end record is the one whose comment ends where the file ends."""
    begin = max(0, size - _END.size - _LONGEST_COMMENT)
    tail = read(begin, size - begin)
    at = tail.rfind(_END_SIGNATURE)
    while at >= 0:
        if len(tail) - at >= _END.size and _END.unpack_from(tail, at)[-1] == len(tail) - at - _END.size:
            return begin + at
        at = tail.rfind(_END_SIGNATURE, 0, at + len(_END_SIGNATURE) - 1)
    if read(0, len(_LOCAL_SIGNATURE)) == _LOCAL_SIGNATURE:
        raise NotAnArchive("is cut short: it begins like a zip, but its end record is missing")
    raise NotAnArchive("is not a zip")


def _find_end64_record(read: Read, end: int) -> int | None:
    """The zip64 end record; None when there is no locator, and 0xFFFF is simply the number."""
    at = end - _LOCATOR64.size
    if at < 0:
        return None
    signature, _, offset, _ = _LOCATOR64.unpack(read(at, _LOCATOR64.size))
    if signature != _LOCATOR64_SIGNATURE:
        return None
    # Something may stand before the archive, and then the offset is short of the truth: the record is at its default
    # size where the locator follows it directly.
    for record in (offset, at - _END64.size):
        if 0 <= record <= at - _END64.size and read(record, 4) == _END64_SIGNATURE:
            return record
    raise NotAnArchive("is damaged: its zip64 end record is not where its locator says")


def _entries(window: _Window, directory: _Directory) -> Iterator[_Entry]:
    at = directory.start
    for number in range(directory.entries):
        if at + _CENTRAL.size > directory.end:
            raise NotAnArchive(
                f"is damaged: its directory has {number} entries, its end record says {directory.entries}"
            )
        fields = _CENTRAL.unpack(window.demand(at, _CENTRAL.size, "its directory"))
        if fields[0] != _CENTRAL_SIGNATURE:
            raise NotAnArchive(f"is damaged: entry {number + 1} of its directory is not one")
        name_length, extra_length, comment_length = fields[10:13]
        length = _CENTRAL.size + name_length + extra_length + comment_length
        if at + length > directory.end:
            raise NotAnArchive(f"is damaged: entry {number + 1} of its directory reaches beyond the directory")
        rest = window.demand(at + _CENTRAL.size, name_length + extra_length, "its directory")
        yield _entry(fields, rest[:name_length], rest[name_length:])
        at += length
    if at != directory.end:
        raise NotAnArchive(f"is damaged: its directory has more than the {directory.entries} entries of its end record")


def _entry(fields: tuple[int, ...], name: bytes, extra: bytes) -> _Entry:
    sizes = [fields[9], fields[8], fields[16]]  # unpacked, packed, header offset: the order of the zip64 field
    if _IS_64[1] in sizes:
        long = _zip64_field(extra)
        for place, value in enumerate(sizes):
            if value == _IS_64[1] and len(long) >= _U64.size:
                sizes[place], long = _U64.unpack_from(long)[0], long[_U64.size :]
    return _Entry(name, fields[3], fields[4], fields[7], sizes[1], sizes[0], sizes[2])


def _zip64_field(extra: bytes) -> bytes:
    while len(extra) >= _EXTRA.size:
        kind, length = _EXTRA.unpack_from(extra)
        if kind == _ZIP64_FIELD:
            return extra[_EXTRA.size : _EXTRA.size + length]
        extra = extra[_EXTRA.size + length :]
    return b""


# -- one entry ----------------------------------------------------------------------------------------------------


def _demand_safe_name(entry: _Entry) -> None:
    """Nothing that would land outside the web application when it is unpacked."""
    parts = entry.name.replace(b"\\", b"/").split(b"/")
    drive = entry.name[1:2] == b":" and entry.name[:1].isalpha()
    if not entry.name or parts[0] == b"" or b".." in parts or b"\0" in entry.name or drive:
        raise NotAnArchive(f"has an entry with an unsafe name: {entry}")


def _data_start(window: _Window, entry: _Entry, directory: _Directory) -> int:
    """Where the entry's data begins, once its local header has been found to agree with the directory."""
    header = entry.header + directory.shift
    local = _LOCAL.unpack(window.demand(header, _LOCAL.size, f"the header of {entry}"))
    if local[0] != _LOCAL_SIGNATURE:
        raise NotAnArchive(f"is damaged: {entry} is not where the directory says")
    name = window.demand(header + _LOCAL.size, local[9], f"the header of {entry}")
    if name != entry.name:
        raise NotAnArchive(f"is damaged: {entry} has another name in its own header")
    start: int = header + _LOCAL.size + local[9] + local[10]
    if start + entry.packed > directory.start:
        raise NotAnArchive(f"is damaged: the data of {entry} reaches into the directory")
    if entry.flags & _ENCRYPTED:
        raise NotAnArchive(f"has an encrypted entry, which Tomcat cannot read: {entry}")
    if entry.method not in (_STORED, _DEFLATED) or local[3] != entry.method:
        raise NotAnArchive(f"has an entry with compression method {entry.method}, which Java cannot read: {entry}")
    return start


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


def _demand_good_data(window: _Window, entry: _Entry, start: int, budget: _Budget) -> None:
    pieces = _stored if entry.method == _STORED else _inflated
    crc = total = 0
    for piece in pieces(window, entry, start):
        crc = zlib.crc32(piece, crc)
        total += len(piece)
        budget.spend(len(piece))
        if total > entry.unpacked:
            break
    if total != entry.unpacked:
        raise NotAnArchive(f"is damaged: {entry} does not have the {entry.unpacked} bytes that the directory says")
    if crc != entry.crc:
        raise NotAnArchive(f"is damaged: the checksum of {entry} is wrong")


def _stored(window: _Window, entry: _Entry, start: int) -> Iterator[bytes]:
    at, end = start, start + entry.packed
    while at < end:
        piece = window.demand(at, min(_PIECE, end - at), str(entry))
        yield piece
        at += len(piece)


def _inflated(window: _Window, entry: _Entry, start: int) -> Iterator[bytes]:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for packed in _stored(window, entry, start):
            piece = stream.decompress(packed, _PIECE)
            while piece or stream.unconsumed_tail:
                yield piece
                piece = stream.decompress(stream.unconsumed_tail, _PIECE)
            if stream.eof:
                break
    except zlib.error:
        raise NotAnArchive(f"is damaged: {entry} cannot be inflated") from None
    if not stream.eof:
        raise NotAnArchive(f"is damaged: {entry} ends too early")


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
    directory is listed twice, as many build tools do, means nothing.
    """

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, entry: _Entry) -> None:
        if not entry.name.endswith(b"/"):
            self._hashes.append(hash(entry.name))

    def demand_each_once(self, entries: Iterable[_Entry]) -> None:
        alike = {one for one, other in pairwise(sorted(self._hashes)) if one == other}
        if not alike:
            return
        seen: set[bytes] = set()
        for entry in entries:
            if not entry.name.endswith(b"/") and hash(entry.name) in alike:
                if entry.name in seen:
                    raise NotAnArchive(f"has two files of one name, which WARCOPIER_VALIDATE=zip would allow: {entry}")
                seen.add(entry.name)
