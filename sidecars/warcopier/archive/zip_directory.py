"""Where things are in a zip: the end record, the directory, each entry's header and its data.

After APPNOTE.TXT 6.3.10 (PKWARE) and java.util.zip.ZipFile, which is what Tomcat opens it with. The file is given as a
function that reads a range, so that nothing here opens anything. Memory stays flat: the directory is walked through a
small window, and data comes piece by piece.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from struct import Struct

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass
from sidecars.warcopier.archive.entry_times import dos_to_unix_time
from sidecars.warcopier.tomcat_names import escaped_prefix

if TYPE_CHECKING:
    from typing import Any

ReadAt = Callable[[int, int], bytes]
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
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF  # "see the zip64 record", or the zip64 field
_ZIP64_FIELD, _TIMESTAMP_FIELD = 0x0001, 0x5455  # kinds of extra fields
_ZIP64_SIZES = (8, 16, 24, 28)  # bytes of a zip64 field, as JDK 17 and 21 accept them
_MOST_64 = (1 << 63) - 1  # Java reads 64-bit numbers as signed ones
_TIMESTAMP = Struct("<Bl")  # Info-ZIP's extended timestamp: which times follow (bit 0: mtime), and the first of them
_ENCRYPTED = 0x0001
_DIRECTORY = "its directory"
_STORED, _DEFLATED = 0, 8
_HAS_UNIX_MODE = (3, 19)  # 4.4.2: made on Unix, or on macOS
_PIECE = 1 << 16  # bytes read or inflated at a time
_WINDOW = 1 << 16  # bytes read ahead around headers


class BadArchive(Exception):
    """Why it is not one, as the end of a sentence that begins with the file's name."""


@dataclass(frozen=True)
class CentralDirectory:
    """Where the central directory lies, or a part of it. `shift` is how many bytes stand before the archive proper."""

    start: int
    end: int
    entries: int
    shift: int


class Entry:
    """One entry as the central directory has it. `dos_time` is its DOS date and time as one number that sorts by time.

    Raises BadArchive where java.util.zip.ZipFile would not open the archive because of this entry.
    """

    __slots__ = ("_timestamp", "crc", "dos_time", "end", "flags", "header", "method", "name", "packed", "unix_mode",
                 "unpacked")  # fmt: skip

    def __init__(self, fields: tuple[int, ...], rest: bytes, end: int) -> None:
        """Read the entry: `rest` is its name, extra fields and comment, `end` where it ends in the directory."""
        name, extra = fields[10], fields[11]
        self.name = rest[:name]
        self.end = end
        self.flags, self.method, self.crc = fields[3], fields[4], fields[7]
        self.packed, self.unpacked, self.header = fields[8], fields[9], fields[16]
        self.dos_time = fields[6] << 16 | fields[5]
        self._timestamp: int | None = None
        self.unix_mode = fields[15] >> 16 if fields[1] >> 8 in _HAS_UNIX_MODE else 0
        if not rest.isascii():
            self._demand_text(self.name, "its name")
            self._demand_text(rest[name + extra :], "its comment")
        if extra:
            self._read_extra(rest[name : name + extra])

    def __str__(self) -> str:
        return escaped_prefix(self.name.decode(errors="surrogateescape"))

    def modified(self) -> int:
        """Return when the entry was last modified, in Unix time. A DOS time is read as UTC."""
        return dos_to_unix_time(self.dos_time) if self._timestamp is None else self._timestamp

    def _demand_text(self, raw: bytes, what: str) -> None:
        """Java reads names and comments as strict UTF-8, whatever the flag for UTF-8 (bit 11) says."""
        try:
            raw.decode()
        except UnicodeDecodeError:
            raise BadArchive(f"has an entry that Java cannot read: {what} is not UTF-8: {self}") from None

    def _read_extra(self, extra: bytes) -> None:
        """Take sizes and times from the extra fields. Up to 3 bytes after the last one are padding."""
        at, is_first = 0, True
        while at + _EXTRA.size <= len(extra):
            kind, length = _EXTRA.unpack_from(extra, at)
            at += _EXTRA.size
            if at + length > len(extra):
                raise BadArchive(
                    f"has an entry that Java cannot read: its extra field 0x{kind:04x} is cut short: {self}"
                )
            if kind == _ZIP64_FIELD:
                self._read_zip64(extra[at : at + length], is_first=is_first)
                is_first = False
            elif kind == _TIMESTAMP_FIELD and length >= _TIMESTAMP.size and extra[at] & 1:
                self._timestamp = _TIMESTAMP.unpack_from(extra, at)[1]
            at += length

    def _read_zip64(self, field: bytes, *, is_first: bool) -> None:
        """Check a zip64 field as Java does, and let the first one stand for the numbers that did not fit."""
        wanted = [name for name in ("unpacked", "packed", "header") if getattr(self, name) == _FULL_32]
        if len(field) not in _ZIP64_SIZES and (field or "unpacked" in wanted or "packed" in wanted):
            raise BadArchive(
                f"has an entry that Java cannot read: its zip64 field has {len(field)} bytes, which is none of the"
                f" sizes of one: {self}"
            )
        for place, name in enumerate(wanted if is_first else ()):
            if (place + 1) * _U64.size <= len(field):
                value = _U64.unpack_from(field, place * _U64.size)[0]
                if value > _MOST_64:
                    raise BadArchive(f"has an entry that Java cannot read: its zip64 field is negative: {self}")
                setattr(self, name, value)


