"""The types of Kafka's protocol: integers, strings, arrays, and those of flexible versions (KIP-482). Pure.

https://kafka.apache.org/protocol#protocol_types

Integers are big-endian. A flexible version has compact strings and arrays, whose length plus one is a varint, and
tagged fields at the end of each structure.

A response is written by someone else: every length is checked against the bytes that are there, before it is used.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TypeVar

from sidecars.chassis.protobuf import varint

T = TypeVar("T")

NO_TAGS = b"\x00"
_LONGEST_VARINT = 35  # bits of five bytes


class MalformedResponse(ValueError):
    """The bytes are no response of that kind."""


def int8(number: int) -> bytes:
    return struct.pack(">b", number)


def int16(number: int) -> bytes:
    return struct.pack(">h", number)


def int32(number: int) -> bytes:
    return struct.pack(">i", number)


def int64(number: int) -> bytes:
    return struct.pack(">q", number)


def string(text: str | None) -> bytes:
    """Encode a string, or null."""
    if text is None:
        return int16(-1)
    encoded = text.encode()
    return int16(len(encoded)) + encoded


def compact_string(text: str) -> bytes:
    encoded = text.encode()
    return varint(len(encoded) + 1) + encoded


def byte_string(content: bytes) -> bytes:
    return int32(len(content)) + content


def array(items: Sequence[bytes]) -> bytes:
    """Encode an array of items that are encoded already."""
    return int32(len(items)) + b"".join(items)


class Reader:
    """Reads the fields of one response in order. Each method raises MalformedResponse if the bytes are not there."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """The number of bytes that are not read yet."""
        return len(self._data) - self._at

    def raw(self, size: int) -> bytes:
        if not 0 <= size <= self.left:
            raise MalformedResponse(f"it ends within a field of {size} bytes")
        self._at += size
        return self._data[self._at - size : self._at]

    def int8(self) -> int:
        return int.from_bytes(self.raw(1), "big", signed=True)

    def int16(self) -> int:
        return int.from_bytes(self.raw(2), "big", signed=True)

    def int32(self) -> int:
        return int.from_bytes(self.raw(4), "big", signed=True)

    def int64(self) -> int:
        return int.from_bytes(self.raw(8), "big", signed=True)

    def string(self) -> str:
        """Read a string; null is the empty string."""
        return self.raw(max(0, self.int16())).decode("utf-8", "replace")

    def byte_string(self) -> bytes:
        return self.raw(max(0, self.int32()))

    def array(self, item: Callable[[], T]) -> list[T]:
        """Read an array of items, each of which `item` reads. Null is the empty array."""
        return self._items(max(0, self.int32()), item)

    def _items(self, count: int, item: Callable[[], T]) -> list[T]:
        if count > self.left:  # an item has one byte at least
            raise MalformedResponse(f"it ends within an array of {count} items")
        return [item() for _ in range(count)]

    # -- flexible versions ---------------------------------------------------------------------------------------------

    def unsigned_varint(self) -> int:
        value = shift = 0
        while shift < _LONGEST_VARINT:
            byte = self.raw(1)[0]
            value |= (byte & 0x7F) << shift
            if byte <= 0x7F:  # the last seven bits
                return value
            shift += 7
        raise MalformedResponse("a number has more than five bytes")

    def compact_string(self) -> str:
        """Read a string; null is the empty string."""
        return self.raw(max(0, self.unsigned_varint() - 1)).decode("utf-8", "replace")

    def compact_array(self, item: Callable[[], T]) -> list[T]:
        """Read an array of items, each of which `item` reads. Null is the empty array."""
        return self._items(max(0, self.unsigned_varint() - 1), item)

    def skip_tags(self) -> None:
        """Read the tagged fields of a structure, of which none is needed."""
        for _ in range(self.unsigned_varint()):
            self.unsigned_varint()
            self.raw(self.unsigned_varint())
