"""The wire format of Protocol Buffers, as far as the messages of gRPC's interop tests and health checks need it.

A message is a dict from the number of a field to its value: an int, bytes, or a list of these. What is read has lists.
"""

from __future__ import annotations

from collections.abc import Mapping

Value = int | bytes
Message = Mapping[int, Value | list[bytes] | list[int]]


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    out.append(value)
    return bytes(out)


def encode(fields: Message) -> bytes:
    out = b""
    for number, values in fields.items():
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, int):
                out += varint(number << 3) + varint(value)
            else:
                out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def decode(data: bytes) -> dict[int, list[Value]]:
    found: dict[int, list[Value]] = {}
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        assert key & 7 in (0, 2), "these messages have ints and bytes"
        value: Value
        number, at = _varint(data, at)
        if key & 7 == 2:
            value, at = data[at : at + number], at + number
        else:
            value = number
        found.setdefault(key >> 3, []).append(value)
    return found


def first(message: Mapping[int, list[Value]], number: int, default: int = 0) -> int:
    """Return the int of that field."""
    value = message.get(number, [default])[0]
    assert isinstance(value, int)
    return value


def inner(message: Mapping[int, list[Value]], number: int) -> dict[int, list[Value]]:
    """Return the message in that field, empty if there is none."""
    value = message.get(number, [b""])[0]
    assert isinstance(value, bytes)
    return decode(value)


def content(message: Mapping[int, list[Value]], number: int) -> bytes:
    """Return the bytes of that field."""
    value = message.get(number, [b""])[0]
    assert isinstance(value, bytes)
    return value
