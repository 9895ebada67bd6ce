"""Ids that are made here: of traces, spans and requests. Chance is passed in, and so is the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

Bits = Callable[[int], int]  # `random.getrandbits`

_VERSION_7: Final = 7 << 76
_VARIANT: Final = 2 << 62
_LOW_12: Final = 0xFFF
_LOW_62: Final = (1 << 62) - 1


def trace_id(bits: Bits) -> bytes:
    """Return 16 random bytes in hexadecimal digits, not all 0."""
    return b"%032x" % (bits(128) or 1)


def span_id(bits: Bits) -> bytes:
    """Return 8 random bytes in hexadecimal digits, not all 0."""
    return b"%016x" % (bits(64) or 1)


def request_id(bits: Bits, now: float) -> bytes:
    """Return a UUID of version 7 (RFC 9562 section 5.7): ids sort by the time, `now` in seconds since 1970."""
    chance = bits(74)
    number = int(now * 1000.0) << 80 | _VERSION_7 | (chance >> 62 & _LOW_12) << 64 | _VARIANT | (chance & _LOW_62)
    digits = b"%032x" % number
    return b"%b-%b-%b-%b-%b" % (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
