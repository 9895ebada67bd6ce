"""Decompression of one open file, piece by piece: gzip (RFC 1952) and zstd (RFC 8878), each of one or more parts.

The checksums of both formats are checked by their libraries. A *bomb* is refused: a file that has grown more than
MOST_RATIO times, to more than BOMB_SIZE.
"""

from __future__ import annotations

import os
import zlib
from typing import Any

from backports import zstd

GZIP, ZSTD = "gzip", "zstd"
_MAGIC = {b"\x1f\x8b": GZIP, b"\x28\xb5\x2f\xfd": ZSTD}
_LONGEST_MAGIC = 4  # bytes
_READ = 64 * 1024  # bytes of the compressed file at once
_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # with the header and the trailer of gzip
MOST_RATIO = 1000
BOMB_SIZE = 1 << 30  # bytes


class Unfinished(Exception):
    """The file ends within a part: it is still being written, or was cut off."""


class Damaged(Exception):
    """The file is no compressed text, or its checksum does not match."""


class Bomb(Exception):
    """The text is out of all proportion to the file."""


def kind_of(first: bytes) -> str:
    """Return GZIP or ZSTD by the first bytes of a file; "" if it is neither."""
    return next((kind for magic, kind in _MAGIC.items() if first.startswith(magic)), "")


class Decompression:
    """The text of an open file, from its beginning. The descriptor stays the caller's; its offset is not used."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._kind = kind_of(os.pread(descriptor, _LONGEST_MAGIC, 0))
        self._at = 0  # in the file
        self._rest = b""  # bytes that were read and are not decompressed
        self._part: Any = None  # the object that decompresses the part
        self.length = 0  # bytes of text so far

    def read(self, most: int) -> bytes:
        """Return up to `most` bytes of the text; b"" at its end. Raises OSError, Unfinished, Damaged and Bomb."""
        while self._part is not None or self._begin_part():
            data = self._decompress(most)
            if data:
                self.length += len(data)
                if self.length > BOMB_SIZE and self.length > MOST_RATIO * self._at:
                    raise Bomb
                return data
            if self._part is not None and not self._rest and not self._fill():
                raise Unfinished
        return b""

    def _fill(self) -> bool:
        self._rest = os.pread(self._descriptor, _READ, self._at)
        self._at += len(self._rest)
        return bool(self._rest)

    def _begin_part(self) -> bool:
        """Begin the next part. Return False at the end of the file."""
        is_first = not self._at
        while self._rest or self._fill():
            rest = self._rest if is_first else self._rest.lstrip(b"\0")  # some tools fill up the last block
            if rest:
                self._rest = rest
                break
            self._rest = b""
        else:
            return False
        if self._kind == GZIP:
            self._part = zlib.decompressobj(_GZIP_WINDOW)
        elif self._kind == ZSTD:
            self._part = zstd.ZstdDecompressor()
        else:
            raise Damaged
        return True

    def _decompress(self, most: int) -> bytes:
        """Return some bytes of the part; b"" if it has ended, or needs more of the file."""
        part = self._part
        try:
            data: bytes = part.decompress(self._rest, most)
        except MemoryError:
            raise
        except Exception as error:
            raise Damaged from error
        self._rest = part.unused_data if part.eof else getattr(part, "unconsumed_tail", b"")
        if part.eof:
            self._part = None
        return data
