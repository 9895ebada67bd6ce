"""The zip format: end of central directory record, central directory, local headers, and the data of entries.

Source: APPNOTE.TXT 6.3.10 (PKWARE), with the restrictions of java.util.zip.ZipFile, by which Tomcat opens a WAR. The
file is given as a function that reads a range (`ReadAt`), so that nothing here opens a file. Memory stays flat: the
central directory is read through a small buffer, and data comes in pieces.

    local header + data │ local header + data │ … │ central directory │ zip64 record, locator │ end of central directory
"""

from __future__ import annotations

import zlib
from struct import Struct

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass
from sidecars.warcopier.tomcat_names import escaped_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from sidecars.warcopier.io_errors import ReadAt

_END = Struct("<4sHHHHLLH")  # 4.3.16 end of central directory record
_ZIP64_END = Struct("<4sQHHLLQQQQ")  # 4.3.14 zip64 end of central directory record
_ZIP64_LOCATOR = Struct("<4sLQL")  # 4.3.15 zip64 end of central directory locator
_CENTRAL_HEADER = Struct("<4sHHHHHHLLLHHHHHLL")  # 4.3.12 central directory header
_LOCAL_HEADER = Struct("<4sHHHHHLLLHH")  # 4.3.7 local file header
_EXTRA_HEADER = Struct("<HH")  # 4.5.1 extensible data fields
_U64 = Struct("<Q")

_END_SIGNATURE, _ZIP64_END_SIGNATURE, _ZIP64_LOCATOR_SIGNATURE = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_CENTRAL_SIGNATURE, _LOCAL_SIGNATURE = b"PK\1\2", b"PK\3\4"
_MAX_COMMENT = 0xFFFF  # bytes
_ALL_ONES_16, _ALL_ONES_32 = 0xFFFF, 0xFFFFFFFF  # 4.4.1.4: the number stands in the zip64 record or extra field
_ZIP64_FIELD, _TIMESTAMP_FIELD = 0x0001, 0x5455  # header ids of extra fields
_ZIP64_SIZES = (8, 16, 24, 28)  # bytes of a zip64 extra field, as JDK 17 and 21 accept them
_MAX_SIGNED_64 = (1 << 63) - 1  # Java reads 64-bit numbers as signed ones
_TIMESTAMP = Struct(
    "<Bl"
)  # Info-ZIP's extended timestamp: flags of the times that follow (bit 0: mtime), the first time
_ENCRYPTED = 0x0001  # bit 0 of the general purpose bit flag
_DIRECTORY = "its directory"  # the central directory, in messages
_STORED, _DEFLATED = 0, 8  # compression methods
_UNIX_HOSTS = (3, 19)  # 4.4.2 version made by: Unix, macOS
_PIECE = 1 << 16  # bytes read or inflated at a time
_READ_AHEAD = 1 << 16  # bytes read around headers


class BadArchive(Exception):
    """A file is not an archive that Java can open. The text is the end of a sentence that begins with its name."""


@dataclass(frozen=True)
class CentralDirectory:
    """The range of the central directory in the file, or of a part of it. `entries` is the number of its headers.

    `prefix` is the number of bytes before the archive proper; offsets in headers do not count them.
    """

    start: int
    end: int
    entries: int
    prefix: int


