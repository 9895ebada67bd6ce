"""The followed generations: opens, polls, moves and closes them, and notices a truncated file.

`FollowedFiles` owns the tails. `Follower`, which derives from it, decides which files are followed and when one is
over.
"""

from __future__ import annotations

import itertools
import math
import os
import sys
from collections.abc import Callable, Collection, Container, Generator, Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from sidecars.chassis.isolation.beneath import Root
from sidecars.chassis.runtime import logs
from sidecars.logshipper.config.input_settings import InputSettings
from sidecars.logshipper.input.chunk_reader import FileTruncated
from sidecars.logshipper.input.discovery import FoundFile
from sidecars.logshipper.input.file_access import FileAccess, is_text
from sidecars.logshipper.input.open_files import OpenFiles
from sidecars.logshipper.input.rotation import rotated_file_matching
from sidecars.logshipper.input.tail import Tail
from sidecars.logshipper.input.tail_states import Content
from sidecars.logshipper.model.file_key import FileKey, file_key
from sidecars.logshipper.model.fingerprint import START, Fingerprint
from sidecars.logshipper.model.ledger import Ledger
from sidecars.logshipper.model.line_cutting import CuttingRules
from sidecars.logshipper.model.times.event_times import FileTimes
from sidecars.logshipper.state.file_state import FileState
from sidecars.logshipper.state.store import Store
from sidecars.logshipper.volumes.log_volumes import LogVolumes

log = logs.get("follow")

_POLLED_AT_ONCE = 64  # files: some milliseconds


Prepare = Callable[[FileState, int], None]
"""Prepares the state of a new file, which is open at a descriptor."""


def new_generation() -> str:
    return os.urandom(8).hex()


