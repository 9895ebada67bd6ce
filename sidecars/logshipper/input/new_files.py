"""New files: which of the files that a scan has found are followed, and from which byte.

| the new file | then |
|---|---|
| has the inode and content of a followed one that the scan has missed | that one goes on in it: see `missed_files` |
| equals the beginning of a followed one | it is held back: it may be a copy that is still being written |
| is compressed | it is not read, or see `compressed.copies` |
| was not written for IGNORE_OLDER | it is followed from its end, and its bytes are counted as ignored |
| exists at the first start, with START_AT=end | it is followed from the end of its last whole line |
| is empty | it is followed as *untold*: once it has content, a scan decides as on a new file; nothing is read before |
| any other | it is followed from its beginning |

A copy is empty for a moment, too, before it is written. Without the decision its lines would come twice.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Container, Generator, Mapping
from dataclasses import replace
from functools import partial

from sidecars.chassis.runtime import logs
from sidecars.logshipper.input.discovery import FoundFile, ListedFiles
from sidecars.logshipper.input.file_access import is_text, reader_at
from sidecars.logshipper.input.followed_files import FollowedFiles, Inputs
from sidecars.logshipper.input.rotation.missed_files import MissedFiles
from sidecars.logshipper.input.rotation.rotated_file_matching import HeadIndex, UnfinishedCopies, is_later_file
from sidecars.logshipper.input.tail import Tail
from sidecars.logshipper.model import fingerprint, utf16_cutting
from sidecars.logshipper.model.file_key import FileKey
from sidecars.logshipper.model.fingerprint import POSITION_LENGTH, PREFIX_LENGTH
from sidecars.logshipper.model.ledger import Ledger
from sidecars.logshipper.state.file_state import FileState
from sidecars.logshipper.state.store import Store

log = logs.get("follow")

_AT_ONCE = 500  # files that a step looks at: a few milliseconds
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_SHORTEST = 13  # bytes of the shortest compressed file, one of zstd with its checksum; a shorter one is not whole yet


class NewFiles(FollowedFiles):
    """Base of `Follower`: begins to follow files."""

    def __init__(
        self,
        inputs: Inputs,
        store: Store,
        ledgers: Mapping[str, Ledger],
        clock: Callable[[], float],
        rotate_wait: float,
    ) -> None:
        super().__init__(inputs, store, ledgers, clock)
        self._missed = MissedFiles(rotate_wait)
        self._match: FileState | None = None  # the missed generation that the new file may be
        self._ignored: dict[FileKey, str] = {}  # compressed files
        self._copies = UnfinishedCopies(clock)
        self._untold: set[str] = set()  # generations of files that were found empty
        self._is_empty = False  # True if the new file is
        self.has_first_content = False  # True if an untold file has content: the next scan decides on it

    def _follow_new(self, files: ListedFiles, *, first: bool) -> Generator[None, None, None]:
        heads: HeadIndex | None = None
        for count, found in enumerate(files.changed()):
            if count % _AT_ONCE == 0:
                yield
            if found is None:
                continue  # it is followed, and where it was
            tail = self._by_key.get(found.key)
            if tail is None:
                heads = heads or (yield from HeadIndex.of(list(self.tails.values())))
                self._consider(found, heads, at_end=first and self._inputs[found.input].start_at == "end")
                if (followed := self._by_key.get(found.key)) is not None:
                    files.add(followed)  # the entry takes no memory any more
                yield
            elif tail.state.path != found.path:
                tail.move(found.path, found.key, self._folder_of(found.path))
                self._store.record_file(tail.state)
            if tail is not None and self._first_size(tail, found):
                heads = heads or (yield from HeadIndex.of(list(self.tails.values())))
                self._tell_apart(tail, found, heads)
        self._ignored = {key: path for key, path in self._ignored.items() if key in files}
        self._copies.keep_only(files, self._is_decided_on)
        for tail in [self.tails[generation] for generation in self._untold]:
            if tail.key not in files:  # it has lost its name: it must not be lost
                self._take_for_new(tail)
        self.has_first_content = False

    def _consider(self, found: FoundFile, heads: HeadIndex, *, at_end: bool) -> None:
        """Follow a file if it is new, and neither compressed nor a copy that is still being written."""
        if self._is_in_hand(found) or (found.size < _SHORTEST and found.path.endswith(_COMPRESSED)):
            return
        self._match, self._is_empty = None, False
        descriptor = self.access.open_if(found, partial(self._is_new, found, heads, at_end))
        if descriptor is not None and not self._goes_on_in(found, descriptor):
            if self._is_old(found):
                tail = self._begin(found, descriptor, self._skip_all)
                tail.ignore_all()
            else:
                tail = self._begin(found, descriptor, self._skip_to_end if at_end else self._note_untold)
            heads.add(tail)
        self.trim_open_files()

    def _is_in_hand(self, found: FoundFile) -> bool:
        """Return True if it was decided before that the file is not followed, or not yet."""
        return self._ignored.get(found.key) == found.path

    def _take_compressed(self, found: FoundFile, _read_at: fingerprint.ReadAt, *, at_end: bool) -> None:  # noqa: ARG002 - for who reads such files
        """Decide what becomes of a compressed file: it is not read."""
        log.info("a compressed file is not read", file=found.path)
        self._ignored[found.key] = found.path

    def _is_new(self, found: FoundFile, heads: HeadIndex, at_end: bool, read_at: fingerprint.ReadAt) -> bool:  # noqa: FBT001 - a part of `partial`
        first = read_at(0, 8)
        self._is_empty = not (found.size and first)  # also if its first bytes were written since it was listed
        if fingerprint.is_compressed(first):
            self._take_compressed(found, read_at, at_end=at_end)
            return False
        if missed := self._missed.generation_of(found, read_at):
            self._match = missed
            return (missed.device, missed.inode) == found.key  # else it may be its copy: the next search decides
        if self._is_unfinished_copy(found, heads, read_at):
            log.debug("a file is held back: it may be a copy that is still being written", file=found.path)
            return False
        return found.key not in self._by_key  # a poll of another file may have shown that this one is its copy

    def _goes_on_in(self, found: FoundFile, descriptor: int) -> bool:
        """Let a missed generation go on in the open file if it is its own. Return True if so."""
        tail = self.tails.get(self._match.generation) if self._match else None
        if tail is None or not tail.dormant or tail.key != found.key or is_later_file(tail.state, found, descriptor):
            return False
        self._attach(tail, found, descriptor)
        return True

    def _is_unfinished_copy(self, found: FoundFile, heads: HeadIndex, read_at: fingerprint.ReadAt) -> bool:
        followed_by = self._by_key.get(found.key)
        for generation in self._originals(found, heads, read_at):
            tail = self.tails.get(generation)
            if tail is None or tail.compressed is not None:
                continue
            self._poll_one(tail)  # it may have been truncated since: then its generation continues in this very file
            if self._by_key.get(found.key) is not followed_by:
                return True
            if not self.ensure_open(tail):
                continue
            if fingerprint.equals_beginning_of(found.size, read_at, tail.state.size, tail.read_at):
                return self._copies.hold_back(found)
        return False

    def _is_decided_on(self, key: FileKey) -> bool:
        """Return True if the file is followed and read: no scan has to decide on it."""
        tail = self._by_key.get(key)
        return tail is not None and tail.state.generation not in self._untold

    @property
    def awaits_scan(self) -> bool:
        """True if a scan may decide on a file, although no name has changed."""
        return bool(self._copies) or self.has_first_content

    # -- untold files --------------------------------------------------------------------------------------------------

    def _note_untold(self, state: FileState, _descriptor: int) -> None:
        if self._is_empty:
            self._untold.add(state.generation)

    def _first_size(self, tail: Tail, found: FoundFile) -> int:
        """Return the size of an untold file; 0 of any other. One that is closed to save a descriptor stays closed."""
        if tail.state.generation in self._untold and (found.size or not tail.parked):
            with contextlib.suppress(OSError):
                return tail.status().st_size if self.ensure_open(tail) else 0
        return 0

    def _tell_apart(self, tail: Tail, found: FoundFile, heads: HeadIndex) -> None:
        """Decide on an untold file that has content."""
        now = FoundFile(found.path, found.input, found.key, self._first_size(tail, found), found.modified)
        if now.size and not self._is_unfinished_copy(now, heads, tail.read_at):
            self._take_for_new(tail)
            heads.add(tail)
        self.trim_open_files()

    def _take_for_new(self, tail: Tail) -> None:
        self._untold.discard(tail.state.generation)
        self._poll_one(tail)

    def _poll_file(self, tail: Tail, now: float) -> bool:
        if tail.state.generation not in self._untold:
            return super()._poll_file(tail, now)
        with contextlib.suppress(OSError):
            size = (self._volumes.status(tail.state.path) if tail.parked else tail.status()).st_size
            self.has_first_content = self.has_first_content or bool(size and tail.key not in self._copies)
        return False

    def _known_keys(self) -> Container[FileKey]:
        return self._by_key.keys() - {self.tails[one].key for one in self._untold} if self._untold else self._by_key

    def _attach(self, tail: Tail, found: FoundFile, descriptor: int) -> None:
        other = self._by_key.get(found.key)
        if other is not None and other is not tail and other.state.generation in self._untold:
            self._close(other)
            self._forget(other)
        super()._attach(tail, found, descriptor)

    def _forget(self, tail: Tail) -> None:
        self._untold.discard(tail.state.generation)
        super()._forget(tail)

    def _begin_anew(self, tail: Tail, found: FoundFile, descriptor: int) -> None:
        """Begin a new generation in the open file, which was the tail's, and was truncated while it was not followed.

        It may have a name that no glob matches: a rotated one.
        """
        if not is_text(descriptor):
            os.close(descriptor)
            return
        before = tail.state

        def prepare(begun: FileState, _: int) -> None:
            begun.first_path = before.first_path
            begun.go_on_as(before)

        log.info("a file was truncated while it was not followed", file=found.path, generation=before.generation)
        self._begin(replace(found, input=before.input), descriptor, prepare)
        self.trim_open_files()

    # -- copies --------------------------------------------------------------------------------------------------------

    def _originals(self, found: FoundFile, heads: HeadIndex, read_at: fingerprint.ReadAt) -> list[str]:
        """Return the generations that the file may be a copy of. Without a mark it may be one of a file in UTF-16."""
        encodings = [self._encoding_of(found.input, read_at)]
        if (
            encodings == [utf16_cutting.UTF8]
            and self._rules[self._input(found.input).name].encoding == utf16_cutting.AUTO
        ):
            encodings += utf16_cutting.ENCODINGS
        return [one for each in encodings for one in heads.originals(found, read_at, self._beginning, each)]

    def _beginning(self, generation: str) -> bytes:
        """Return the first bytes of a followed file, to tell it from others that have the same head."""
        tail = self.tails.get(generation)
        if tail is None:
            return b""
        if tail.needs_beginning and tail.compressed is None and self.ensure_open(tail):
            tail.read_beginning()
            self.trim_open_files()
        return tail.beginning

    def _encoding_of(self, input_name: str, read_at: fingerprint.ReadAt) -> str:
        return utf16_cutting.encoding_of(self._rules[self._input(input_name).name].encoding, read_at)

    # -- where reading begins ------------------------------------------------------------------------------------------

    def _is_old(self, found: FoundFile) -> bool:
        """Return True if the file was not written for IGNORE_OLDER."""
        limit = self._input(found.input).ignore_older
        return limit is not None and found.modified < time.time_ns() - limit * 10**9

    def _skip_all(self, state: FileState, descriptor: int) -> None:
        """Set all positions to the end."""
        self._set_positions(state, descriptor, os.fstat(descriptor).st_size)

    def _skip_to_end(self, state: FileState, descriptor: int) -> None:
        """Set all positions after the last whole line: a line that is being written is shipped whole."""
        read_at, size = reader_at(descriptor), os.fstat(descriptor).st_size
        limit = self._input(state.input).max_line_size
        begin = max(0, size - limit) // 2 * 2  # where a character of UTF-16 begins
        last = read_at(begin, size - begin)
        behind = utf16_cutting.after_last_line(last, self._encoding_of(state.input, read_at))
        self._set_positions(state, descriptor, begin + (behind or (len(last) // 2 * 2 if begin else 0)))

    def _set_positions(self, state: FileState, descriptor: int, offset: int) -> None:
        read_at = reader_at(descriptor)
        state.size = offset
        state.prefix = fingerprint.prefix_fingerprint(read_at(0, min(offset, PREFIX_LENGTH)))
        before = read_at(max(0, offset - POSITION_LENGTH), min(offset, POSITION_LENGTH))
        position = fingerprint.position_fingerprint(offset, before)
        self._set_all_positions(state, position)

    def _set_all_positions(self, state: FileState, position: fingerprint.Fingerprint) -> None:
        state.set_positions(dict.fromkeys(self._ledgers[state.input], position))
