"""The generations that are followed, and what can happen to one of them while others are at work.

`Followed` owns the tails: it begins them, opens and closes their files, and notices when one was cut. Which files there
are, and when one is over, is decided in `follow`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache

from sidecars.chassis.runtime import logs
from sidecars.logshipper.config.input_settings import InputSettings
from sidecars.logshipper.input import discovery, rotated_file_matching
from sidecars.logshipper.input.cutting_rules import CuttingRules
from sidecars.logshipper.input.discovery import FileAccess, FileKey, FoundFile
from sidecars.logshipper.input.open_files import OpenFiles
from sidecars.logshipper.input.tail import FileTruncated, Tail
from sidecars.logshipper.model import fingerprint
from sidecars.logshipper.model.fingerprint import PREFIX_LENGTH
from sidecars.logshipper.model.ledger import Ledger
from sidecars.logshipper.state import checkpoint
from sidecars.logshipper.state.checkpoint import FileState
from sidecars.logshipper.state.store import Store

log = logs.get("follow")


class FollowedFiles:
    def __init__(
        self,
        inputs: Mapping[str, InputSettings],
        rules: Mapping[str, CuttingRules],
        store: Store,
        ledgers: Mapping[str, Ledger],
        clock: Callable[[], float],
    ) -> None:
        self._inputs = inputs
        self._rules = rules
        self._store = store
        self._ledgers = ledgers
        self._clock = clock
        self.tails: dict[str, Tail] = {}  # by generation, oldest first
        self.open_files = OpenFiles()
        self.access = FileAccess()
        self.access.make_room = self.open_files.close_one
        self.has_news = False  # whether anything was ever written
        self.last_news = clock()  # when
        self._by_key: dict[FileKey, Tail] = {}
        self._news = False  # since `take_news`
        self._real_folders: dict[str, str] = {}  # of this scan: directory -> what it really is

    # -- reading -------------------------------------------------------------------------------------------------------

    def opened(self, tail: Tail) -> bool:
        """Open the file again if it is parked, and return True if it is open. Call `settle` when it need not be.

        One that cannot be opened is left to the next scan: until then there is nothing in it for any sink.
        """
        if tail.parked:
            state = tail.state
            found = FoundFile(state.path, state.input, (state.device, state.inode), 0, 0)
            descriptor = self.access.open_if(found, lambda _sample: True)
            if descriptor is None:
                self._make_dormant(tail)
                return False
            tail.unpark(descriptor)
        if tail.descriptor is None:
            return False
        self.open_files.use(tail)
        return True

    def settle(self) -> None:
        """Close what may not stay open."""
        self.open_files.trim()

    def poll(self) -> bool:
        """Look at what is followed. True when there may be something new to read."""
        now, news = self._clock(), False
        cut: list[Tail] = []  # looked after together: each directory is then read once, however many files were cut
        for tail in list(self.tails.values()):
            try:
                news = self._look_at(tail, now) or news
            except FileTruncated:
                cut.append(tail)
            self.settle()
        look_into = cache(rotated_file_matching.look_into)
        for tail in cut:
            self.changed(tail, look_into)
            self.settle()
        self._news = self._news or news or bool(cut)
        return news or bool(cut)

    def take_has_news(self) -> bool:
        """Return True if there may be more to ship than when this was called last."""
        news, self._news = self._news, False
        return news

    def _poll(self, tail: Tail, now: float) -> bool:
        try:
            news = self._look_at(tail, now)
        except FileTruncated:
            self.changed(tail)
            news = True
        self._news = self._news or news
        return news

    def _look_at(self, tail: Tail, now: float) -> bool:
        """Look at one file. Return True if there may be something new to read. Raises Changed."""
        try:
            if tail.parked:
                if tail.looks_unchanged(os.stat(tail.state.path)):  # noqa: PTH116 - paths are text throughout
                    return tail.rest(now)
                if not self.opened(tail):
                    return False
            unseen = not tail.state.prefix.length
            news = tail.poll(now)
            if unseen and tail.state.prefix.length:  # from now on it can be recognised
                self._store.append(checkpoint.file_entry(tail.state))
            if news:
                self.has_news, self.last_news = True, now
                self._store.changed.set()
                if tail.descriptor is not None:
                    self.open_files.use(tail)
        except OSError as error:
            self._failed(tail, error)
            return False
        return news

    def _failed(self, tail: Tail, error: OSError) -> None:
        if tail.parked and isinstance(error, FileNotFoundError):
            self._make_dormant(tail)
        else:
            self.make_dormant(tail, error)

    def event_due(self) -> float | None:
        """When the last event of a file will be over, unless it goes on: `poll` then."""
        return min((due for tail in self.tails.values() if (due := tail.event_due()) is not None), default=None)

    # -- taking up -----------------------------------------------------------------------------------------------------

    def _begin(self, found: FoundFile, descriptor: int, *, at_end: bool = False) -> Tail:
        """Follow the open file as a new generation."""
        state = FileState(os.urandom(8).hex(), found.path, found.path, found.input, *found.key)
        if at_end:
            self._skip_to_end(state, descriptor)
        self._store.state.files[state.generation] = state
        self._store.append(checkpoint.file_entry(state))
        if at_end:
            for sink, mark in state.positions.items():
                receipt = self._store.state.sinks[sink].receipt if sink in self._store.state.sinks else None
                self._store.append(checkpoint.done_entry(sink, {state.generation: mark}, receipt))
        tail = self._follow(state)
        self._attach(tail, found, descriptor)
        log.info("following a file", file=state.first_path, generation=state.generation)
        return tail

    def _skip_to_end(self, state: FileState, descriptor: int) -> None:
        """Begin behind the last whole line, so that one that is being written now is shipped whole."""
        read_at, size = discovery.reader_at(descriptor), os.fstat(descriptor).st_size
        limit = self._input(state.input).max_line_size
        begin = max(0, size - limit)
        last = read_at(begin, limit)
        offset = begin + (last.rfind(b"\n") + 1 or (len(last) if begin else 0))
        state.size = offset
        state.prefix = fingerprint.prefix_fingerprint(read_at(0, min(offset, PREFIX_LENGTH)))
        before = read_at(max(0, offset - fingerprint.POSITION_LENGTH), min(offset, fingerprint.POSITION_LENGTH))
        state.positions = {sink: fingerprint.position_fingerprint(offset, before) for sink in self._ledgers}

    def _follow(self, state: FileState) -> Tail:
        state.input = self._input(state.input).name  # inputs may have other names than when it was saved
        tail = Tail(state, self._rules[state.input], self._ledgers, self._clock())
        self.tails[state.generation] = tail
        return tail

    def _attach(self, tail: Tail, found: FoundFile, descriptor: int) -> None:
        state, before = tail.state, (tail.state.path, tail.state.device, tail.state.inode)
        state.path, (state.device, state.inode) = found.path, found.key
        tail.folder = self._folder_of(found.path)
        if found.input:
            state.input, tail.rules = found.input, self._rules[found.input]
        self._by_key[found.key] = tail
        try:
            tail.hold(descriptor)
            self.open_files.use(tail)
        except OSError as error:
            self.make_dormant(tail, error)
            return
        if before != (state.path, state.device, state.inode):
            self._store.append(checkpoint.file_entry(state))
        self._poll(tail, self._clock())

    def _folder_of(self, path: str) -> str:
        """The directory that a file is really in; that of a directory is looked up once for each scan."""
        folder = os.path.dirname(path)  # noqa: PTH120 - as above
        if os.path.islink(path):  # noqa: PTH114 - as above
            return discovery.folder_of(path)
        if folder not in self._real_folders:
            self._real_folders[folder] = os.path.realpath(folder)
        return self._real_folders[folder]

    def changed(self, tail: Tail, look_into: rotated_file_matching.Beside = rotated_file_matching.look_into) -> None:
        """The file was cut: its generation goes on in a copy or is over, and a new one begins."""
        state, descriptor = tail.state, tail.descriptor if self.opened(tail) else None
        if descriptor is None:
            return
        original = FoundFile(state.path, state.input, (state.device, state.inode), 0, 0)
        tail.descriptor = None
        self.open_files.forget(tail)
        del self._by_key[original.key]
        copy = rotated_file_matching.find_copy(tail, original.key, self._by_key, self.access, look_into)
        copied_to = copy[0].path if copy else "none"
        log.info("a file was truncated", file=state.path, generation=state.generation, copy=copied_to)
        if copy:
            self._attach(tail, *copy)
        self._begin(original, descriptor)

    # -- closing -------------------------------------------------------------------------------------------------------

    def _close(self, tail: Tail) -> None:
        """Close the file; what it is on disk may be followed anew."""
        self._by_key.pop((tail.state.device, tail.state.inode), None)
        self.open_files.forget(tail)
        tail.release()

    def _make_dormant(self, tail: Tail) -> None:
        """Leave a file that cannot be opened where it was to the next scan, which looks for it."""
        self._close(tail)
        tail.dormant = True

    def make_dormant(self, tail: Tail, error: OSError) -> None:
        """Reading failed, as on a network volume that went away: the next scans try to open it anew."""
        log.warning("a file cannot be read; it is opened anew", file=tail.state.path, reason=error.strerror)
        self._make_dormant(tail)

    def _input(self, name: str) -> InputSettings:
        return self._inputs.get(name) or next(iter(self._inputs.values()))