class ReadAhead:
    """Reads ahead, so that many small entries cost few reads."""

    def __init__(self, read: ReadAt) -> None:
        self._read = read
        self._at = self._end = 0  # where in the file the buffer begins and ends
        self._buffer = b""

    def _fill(self, offset: int, length: int, what: object) -> None:
        """Read on from there. Raises BadArchive, which says `what` the bytes are, where there are not so many."""
        self._buffer = self._read(offset, max(length, _WINDOW))
        self._at, self._end = offset, offset + len(self._buffer)
        if len(self._buffer) < length:
            raise BadArchive(f"is cut short or damaged: {what} ends outside the file")

    def take(self, offset: int, length: int, what: object) -> bytes:
        if offset < self._at or offset + length > self._end:
            self._fill(offset, length, what)
        at = offset - self._at
        return self._buffer[at : at + length]

    def unpack(self, form: Struct, offset: int, what: object) -> tuple[Any, ...]:
        if offset < self._at or offset + form.size > self._end:
            self._fill(offset, form.size, what)
        return form.unpack_from(self._buffer, offset - self._at)


# -- the end record and the directory -----------------------------------------------------------------------------


def find_central_directory(read: ReadAt, size: int) -> CentralDirectory:
    """Find the central directory of an archive of `size` bytes. Raises BadArchive."""
    if size == 0:
        raise BadArchive("is empty")
    end = _find_end_record(read, size)
    _, disk, first_disk, here, total, length, offset, _ = _END.unpack(read(end, _END.size))
    stop = end
    record = _find_end64_record(read, end, needed=total == _FULL_16 or _FULL_32 in (length, offset))
    if record is not None:
        found = _END64.unpack(read(record, _END64.size))
        if _agree(found[7:], (total, length, offset)):
            stop = record
            _, _, _, _, disk, first_disk, here, total, length, offset = found
    if disk or first_disk or here != total:
        raise BadArchive("is one part of an archive that was split")
    shift = stop - length - offset
    if shift < 0:
        raise BadArchive("is cut short or damaged: its directory does not fit before its end record")
    return CentralDirectory(stop - length, stop, total, shift)


def _find_end_record(read: ReadAt, size: int) -> int:
    """The end record is the one whose comment ends where the file ends."""
    begin = max(0, size - _END.size - _LONGEST_COMMENT)
    tail = read(begin, size - begin)
    at = tail.rfind(_END_SIGNATURE)
    while at >= 0:
        if len(tail) - at >= _END.size and _END.unpack_from(tail, at)[-1] == len(tail) - at - _END.size:
            return begin + at
        at = tail.rfind(_END_SIGNATURE, 0, at + len(_END_SIGNATURE) - 1)
    if read(0, len(_LOCAL_SIGNATURE)) == _LOCAL_SIGNATURE:
        raise BadArchive("is cut short: it begins like a zip, but its end record is missing")
    raise BadArchive("is not a zip")


def _find_end64_record(read: ReadAt, end: int, *, needed: bool) -> int | None:
    """Find the zip64 end record as Java does: where its locator says, counted from the start of the file.

    None where there is no locator, or nothing where it leads. `needed`: the end record refers to the zip64 one; then
    the latter raises BadArchive.
    """
    at = end - _LOCATOR64.size
    if at < 0:
        return None
    signature, _, record, _ = _LOCATOR64.unpack(read(at, _LOCATOR64.size))
    if signature != _LOCATOR64_SIGNATURE:
        return None
    if record <= at - _END64.size and read(record, len(_END64_SIGNATURE)) == _END64_SIGNATURE:
        return int(record)
    if needed:
        raise BadArchive("is damaged: its zip64 end record is not where its locator says")
    return None