class Entry:
    """One entry, from its central directory header.

    `compressed_size` and `uncompressed_size` are bytes, `header_offset` is that of its local header, `central_end` is
    the end of its central directory header in the file. `dos_time` is its DOS date and time as one number that sorts by
    time; `timestamp` is the Unix time in its extended timestamp, None if it has none.

    Raises BadArchive if java.util.zip.ZipFile would not open the archive because of this entry.
    """

    __slots__ = ("central_end", "compressed_size", "crc", "dos_time", "flags", "header_offset", "method",
                 "name", "timestamp", "uncompressed_size", "unix_mode")  # fmt: skip

    def __init__(self, fields: tuple[int, ...], rest: bytes, central_end: int) -> None:
        """`fields` are those of _CENTRAL_HEADER, `rest` is the entry's name, extra fields and comment."""
        name_size, extra_size = fields[10], fields[11]
        self.name = rest[:name_size]
        self.central_end = central_end
        self.flags, self.method, self.crc = fields[3], fields[4], fields[7]
        self.compressed_size, self.uncompressed_size, self.header_offset = fields[8], fields[9], fields[16]
        self.dos_time = fields[6] << 16 | fields[5]
        self.timestamp: int | None = None
        self.unix_mode = fields[15] >> 16 if fields[1] >> 8 in _UNIX_HOSTS else 0
        if not rest.isascii():
            self._require_utf8(self.name, "its name")
            self._require_utf8(rest[name_size + extra_size :], "its comment")
        if extra_size:
            self._read_extra_fields(rest[name_size : name_size + extra_size])

    def __str__(self) -> str:
        return escaped_prefix(self.name.decode(errors="surrogateescape"))

    def _require_utf8(self, raw: bytes, what: str) -> None:
        """Raise BadArchive if the bytes are not UTF-8: Java reads them as UTF-8 with or without the flag (bit 11)."""
        try:
            raw.decode()
        except UnicodeDecodeError:
            raise BadArchive(f"has an entry that Java cannot read: {what} is not UTF-8: {self}") from None

    def _read_extra_fields(self, extra: bytes) -> None:
        """Take sizes and times from the extra fields. Up to 3 bytes after the last one are padding."""
        at, is_first = 0, True
        while at + _EXTRA_HEADER.size <= len(extra):
            header_id, size = _EXTRA_HEADER.unpack_from(extra, at)
            at += _EXTRA_HEADER.size
            if at + size > len(extra):
                raise BadArchive(
                    f"has an entry that Java cannot read: its extra field 0x{header_id:04x} is cut short: {self}"
                )
            if header_id == _ZIP64_FIELD:
                self._read_zip64_field(extra[at : at + size], is_first=is_first)
                is_first = False
            elif header_id == _TIMESTAMP_FIELD and size >= _TIMESTAMP.size and extra[at] & 1:
                self.timestamp = _TIMESTAMP.unpack_from(extra, at)[1]
            at += size

    def _read_zip64_field(self, field: bytes, *, is_first: bool) -> None:
        """Check a zip64 extra field as Java does. Take the numbers that the header cannot hold from the first field."""
        names = ("uncompressed_size", "compressed_size", "header_offset")
        wanted = [name for name in names if getattr(self, name) == _ALL_ONES_32]
        if len(field) not in _ZIP64_SIZES and (field or "uncompressed_size" in wanted or "compressed_size" in wanted):
            raise BadArchive(
                f"has an entry that Java cannot read: its zip64 field has {len(field)} bytes, which is no valid"
                f" size: {self}"
            )
        for place, name in enumerate(wanted if is_first else ()):
            if (place + 1) * _U64.size <= len(field):
                value = _U64.unpack_from(field, place * _U64.size)[0]
                if value > _MAX_SIGNED_64:
                    raise BadArchive(f"has an entry that Java cannot read: its zip64 field is negative: {self}")
                setattr(self, name, value)


class ReadAhead:
    """A buffer over `ReadAt`, so that many small entries cost few reads. One pass over a file owns one."""

    def __init__(self, read: ReadAt) -> None:
        self._read = read
        self._at = self._end = 0  # offsets in the file at which the buffer begins and ends
        self._buffer = b""

    def take(self, offset: int, length: int, what: object) -> bytes:
        """Return `length` bytes. Raises BadArchive, which names `what` they are, if the file has fewer."""
        if offset < self._at or offset + length > self._end:
            self._fill(offset, length, what)
        at = offset - self._at
        return self._buffer[at : at + length]

    def unpack(self, form: Struct, offset: int, what: object) -> tuple[Any, ...]:
        """Return the fields of a header at the offset. Raises BadArchive, which names `what` it is."""
        if offset < self._at or offset + form.size > self._end:
            self._fill(offset, form.size, what)
        return form.unpack_from(self._buffer, offset - self._at)

    def _fill(self, offset: int, length: int, what: object) -> None:
        self._buffer = self._read(offset, max(length, _READ_AHEAD))
        self._at, self._end = offset, offset + len(self._buffer)
        if len(self._buffer) < length:
            raise BadArchive(f"is cut short or damaged: {what} ends outside the file")


