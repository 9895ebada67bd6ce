"""A part: bytes of one file on their way to one sink, as they were read; what positions and keys are about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from sidecars.logshipper.model.fingerprint import Fingerprint
from sidecars.logshipper.model.ledger import HOLE


@dataclass(frozen=True)
class Chunk:
    """Whole events of one file, or (`partial`) a piece of a line that does not end with a newline."""

    generation: str  # the id of the generation that the bytes are from
    first_path: str  # the path under which the generation was first seen
    position: int  # where the position was; the `start - position` bytes between are skipped for the reason `gap`
    start: int
    data: bytes
    tail: Fingerprint  # of `end`, the position once this is settled
    partial: bool = False
    input: str = ""  # the settings' name of the input that the file belongs to
    gap: str = HOLE

    @property
    def end(self) -> int:
        return self.start + len(self.data)

    @cached_property
    def lines(self) -> int:
        return self.data.count(b"\n") + self.partial