def _agree(long: tuple[int, ...], short: tuple[int, int, int]) -> bool:
    """True if the zip64 end record says the same as the end record, in each field that the latter has a number in."""
    full = (_FULL_16, _FULL_32, _FULL_32)
    return all(one in (other, ones) for one, other, ones in zip(short, long, full, strict=True))


def entries(window: ReadAhead, directory: CentralDirectory) -> Iterator[Entry]:
    """Every entry, in the order of the directory. Raises BadArchive."""
    at = directory.start
    for number in range(directory.entries):
        if at + _CENTRAL.size > directory.end:
            raise BadArchive(f"is damaged: its directory has {number} entries, its end record says {directory.entries}")
        fields = window.unpack(_CENTRAL, at, _DIRECTORY)
        if fields[0] != _CENTRAL_SIGNATURE:
            raise BadArchive(f"is damaged: entry {number + 1} of its directory is not one")
        name, extra, comment = fields[10:13]
        at += _CENTRAL.size
        end = at + name + extra + comment
        if end > directory.end:
            raise BadArchive(f"is damaged: entry {number + 1} of its directory reaches beyond the directory")
        yield Entry(fields, window.take(at, name + extra + comment, _DIRECTORY), end)
        at = end
    if at != directory.end:
        raise BadArchive(f"is damaged: its directory has more than the {directory.entries} entries of its end record")


# -- one entry ----------------------------------------------------------------------------------------------------


def data_offset(window: ReadAhead, entry: Entry, directory: CentralDirectory) -> int:
    """Where the entry's data begins, once its local header has been found to agree with the directory."""
    header = entry.header + directory.shift
    if header + _LOCAL.size > directory.start:
        raise BadArchive(f"is damaged: {entry} is not where the directory says")
    local = window.unpack(_LOCAL, header, entry)
    if local[0] != _LOCAL_SIGNATURE:
        raise BadArchive(f"is damaged: {entry} is not where the directory says")
    if window.take(header + _LOCAL.size, local[9], entry) != entry.name:
        raise BadArchive(f"is damaged: {entry} has another name in its own header")
    start: int = header + _LOCAL.size + local[9] + local[10]
    if start + entry.packed > directory.start:
        raise BadArchive(f"is damaged: the data of {entry} reaches into the directory")
    if entry.flags & _ENCRYPTED:
        raise BadArchive(f"has an encrypted entry, which Tomcat cannot read: {entry}")
    if entry.method not in (_STORED, _DEFLATED) or local[3] != entry.method:
        raise BadArchive(f"has an entry with compression method {entry.method}, which Java cannot read: {entry}")
    return start


def is_small(entry: Entry) -> bool:
    """True if an entry fits into one piece, so that `data_at_once` can give it."""
    return entry.packed <= _WINDOW and entry.unpacked <= _PIECE


def data(window: ReadAhead, entry: Entry, start: int) -> Iterator[bytes]:
    """Return what the entry holds, in pieces, unpacked but not yet proven. Raises BadArchive."""
    return _stored(window, entry, start) if entry.method == _STORED else _inflated(window, entry, start)


def _stored(window: ReadAhead, entry: Entry, start: int) -> Iterator[bytes]:
    at, end = start, start + entry.packed
    while at < end:
        piece = window.take(at, min(_PIECE, end - at), entry)
        yield piece
        at += len(piece)


def read_small_data(window: ReadAhead, entry: Entry, start: int) -> bytes:
    """Return what a small entry holds, in one piece, not yet proven. One byte more than declared would be noticed."""
    packed = window.take(start, entry.packed, entry)
    if entry.method == _STORED:
        return packed
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        piece: bytes = stream.decompress(packed, entry.unpacked + 1)
    except zlib.error:
        raise _cannot_be_inflated(entry) from None
    if not stream.eof and len(piece) <= entry.unpacked:
        raise BadArchive(f"is damaged: {entry} ends too early")
    return piece


def _inflated(window: ReadAhead, entry: Entry, start: int) -> Iterator[bytes]:
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
        raise _cannot_be_inflated(entry) from None
    if not stream.eof:
        raise BadArchive(f"is damaged: {entry} ends too early")


def _cannot_be_inflated(entry: Entry) -> BadArchive:
    return BadArchive(f"is damaged: {entry} cannot be inflated")
