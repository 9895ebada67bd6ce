"""Which file is this? Decided by content as well as by inode, since each alone has been wrong for somebody.

Theory of operation. A *generation* is one life of a log file: from its first byte to the last one before it is
truncated, replaced or deleted. Renaming does not end it, and neither does copying by `copytruncate`: the copy goes on
where the original was cut. A generation has a random id, so that `<id>-<offset>` names a line for ever.

Device and inode find a candidate: cheap, but an inode is reused after deletion, is kept by `copytruncate`, and the
device's number may change with a reboot. So the content must agree, too:

- *prefix*: a digest of the first bytes, up to PREFIX of them. It grows with the file and never covers a NUL: those may
  still change (a file that is allocated beforehand is all NULs at first).
- *tail*: a digest of the last bytes before a position, up to TAIL of them. A file that was truncated and has grown
  beyond the position again has other bytes there. There is one for each sink's position, and one for what was seen.

What cannot be seen: a file that is truncated and refilled between two looks, and has the same bytes in these places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b

PREFIX_LENGTH = 1024  # bytes
TAIL_LENGTH = 256  # bytes

ReadAt = Callable[[int, int], bytes]
"""Reads (offset, length) of a file; fewer bytes where it ends."""

_COMPRESSED = (
    b"\x1f\x8b",  # gzip
    b"\x1f\x9d",  # compress
    b"BZh",
    b"PK\x03\x04",
    b"\xfd7zXZ\x00",
    b"\x28\xb5\x2f\xfd",  # zstd
    b"\x04\x22\x4d\x18",  # lz4
)


def digest(data: bytes) -> str:
    return blake2b(data, digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A digest of the `length` bytes that end at `offset`."""

    offset: int
    length: int
    digest: str

    def holds(self, read_at: ReadAt) -> bool:
        """Whether the file that `sample` reads still has these bytes there."""
        return not self.length or self.matches(read_at(self.offset - self.length, self.length))

    def matches(self, data: bytes) -> bool:
        return len(data) == self.length and digest(data) == self.digest


START = Fingerprint(0, 0, "")


def position_fingerprint(offset: int, before: bytes) -> Fingerprint:
    """The mark of a position, from (at least) the last TAIL bytes before it, or from all there are."""
    data = before[-TAIL_LENGTH:]
    return Fingerprint(offset, len(data), digest(data))


def prefix_fingerprint(first: bytes) -> Fingerprint:
    """The mark of a file's beginning."""
    data = first[:PREFIX_LENGTH]
    return Fingerprint(len(data), len(data), digest(data))


def same_content(marks: Iterable[Fingerprint], size: int, read_at: ReadAt) -> bool:
    """Whether a file has all these marks, and at least one: it is the file that they were taken of, or a full copy."""
    known = [mark for mark in marks if mark.length]
    return bool(known) and all(mark.offset <= size and mark.holds(read_at) for mark in known)


def short_copy(marks: Iterable[Fingerprint], size: int, read_at: ReadAt) -> bool:
    """Whether a file is a copy of the one that the marks were taken of, but ends before some of them.

    `copytruncate` leaves such a copy when lines were written, and read by us, after the copying ended. One mark must
    lie in the copy's second half: a common banner at the beginning of two files proves nothing.
    """
    known = [mark for mark in marks if mark.length and mark.offset <= size]
    return any(mark.offset * 2 >= size for mark in known) and all(mark.holds(read_at) for mark in known)


def equals_beginning_of(size: int, candidate: ReadAt, original_size: int, original: ReadAt) -> bool:
    """Whether a file is, as far as it goes, equal to another: a copy in the making. Its ends are compared."""
    if not 0 < size <= original_size:
        return False
    ends = ((0, min(size, PREFIX_LENGTH)), (max(0, size - TAIL_LENGTH), min(size, TAIL_LENGTH)))
    return all(candidate(*end) == original(*end) for end in ends)


def is_compressed(first: bytes) -> bool:
    """Whether these first bytes are those of a compressed file, such as `app.log.2.gz`."""
    return first.startswith(_COMPRESSED)
