"""All files that are followed: found, kept through every kind of rotation, and let go when nothing more can come.

Theory of operation. `scan` looks at the globs, `poll` at the open files only, more often. Both are plain functions of
what the file system says now; there is no notification that could be missed.

- *Renamed*: the descriptor is held, so it is read on. Its records keep the name under which it was first seen.
- *Copied and truncated*: the file shrank, or the bytes before a position changed. The generation goes on in the copy,
  if one is found in the same directory; the file itself begins a new generation. A copy that is still being made equals
  the beginning of a file that we follow: it is left alone until that one is cut, or until it was quiet for a while.
- *Deleted*: read on to the end from the held descriptor.
- *Let go*: a file that is out of place (renamed, deleted) is watched until it has been quiet for `rotate_wait`; then
  its unfinished last line is shipped, and when every sink has all of it, it is forgotten. A sink that is down keeps it.
- *Found again* after a restart: by device and inode, by path, or by content in the same directory; whichever it is, the
  content must agree. What is nowhere to be found is counted as lost, with a warning.

Of several generations with one name the older is shipped first.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping

from chassis import logs
from sidecars.logshipper import checkpoint, discover, identity
from sidecars.logshipper.batch import Part
from sidecars.logshipper.checkpoint import FileState
from sidecars.logshipper.discover import Found, Key
from sidecars.logshipper.identity import PREFIX, START, Mark
from sidecars.logshipper.ledger import Ledger
from sidecars.logshipper.lines import Ending
from sidecars.logshipper.settings import Input
from sidecars.logshipper.state import Store
from sidecars.logshipper.tail import Changed, Tail

log = logs.get("follow")

_COPY_QUIET = 10.0  # seconds after which what looks like a copy in the making is a file of its own
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Follower:
    def __init__(
        self,
        inputs: Mapping[str, Input],
        rotate_wait: float,
        store: Store,
        ledgers: Mapping[str, Ledger],
        clock: Callable[[], float],
    ) -> None:
        self._inputs = inputs
        self._rotate_wait = rotate_wait
        self._store = store
        self._ledgers = ledgers
        self._clock = clock
        self.tails: dict[str, Tail] = {}  # by generation, oldest first
        self.unreadable: dict[str, str] = {}  # path -> why
        self._by_key: dict[Key, Tail] = {}
        self._ignored: dict[Key, str] = {}
        self._held_back: dict[Key, tuple[int, float]] = {}
        self._last_served: dict[str, str] = {}

    # -- the beginning -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up what the state knows, then look for what is new."""
        listing = discover.look(self._inputs)
        for state in list(self._store.state.files.values()):
            for gone in set(state.positions) - set(self._ledgers):
                del state.positions[gone]
            for sink in self._ledgers:
                state.positions.setdefault(sink, self._first_position(state))
            tail = self._follow(state)
            self._resume(tail, listing)
        self._scan(listing, first=self._store.fresh)

    def _first_position(self, state: FileState) -> Mark:
        """Where a sink begins that is new while the file is not."""
        at_end = self._input(state.input).start_at == "end"
        return Mark(state.size, 0, "") if at_end else START

    def _resume(self, tail: Tail, listing: Mapping[Key, Found]) -> None:
        state = tail.state
        for found in self._candidates(state, listing):
            if found.key in self._by_key:
                continue
            descriptor = self._open(found)
            if descriptor is None:
                if found.key == (state.device, state.inode):
                    tail.dormant = True
                    return
                continue
            if self._is(state, found, descriptor):
                self._attach(tail, found, descriptor)
                return
            os.close(descriptor)
        if not os.path.isdir(os.path.dirname(state.path)):  # noqa: PTH112, PTH120 - paths are text throughout
            tail.dormant = True  # its volume is not there (yet)

    def _candidates(self, state: FileState, listing: Mapping[Key, Found]) -> Iterator[Found]:
        key = (state.device, state.inode)
        if key in listing:
            yield listing[key]
        beside = list(discover.neighbours(state.path))
        yield from (found for found in beside if found.key == key or found.path == state.path)
        others = (found for found in beside if found.key != key and found.path != state.path)
        yield from (found for found in others if discover.may_be_a_copy(found.path, state.name))

    def _is(self, state: FileState, found: Found, descriptor: int) -> bool:
        marks = [state.prefix, *state.positions.values()]
        if state.seen.offset <= found.size:
            marks.append(state.seen)
        if not any(mark.length for mark in marks):  # nothing was shipped: the inode is all there is to go by
            return found.key == (state.device, state.inode) and found.size >= state.size
        return identity.same_content(marks, found.size, _sampler(descriptor))

    # -- looking -------------------------------------------------------------------------------------------------------

    def scan(self) -> None:
        self._scan(discover.look(self._inputs), first=False)

    def _scan(self, listing: Mapping[Key, Found], *, first: bool) -> None:
        self.poll()  # after listing: a copy that is listed was made before the cut that is seen now
        for key, found in listing.items():
            tail = self._by_key.get(key)
            if tail is None:
                self._consider(found, at_end=first and self._inputs[found.input].start_at == "end")
            elif tail.state.path != found.path:
                tail.state.path = found.path
                self._store.append(checkpoint.file_entry(tail.state))
        for gone in [key for key in self._ignored if key not in listing]:
            del self._ignored[gone]
        for gone in [key for key in self._held_back if key not in listing]:
            del self._held_back[gone]
        paths = {found.path for found in listing.values()}
        self.unreadable = {path: why for path, why in self.unreadable.items() if path in paths}
        for tail in list(self.tails.values()):
            self._perhaps_let_go(tail, listing)

    def finish(self) -> None:
        """The last look: nobody writes any more, and an unfinished last line is shipped as it is."""
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
            self._store.dirty = self._store.dirty or news
        except Changed:
            self.changed(tail)
            return True
        except OSError as error:
            self._set_aside(tail, error)
            return False
        return news

    def _consider(self, found: Found, *, at_end: bool) -> None:
        """A file that is not followed: is it new, known, a copy in the making, or nothing for us?"""
        if self._ignored.get(found.key) == found.path or (not found.size and found.path.endswith(_COMPRESSED)):
            return
        descriptor = self._open(found)
        if descriptor is None:
            return
        sample = _sampler(descriptor)
        if identity.is_compressed(sample(0, 8)):
            log.info("a compressed file is left alone", file=found.path)
            self._ignored[found.key] = found.path
        elif known := self._dormant(found, descriptor):
            self._attach(known, found, descriptor)
            return
        elif self._is_copy_in_the_making(found, sample):
            log.debug("a copy in the making is left alone", file=found.path)
        elif found.key not in self._by_key:  # looking at others may have shown that it is known
            self._begin(found, descriptor, at_end=at_end)
            return
        os.close(descriptor)

    def _dormant(self, found: Found, descriptor: int) -> Tail | None:
        return next(
            (tail for tail in self.tails.values() if tail.dormant and self._is(tail.state, found, descriptor)), None
        )

    def _is_copy_in_the_making(self, found: Found, sample: identity.Sample) -> bool:
        folder = os.path.dirname(found.path)  # noqa: PTH120 - as above
        now, head = self._clock(), sample(0, PREFIX)
        for tail in list(self.tails.values()):
            common = min(len(head), len(tail.head))
            if tail.descriptor is None or head[:common] != tail.head[:common]:
                continue
            if os.path.dirname(tail.state.path) != folder:  # noqa: PTH120 - as above
                continue
            self._poll(tail, now)  # it may have been cut since: then the generation has gone on in this very file
            if found.key in self._by_key:
                return True
            if identity.is_prefix_of(found.size, sample, tail.state.size, tail.sample):
                size, since = self._held_back.get(found.key, (-1, now))
                if size != found.size:
                    since = now
                self._held_back[found.key] = (found.size, since)
                return now - since < _COPY_QUIET
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
        sample, size = _sampler(descriptor), os.fstat(descriptor).st_size
        limit = self._input(state.input).max_line_size
        begin = max(0, size - limit)
        last = sample(begin, limit)
        offset = begin + (last.rfind(b"\n") + 1 or (len(last) if begin else 0))
        state.size = offset
        state.prefix = identity.prefix_mark(sample(0, min(offset, PREFIX)))
        before = sample(max(0, offset - identity.TAIL), min(offset, identity.TAIL))
        state.positions = {sink: identity.tail_mark(offset, before) for sink in self._ledgers}

    def _follow(self, state: FileState) -> Tail:
        tail = Tail(state, self._input(state.input).max_line_size, self._ledgers, self._clock())
        self.tails[state.id] = tail
        return tail

    def _attach(self, tail: Tail, found: Found, descriptor: int) -> None:
        state, before = tail.state, (tail.state.path, tail.state.device, tail.state.inode)
        state.path, (state.device, state.inode) = found.path, found.key
        self._by_key[found.key] = tail
        tail.hold(descriptor)
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
        copy = self._find_copy(tail, original.key)
        log.info("a file was truncated", file=state.path, generation=state.id, copy=copy[0].path if copy else "none")
        if copy:
            self._attach(tail, *copy)
        self._begin(original, descriptor)

    def _find_copy(self, tail: Tail, original: Key) -> tuple[Found, int] | None:
        marks = tail.marks()
        furthest = max(mark.offset for mark in tail.state.positions.values()) if tail.state.positions else 0
        for found in discover.neighbours(tail.state.path):
            if found.key == original or found.key in self._by_key or not found.size:
                continue
            if not discover.may_be_a_copy(found.path, tail.state.name):
                continue
            descriptor = self._open(found)
            if descriptor is None:
                continue
            test = identity.same_content if found.size >= max(furthest, tail.state.size) else identity.short_copy
            if test(marks, found.size, _sampler(descriptor)):
                return found, descriptor
            os.close(descriptor)
        return None

    def _perhaps_let_go(self, tail: Tail, listing: Mapping[Key, Found]) -> None:
        state = tail.state
        if tail.dormant:
            return
        if tail.descriptor is None:
            self._lose(tail)
        elif self._is_out_of_place(tail, listing) and self._clock() - tail.quiet_since >= self._rotate_wait:
            tail.ending = Ending.OVER
            if (state.device, state.inode) in listing or self._is_still_there(tail):
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

    def _open(self, found: Found) -> int | None:
        """A descriptor of the found file; None, and noted, when it cannot be read for now or is another by now."""
        try:
            descriptor = os.open(found.path, _FLAGS)
        except OSError as error:
            if error.errno != errno.ENOENT and found.path not in self.unreadable:
                self.unreadable[found.path] = error.strerror or str(error)
                log.warning("a file cannot be read; it is tried again", file=found.path, reason=error.strerror)
            return None
        self.unreadable.pop(found.path, None)
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) != found.key or not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            return None
        return descriptor

    def _set_aside(self, tail: Tail, error: OSError) -> None:
        """Reading failed, as on a network volume that went away: the next scans try to open it anew."""
        log.warning("a file cannot be read; it is opened anew", file=tail.state.path, reason=error.strerror)
        self._by_key.pop((tail.state.device, tail.state.inode), None)
        tail.release()
        tail.dormant = True

    def _input(self, name: str) -> Input:
        return self._inputs.get(name) or next(iter(self._inputs.values()))

    # -- reading for a sink --------------------------------------------------------------------------------------------

    def waiting(self, sink: str) -> int:
        """Bytes that the sink could be given now. An unfinished line does not count."""
        return sum(tail.pending(sink) for tail in self.tails.values() if not tail.idle(sink))

    def oldest(self, sink: str) -> float | None:
        """Since when the sink's oldest byte has been waiting."""
        times = (tail.oldest(sink) for tail in self.tails.values())
        return min((time for time in times if time is not None), default=None)

    def collect(self, sink: str, room: int) -> list[Part]:
        """Parts for a batch of at most `room` bytes (or one longer line), in turns over the names."""
        parts: list[Part] = []
        for tail in self._turns(sink):
            if room <= 0:
                break
            part = self._read(tail, sink, room, first=not parts)
            if part is None:
                continue
            parts.append(part)
            room -= len(part.data)
            self._last_served[sink] = part.name
        return parts

    def _read(self, tail: Tail, sink: str, room: int, *, first: bool) -> Part | None:
        try:
            while (part := tail.read(sink, room, first=first)) is not None and not part.data:
                self.delivered(sink, [part], self._store.state.sinks[sink].receipt)  # a hole and nothing else
        except Changed:
            self.changed(tail)
            return None
        except OSError as error:
            self._set_aside(tail, error)
            return None
        return part

    def _turns(self, sink: str) -> Iterable[Tail]:
        """The oldest generation of each name that has something, beginning behind the name that was served last."""
        oldest: dict[str, Tail] = {}
        for tail in self.tails.values():
            if tail.state.name not in oldest and not tail.idle(sink):
                oldest[tail.state.name] = tail
        names = list(oldest)
        last = self._last_served.get(sink)
        turn = names.index(last) + 1 if last in oldest else 0
        return [oldest[name] for name in names[turn:] + names[:turn]]

    def read_again(self, sink: str) -> list[Part]:
        """The batch that was on its way when an earlier process was killed, as far as it is still to be had."""
        parts = []
        for sent in self._store.state.sinks[sink].sending:
            tail = self.tails.get(sent[0])
            try:
                part = tail.read_again(sent, sink) if tail else None
            except Changed:
                continue  # the next poll or read finds out
            if part:
                parts.append(part)
        return parts

    # -- moving positions ----------------------------------------------------------------------------------------------

    def sending(self, sink: str, parts: Iterable[Part]) -> None:
        """Note, so that it survives kill -9, that exactly this is about to be sent."""
        ranges: list[checkpoint.Range] = []
        for part in parts:
            ranges.append((part.file, part.position, part.start, part.end, part.partial))
            if part.file in self.tails:
                self.tails[part.file].sending(sink, part.end)
        self._store.state.sinks[sink].sending = ranges
        self._store.append(checkpoint.send_entry(sink, ranges))

    def delivered(self, sink: str, parts: Iterable[Part], receipt: object) -> None:
        self._settle(sink, parts, receipt, "")

    def dropped(self, sink: str, parts: Iterable[Part], reason: str) -> None:
        self._settle(sink, parts, self._store.state.sinks[sink].receipt, reason)

    def _settle(self, sink: str, parts: Iterable[Part], receipt: object, reason: str) -> None:
        positions = {}
        for part in parts:
            tail = self.tails[part.file]  # a file with something on its way is never let go
            if reason:
                tail.dropped(sink, part, reason)
            else:
                tail.delivered(sink, part)
            positions[part.file] = part.tail
        self._store.state.sinks[sink].receipt = receipt
        self._store.append(checkpoint.done_entry(sink, positions, receipt))


def _sampler(descriptor: int) -> identity.Sample:
    return lambda offset, length: os.pread(descriptor, length, offset)