# -- end of central directory record and central directory --------------------------------------------------------


def find_central_directory(read: ReadAt, size: int) -> CentralDirectory:
    """Find the central directory of an archive of `size` bytes. Raises BadArchive."""
    if size == 0:
        raise BadArchive("is empty")
    end = _find_end_record(read, size)
    _, disk, first_disk, here, total, length, offset, _ = _END.unpack(read(end, _END.size))
    stop = end
    needed = total == _ALL_ONES_16 or _ALL_ONES_32 in (length, offset)
    record = _find_zip64_end_record(read, end, needed=needed)
    if record is not None:
        found = _ZIP64_END.unpack(read(record, _ZIP64_END.size))
        if _agree(found[7:], (total, length, offset)):
            stop = record
            _, _, _, _, disk, first_disk, here, total, length, offset = found
    if disk or first_disk or here != total:
        raise BadArchive("is one part of an archive that was split")
    prefix = stop - length - offset
    if prefix < 0:
        raise BadArchive("is cut short or damaged: its directory does not fit before its end record")
    return CentralDirectory(stop - length, stop, total, prefix)


def _find_end_record(read: ReadAt, size: int) -> int:
    """Return the offset of the end of central directory record: the one whose comment ends where the file ends."""
    begin = max(0, size - _END.size - _MAX_COMMENT)
    tail = read(begin, size - begin)
    at = tail.rfind(_END_SIGNATURE)
    while at >= 0:
        if len(tail) - at >= _END.size and _END.unpack_from(tail, at)[-1] == len(tail) - at - _END.size:
            return begin + at
        at = tail.rfind(_END_SIGNATURE, 0, at + len(_END_SIGNATURE) - 1)
    if read(0, len(_LOCAL_SIGNATURE)) == _LOCAL_SIGNATURE:
        raise BadArchive("is cut short: it begins like a zip, but its end record is missing")
    raise BadArchive("is not a zip")


def _find_zip64_end_record(read: ReadAt, end: int, *, needed: bool) -> int | None:
    """Return the offset of the zip64 record as Java finds it: by its locator, from the start of the file.

    None if there is no locator, or no record at that offset. `needed` True means that a number of the end record stands
    in the zip64 record; then a locator without a record raises BadArchive.
    """
    at = end - _ZIP64_LOCATOR.size
    if at < 0:
        return None
    signature, _, record, _ = _ZIP64_LOCATOR.unpack(read(at, _ZIP64_LOCATOR.size))
    if signature != _ZIP64_LOCATOR_SIGNATURE:
        return None
    fits = record <= at - _ZIP64_END.size
    if fits and read(record, len(_ZIP64_END_SIGNATURE)) == _ZIP64_END_SIGNATURE:
        return int(record)
    if needed:
        raise BadArchive("is damaged: its zip64 end record is not where its locator says")
    return None


def _agree(long: tuple[int, ...], short: tuple[int, int, int]) -> bool:
    """True if the zip64 record equals the end record in each field that has a number in the end record."""
    ones = (_ALL_ONES_16, _ALL_ONES_32, _ALL_ONES_32)
    return all(one in (other, full) for one, other, full in zip(short, long, ones, strict=True))


