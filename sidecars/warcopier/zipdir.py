"""Where things are in a zip: the end record, the directory, each entry's header and its data.

After APPNOTE.TXT 6.3.10 (PKWARE) and java.util.zip.ZipFile, which is what Tomcat opens it with. The file is given as a
function that reads a range, so that nothing here opens anything. Memory stays flat: the directory is walked through a
small window, and data comes piece by piece.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from struct import Struct

from chassis.frozen import TYPE_CHECKING, dataclass
from sidecars.warcopier.naming import shown

if TYPE_CHECKING:
    from typing import Any

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
_DIRECTORY = "its directory"
_STORED, _DEFLATED = 0, 8
_HAS_UNIX_MODE = (3, 19)  # 4.4.2: made on Unix, or on macOS
_PIECE = 1 << 16  # bytes read or inflated at a time
_WINDOW = 1 << 16  # bytes read ahead around headers


class NotAnArchive(Exception):
    """Why it is not one, as the end of a sentence that begins with the file's name."""


@dataclass(frozen=True)
class Directory:
    """Where the central directory lies, or a part of it. `shift` is how many bytes stand before the archive proper."""

    start: int
    end: int
    entries: int
    shift: int


class Entry:
    """One entry as the central directory has it."""

    __slots__ = ("crc", "end", "flags", "header", "method", "name", "packed", "unix_mode", "unpacked")

    def __init__(self, name: bytes, fields: tuple[int, ...], sizes: list[int], end: int) -> None:
        self.name = name
        self.end = end  # where it ends in the directory
        self.flags, self.method, self.crc = fields[3], fields[4], fields[7]
        self.unpacked, self.packed, self.header = sizes
        self.unix_mode = fields[15] >> 16 if fields[1] >> 8 in _HAS_UNIX_MODE else 0

    def __str__(self) -> str:
        return shown(self.name.decode(errors="surrogateescape"))


class Window:
    """Reads ahead, so that many small entries cost few reads."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._at = 0
        self._buffer = b""

    def _find(self, offset: int, length: int, what: object) -> int:
        """Where in the buffer that many bytes of the file stand. Raises NotAnArchive, which says `what` they are."""
        at = offset - self._at
        if at < 0 or at + length > len(self._buffer):
            self._at, at = offset, 0
            self._buffer = self._read(offset, max(length, _WINDOW))
            if len(self._buffer) < length:
                raise NotAnArchive(f"is cut short or damaged: {what} ends outside the file")
        return at

    def take(self, offset: int, length: int, what: object) -> bytes:
        at = self._find(offset, length, what)
        return self._buffer[at : at + length]

    def unpack(self, form: Struct, offset: int, what: object) -> tuple[Any, ...]:
        at = self._find(offset, form.size, what)
        return form.unpack_from(self._buffer, at)


# -- the end record and the directory -----------------------------------------------------------------------------


def find_directory(read: Read, size: int) -> Directory:
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
    return Directory(stop - length, stop, total, shift)


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


def entries(window: Window, directory: Directory) -> Iterator[Entry]:
    """Every entry, in the order of the directory. Raises NotAnArchive."""
    at = directory.start
    for number in range(directory.entries):
        if at + _CENTRAL.size > directory.end:
            raise NotAnArchive(
                f"is damaged: its directory has {number} entries, its end record says {directory.entries}"
            )
        fields = window.unpack(_CENTRAL, at, _DIRECTORY)
        if fields[0] != _CENTRAL_SIGNATURE:
            raise NotAnArchive(f"is damaged: entry {number + 1} of its directory is not one")
        name, extra, comment = fields[10:13]
        at += _CENTRAL.size
        end = at + name + extra + comment
        if end > directory.end:
            raise NotAnArchive(f"is damaged: entry {number + 1} of its directory reaches beyond the directory")
        yield _entry(fields, name, window.take(at, name + extra, _DIRECTORY), end)
        at = end
    if at != directory.end:
        raise NotAnArchive(f"is damaged: its directory has more than the {directory.entries} entries of its end record")


def _entry(fields: tuple[int, ...], name: int, rest: bytes, end: int) -> Entry:
    """The entry whose name is so long; `rest` is what follows its fields up to its comment."""
    sizes = [fields[9], fields[8], fields[16]]  # unpacked, packed, header offset: the order of the zip64 field
    if _IS_64[1] in sizes:
        long = _zip64_field(rest[name:])
        for place, value in enumerate(sizes):
            if value == _IS_64[1] and len(long) >= _U64.size:
                sizes[place], long = _U64.unpack_from(long)[0], long[_U64.size :]
    return Entry(rest[:name], fields, sizes, end)


def _zip64_field(extra: bytes) -> bytes:
    while len(extra) >= _EXTRA.size:
        kind, length = _EXTRA.unpack_from(extra)
        if kind == _ZIP64_FIELD:
            return extra[_EXTRA.size : _EXTRA.size + length]
        extra = extra[_EXTRA.size + length :]
    return b""


# -- one entry ----------------------------------------------------------------------------------------------------


def data_start(window: Window, entry: Entry, directory: Directory) -> int:
    """Where the entry's data begins, once its local header has been found to agree with the directory."""
    header = entry.header + directory.shift
    local = window.unpack(_LOCAL, header, entry)
    if local[0] != _LOCAL_SIGNATURE:
        raise NotAnArchive(f"is damaged: {entry} is not where the directory says")
    if window.take(header + _LOCAL.size, local[9], entry) != entry.name:
        raise NotAnArchive(f"is damaged: {entry} has another name in its own header")
    start: int = header + _LOCAL.size + local[9] + local[10]
    if start + entry.packed > directory.start:
        raise NotAnArchive(f"is damaged: the data of {entry} reaches into the directory")
    if entry.flags & _ENCRYPTED:
        raise NotAnArchive(f"has an encrypted entry, which Tomcat cannot read: {entry}")
    if entry.method not in (_STORED, _DEFLATED) or local[3] != entry.method:
        raise NotAnArchive(f"has an entry with compression method {entry.method}, which Java cannot read: {entry}")
    return start


def data(window: Window, entry: Entry, start: int) -> Iterable[bytes]:
    """What the entry holds, in pieces, unpacked but not yet proven. Raises NotAnArchive."""
    if entry.method == _STORED:
        return _stored(window, entry, start)
    if entry.packed <= _WINDOW and entry.unpacked <= _PIECE:
        return _inflated_at_once(window, entry, start)
    return _inflated(window, entry, start)


def _stored(window: Window, entry: Entry, start: int) -> Iterator[bytes]:
    at, end = start, start + entry.packed
    while at < end:
        piece = window.take(at, min(_PIECE, end - at), entry)
        yield piece
        at += len(piece)


def _inflated_at_once(window: Window, entry: Entry, start: int) -> tuple[bytes, ...]:
    """What is small, as most entries are. One byte more than was declared would be noticed."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        piece = stream.decompress(window.take(start, entry.packed, entry), entry.unpacked + 1)
    except zlib.error:
        raise _cannot_be_inflated(entry) from None
    if not stream.eof and len(piece) <= entry.unpacked:
        raise NotAnArchive(f"is damaged: {entry} ends too early")
    return (piece,)


def _inflated(window: Window, entry: Entry, start: int) -> Iterator[bytes]:
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
        raise NotAnArchive(f"is damaged: {entry} ends too early")


def _cannot_be_inflated(entry: Entry) -> NotAnArchive:
    return NotAnArchive(f"is damaged: {entry} cannot be inflated")
