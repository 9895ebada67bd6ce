"""The followed generations: opens, polls, moves and closes them, and notices a truncated file.

`FollowedFiles` owns the tails. `Follower`, which derives from it, decides which files are followed and when one is
over.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Container, Generator, Mapping
from functools import cache
from typing import NamedTuple

from sidecars.chassis.isolation.beneath import Root
from sidecars.chassis.runtime import logs
from sidecars.logshipper.config.input_settings import InputSettings
from sidecars.logshipper.input import rotated_file_matching
from sidecars.logshipper.input.chunk_reader import FileTruncated
from sidecars.logshipper.input.discovery import FoundFile
from sidecars.logshipper.input.file_access import FileAccess, reader_at
from sidecars.logshipper.input.open_files import OpenFiles
from sidecars.logshipper.input.tail import Tail
from sidecars.logshipper.model import fingerprint
from sidecars.logshipper.model.file_key import FileKey
from sidecars.logshipper.model.fingerprint import POSITION_LENGTH, PREFIX_LENGTH
from sidecars.logshipper.model.ledger import Ledger
from sidecars.logshipper.model.line_cutting import CuttingRules
from sidecars.logshipper.state.checkpoint import FileState
from sidecars.logshipper.state.store import Store
from sidecars.logshipper.volumes.log_volumes import LogVolumes

log = logs.get("follow")

_POLLED_AT_ONCE = 64  # files: some milliseconds


def _new_generation() -> str:
    return os.urandom(8).hex()


class Inputs(NamedTuple):
    """The inputs, how their files are cut into chunks, and the volumes that they are on."""

    settings: Mapping[str, InputSettings]
    rules: Mapping[str, CuttingRules]
    volumes: LogVolumes


class FollowedFiles:
    """Base of `Follower`: the tails of all followed generations."""

    def __init__(
        self,
        inputs: Inputs,
        store: Store,
        ledgers: Mapping[str, Ledger],
        clock: Callable[[], float],
    ) -> None:
        self._inputs = inputs.settings
        self._rules = inputs.rules
        self._volumes = inputs.volumes
        self._store = store
        self._ledgers = ledgers
        self._clock = clock
        self.tails: dict[str, Tail] = {}  # by generation, oldest first
        self.unsettled: dict[str, Tail] = {}  # those that have grown beyond what every sink has, in no order
        self._numbers = itertools.count()
        self.open_files = OpenFiles(inputs.volumes)
        self.access = FileAccess(inputs.volumes, make_room=self.open_files.close_one)
        self.has_grown = False  # True if a file has grown since the start
        self.last_growth = clock()
        self._by_key: dict[FileKey, Tail] = {}  # the files that are open or parked
        self._has_news = False  # since `take_has_news`

    def directory_to_watch(self, folder: str) -> Root:
        """Return a directory of log files, or one above them. The caller closes it. Raises OSError."""
        return self._volumes.directory_to_watch(folder)

    # -- reading -------------------------------------------------------------------------------------------------------

    def ensure_open(self, tail: Tail) -> bool:
        """Open the file again if it is parked. Return True if it is open.

        The caller calls `trim_open_files` when the file may be closed. A file that cannot be opened becomes dormant:
        there is nothing in it for a sink until a scan has found it.
        """
        if tail.parked:
            found = FoundFile(tail.state.path, tail.state.input, tail.key, 0, 0)
            descriptor = self.access.open_if(found, lambda _read_at: True)
            if descriptor is None:
                self._become_dormant(tail)
                return False
            tail.unpark(descriptor)
        if tail.descriptor is None:
            return False
        self.open_files.use(tail)
        return True

    def waited(self, tail: Tail, sink: str) -> float:
        """Return the seconds for which the sink's oldest byte of the file has been waiting; 0 if none is."""
        since = tail.oldest(sink)
        return 0.0 if since is None else max(0.0, self._clock() - since)

    def trim_open_files(self) -> None:
        """Close the files that are open beyond the limit."""
        self.open_files.trim()

    def poll(self) -> bool:
        """Look at each followed file in one go. Return True if there may be something new to read."""
        before, self._has_news = self._has_news, False
        for _ in self.poll_steps():
            pass
        news, self._has_news = self._has_news, self._has_news or before
        return news

    def poll_steps(self) -> Generator[None, None, None]:
        """Look at each followed file, some at a step. From the first truncated file on, the rest is one step."""
        now = self._clock()
        truncated: list[Tail] = []  # handled together, so that each directory is read once for all of them
        for number, tail in enumerate(list(self.tails.values()), 1):
            try:
                if self._poll_file(tail, now):
                    self._has_news = True
            except FileTruncated:
                truncated.append(tail)
            self.trim_open_files()
            if not truncated and number % _POLLED_AT_ONCE == 0:
                yield
        list_directory = cache(rotated_file_matching.list_directory)
        for tail in truncated:
            self.handle_truncation(tail, list_directory)
            self.trim_open_files()
            self._has_news = True

    def take_has_news(self) -> bool:
        """Return True if there may be something new to read since the last call."""
        news, self._has_news = self._has_news, False
        return news

    def _poll_one(self, tail: Tail) -> None:
        try:
            news = self._poll_file(tail, self._clock())
        except FileTruncated:
            self.handle_truncation(tail)
            news = True
        self._has_news = self._has_news or news

    def _poll_file(self, tail: Tail, now: float) -> bool:
        """Look at one file. Return True if there may be something new to read. Raises FileTruncated."""
        try:
            if tail.parked:
                if tail.looks_unchanged(self._volumes.status(tail.state.path)):
                    return tail.poll_unchanged(now)
                if not self.ensure_open(tail):
                    return False
            state = tail.state
            prefix, seen = state.prefix.length, state.seen.length
            news = tail.poll(now)
            if (state.prefix.length and not prefix) or (state.seen.length and not seen):
                self._store.record_file(state)  # it can be recognised from now on; with NULs first by `seen` alone
            if news:
                if not tail.settled():
                    self.unsettled[tail.state.generation] = tail
                self.has_grown, self.last_growth = True, now
                self._store.note_change()
                if tail.descriptor is not None:
                    self.open_files.use(tail)
        except OSError as error:
            if tail.parked and isinstance(error, FileNotFoundError):
                self._become_dormant(tail)
            else:
                self.handle_read_error(tail, error)
            return False
        return news

    def note_settled(self, tail: Tail) -> None:
        """Note that a sink has decided on a chunk of the file."""
        if tail.settled():
            self.unsettled.pop(tail.state.generation, None)

    def event_due(self) -> float | None:
        """Return the time for the next `poll`: the first time at which the last event of a quiet file is over."""
        return min((due for tail in self.unsettled.values() if (due := tail.event_due()) is not None), default=None)

    # -- following -----------------------------------------------------------------------------------------------------

    def _begin(self, found: FoundFile, descriptor: int, *, at_end: bool = False) -> Tail:
        """Follow the open file as a new generation."""
        state = FileState(_new_generation(), found.path, found.path, found.input, *found.key)
        if at_end:
            self._skip_to_end(state, descriptor)
        self._store.add_file(state)
        tail = self._follow(state)
        self._attach(tail, found, descriptor)
        log.info("following a file", file=state.first_path, generation=state.generation)
        return tail

    def _skip_to_end(self, state: FileState, descriptor: int) -> None:
        """Set all positions after the last whole line: a line that is being written is shipped whole."""
        read_at, size = reader_at(descriptor), os.fstat(descriptor).st_size
        limit = self._input(state.input).max_line_size
        begin = max(0, size - limit)
        last = read_at(begin, limit)
        offset = begin + (last.rfind(b"\n") + 1 or (len(last) if begin else 0))
        state.size = offset
        state.prefix = fingerprint.prefix_fingerprint(read_at(0, min(offset, PREFIX_LENGTH)))
        before = read_at(max(0, offset - POSITION_LENGTH), min(offset, POSITION_LENGTH))
        state.positions = {sink: fingerprint.position_fingerprint(offset, before) for sink in self._ledgers}

    def _saved_states(self) -> list[FileState]:
        """Return the saved generations. One of which nothing was sent, and too little is known, gets a new id.

        It is found again by its inode, or by a few bytes, and both may be those of another file by now. Lines may have
        the old id: they were shipped while the state could not be written.
        """
        sinks = self._store.state.sinks.values()
        sent = {item.generation for sink in sinks for batch in sink.sending for item in batch}
        saved = list(self._store.state.files.values())
        for state in saved:
            if not state.is_recognisable and state.generation not in sent:
                self._store.forget_file(state.generation)
                state.generation = _new_generation()
                self._store.add_file(state)
        return saved

    def _follow(self, state: FileState) -> Tail:
        state.input = self._input(state.input).name  # the inputs may have had other names when the state was saved
        tail = Tail(state, self._rules[state.input], self._ledgers, self._clock())
        tail.number = next(self._numbers)
        self.tails[state.generation] = tail
        return tail

    def _attach(self, tail: Tail, found: FoundFile, descriptor: int) -> None:
        """Let the tail follow the open file: it is new, was found again, or is the copy of a truncated file."""
        moved = tail.move(found.path, found.key, self._folder_of(found.path))
        if found.input:
            tail.assign(found.input, self._rules[found.input])
        self._by_key[found.key] = tail
        try:
            tail.attach(descriptor)
            self.open_files.use(tail)
        except OSError as error:
            self.handle_read_error(tail, error)
            return
        if moved:
            self._store.record_file(tail.state)
        self._poll_one(tail)

    def _folder_of(self, path: str) -> str:
        """Return the directory of a file once the declared links are followed."""
        return self._volumes.real_folder(path)

    def handle_truncation(
        self, tail: Tail, list_directory: rotated_file_matching.ListDirectory = rotated_file_matching.list_directory
    ) -> None:
        """Continue the generation of a truncated file in its copy, if there is one, and begin a new generation."""
        state, descriptor = tail.state, tail.descriptor if self.ensure_open(tail) else None
        if descriptor is None:
            return
        original = FoundFile(state.path, state.input, tail.key, 0, 0)
        tail.detach()
        self.open_files.forget(tail)
        del self._by_key[original.key]
        copy = rotated_file_matching.find_copy(
            tail, original.key, self._by_key, self.access, self._volumes, list_directory
        )
        copied_to = copy[0].path if copy else "none"
        log.info("a file was truncated", file=state.path, generation=state.generation, copy=copied_to)
        if copy:
            self._attach(tail, *copy)
        self._begin(original, descriptor)

    # -- closing -------------------------------------------------------------------------------------------------------

    def _close(self, tail: Tail) -> None:
        """Close the file. Its path may be followed as a new generation afterwards."""
        self._by_key.pop(tail.key, None)
        self.open_files.forget(tail)
        tail.close()

    def _forget(self, tail: Tail) -> None:
        tail.stop()
        del self.tails[tail.state.generation]
        self.unsettled.pop(tail.state.generation, None)
        self._store.forget_file(tail.state.generation)
        log.info("done with a file", file=tail.state.first_path, generation=tail.state.generation)

    def _leave_own_files(self, files: Container[FileKey]) -> None:
        """Close each followed file that has become one of ours: it was moved to where we write."""
        moved = [key for key in self._by_key if key not in files]
        for key in self._volumes.own_files.keys().intersection(moved) if moved else ():
            tail = self._by_key[key]
            log.error(
                "a log file has become a file of logshipper itself, and is left",
                code="own-file-among-logs",
                file=tail.state.path,
            )
            self._close(tail)  # its bytes are counted as lost by this scan

    def _forget_empty_files(self, wanted: int) -> None:
        """Forget up to `wanted` files that have no content, so that the next scan has room for those that have some."""
        empty = [tail for tail in self.tails.values() if wanted and tail.reachable and not tail.state.size]
        for tail in empty[:wanted]:
            self._close(tail)
            self._forget(tail)

    def _become_dormant(self, tail: Tail) -> None:
        """Close a file that cannot be opened where it was: the next scans look for it."""
        self._close(tail)
        tail.make_dormant()

    def handle_read_error(self, tail: Tail, error: OSError) -> None:
        """Close a file that cannot be read, as on a network volume that went away: the next scans open it again."""
        log.warning(
            "a file cannot be read; it is opened anew",
            code="file-read-failed",
            file=tail.state.path,
            reason=error.strerror,
        )
        self._become_dormant(tail)

    def _input(self, name: str) -> InputSettings:
        """Return the input of that name, or the first one if there is none: inputs may be renamed."""
        return self._inputs.get(name) or next(iter(self._inputs.values()))
