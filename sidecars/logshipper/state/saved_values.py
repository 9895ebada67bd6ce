"""Checks of values that a state file gave. Pure.

Whoever can write to the state directory can write any value with a right checksum. So each value is checked for its
type and range, and what is left can do no harm: a path in it is a hint (see `input.follower`), and a number is bounded.
"""

from __future__ import annotations

import re
from typing import Any

from sidecars.logshipper.model.fingerprint import PREFIX_LENGTH, Fingerprint

_LONGEST_TEXT = 8192  # characters: a path has 4,096 bytes at most
_HIGHEST = 2**64  # device and inode are unsigned
_HIGHEST_OFFSET = 2**62  # bytes; a file has less than 2^63
_LARGEST_RANGE = 64 * 1024 * 1024  # bytes of one chunk: BATCH_SIZE and MAX_LINE_SIZE are 16 MiB at most
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


def chunk_range(position: Any, start: Any, end: Any) -> tuple[int, int, int]:
    """Return the three places of a chunk. Raises ValueError."""
    if not offset(position) <= offset(start) <= offset(end) or end - start > _LARGEST_RANGE:
        raise ValueError("the range of a chunk is wrong")
    return position, start, end
