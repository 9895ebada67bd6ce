"""A tail: one generation that is followed, with its open file, the position of each sink in it, and the next chunk.

Theory of operation. The descriptor is held from the moment the file is found, so that renaming or deleting the file
takes nothing away. Where there are more files than descriptors, the file is *parked*: closed, and opened again when
it changes or is read. The states of a tail:

| state | `descriptor` | `parked` | `dormant` | meaning |
|---|---|---|---|---|
| open | held | | | it is polled and read |
| parked | None | True | | closed to save a descriptor; it is where `state.path` says |
| dormant | None | | True | it cannot be opened now, or was not looked for yet: each scan looks for it |
| closed | None | | | no scan can find it: bytes that are not settled are lost, then it is forgotten |

| from | event | to |
|---|---|---|
| | a scan finds a new file | open |
| | the process starts, and the generation is in the saved state | dormant |
| dormant | a scan finds the file | open |
| dormant | a scan does not find it, and its directory is readable | closed |
| open | another file needs the descriptor | parked |
| parked | it has changed, or a sink wants to read it | open |
| parked | it cannot be opened, or is not where it was | dormant |
| open | a read fails (as on a network volume that went away) | dormant |
| open | it was truncated, and a copy has its content | open (the copy); a new tail gets the truncated file |
| open | it was truncated, and there is no copy | closed; a new tail gets the truncated file |
| open | it was deleted, was quiet for ROTATE_WAIT, and every sink has read it | closed |
| closed | nothing of it is pending or in flight | forgotten |
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping

from sidecars.logshipper.input import chunk_reader
from sidecars.logshipper.input.chunk_reader import ChunkReader, FileTruncated
from sidecars.logshipper.input.sink_positions import SinkPositions
from sidecars.logshipper.model import fingerprint, line_cutting
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.file_key import FileKey
from sidecars.logshipper.model.fingerprint import (
    POSITION_LENGTH,
    PREFIX_LENGTH,
    Fingerprint,
    ReadAt,
    position_fingerprint,
    prefix_fingerprint,
)
from sidecars.logshipper.model.ledger import CUT, HOLE, Ledger
from sidecars.logshipper.model.line_cutting import CuttingRules, Ending
from sidecars.logshipper.state.checkpoint import ChunkRange, FileState

_REMEMBERED = 32  # fingerprints of earlier ends of the file
HEAD = 64  # bytes
LINE_ROOM = 32  # bytes of a batch's room that even an empty line takes: as a record it has a hundred

_Look = tuple[int, int, Ending, bool]
"""Size, time of modification, `ending`, `_event_over`: a read gives the same as long as they are the same."""


def head_of(read_at: ReadAt) -> bytes:
    """Return the first HEAD bytes of a file, up to a NUL: they tell most files apart."""
    return read_at(0, HEAD).partition(b"\0")[0]


class Tail(SinkPositions):
    """A followed generation. Owned by `FollowedFiles`; it owns its `FileState` and its accounts in the ledgers."""

    def __init__(self, state: FileState, rules: CuttingRules, ledgers: Mapping[str, Ledger], now: float) -> None:
        super().__init__(state, ledgers)
        self.rules = rules
        self.number = 0  # a tail that was made earlier has a lower one
        self.descriptor: int | None = None
        self.parked = False
        self.dormant = False
        self.ending = Ending.OPEN
        self.quiet_since = now  # when the file was last seen to change
        self.head = b""
        self.folder = ""  # the real directory of the file, without symlinks
        self.beginning = b""  # up to PREFIX_LENGTH bytes, read only where another file has the same head
        self._recent: deque[Fingerprint] = deque(maxlen=_REMEMBERED)  # of earlier ends of the file
        self._modified = 0  # nanoseconds
        self._length = 0  # of the file; a copy that continues the generation may be shorter than `state.size`
        self._event_over = rules.boundary is None  # True if no further line belongs to the last event
        self._waiting: dict[str, _Look] = {}  # sink -> the look at which no complete event was left for it
        self._searches: dict[int, int] = {}  # see `ChunkReader`

    # -- states ------------------------------------------------------------------------------------------------------

    @property
    def key(self) -> FileKey:
        return (self.state.device, self.state.inode)

    @property
    def reachable(self) -> bool:
        """True if the file is open or parked."""
        return self.descriptor is not None or self.parked

    @property
    def is_renamed(self) -> bool:
        """True if the file was found under another name than the log's."""
        return not self.state.first_path.startswith(self.state.path)

    def attach(self, descriptor: int) -> None:
        """Follow this open file from now on; it may be a copy. A file that was open before is closed."""
        self.close()
        self.descriptor = descriptor
        self.dormant = False
        self._length = 0
        self._waiting.clear()
        self._searches.clear()
        self._recent.clear()
        if self.state.seen.length and self.state.seen.matches_file(self.read_at):
            self._recent.append(self.state.seen)

    def detach(self) -> None:
        """Give the descriptor to another tail: it is not closed."""
        self.descriptor = None

    def close(self) -> None:
        self.parked = False
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def park(self) -> None:
        """Close the file to save a descriptor."""
        self.close()
        self.parked = True

    def unpark(self, descriptor: int) -> None:
        """Continue with the file, opened again."""
        self.descriptor, self.parked = descriptor, False

    def make_dormant(self, *, dormant: bool = True) -> None:
        """Let each scan look for the file, or let none look for it any more."""
        self.dormant = dormant

    def move(self, path: str, key: FileKey, folder: str) -> bool:
        """Note where the file is now. Return True if that differs from before."""
        before = (self.state.path, self.key)
        self.state.path, (self.state.device, self.state.inode), self.folder = path, key, folder
        return before != (path, key)

    def assign(self, input_name: str, rules: CuttingRules) -> None:
        """Let the file belong to an input."""
        self.state.input, self.rules = input_name, rules

    def end_input(self, ending: Ending) -> bool:
        """Note that no more is expected: the unfinished last line may be shipped. Return True if that is new."""
        is_new, self.ending = self.ending is not ending, ending
        return is_new

    def restart_quiet(self, now: float) -> None:
        """Count the time without growth from now on."""
        self.quiet_since = now

    def stop(self) -> None:
        """Close the file and its accounts. Everything in it must have been delivered or dropped."""
        self.close()
        self.close_accounts()

    # -- polling -----------------------------------------------------------------------------------------------------

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self.descriptor, length, offset) if self.descriptor is not None else b""

    @property
    def needs_beginning(self) -> bool:
        """True if `beginning` has less than the file has."""
        return len(self.beginning) < min(PREFIX_LENGTH, self.state.size)

    def read_beginning(self) -> None:
        """Read `beginning` from the open file."""
        self.beginning = self.read_at(0, PREFIX_LENGTH)

    def looks_unchanged(self, status: os.stat_result) -> bool:
        """Return True if this is the status of the file as it was seen last."""
        return (
            (status.st_dev, status.st_ino) == self.key
            and status.st_size == self._length
            and status.st_mtime_ns == self._modified
        )

    def poll_unchanged(self, now: float) -> bool:
        """Note that a parked file has not changed. Return True if its last event of several lines is over now."""
        return self._end_event(now)

    def poll(self, now: float) -> bool:
        """Look at the size of the open file. Return True if there may be more to read. Raises FileTruncated."""
        if self.descriptor is None:
            return False
        status = os.fstat(self.descriptor)
        if status.st_size < self.state.size:
            self._shrink(status.st_size)
        if status.st_size < self._length:
            raise FileTruncated
        if status.st_size == self._length and status.st_mtime_ns == self._modified:
            return self._end_event(now)
        self._check_content(status.st_size)
        self._length, self._modified = status.st_size, status.st_mtime_ns
        if len(self.head) < HEAD:
            self.head = head_of(self.read_at)
        self.quiet_since, self.ending = now, Ending.OPEN
        self._event_over = self.rules.boundary is None
        self._grow(status.st_size, now)
        return True

    def _end_event(self, now: float) -> bool:
        """End the last event of several lines if the file was quiet for long enough. Return True if that is new.

        Return True, too, if a search for the end of a hole is to be continued.
        """
        if self._searches:
            self._waiting.clear()
            return True
        if self._event_over or now < self.quiet_since + self.rules.patience:
            return False
        self._event_over = True
        return self.is_unread()

    def event_due(self) -> float | None:
        """Return when the last event is over if the file stays quiet. None: it is over, or no sink waits for it."""
        if self._event_over or not self.is_unread():
            return None
        return self.quiet_since + self.rules.patience

    def _shrink(self, size: int) -> None:
        """Accept a smaller size if all known content is still there: only NULs at the end were cut off.

        A writer that allocates beforehand cuts off the unused rest when it closes the file.
        """
        known = [self.state.prefix, self.state.seen, *self.state.positions.values()]
        if fingerprint.same_content(known, size, self.read_at) and max(one.offset for one in known) <= size:
            self.count_removed_nuls(size)
            self._length = min(self._length, size)

    def _grow(self, size: int, now: float) -> None:
        if size > self.state.size:
            self.count_growth(size, now)
            self._extend_prefix(size)
            last = self.read_at(max(0, size - POSITION_LENGTH), min(size, POSITION_LENGTH))
            if b"\0" not in last:  # a NUL may still change
                self.state.seen = position_fingerprint(size, last)
                self._recent.append(self.state.seen)

    def _extend_prefix(self, size: int) -> None:
        known = self.state.prefix.offset
        if known < min(size, PREFIX_LENGTH):
            first, _, _ = self.read_at(0, min(size, PREFIX_LENGTH)).partition(b"\0")
            if len(first) > known:
                self.state.prefix = prefix_fingerprint(first)

    def _check_content(self, size: int) -> None:
        """Raise FileTruncated if the file was truncated and has grown beyond its old size since the last poll."""
        known = [self.state.prefix, *list(self._recent)[-1:]]
        if not all(one.matches_file(self.read_at) for one in known if one.offset <= size):  # a copy may be shorter
            raise FileTruncated

    def fingerprints(self) -> list[Fingerprint]:
        """Return all fingerprints of the content, for a search for a copy."""
        return [self.state.prefix, *self.state.positions.values(), *self._recent]

    # -- reading -----------------------------------------------------------------------------------------------------

    def has_event_for(self, sink: str) -> bool:
        """Return False if a read for the sink would give nothing now.

        Everything was read for it, the file cannot be opened, or the end of the next event is missing.
        """
        if not self.unread(sink) or not self.reachable:
            return False
        return self._waiting.get(sink) != self._look()

    def _look(self) -> _Look:
        return (self.state.size, self._modified, self.ending, self._event_over)

    def oldest(self, sink: str) -> float | None:
        """Return the time since which the sink's oldest byte has been waiting. An unfinished line does not count."""
        if not self.has_event_for(sink) and not self.in_flight(sink):
            return None
        return self._arrival_times.since(self.position(sink).offset)

    def read(self, sink: str, room: int, *, first: bool) -> Chunk | None:
        """Return the next chunk for the sink, of at most `room` bytes. Raises FileTruncated.

        An event that is longer than the room is returned only as the `first` of its batch. None: there is nothing more
        for this batch. The chunk may be a gap without data.
        """
        at, rules = self.read_position(sink), self.rules
        if rules.cut and (rest := chunk_reader.rest_of_a_cut_line(self.read_at, at.offset, self._length, rules.limit)):
            return self._chunk(at, b"", rest, CUT)
        self._check_before_read(at)
        reader = self._reader(event_over=self._event_over)
        block, cut = reader.next(at, room)
        if not cut.end and not cut.hole and len(block) == room:  # the event is longer than the room
            if not first:
                return None
            block, cut = reader.next(at, max(room, rules.limit + PREFIX_LENGTH))
        if not cut.end and not cut.hole:
            self._waiting[sink] = self._look()
            return None
        chunk = self._chunk(at, block[cut.hole : cut.end], cut.hole, HOLE, partial=cut.partial, is_open=cut.open)
        most = max(1, room // LINE_ROOM)
        if rules.boundary is not None or chunk.lines <= most:
            return chunk
        return self._chunk(at, line_cutting.first_lines(chunk.data, most), cut.hole, HOLE)

    def reread(self, sent: ChunkRange, sink: str) -> Chunk | None:
        """Return exactly the chunk that was in flight when an earlier process ended; None if it is not in the file.

        Raises FileTruncated.
        """
        at = self.read_position(sink)
        if sent.end > self._length or not sent.position <= at.offset < sent.end:
            return None
        self._check_before_read(at)
        self._reader(event_over=True).block(at, 1)
        gap = max(0, sent.start - at.offset)  # a hole of any size: it is skipped without being read
        data = self.read_at(at.offset + gap, sent.end - at.offset - gap)
        if at.offset + gap + len(data) < sent.end:
            return None
        reason = HOLE if self.read_at(at.offset, 1) == b"\0" else CUT
        return self._chunk(at, data, gap, reason, partial=sent.partial, is_open=sent.open)

    def _reader(self, *, event_over: bool) -> ChunkReader:
        return ChunkReader(
            self.descriptor, self._length, self.rules, self.ending, event_over=event_over, searches=self._searches
        )

    def _check_before_read(self, at: Fingerprint) -> None:
        if not at.length and self.descriptor is not None and at.offset < self._length:
            self._check_content(self._length)  # the reader cannot check a position without a fingerprint

    def _chunk(
        self, at: Fingerprint, data: bytes, skipped: int, gap: str, *, partial: bool = False, is_open: bool = False
    ) -> Chunk:
        state, start = self.state, at.offset + skipped
        end = start + len(data)
        enough = len(data) >= POSITION_LENGTH
        before = data if enough else self.read_at(max(0, end - POSITION_LENGTH), min(end, POSITION_LENGTH))
        position = position_fingerprint(end, before)
        context = min(start, self.rules.context) if data else 0
        seen, file = self.read_at(start - context, context) if context else b"", (state.generation, state.first_path)
        return Chunk(*file, at.offset, start, data, position, partial, is_open, state.input, gap, seen)

    def give_up_rest(self, sink: str) -> int:
        """Count what the file can no longer give to the sink as dropped. Return the number of lost bytes."""
        return self.give_up(sink, self._length if self.descriptor is not None else 0)