class Inputs(NamedTuple):
    """The inputs, how their files are cut into chunks, the volumes that they are on, and the sinks of each input."""

    settings: Mapping[str, InputSettings]
    rules: Mapping[str, CuttingRules]
    volumes: LogVolumes
    sinks: Mapping[str, Collection[str]] | None = None  # by input; None: every sink gets all inputs
    close_inactive: float = math.inf  # seconds


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
        self._ledgers = {
            name: {sink: ledgers[sink] for sink in (inputs.sinks or {}).get(name, ledgers)} for name in inputs.settings
        }  # input -> its sinks and their ledgers: all files of an input share one mapping
        self._clock = clock
        self.tails: dict[str, Tail] = {}  # by generation, oldest first
        self.unsettled: dict[str, Tail] = {}  # those that have grown beyond what every sink has, in no order
        self._numbers = itertools.count()
        self.open_files = OpenFiles(inputs.volumes, inputs.close_inactive)
        self.access = FileAccess(inputs.volumes, make_room=self.open_files.close_one)
        self.has_grown = False  # True if a file has grown since the start
        self.last_growth = clock()
        self._by_key: dict[FileKey, Tail] = {}  # the files that are open or parked
        self._has_news = False  # since `take_has_news`
        self._written: set[tuple[str, str]] = set()  # directory and name of files that the kernel says were written

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
            if descriptor is None or not tail.unpark(descriptor, self._content_of(tail, descriptor)):
                if descriptor is not None:
                    os.close(descriptor)
                self._become_dormant(tail)
                return False
        if tail.descriptor is None:
            return False
        self.open_files.use(tail)
        return True

    def _content_of(self, _tail: Tail, _descriptor: int) -> Content | None:
        """Return the text of the open file if it is compressed."""
        return None

    def waited(self, tail: Tail, sink: str) -> float:
        """Return the seconds for which the sink's oldest byte of the file has been waiting, or 0."""
        since = tail.oldest(sink)
        return 0.0 if since is None else max(0.0, self._clock() - since)

    def trim_open_files(self) -> None:
        """Close the files that are open beyond the limit."""
        self.open_files.trim()

    def note_written(self, names: Iterable[tuple[str, str]]) -> None:
        """Note directories and names of files that the kernel says were written: the next poll looks at them."""
        self._written.update(names)

    def poll_steps(self, parked: Sequence[Tail] = ()) -> Generator[None, None, None]:
        """Look at each open file and at these parked ones, some at a step, and park those that were quiet for long.

        From the first truncated file on, the rest is one step. A parked file that was written is looked at in any case.
        """
        now = self._clock()
        truncated: dict[str, Tail] = {}  # handled together, so that each directory is read once for all of them
        names, self._written = self._written, set()
        written = yield from self.open_files.parked_at(names)
        for number, tail in enumerate([*self.open_files.opened(), *parked, *written], 1):
            if tail.state.generation not in self.tails:
                continue
            try:
                if self._poll_file(tail, now):
                    self._has_news = True
            except FileTruncated:
                truncated[tail.state.generation] = tail  # once: it may be among the parked and the written ones
            self.trim_open_files()
            if not truncated and number % _POLLED_AT_ONCE == 0:
                yield
        list_directory = cache(rotated_file_matching.list_directory)
        for tail in truncated.values():
            self.handle_truncation(tail, list_directory)
            self.trim_open_files()
            self._has_news = True
        yield from self.open_files.close_inactive(now)

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
                status = self._volumes.status(tail.state.path)
                if tail.looks_unchanged(status):
                    return tail.poll_unchanged(now)
                if not self.ensure_open(tail):
                    self._note_vanished(tail, status, now)
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

    def _note_vanished(self, tail: Tail, status: os.stat_result, now: float) -> None:
        """Note what a parked file had grown to when it vanished: it is lost unless the file is found again."""
        if file_key(status) == tail.key and self._volumes.file_key(tail.state.path) is None:
            tail.note_size(status.st_size, now)
            if not tail.settled():
                self.unsettled[tail.state.generation] = tail

    def note_settled(self, tail: Tail) -> None:
        """Note that a sink has decided on a chunk of the file."""
        if tail.settled():
            self.unsettled.pop(tail.state.generation, None)

    def event_due(self) -> float | None:
        """Return the time for the next `poll`: the first time at which the last event of a quiet file is over."""
        return min((due for tail in self.unsettled.values() if (due := tail.event_due()) is not None), default=None)

    # -- following -----------------------------------------------------------------------------------------------------

    def _begin(self, found: FoundFile, descriptor: int, prepare: Prepare | None = None) -> Tail:
        """Follow the open file as a new generation. `prepare` may set its positions, by the descriptor, beforehand."""
        state = FileState(new_generation(), found.path, found.path, found.input, *found.key)
        if self._rules[self._input(found.input).name].timed:
            state.times = FileTimes(found.size, found.modified)
        if prepare is not None:
            prepare(state, descriptor)
        self._store.add_file(state)
        tail = self._follow(state)
        self._attach(tail, found, descriptor)
        log.info("following a file", file=state.first_path, generation=state.generation)
        return tail

    def _saved_states(self) -> list[FileState]:
        """Return the saved generations. One of which too little is known, and less than was sent, gets a new id.

        It is found again by its inode, or by a few bytes, and both may be those of another file by now. Lines may have
        the old id: they were shipped while the state could not be written.
        """
        sent: dict[str, int] = {}  # generation -> the end of what was on its way
        for item in (
            one for sink in self._store.state.sinks.values() for batch in sink.sending for one in batch.ranges
        ):
            sent[item.generation] = max(item.end, sent.get(item.generation, 0))
        saved = list(self._store.state.files.values())
        for state in saved:
            if not state.is_recognisable and not state.knows_up_to(sent.get(state.generation, sys.maxsize)):
                self._store.forget_file(state.generation)
                state.generation = new_generation()
                self._store.add_file(state)
        return saved

    def _route(self, state: FileState) -> None:
        """Let a saved generation have a position for each sink of its input, and no other."""
        one = self._input(state.input)
        state.input = one.name  # the inputs may have had other names when the state was saved
        first = Fingerprint(state.size, 0, "") if one.start_at == "end" else START
        state.set_positions({sink: state.position(sink) or first for sink in self._ledgers[one.name]})

    def _follow(self, state: FileState) -> Tail:
        rules = self._rules[state.input]
        state.times = (state.times or FileTimes()) if rules.timed else None
        tail = Tail(state, rules, self._ledgers[state.input], self._clock())
        tail.number, tail.is_summed = next(self._numbers), self._input(state.input).compressed == "auto"
        self.tails[state.generation] = tail
        return tail

    def _attach(self, tail: Tail, found: FoundFile, descriptor: int) -> None:
        """Let the tail follow the open file: it is new, was found again, or is the copy of a truncated file."""
        moved = tail.move(found.path, found.key, self._folder_of(found.path))
        if found.input:
            tail.assign(found.input, self._rules[found.input])
            tail.add_sinks(self._ledgers[found.input], at_end=self._inputs[found.input].start_at == "end")
        self._by_key[tail.key] = tail
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
        return sys.intern(self._volumes.real_folder(path))  # very many files are in few directories

    def handle_truncation(
        self, tail: Tail, list_directory: rotated_file_matching.ListDirectory = rotated_file_matching.list_directory
    ) -> None:
        """Continue the generation of a truncated file in its copy, if there is one, and begin a new generation."""
        state, descriptor = tail.state, tail.descriptor if self.ensure_open(tail) else None
        if descriptor is None:
            return
        if tail.compressed is not None:
            self._become_dormant(tail)  # a compressed file is not what it was
            return
        original = FoundFile(state.path, state.input, tail.key, 0, 0)
        tail.detach()
        self.open_files.forget(tail)
        del self._by_key[original.key]
        copy = rotated_file_matching.find_copy(
            tail, original.key, self._known_keys(), self.access, self._volumes, list_directory
        )
        copied_to = copy[0].path if copy else "none"
        log.info("a file was truncated", file=state.path, generation=state.generation, copy=copied_to)
        if copy:
            self._attach(tail, *copy)
        elif tail.is_summed:
            tail.make_dormant()  # the next scan may list a compressed copy
        if is_text(descriptor):
            self._begin(original, descriptor, lambda begun, _: begun.go_on_as(state))
        else:
            os.close(descriptor)  # the next scan finds it as a new file

    def _known_keys(self) -> Container[FileKey]:
        """Return the files that are no copies of others."""
        return self._by_key

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
