"""The oracle of the logshipper's world: every line that an app has written, and what has become of it.

A line is *alive* while a file has it, under a name or held open by a process. A line that no file has any more must
have been delivered, unless nobody could do that:

| the content went with | nobody could deliver it if |
|---|---|
| a truncation | always: a line that no copy has is gone at once |
| the last name of a file that no process held | no process was there for it in the last `FOUND_WITHIN` seconds |
| the same, of a file that began after SIGTERM | always: the process makes a final scan, and looks for no more files |
| the descriptor of a killed or ended process | always: the file had lost its name before |
| the descriptor that a process closed | a read of the file had failed |
| a loss of power | always |
"""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib
from collections.abc import Callable

from tests.world.disk import Inode, Volume
from tests.world.universe import OWNER, Broken, Universe, check

FOUND_WITHIN = 3.0  # seconds in which a process has found a file and opened it


def whole_lines(data: bytes) -> list[str]:
    """Return the lines that have their ends. Of a compressed file they are those of its text, once it is whole."""
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (EOFError, zlib.error):
            return []
    return [line.lstrip(b"\0").decode() for line in data.split(b"\n")[:-1]]


class Ledger:
    """The lines of all apps of one run."""

    def __init__(self, universe: Universe, volume: Volume) -> None:
        self._universe = universe
        self._volume = volume
        self.written: dict[str, float] = {}  # line -> when its end was written
        self.lost: dict[str, str] = {}  # line -> why nobody could deliver it
        self.received: dict[str, dict[str, str]] = {}  # sink -> line -> its first id
        self.rejected: dict[str, dict[str, None]] = {}  # sink -> lines that it will never take
        self.wanted: dict[str, str] = {}  # sink -> how the lines begin that it gets, where it does not get all
        self.letters: Volume | None = None  # the dead letters, where batches may be given up
        self.join_pieces: list[Callable[[], None]] = []  # of the receivers: a line may come in pieces
        self.broken: list[Broken] = []  # promises that the process broke in a call to the disk
        self.process_since: float | None = None  # since when the process runs
        self.stopping_since: float | None = None  # SIGTERM was sent, and the process has not ended yet
        self.last_fault = 0.0
        volume.on_destroyed = self._judge

    def note_written(self, line: str) -> None:
        self.written[line] = self._universe.now

    def alive(self) -> set[str]:
        """Return the lines that some file has."""
        return {line for inode in self._volume.files() for line in whole_lines(bytes(inode.data))}

    def missing(self, lines: list[str] | None = None) -> list[str]:
        """Return the lines that some sink has not received although it could."""
        wanted = list(self.written) if lines is None else [line for line in lines if line in self.written]
        if self._missing(wanted):
            for join in self.join_pieces:
                join()
        return self._missing(wanted)

    def _missing(self, wanted: list[str]) -> list[str]:
        return [
            f"{sink}: {line:.60}"
            for sink, received in self.received.items()
            for line in wanted
            if line.startswith(self.wanted.get(sink, ""))
            and not (
                line in received or line in self.lost or line in self.rejected[sink] or self._is_letter(sink, line)
            )
        ]

    def _is_letter(self, sink: str, line: str) -> bool:
        """Return True if the line, or a piece of it, was given up: the dead letters have it."""
        letters = self.letters.files() if self.letters else ()
        for inode in letters:
            for text in bytes(inode.data).splitlines():
                with contextlib.suppress(ValueError):  # a kill has torn it
                    letter = json.loads(text)
                    message = letter["message"]
                    if letter["sink"] == sink and message and (line.startswith(message) or line.endswith(message)):
                        return True
        return False

    def lose(self, lines: list[str], why: str) -> None:
        for line in lines:
            self.lost.setdefault(line, why)

    def _judge(self, inode: Inode, data: bytes, cause: str) -> None:
        if inode.is_directory:
            return
        alive = self.alive()
        gone = [line for line in whole_lines(data) if line not in alive]
        missing = self.missing(gone)
        if not missing:
            return
        self._universe.record(f"{len(gone)} lines go with inode {inode.number}: {cause}")
        now, since = self._universe.now, self.process_since
        by_sidecar = OWNER.get() != "the peers"
        if cause == "closed":
            self._check(
                "a file that has lost its name is closed once all of it is delivered", inode.failed_at >= 0, *missing
            )
        elif cause == "unlinked":
            self._check("only what is delivered is deleted", not by_sidecar, *missing)
            # A file that was idle is closed: what is written to it is found as a new file is.
            found_by = max(inode.written_at, since or now, self.last_fault, inode.failed_at) + FOUND_WITHIN
            is_too_late = self.stopping_since is not None and inode.created_at >= self.stopping_since
            self._check(
                "a file is found, and held when it loses its name",
                now < found_by or is_too_late,
                f"inode {inode.number}",
                *missing,
            )
        self.lose(gone, cause)

    def _check(self, promise: str, holds: object, *evidence: object) -> None:
        """Keep a broken promise for later: the process, which called the disk, may catch the error."""
        try:
            check(promise, holds, *evidence)
        except Broken as broken:
            self.broken.append(broken)
            self._universe.record(f"broken: {broken}")
