"""A tail: one generation that is followed, with its open file, the position of each sink in it, and the next chunk.

Theory of operation. The descriptor is held from the moment the file is found, so that renaming or deleting the file
takes nothing away. A file that nobody needs for now is *parked*: closed, and opened again when it changes or is read.
That is one that every sink has and that was quiet for CLOSE_INACTIVE, or, where there are more files than descriptors,
one that was used least recently. The states of a tail:

| state | `descriptor` | `parked` | `dormant` | meaning |
|---|---|---|---|---|
| open | held | | | it is polled and read |
| parked | None | True | | closed to save a descriptor; it is where `state.path` says. *idle*: every sink has it |
| dormant | None | | True | it cannot be opened now, or was not looked for yet: each scan looks for it |
| closed | None | | | no scan can find it: bytes that are not settled are lost, then it is forgotten |

| from | event | to |
|---|---|---|
| | a scan finds a new file | open |
| | the process starts, and the generation is in the saved state | dormant |
| dormant | a scan finds the file | open |
| dormant | scans miss it for ROTATE_WAIT: see `rotation.missed_files` | closed |
| open | another file needs the descriptor, or every sink has it and it was quiet for CLOSE_INACTIVE | parked |
| parked | it has changed, or a sink wants to read it | open |
| open, dormant | its file is gone, and a compressed file has its content | open (the copy, as text) |
| parked | it cannot be opened, is not where it was, or another file has its inode | dormant |
| open | a read fails (as on a network volume that went away) | dormant |
| open | it was truncated, and a copy has its content | open (the copy); a new tail gets the truncated file |
| open | it was truncated, and there is no copy | closed; a new tail gets the truncated file |
| open | it was deleted, was quiet for ROTATE_WAIT, and every sink has read it | closed |
| open | it was deleted, and is the oldest of those that hold more than MAX_HELD | closed |
| closed | nothing of it is pending or in flight | forgotten |
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Mapping
from dataclasses import replace

from sidecars.logshipper.config.limits import LINE_ROOM
from sidecars.logshipper.input import chunk_reader
from sidecars.logshipper.input.chunk_reader import ChunkReader, FileTruncated, Source
from sidecars.logshipper.input.discovery import FoundFile, ListedFiles
from sidecars.logshipper.input.tail_states import Content, TailStates
from sidecars.logshipper.model import fingerprint, line_cutting, utf16_cutting
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.fingerprint import POSITION_LENGTH, PREFIX_LENGTH, Fingerprint, ReadAt
from sidecars.logshipper.model.ledger import CUT, HOLE, Ledger
from sidecars.logshipper.model.line_cutting import CuttingRules, Ending
from sidecars.logshipper.state.file_state import FileState
from sidecars.logshipper.state.sent_batches import ChunkRange

_REMEMBERED = 32  # fingerprints of earlier ends of the file
HEAD = 64  # bytes

_Look = tuple[int, int, Ending, bool]
"""Size, time of modification, `ending`, `_event_over`: a read gives the same as long as they are the same."""


def head_of(read_at: ReadAt, encoding: str) -> bytes:
    """Return the first HEAD bytes of a file, up to a NUL: they tell most files apart."""
    return utf16_cutting.before_nul(read_at(0, HEAD), encoding)


class Tail(TailStates):
    """A followed generation. Owned by `FollowedFiles`; it owns its `FileState` and its accounts in the ledgers."""

    __slots__ = ("_event_over", "_recent", "_searches", "_waiting")

    def __init__(self, state: FileState, rules: CuttingRules, ledgers: Mapping[str, Ledger], now: float) -> None:
        super().__init__(state, rules, ledgers, now)
        # Ends of the file before `state.seen`, the latest last. None: the file does not hold what `seen` is the end of.
        self._recent: tuple[Fingerprint, ...] | None = None
        self._event_over = rules.boundary is None  # True if no further line belongs to the last event
        # Both are None if they have nothing: most of very many files are idle.
        self._waiting: dict[str, _Look] | None = None  # sink -> the look at which no complete event was left for it
        self._searches: dict[int, int] | None = None  # see `ChunkReader`

    def attach(self, descriptor: int) -> None:
        super().attach(descriptor)
        self._waiting = self._searches = None
        seen = self.state.seen
        self._recent = () if seen.length and seen.matches_file(self.read_at) else None

    # -- polling -----------------------------------------------------------------------------------------------------

    def read_at(self, offset: int, length: int) -> bytes:
        if (content := self.content) is not None:
            return content.read(offset, length)
        return os.pread(self.descriptor, length, offset) if self.descriptor is not None else b""

    @property
    def needs_beginning(self) -> bool:
        """True if `beginning` has less than the file has."""
        return len(self.beginning) < min(PREFIX_LENGTH, self.state.size)

    def read_beginning(self) -> None:
        """Read `beginning` from the open file."""
        self.beginning = self.read_at(0, PREFIX_LENGTH)

    def attach_compressed(self, descriptor: int, content: Content, head: bytes, status: os.stat_result) -> None:
        super().attach_compressed(descriptor, content, head, status)
        self._waiting = self._searches = self._recent = None
        self._event_over = self.rules.boundary is None

    def reached(self) -> None:
        """Note that the wanted offset of a compressed file can be read now."""
        self._waiting = None
        if self.compressed is not None:
            self.compressed.wanted = None

    def grow_in_copy(self, length: int, last: bytes, now: float) -> None:
        """Note that the compressed copy has more bytes than were seen of the file. `last` are the bytes at its end."""
        if length > self.state.size:
            self.count_growth(length, now)
            self.state.seen = fingerprint.position_fingerprint(length, last)

    def is_as_listed(self, files: ListedFiles) -> bool:
        """Return True if a listing shows the parked file as it was seen last, and no event of it is to be ended."""
        if files.has_unchanged(self):
            return self.event_due() is None
        found = files.get(self.key)
        return found is not None and self.is_as_found(found)

    def is_as_found(self, found: FoundFile) -> bool:
        """Return True if the parked file was found as it was seen last, and no event of it is to be ended."""
        return self.event_due() is None and self.is_at(found.path, found.size, found.modified)

    def poll_unchanged(self, now: float) -> bool:
        """Note that a parked file has not changed. Return True if its last event of several lines is over now."""
        return self._end_event(now)

    def poll(self, now: float) -> bool:
        """Look at the size of the open file. Return True if there may be more to read. Raises FileTruncated."""
        if self.descriptor is None:
            return False
        status = os.fstat(self.descriptor)
        if self.content is not None:
            if (status.st_size, status.st_mtime_ns) != (self.size_on_disk, self._modified):
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))  # it is inspected again
            self._changed = status.st_ctime_ns
            return self._end_event(now)
        if status.st_size < self.state.size:
            self._shrink(status.st_size)
        if status.st_size < self._length:
            raise FileTruncated
        self._changed = status.st_ctime_ns
        if status.st_size == self._length and status.st_mtime_ns == self._modified:
            return self._end_event(now)
        self._check_content(status.st_size)
        if not self.state.size and fingerprint.is_compressed(self.read_at(0, 8)):
            raise FileTruncated  # a compressed file has the inode of an empty one
        self._length, self._modified = status.st_size, status.st_mtime_ns
        if self._changed == self._modified:
            self._changed = self._modified  # one number: there may be very many files
        if len(self.head) < HEAD:
            self.head = head_of(self.read_at, self._encoding())
        self.quiet_since, self.ending = now, Ending.OPEN
        self._event_over = self.rules.boundary is None
        self._grow(status.st_size, now)
        return True

    def _end_event(self, now: float) -> bool:
        """End the last event of several lines if the file was quiet for long enough. Return True if that is new.

        Return True, too, if a search for the end of a hole is to be continued.
        """
        if self._searches:
            self._waiting = None
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
            encoding = self._encoding()
            if self.rules.encoding == utf16_cutting.AUTO and (mark := utf16_cutting.of_mark(self.read_at(0, 2))):
                self.state.encoding = mark if mark in utf16_cutting.ENCODINGS else ""
            end = utf16_cutting.whole_units(size, encoding)
            last = self.read_at(max(0, end - POSITION_LENGTH), min(end, POSITION_LENGTH))
            if end and utf16_cutting.is_settled(last, end, encoding):
                seen = fingerprint.position_fingerprint(end, last)
                self._recent = tuple(self._ends()[1 - _REMEMBERED :])
                self.state.seen = self.state.prefix if seen == self.state.prefix else seen  # one object of a short file

    def _ends(self) -> list[Fingerprint]:
        """Return the last ends of the file that were seen in it, the latest last."""
        return [] if self._recent is None else [*self._recent, self.state.seen]

    def _extend_prefix(self, size: int) -> None:
        known = self.state.prefix.offset
        if known < min(size, PREFIX_LENGTH):
            first = utf16_cutting.before_nul(self.read_at(0, min(size, PREFIX_LENGTH)), self._encoding())
            if len(first) > known:
                self.state.prefix = fingerprint.prefix_fingerprint(first)

    def _check_content(self, size: int) -> None:
        """Raise FileTruncated if the file was truncated and has grown beyond its old size since the last poll."""
        known = [self.state.prefix, *self._ends()[-1:]]
        if not all(one.matches_file(self.read_at) for one in known if one.offset <= size):  # a copy may be shorter
            raise FileTruncated

    def forget_earlier_ends(self) -> None:
        """Forget the ends before the last one: no copy of a file that was quiet for long ends there."""
        self._recent = self._recent and ()

    def fingerprints(self) -> list[Fingerprint]:
        """Return all fingerprints of the content, for a search for a copy."""
        return [self.state.prefix, *self.state.positions.values(), *self._ends()]

    # -- reading -----------------------------------------------------------------------------------------------------

    def has_event_for(self, sink: str) -> bool:
        """Return False if a read for the sink would give nothing now.

        Everything was read for it, the file cannot be opened, or the end of the next event is missing.
        """
        if not self.unread(sink) or not self.reachable:
            return False
        return self._waiting is None or self._waiting.get(sink) != self._look()

    def _look(self) -> _Look:
        return (self.state.size, self._modified, self.ending, self._event_over)

    def oldest(self, sink: str) -> float | None:
        """Return the time since which the sink's oldest byte has been waiting. An unfinished line does not count."""
        if not self.has_event_for(sink) and not self.in_flight(sink):
            return None
        times = self._arrival_times
        return None if times is None else times.since(self.position(sink).offset)

    def read(self, sink: str, room: int, *, first: bool) -> Chunk | None:
        """Return the next chunk for the sink, of at most `room` bytes. Raises FileTruncated.

        An event that is longer than the room is returned only as the `first` of its batch. None: there is nothing more
        for this batch. The chunk may be a gap without data.
        """
        at, rules = self.read_position(sink), self.rules
        compressed, content = self.compressed, self.content
        if compressed and content is not None and not compressed.is_hurried and not content.is_near(at.offset):
            compressed.wanted = at.offset
            self._waiting = {**(self._waiting or {}), sink: self._look()}
            return None
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
            self._waiting = {**(self._waiting or {}), sink: self._look()}
            return None
        chunk = self._chunk(at, block[cut.hole : cut.end], cut.hole, HOLE, partial=cut.partial, is_open=cut.open)
        most = max(1, room // LINE_ROOM)
        if rules.boundary is not None or chunk.lines <= most:
            return chunk
        utf16, data = chunk.encoding in utf16_cutting.ENCODINGS, chunk.data
        first_lines = utf16_cutting.first_lines if utf16 else line_cutting.first_lines
        return self._chunk(at, first_lines(data, most, chunk.encoding), cut.hole, HOLE)

    def shorten(self, sink: str, chunk: Chunk, length: int) -> Chunk:
        """Return the first bytes of a chunk that `read` has returned last: whole events."""
        gap = chunk.start - chunk.position
        return self._chunk(self.read_position(sink), chunk.data[:length], gap, chunk.gap_reason)

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
        chunk = self._chunk(at, data, gap, reason, partial=sent.partial, is_open=sent.open)
        return replace(chunk, quota=sent.quota) if sent.quota else chunk

    def _reader(self, *, event_over: bool) -> ChunkReader:
        source = Source(self.descriptor, self.content.read if self.content else None, self._length)
        searches, encoding = self._begun_searches, self._encoding()
        return ChunkReader(source, self.rules, self.ending, event_over=event_over, searches=searches, encoding=encoding)

    def _encoding(self) -> str:
        return utf16_cutting.encoding_of(self.rules.encoding, self.read_at, self.state.encoding)

    def _begun_searches(self) -> dict[int, int]:
        if self._searches is None:
            self._searches = {}
        return self._searches

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
        position = fingerprint.position_fingerprint(end, before)
        context = min(start, self.rules.context) if data else 0
        seen, file = self.read_at(start - context, context) if context else b"", (state.generation, state.first_path)
        if self.is_summed:
            self._sum(start, data)
        encoding, times, name = self._encoding(), state.times, state.input
        return Chunk(*file, at.offset, start, data, position, partial, is_open, name, gap, encoding, times, seen)

    def _sum(self, start: int, data: bytes) -> None:
        """Extend the checksum by bytes of the content. Behind a gap it stays where it is."""
        state = self.state
        known = state.crc_length - start
        if 0 <= known < len(data):
            state.crc = zlib.crc32(memoryview(data)[known:], state.crc)
            state.crc_length = start + len(data)

    def give_up_rest(self, sink: str) -> int:
        """Count the bytes that the file can no longer give to the sink as dropped. Return the number of lost bytes."""
        return self.give_up(sink, self._length if self.descriptor is not None else 0)
