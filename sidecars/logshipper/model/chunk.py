"""A chunk: the bytes of one file that go to one sink together. Positions and idempotency keys are made from chunks.

file:   ... delivered before │ gap (skipped) │ data of this chunk │ not read yet ...
                         position          start                 end
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from sidecars.logshipper.model import utf16_cutting
from sidecars.logshipper.model.fingerprint import Fingerprint
from sidecars.logshipper.model.ledger import HOLE
from sidecars.logshipper.model.times.event_times import FileTimes


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
    encoding: str = "utf-8"  # of the generation; see `CuttingRules.encoding`
    times: FileTimes | None = field(default=None, repr=False)  # of the generation, if the input's times need it
    before: bytes = field(default=b"", repr=False)  # the file's bytes before `start`, `CuttingRules.context` at most

    quota: Mapping[str, int] | None = None  # of what a rate limit has let pass, in an earlier process: see `Records`
    counted: tuple[int, int] | None = None  # bytes and lines of a chunk whose data is forgotten

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self.data) if self.counted is None else self.counted[0]

    @property
    def end(self) -> int:
        return self.start + self.size

    def without_data(self) -> Chunk:
        """Return the chunk without its data: with its place and the number of its bytes and lines."""
        return self if self.counted else replace(self, data=b"", before=b"", counted=(self.size, self.lines))

    @cached_property
    def lines(self) -> int:
        """The number of lines; a piece of a line counts as one."""
        if self.counted is not None:
            return self.counted[1]
        if self.encoding in utf16_cutting.ENCODINGS:
            return sum(1 for _ in utf16_cutting.line_ends(self.data, self.encoding)) + self.partial
        return self.data.count(b"\n") + self.partial
