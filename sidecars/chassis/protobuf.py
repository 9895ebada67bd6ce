"""The part of Protocol Buffers' wire format that OTLP and Loki need.

https://protobuf.dev/programming-guides/encoding/

A message is a sequence of fields. A field is a tag, and then a varint, eight bytes, or a length and that many bytes.
Whole columns of events are encoded at once; the official runtime would make an object for each event. The tests compare
the results with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

_LEN = 2  # wire type of strings, bytes and messages
_FIXED = {1: 8, 5: 4}  # wire types and their bytes
_LONGEST = 63  # bits before the last seven
_SMALL = 1 << 14  # numbers below this are memoized


def varint(number: int) -> bytes:
    """Encode a number, which is not negative: base 128, the low seven bits first."""
    out = bytearray()
    while number > 0x7F:  # seven bits
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def padded_varint(number: int, width: int, *, goes_on: bool = False) -> bytes:
    """Encode a number in `width` bytes, more than it needs. `goes_on`: these are the first bytes of a longer varint."""
    out = bytearray(number >> 7 * place & 0x7F | 0x80 for place in range(width))
    if not goes_on:
        out[-1] &= 0x7F
    return bytes(out)


class MemoizedBytes(dict[int, bytes]):
    """The results of a function of numbers. The result for a small number is computed once: most lengths are small.

    Used as `map(memoized.__getitem__, lengths)`.
    """

    def __init__(self, make: Callable[[int], bytes]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, number: int) -> bytes:
        made = self._make(number)
        if number < _SMALL:
            self[number] = made
        return made


VARINT = MemoizedBytes(varint)


def field_tag(field: int, wire: int = _LEN) -> bytes:
    """Encode a tag: the number of a field, and the wire type of its value."""
    return varint(field << 3 | wire)


def bytes_field(field: int, content: bytes) -> bytes:
    """Encode a field that is a string, bytes or a message."""
    return field_tag(field) + varint(len(content)) + content


def string_field(field: int, content: str) -> bytes:
    """Encode a field that is a string."""
    return bytes_field(field, content.encode())


def varint_field(field: int, value: int) -> bytes:
    """Encode a field that is a number, which is not negative."""
    return field_tag(field, 0) + varint(value)


def parse_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a message: field number, and a number or bytes. Raises ValueError if it is no message."""
    at = 0
    while at < len(message):
        key, at = _number(message, at)
        field, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _number(message, at)
            yield field, value
            continue
        if wire == _LEN:
            length, at = _number(message, at)
        elif wire in _FIXED:
            length = _FIXED[wire]
        else:
            raise ValueError(f"wire type {wire}")
        if at + length > len(message):
            raise ValueError("it ends within a field")
        yield field, message[at : at + length]
        at += length


def _number(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > _LONGEST:
            raise ValueError("it ends within a number")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte <= 0x7F:  # seven bits
            return value, at
        shift += 7
