"""What a chunk alone does not tell about the next part of a file: by which rules it is cut, and what is around it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from sidecars.logshipper.model.fingerprint import ReadAt
from sidecars.logshipper.model.line_cutting import UTF8_LONGEST

_PROBE = 1024 * 1024  # bytes at a time


@dataclass(frozen=True, slots=True)
class CuttingRules:
    """How the files of one input are cut into parts."""

    limit: int = 1024 * 1024  # bytes that a line, or an event of several, may have
    cut: bool = False  # what is longer is cut off; otherwise it is shipped in pieces
    boundary: Callable[[bytes], int] | None = None  # where the last event of whole lines begins; None: each line is one
    patience: float = 0.0  # seconds without news after which the last event of several lines is over


def first_lines(data: bytes, most: int) -> bytes:
    """As many lines, of data that has more."""
    return data[: len(data) - len(data.split(b"\n", most)[-1])]


def data_after(descriptor: int, offset: int, length: int) -> int | None:
    """Where the first byte that is not NUL comes, from the offset on; None when there is none in the file's length."""
    while offset < length:
        try:
            offset = os.lseek(descriptor, offset, os.SEEK_DATA)
        except OSError:
            return None  # a hole to the end
        data = os.pread(descriptor, _PROBE, offset)
        if not data:
            return None
        found = data.lstrip(b"\0")
        if found:
            return offset + len(data) - len(found)
        offset += len(data)
    return None


def rest_of_a_cut_line(read_at: ReadAt, offset: int, length: int, limit: int) -> int:
    """How many bytes from the offset on belong to a line of which as much as may be was shipped already."""
    shipped = limit - UTF8_LONGEST  # a piece may be so much shorter
    if offset < shipped or read_at(offset - 1, 1) == b"\n" or b"\n" in read_at(offset - shipped, shipped):
        return 0
    rest = 0
    while block := read_at(offset + rest, min(_PROBE, length - offset - rest)):
        end = block.find(b"\n") + 1
        if end:
            return rest + end
        rest += len(block)
    return rest
