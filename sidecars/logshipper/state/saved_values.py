"""Checks of values that a state file gave. Pure.

Whoever can write to the state directory can write any value with a right checksum. So each value is checked for its
type and range, and what is left can do no harm: a path in it is a hint (see `input.follower`), and a number is bounded.
"""

from __future__ import annotations

import re
from typing import Any

from sidecars.logshipper.model import utf16_cutting
from sidecars.logshipper.model.fingerprint import PREFIX_LENGTH, Fingerprint
from sidecars.logshipper.model.times.event_times import MOST_PASSES, FileTimes, Pass

_LONGEST_TEXT = 8192  # characters: a path has 4,096 bytes at most
_HIGHEST = 2**64  # device and inode are unsigned
_HIGHEST_OFFSET = 2**62  # bytes; a file has less than 2^63
_LARGEST_RANGE = 64 * 1024 * 1024  # bytes of one chunk: BATCH_SIZE and MAX_LINE_SIZE are 16 MiB at most
_MOST_KEYS = 1001  # of a quota
_MOST_EVENTS = 2**31
_KEY = re.compile(r"(?:[0-9a-f]{12})?")
_GENERATION = re.compile(r"[0-9A-Za-z_-]{1,64}")


def text(value: Any) -> str:
    """Return the value if it is a text of a sensible length, without NUL. Raises ValueError."""
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or "\0" in value:
        raise ValueError("a text is wrong")
    return value


def generation(value: Any) -> str:
    """Return the value if it is the id of a generation: it becomes a part of names. Raises ValueError."""
    if not isinstance(value, str) or not _GENERATION.fullmatch(value):
        raise ValueError("the id of a generation is wrong")
    return value


def encoding(value: Any) -> str:
    """Return the value if it is one of UTF-16, or "". Raises ValueError."""
    if value not in ("", *utf16_cutting.ENCODINGS):
        raise ValueError("an encoding is wrong")
    return str(value)


def number(value: Any, below: int = _HIGHEST) -> int:
    """Return the value if it is a whole number from 0 to `below`, exclusive. Raises ValueError."""
    if type(value) is not int or not 0 <= value < below:
        raise ValueError("a number is wrong")
    return value


def offset(value: Any) -> int:
    """Return the value if it is a place in a file. Raises ValueError."""
    return number(value, _HIGHEST_OFFSET)


def fingerprint(value: Any) -> Fingerprint:
    """Return the fingerprint of offset, length and digest. Raises ValueError or TypeError."""
    end, length, digest = value
    return Fingerprint(offset(end), number(length, min(end, PREFIX_LENGTH) + 1), text(digest))


def file_times(value: Any) -> FileTimes:
    """Return the knowledge about the times in a file. Raises ValueError or TypeError."""
    size, modified, passes = value
    found = [Pass(offset(place), number(near), number(second, 2)) for place, near, second in passes]
    return FileTimes(offset(size), number(modified), tuple(found[-MOST_PASSES:]))


def chunk_range(position: Any, start: Any, end: Any) -> tuple[int, int, int]:
    """Return the three places of a chunk. Raises ValueError."""
    if not offset(position) <= offset(start) <= offset(end) or end - start > _LARGEST_RANGE:
        raise ValueError("the range of a chunk is wrong")
    return position, start, end


def checksum(value: Any) -> tuple[int, int]:
    """Return the number of bytes and the CRC-32 of them. Raises ValueError or TypeError."""
    length, crc = value
    return offset(length), number(crc, 2**32)


def quota(value: Any) -> dict[str, int]:
    """Return the number of events that a rate limit has let pass, by key; -1 is all. Raises ValueError."""
    if not isinstance(value, dict) or not 0 < len(value) <= _MOST_KEYS:
        raise ValueError("a quota is wrong")
    for key, count in value.items():
        if not _KEY.fullmatch(key) or number(count + 1 if type(count) is int else None, _MOST_EVENTS) < 0:
            raise ValueError("a quota is wrong")
    return value
