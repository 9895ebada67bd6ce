"""A chunk: the bytes of one file that go to one sink together. Positions and idempotency keys are made from chunks.

file:   ... delivered before │ gap (skipped) │ data of this chunk │ not read yet ...
                         position          start                 end
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from sidecars.logshipper.model.fingerprint import Fingerprint
from sidecars.logshipper.model.ledger import HOLE


@dataclass(frozen=True)
class Chunk:
    """Whole events of one generation, or (`partial`) a piece of a line that does not end with a newline.

    A chunk without data is a gap only: it moves the position and is not sent.
    """

    generation: str  # the id of the generation that the bytes are from
    first_path: str  # the path under which the generation was first seen
    position: int  # where the sink's position was; the bytes from here to `start` are skipped, for `gap_reason`
    start: int
    data: bytes
    next_position: Fingerprint  # the sink's position once the chunk is settled; its offset is `end`
    partial: bool = False
    open: bool = False  # True if time has ended the last event: the file may go on with further lines of it
    input: str = ""  # name of the input that the file belongs to
    gap_reason: str = HOLE  # a reason of the ledger: HOLE or CUT
    before: bytes = field(default=b"", repr=False)  # the file's bytes before `start`, `CuttingRules.context` at most

    @property
    def end(self) -> int:
        return self.start + len(self.data)

    @cached_property
    def lines(self) -> int:
        """The number of lines; a piece of a line counts as one."""
        return self.data.count(b"\n") + self.partial