def entries(buffer: ReadAhead, directory: CentralDirectory) -> Iterator[Entry]:
    """Yield every entry, in the order of the central directory. Raises BadArchive."""
    at = directory.start
    for number in range(directory.entries):
        if at + _CENTRAL_HEADER.size > directory.end:
            raise BadArchive(f"is damaged: its directory has {number} entries, its end record says {directory.entries}")
        fields = buffer.unpack(_CENTRAL_HEADER, at, _DIRECTORY)
        if fields[0] != _CENTRAL_SIGNATURE:
            raise BadArchive(f"is damaged: entry {number + 1} of its directory is not one")
        name_size, extra_size, comment_size = fields[10:13]
        at += _CENTRAL_HEADER.size
        end = at + name_size + extra_size + comment_size
        if end > directory.end:
            raise BadArchive(f"is damaged: entry {number + 1} of its directory reaches beyond the directory")
        yield Entry(fields, buffer.take(at, name_size + extra_size + comment_size, _DIRECTORY), end)
        at = end
    if at != directory.end:
        raise BadArchive(f"is damaged: its directory has more than the {directory.entries} entries of its end record")


# -- local header and data of one entry ---------------------------------------------------------------------------


def data_offset(buffer: ReadAhead, entry: Entry, directory: CentralDirectory) -> int:
    """Return the offset of the entry's data. Raises BadArchive if its local header disagrees with the directory."""
    header = entry.header_offset + directory.prefix
    if header + _LOCAL_HEADER.size > directory.start:
        raise BadArchive(f"is damaged: {entry} is not where the directory says")
    local = buffer.unpack(_LOCAL_HEADER, header, entry)
    if local[0] != _LOCAL_SIGNATURE:
        raise BadArchive(f"is damaged: {entry} is not where the directory says")
    if buffer.take(header + _LOCAL_HEADER.size, local[9], entry) != entry.name:
        raise BadArchive(f"is damaged: {entry} has another name in its own header")
    start: int = header + _LOCAL_HEADER.size + local[9] + local[10]
    if start + entry.compressed_size > directory.start:
        raise BadArchive(f"is damaged: the data of {entry} reaches into the directory")
    if entry.flags & _ENCRYPTED:
        raise BadArchive(f"has an encrypted entry, which Tomcat cannot read: {entry}")
    if entry.method not in (_STORED, _DEFLATED) or local[3] != entry.method:
        raise BadArchive(f"has an entry with compression method {entry.method}, which Java cannot read: {entry}")
    return start


def is_small(entry: Entry) -> bool:
    """True if `read_small_data` can return the data of the entry in one piece."""
    return entry.compressed_size <= _READ_AHEAD and entry.uncompressed_size <= _PIECE


def read_small_data(buffer: ReadAhead, entry: Entry, start: int) -> bytes:
    """Return the uncompressed data of a small entry, not yet verified. Raises BadArchive.

    The result is one byte longer than declared if the entry has more data than that.
    """
    compressed = buffer.take(start, entry.compressed_size, entry)
    if entry.method == _STORED:
        return compressed
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        piece: bytes = stream.decompress(compressed, entry.uncompressed_size + 1)
    except zlib.error:
        raise _inflate_failure(entry) from None
    if not stream.eof and len(piece) <= entry.uncompressed_size:
        raise BadArchive(f"is damaged: {entry} ends too early")
    return piece


def read_data(buffer: ReadAhead, entry: Entry, start: int) -> Iterator[bytes]:
    """Return the uncompressed data of an entry in pieces, not yet verified. Raises BadArchive."""
    return _stored(buffer, entry, start) if entry.method == _STORED else _inflated(buffer, entry, start)


def _stored(buffer: ReadAhead, entry: Entry, start: int) -> Iterator[bytes]:
    at, end = start, start + entry.compressed_size
    while at < end:
        piece = buffer.take(at, min(_PIECE, end - at), entry)
        yield piece
        at += len(piece)


def _inflated(buffer: ReadAhead, entry: Entry, start: int) -> Iterator[bytes]:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for compressed in _stored(buffer, entry, start):
            piece = stream.decompress(compressed, _PIECE)
            while piece or stream.unconsumed_tail:
                yield piece
                piece = stream.decompress(stream.unconsumed_tail, _PIECE)
            if stream.eof:
                break
    except zlib.error:
        raise _inflate_failure(entry) from None
    if not stream.eof:
        raise BadArchive(f"is damaged: {entry} ends too early")


def _inflate_failure(entry: Entry) -> BadArchive:
    return BadArchive(f"is damaged: {entry} cannot be inflated")
