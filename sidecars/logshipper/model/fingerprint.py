"""Fingerprints: digests that tell whether a file still holds the bytes that were read from it.

Theory of operation. A *generation* is one life of a log file: from its first byte to the last one before the file is
truncated, replaced or deleted. Renaming does not end it. Copying by `copytruncate` does not end it either: the
generation continues in the copy. A generation has a random id, so that `<id>-<offset>` names a line for ever
(see `Batch.ids`).

A generation is recognised by device and inode, and by content. Either alone has been wrong in practice:

- Device and inode find a candidate, and that is cheap. But an inode is reused after deletion, `copytruncate` keeps it,
  and the device's number may change with a reboot.
- Content confirms the candidate, by two kinds of fingerprint:
  - *prefix*: the first bytes, up to PREFIX_LENGTH of them. It grows with the file. It never covers a NUL, because a NUL
    may still change: a file that was allocated beforehand is all NULs at first. (In UTF-16: two NULs.)
  - *position*: the last bytes before an offset, up to POSITION_LENGTH of them. A file that was truncated and has grown
    beyond the offset again has other bytes there. Each sink's position has one, and so has the end of the bytes that
    were seen.

Limit: a file that is truncated and refilled between two scans, with the same bytes in these places, is not noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from struct import Struct
from typing import Self

PREFIX_LENGTH = 1024  # bytes
POSITION_LENGTH = 256  # bytes
_MARK = 3  # bytes of a byte-order mark, at most

ReadAt = Callable[[int, int], bytes]
"""Read (offset, length) of a file. Returns fewer bytes where the file ends."""

_PLACE = Struct("<QH")  # offset, and whether the digest is written in hexadecimal digits as ours are; length
_ANY = "surrogatepass"  # a saved state may have any text as a digest, and it is written again as it was

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


class Fingerprint(bytes):
    """The digest of the `length` bytes that end at `offset`. With `length` 0 it is an offset that any file matches.

    It is one packed record, since a process may have ten thousands of them: 64 bytes, where four objects take 180.
    """

    __slots__ = ()

    def __new__(cls, offset: int, length: int, digest: str) -> Self:
        try:
            packed = bytes.fromhex(digest)
            is_hex = packed.hex() == digest
        except ValueError:
            is_hex = False
        kept = packed if is_hex else digest.encode("utf-8", _ANY)
        return super().__new__(cls, _PLACE.pack(offset << 1 | is_hex, length) + kept)

    def __getnewargs__(self) -> tuple[int, int, str]:  # type: ignore[override] # of `__new__` above
        return self.offset, self.length, self.digest

    def __repr__(self) -> str:
        return f"Fingerprint({self.offset}, {self.length}, {self.digest!r})"

    @property
    def offset(self) -> int:
        at: int = _PLACE.unpack_from(self)[0]
        return at >> 1

    @property
    def length(self) -> int:
        length: int = _PLACE.unpack_from(self)[1]
        return length

    @property
    def digest(self) -> str:
        rest = self[_PLACE.size :]
        return rest.hex() if self[0] & 1 else rest.decode("utf-8", _ANY)

    def matches_file(self, read_at: ReadAt) -> bool:
        """Return True if the file that `read_at` reads holds these bytes there."""
        return not self.length or self.matches(read_at(self.offset - self.length, self.length))

    def matches(self, data: bytes) -> bool:
        """Return True if `data` is the bytes that the fingerprint was taken from."""
        return len(data) == self.length and digest(data) == self.digest


START = Fingerprint(0, 0, "")
"""The beginning of any file."""


def position_fingerprint(offset: int, before: bytes) -> Fingerprint:
    """Return the fingerprint of a position. `before` ends at the offset: POSITION_LENGTH bytes or more, or all."""
    data = before[-POSITION_LENGTH:]
    return Fingerprint(offset, len(data), digest(data))


def prefix_fingerprint(first: bytes) -> Fingerprint:
    """Return the fingerprint of a file's first bytes, of PREFIX_LENGTH at most."""
    data = first[:PREFIX_LENGTH]
    return Fingerprint(len(data), len(data), digest(data))


def same_content(fingerprints: Iterable[Fingerprint], size: int, read_at: ReadAt) -> bool:
    """Return True if a file matches all fingerprints, and at least one: it is their file, or a complete copy of it."""
    known = [one for one in fingerprints if one.length]
    return bool(known) and all(one.offset <= size and one.matches_file(read_at) for one in known)


def short_copy(fingerprints: Iterable[Fingerprint], size: int, read_at: ReadAt) -> bool:
    """Return True if a file is a copy of the file of the fingerprints, but ends before some of them.

    `copytruncate` leaves such a copy if lines were written, and read here, after the copying ended. One fingerprint
    must lie in the second half of the copy: two files may have the same banner at their beginnings. A byte-order mark
    alone is no copy: any new file of the app has it.
    """
    known = [one for one in fingerprints if one.length and one.offset <= size]
    return any(one.offset * 2 >= size > _MARK for one in known) and all(one.matches_file(read_at) for one in known)


def equals_beginning_of(size: int, candidate: ReadAt, original_size: int, original: ReadAt) -> bool:
    """Return True if the candidate equals the beginning of the original: it may be a copy that is still being written.

    Both ends of the candidate are compared: its first PREFIX_LENGTH and its last POSITION_LENGTH bytes.
    """
    if not 0 < size <= original_size:
        return False
    ends = ((0, min(size, PREFIX_LENGTH)), (max(0, size - POSITION_LENGTH), min(size, POSITION_LENGTH)))
    return all(candidate(*end) == original(*end) for end in ends)


def is_compressed(first: bytes) -> bool:
    """Return True if these first bytes of a file are those of a compressed file, such as `app.log.2.gz`."""
    return first.startswith(_COMPRESSED)
