"""The metadata of the committed offset: which batch the last transaction had. Pure.

A transaction commits a batch's records together with one offset of a consumer group. The metadata of that offset is the
key of the batch, and so the group remembers the last batch that is there:

    <key> <claim>.<instance> [<rejected events>]

- `key`: `Batch.range_key`, so that other settings change nothing. After kill -9 the batch that the journal has in
  flight is compared with it.
- `claim`, `instance`: which process wrote it. Each process claims the group when it starts, with the next number. A
  process that sees another one's claim is a zombie: its successor has the lines now.
- The rejected events are a bitmap, compressed, in base64: a process that settles a batch by its key must know them.
"""

from __future__ import annotations

import binascii
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_METADATA = 4096
"""Bytes: `offset.metadata.max.bytes` of a broker, by default."""

_MAX_BITMAP = 64 * 1024  # bytes, when it is unpacked: more events than the largest batch has


@dataclass(frozen=True, slots=True)
class Progress:
    """The state that the group has. `number` is the committed offset: the number of transactions so far."""

    number: int = 0
    key: str = ""
    claim: int = 0
    instance: str = ""
    rejected: tuple[int, ...] = ()

    def metadata(self) -> str:
        """Return the text to commit. It may be longer than `MAX_METADATA`, if very many events are rejected."""
        text = f"{self.key} {self.claim}.{self.instance}"
        return f"{text} {_packed(self.rejected)}" if self.rejected else text


def parse(number: int, metadata: str) -> Progress:
    """Return the progress in an offset's metadata. A text that is not ours says nothing but the number."""
    key, _, rest = metadata.partition(" ")
    writer, _, bitmap = rest.partition(" ")
    claim, _, instance = writer.partition(".")
    if not (claim.isdecimal() and claim.isascii() and len(claim) < 19):  # the digits of 64 bits
        return Progress(number)
    return Progress(number, key, int(claim), instance, _unpacked(bitmap))


def newest(offsets: Iterable[tuple[int, str]]) -> Progress:
    """Return the progress of the last transaction, from the offsets and metadata of all topics of the group."""
    found = [(offset, text) for offset, text in offsets if offset >= 0]
    return parse(*max(found)) if found else Progress()


def _packed(numbers: Sequence[int]) -> str:
    bits = bytearray(max(numbers) // 8 + 1)
    for number in numbers:
        bits[number // 8] |= 1 << number % 8
    return b64encode(zlib.compress(bytes(bits), 9)).decode()


def _unpacked(text: str) -> tuple[int, ...]:
    try:
        bits = zlib.decompressobj().decompress(b64decode(text, validate=True), _MAX_BITMAP)
    except (binascii.Error, ValueError, zlib.error):
        return ()
    return tuple(at * 8 + bit for at, byte in enumerate(bits) if byte for bit in range(8) if byte >> bit & 1)
