"""The inspection of a compressed file: is its text a known generation, or a new one?

The steps, from the cheapest:

1. The first kilobyte of the text is compared with the prefixes of the known generations.
2. The trailer of gzip has the CRC-32 and the length of the text. If a generation that was read whole has the same, the
   file is its copy. Nothing more is decompressed.
3. Else the file is decompressed once, without being kept: its text is the one of a generation if it has the bytes of
   all fingerprints at their places. This step also shows whether the file is whole.

logrotate writes a `.gz` in place. So a file that ends too early is looked at again when it has changed, and is taken
for what it has once it was not written for a minute.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field

from sidecars.logshipper.input.compressed.decompression import GZIP, Decompression, Unfinished, kind_of
from sidecars.logshipper.model.fingerprint import POSITION_LENGTH, PREFIX_LENGTH, Fingerprint
from sidecars.logshipper.state.file_state import FileState

_STEP = 256 * 1024  # bytes that are decompressed at once: about half a millisecond
_TRAILER = 8  # bytes: CRC-32 and length modulo 2^32 (RFC 1952, section 2.3.1)
_MODULUS = 1 << 32


@dataclass(slots=True)
class Inspection:
    """The facts about a compressed file. `generation`: the one that it is the copy of; "" if it is a new one."""

    generation: str = ""
    length: int = 0  # bytes of text
    crc: int = 0  # CRC-32 of the text
    first: bytes = b""  # the first PREFIX_LENGTH bytes
    last: bytes = b""  # the last POSITION_LENGTH bytes
    is_whole: bool = True
    was_decompressed: bool = False


@dataclass(slots=True)
class _Candidate:
    state: FileState
    fingerprints: list[Fingerprint] = field(default_factory=list)  # that are still to be compared, by their ends
    seen: int = 0  # the end of the last one that was compared
    is_out: bool = False

    def fits(self, length: int) -> bool:
        """Return True if the text of this length is the generation's, or a copy that ends a little before its end.

        `copytruncate` leaves such a copy: see `fingerprint.short_copy`.
        """
        return not self.is_out and self.seen > 0 and (not self.fingerprints or self.seen * 2 >= length)


def inspect(descriptor: int, size: int, known: Iterable[FileState]) -> Generator[None, None, Inspection]:
    """Inspect an open compressed file of `size` bytes, in steps. Raises OSError, Damaged and Bomb."""
    text = Decompression(descriptor)
    first = b""
    try:
        while len(first) < PREFIX_LENGTH and (more := text.read(PREFIX_LENGTH - len(first))):
            first += more
    except Unfinished:
        return Inspection(first=first, length=len(first), last=first[-POSITION_LENGTH:], is_whole=False)
    near = [one for one in known if one.size and _begins_like(one.prefix, first)]
    crc, length = _trailer(descriptor, size)
    for one in near:
        if one.crc_length == one.size and (one.crc, one.size % _MODULUS) == (crc, length):
            return Inspection(one.generation, one.size, one.crc, first)
    return (yield from _read_whole(text, first, near))


def _begins_like(prefix: Fingerprint, first: bytes) -> bool:
    return prefix.length <= len(first) and (not prefix.length or prefix.matches(first[: prefix.length]))


def _trailer(descriptor: int, size: int) -> tuple[int, int]:
    if size < _TRAILER or kind_of(os.pread(descriptor, 4, 0)) != GZIP:
        return -1, -1
    data = os.pread(descriptor, _TRAILER, size - _TRAILER)
    return int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")


def _read_whole(text: Decompression, first: bytes, near: Iterable[FileState]) -> Generator[None, None, Inspection]:
    candidates = [_Candidate(one, _fingerprints(one)) for one in near]
    crc, window, is_whole = zlib.crc32(first), first, True
    _compare(candidates, window, len(first))
    try:
        while more := text.read(_STEP):
            crc = zlib.crc32(more, crc)
            window = window[-POSITION_LENGTH:] + more
            _compare(candidates, window, text.length)
            yield
    except Unfinished:
        is_whole = False
    fitting = [one.state for one in candidates if one.fits(text.length)]
    same = max(fitting, key=lambda state: state.size, default=None)
    generation = same.generation if same else ""
    return Inspection(generation, text.length, crc, first, window[-POSITION_LENGTH:], is_whole, was_decompressed=True)


def _fingerprints(state: FileState) -> list[Fingerprint]:
    found = {one for one in (*state.positions.values(), state.seen) if one.length}
    return sorted(found, key=lambda one: one.offset)


def _compare(candidates: Iterable[_Candidate], window: bytes, end: int) -> None:
    """Compare the fingerprints that end within the window, which ends at `end`."""
    begin = end - len(window)
    for one in candidates:
        while one.fingerprints and not one.is_out and one.fingerprints[0].offset <= end:
            mark = one.fingerprints.pop(0)
            at, one.seen = mark.offset - begin, mark.offset
            one.is_out = not mark.matches(window[max(0, at - mark.length) : at])
