"""All files that are followed: found, kept through every kind of rotation, and let go when nothing more can come.

Theory of operation. `scan` looks at the globs, `poll` at the open files only, more often. Both are plain functions of
what the file system says now; there is no notification that could be missed.

- *Renamed*: the descriptor is held, so it is read on. Its records keep the name under which it was first seen.
- *Copied and truncated*: the file shrank, or the bytes before a position changed. The generation goes on in the copy,
  if one is found in the same directory; the file itself begins a new generation.
- *Deleted*: read on to the end from the held descriptor.
- *Let go*: a file that is out of place (renamed, deleted) is watched until it has been quiet for the rotation's `wait`;
  then its unfinished last line is shipped, and when every sink has all of it, it is forgotten, or deleted where that is
  wanted. A sink that is down keeps it.
- *Found again* after a restart, wherever it is by now. What is nowhere to be found is counted as lost, with a warning.

How a file is known again is told in `recognition`; what the sinks read of the files, in `feed`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache, partial

from chassis import logs
from sidecars.logshipper import checkpoint, discover, identity, recognition, rotation
from sidecars.logshipper.checkpoint import FileState
from sidecars.logshipper.discover import Access, Directories, Found, Key
from sidecars.logshipper.identity import PREFIX, START, Mark
from sidecars.logshipper.ledger import Ledger
from sidecars.logshipper.lines import Ending
from sidecars.logshipper.reading import Rules
from sidecars.logshipper.recognition import CopiesInTheMaking, Heads
from sidecars.logshipper.rotation import Rotation
from sidecars.logshipper.settings import Input
from sidecars.logshipper.state import Store
from sidecars.logshipper.tail import Changed, Tail, first_bytes

log = logs.get("follow")

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")


class Follower:
    def __init__(
        self,
        inputs: Mapping[str, Input],
        rules: Mapping[str, Rules],
        rotated: Rotation,
        store: Store,
        ledgers: Mapping[str, Ledger],
        clock: Callable[[], float],
    ) -> None:
        self._inputs = inputs
        self._rules = rules
        self._rotated = rotated
        self._store = store
        self._ledgers = ledgers
        self._clock = clock
        self.tails: dict[str, Tail] = {}  # by generation, oldest first
        self.access = Access()
        self.has_news = False  # whether anything was ever written
        self.last_news = clock()  # when
        self.folders: set[str] = set()  # where something may happen to what is followed, and where new files may come
        self._directories = Directories(inputs)
        self._by_key: dict[Key, Tail] = {}
        self._ignored: dict[Key, str] = {}
        self._copies = CopiesInTheMaking(clock)

    # -- the beginning -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up what the state knows, then look for what is new."""
        listing = discover.look(self._inputs, self.access.refused)
        for state in self._store.state.files.values():
            for gone in set(state.positions) - set(self._ledgers):
                del state.positions[gone]
            for sink in self._ledgers:
                state.positions.setdefault(sink, self._first_position(state))
            self._follow(state).dormant = True
        self._scan(listing, first=self._store.fresh)

    def _first_position(self, state: FileState) -> Mark:
        """Where a sink begins that is new while the file is not."""
        at_end = self._input(state.input).start_at == "end"
        return Mark(state.size, 0, "") if at_end else START

    def _resume(self, listing: Mapping[Key, Found]) -> None:
        """Find the files of the dormant. What is not there is lost, unless its volume is not there either (yet)."""
        beside = cache(discover.neighbours)
        for tail in [tail for tail in self.tails.values() if tail.dormant]:
            state = tail.state
            tail.dormant = not os.path.isdir(discover.folder_of(state.path))  # noqa: PTH112 - paths are text throughout
            for found in recognition.places(state, listing, beside):
                if found.key in self._by_key:
                    continue
                descriptor = self.access.open_if(found, partial(recognition.is_generation, state, found))
                if descriptor is not None:
                    self._attach(tail, found, descriptor)
                    break
                if found.key == (state.device, state.inode) and found.path in self.access.unreadable:
                    tail.dormant = True
                    break

    # -- looking -------------------------------------------------------------------------------------------------------

    def look(self, *, sure: bool) -> bool:
        """A scan, or only a poll where no name in the directories can have changed. True when there may be news.

        `sure`: something did change there. Whatever the directories say, every so many looks there is a scan.
        """
        waiting = self.access.unreadable or self._copies or any(tail.descriptor is None for tail in self.tails.values())
        if sure or waiting or self._directories.may_have_changed():
            self.scan()
            return True
        return self.poll()

    def scan(self) -> None:
        self.access.begin_scan()
        self._scan(discover.look(self._inputs, self.access.refused), first=False)
        self.folders = {tail.folder for tail in self.tails.values() if tail.folder} | discover.bases(self._inputs)

    def _scan(self, listing: Mapping[Key, Found], *, first: bool) -> None:
        self.poll()  # after listing: a copy that is listed was made before the cut that is seen now
        self._resume(listing)
        heads = cache(lambda: recognition.Heads(self.tails.values()))
        for key, found in listing.items():
            tail = self._by_key.get(key)
            if tail is None:
                self._consider(found, heads(), at_end=first and self._inputs[found.input].start_at == "end")
            elif tail.state.path != found.path:
                tail.state.path, tail.folder = found.path, discover.folder_of(found.path)
                self._store.append(checkpoint.file_entry(tail.state))
        for gone in [key for key in self._ignored if key not in listing]:
            del self._ignored[gone]
        self._copies.forget_all_but(listing)
        for tail in list(self.tails.values()):
            self._perhaps_let_go(tail, listing)

    def finish(self) -> None:
        """The last look: nobody writes any more, and an unfinished last line is shipped as it is."""
        self._copies.finish()
        self.scan()
        for tail in self.tails.values():
            tail.ending = Ending.PAUSE

    def poll(self) -> bool:
        """Look at the open files. True when there may be something new to read."""
        now, news = self._clock(), False
        for tail in list(self.tails.values()):
            news = self._poll(tail, now) or news
        return news

    def _poll(self, tail: Tail, now: float) -> bool:
        try:
            unseen = not tail.state.prefix.length
            news = tail.poll(now)
            if unseen and tail.state.prefix.length:  # from now on it can be recognised
                self._store.append(checkpoint.file_entry(tail.state))
            if news:
                self.has_news, self.last_news = True, now
                self._store.changed.set()
        except Changed:
            self.changed(tail)
            return True
        except OSError as error:
            self.set_aside(tail, error)
            return False
        return news

    def event_due(self) -> float | None:
        """When the last event of a file will be over, unless it goes on: `poll` then."""
        return min((due for tail in self.tails.values() if (due := tail.event_due()) is not None), default=None)

    def _consider(self, found: Found, heads: Heads, *, at_end: bool) -> None:
        """A file that is not followed: is it new, a copy in the making, or nothing for us?"""
        if self._ignored.get(found.key) == found.path or (not found.size and found.path.endswith(_COMPRESSED)):
            return
        descriptor = self.access.open_if(found, partial(self._is_new, found, heads))
        if descriptor is not None:
            heads.add(self._begin(found, descriptor, at_end=at_end))

    def _is_new(self, found: Found, heads: Heads, sample: identity.Sample) -> bool:
        if identity.is_compressed(sample(0, 8)):
            log.info("a compressed file is left alone", file=found.path)
            self._ignored[found.key] = found.path
            return False
        if self._is_copy_in_the_making(found, heads, sample):
            log.debug("a copy in the making is left alone", file=found.path)
            return False
        return found.key not in self._by_key  # looking at others may have shown that it is known

    def _is_copy_in_the_making(self, found: Found, heads: Heads, sample: identity.Sample) -> bool:
        head = first_bytes(sample)[: found.size]
        for name in heads.like(found.path, head) if head else ():
            tail = self.tails.get(name)
            if tail is None or tail.descriptor is None:
                continue
            self._poll(tail, self._clock())  # it may have been cut since: then it has gone on in this very file
            if found.key in self._by_key:
                return True
            if identity.is_prefix_of(found.size, sample, tail.state.size, tail.sample):
                return self._copies.hold_back(found)
        return False

    # -- taking up and letting go --------------------------------------------------------------------------------------

    def _begin(self, found: Found, descriptor: int, *, at_end: bool = False) -> Tail:
        """Follow the open file as a new generation."""
        state = FileState(os.urandom(8).hex(), found.path, found.path, found.input, *found.key)
        if at_end:
            self._skip_to_end(state, descriptor)
        self._store.state.files[state.id] = state
        self._store.append(checkpoint.file_entry(state))
        if at_end:
            for sink, mark in state.positions.items():
                receipt = self._store.state.sinks[sink].receipt if sink in self._store.state.sinks else None
                self._store.append(checkpoint.done_entry(sink, {state.id: mark}, receipt))
        tail = self._follow(state)
        self._attach(tail, found, descriptor)
        log.info("following a file", file=state.name, generation=state.id)
        return tail

    def _skip_to_end(self, state: FileState, descriptor: int) -> None:
        """Begin behind the last whole line, so that one that is being written now is shipped whole."""
        sample, size = discover.sampler(descriptor), os.fstat(descriptor).st_size
        limit = self._input(state.input).max_line_size
        begin = max(0, size - limit)
        last = sample(begin, limit)
        offset = begin + (last.rfind(b"\n") + 1 or (len(last) if begin else 0))
        state.size = offset
        state.prefix = identity.prefix_mark(sample(0, min(offset, PREFIX)))
        before = sample(max(0, offset - identity.TAIL), min(offset, identity.TAIL))
        state.positions = {sink: identity.tail_mark(offset, before) for sink in self._ledgers}

    def _follow(self, state: FileState) -> Tail:
        state.input = self._input(state.input).name  # inputs may have other names than when it was saved
        tail = Tail(state, self._rules[state.input], self._ledgers, self._clock())
        self.tails[state.id] = tail
        return tail

    def _attach(self, tail: Tail, found: Found, descriptor: int) -> None:
        state, before = tail.state, (tail.state.path, tail.state.device, tail.state.inode)
        state.path, (state.device, state.inode) = found.path, found.key
        tail.folder = discover.folder_of(found.path)
        if found.input:
            state.input, tail.rules = found.input, self._rules[found.input]
        self._by_key[found.key] = tail
        try:
            tail.hold(descriptor)
        except OSError as error:
            self.set_aside(tail, error)
            return
        if before != (state.path, state.device, state.inode):
            self._store.append(checkpoint.file_entry(state))
        self._poll(tail, self._clock())

    def changed(self, tail: Tail) -> None:
        """The file was cut: its generation goes on in a copy or is over, and a new one begins."""
        state, descriptor = tail.state, tail.descriptor
        if descriptor is None:
            return
        original = Found(state.path, state.input, (state.device, state.inode), 0, 0)
        tail.descriptor = None
        del self._by_key[original.key]
        copy = recognition.copy_of(tail, original.key, self._by_key, self.access)
        log.info("a file was truncated", file=state.path, generation=state.id, copy=copy[0].path if copy else "none")
        if copy:
            self._attach(tail, *copy)
        self._begin(original, descriptor)

    def _perhaps_let_go(self, tail: Tail, listing: Mapping[Key, Found]) -> None:
        state = tail.state
        if tail.dormant:
            return
        if tail.descriptor is None:
            self._lose(tail)
        elif self._is_out_of_place(tail, listing) and self._clock() - tail.quiet_since >= self._rotated.wait:
            tail.ending = Ending.OVER
            if (state.device, state.inode) in listing or self._is_still_there(tail):
                if self._rotated.delete and tail.settled():
                    self._delete(tail)
                return
            if all(tail.idle(sink) and not tail.in_flight(sink) for sink in self._ledgers):
                self._lose(tail)
        if tail.state.id in self.tails and tail.settled() and tail.descriptor is None:
            self._forget(tail)

    def _is_out_of_place(self, tail: Tail, listing: Mapping[Key, Found]) -> bool:
        return tail.state.path != tail.state.name or (tail.state.device, tail.state.inode) not in listing

    def _is_still_there(self, tail: Tail) -> bool:
        """Whether the file is where it was, and only the globs do not see it for now."""
        try:
            status = os.stat(tail.state.path)  # noqa: PTH116 - as above
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return (status.st_dev, status.st_ino) == (tail.state.device, tail.state.inode)

    def _delete(self, tail: Tail) -> None:
        """Every sink has the rotated file: make room. It is still watched for a while, as any deleted file is."""
        state = tail.state
        try:
            deleted = rotation.delete(state.path, (state.device, state.inode), state.id)
        except OSError as error:
            self.access.refused(state.path, error)
            return
        if deleted:
            tail.quiet_since = self._clock()
            log.info("deleted a rotated file that every sink has", file=state.name, path=state.path)

    def _lose(self, tail: Tail) -> None:
        """The rest of the file is out of reach: count it, for every sink that has nothing of it on its way."""
        for sink in self._ledgers:
            if not tail.in_flight(sink) and (count := tail.lose(sink)):
                log.warning("bytes were lost", file=tail.state.name, generation=tail.state.id, sink=sink, bytes=count)
        if tail.descriptor is not None and tail.settled():
            self._by_key.pop((tail.state.device, tail.state.inode), None)
            tail.release()

    def _forget(self, tail: Tail) -> None:
        tail.let_go()
        del self.tails[tail.state.id]
        self._store.state.files.pop(tail.state.id, None)
        self._store.append(checkpoint.gone_entry(tail.state.id))
        log.info("done with a file", file=tail.state.name, generation=tail.state.id)

    def set_aside(self, tail: Tail, error: OSError) -> None:
        """Reading failed, as on a network volume that went away: the next scans try to open it anew."""
        log.warning("a file cannot be read; it is opened anew", file=tail.state.path, reason=error.strerror)
        self._by_key.pop((tail.state.device, tail.state.inode), None)
        tail.release()
        tail.dormant = True

    def _input(self, name: str) -> Input:
        return self._inputs.get(name) or next(iter(self._inputs.values()))
