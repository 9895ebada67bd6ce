"""All files that are followed: found, kept through every kind of rotation, and let go when nothing more can come.

Theory of operation. `scan` looks at the globs, `poll` at the open files only, more often. Both are plain functions of
what the file system says now; there is no notification that could be missed.

- *Renamed*: the descriptor is held, so it is read on. Its records keep the name under which it was first seen.
- *Copied and truncated*: the file shrank, or the bytes before a position changed. The generation goes on in the copy,
  if one is found in the same directory; the file itself begins a new generation.
- *Deleted*: read on to the end from the held descriptor.
- *Closed for now*: where there are more files than descriptors, see `openfiles`.
- *Let go*: a file that is out of place (renamed, deleted) is watched until it has been quiet for the rotation's `wait`;
  then its unfinished last line is shipped, and when every sink has all of it, it is forgotten, or deleted where that is
  wanted. A sink that is down keeps it.
- *Found again* after a restart, wherever it is by now. What is nowhere to be found is counted as lost, with a warning.

A scan is a generator: between its steps lines are shipped and probes are answered, so that very many files keep nobody
waiting. What it holds is looked at again after each step.

How a file is known again is told in `recognition`; what the sinks read of the files, in `feed`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import cache, partial

from sidecars.chassis.runtime import logs
from sidecars.logshipper.config.input_settings import InputSettings
from sidecars.logshipper.input import discovery, permissions, rotated_file_deletion, rotated_file_matching
from sidecars.logshipper.input.cutting_rules import CuttingRules
from sidecars.logshipper.input.discovery import DirectoryTimes, FileKey, FoundFile, Listing
from sidecars.logshipper.input.followed_files import FollowedFiles
from sidecars.logshipper.input.rotated_file_deletion import RotatedFilePolicy
from sidecars.logshipper.input.rotated_file_matching import HeadIndex, UnfinishedCopies
from sidecars.logshipper.input.tail import Tail
from sidecars.logshipper.model import fingerprint
from sidecars.logshipper.model.fingerprint import PREFIX_LENGTH, START, Fingerprint
from sidecars.logshipper.model.ledger import Ledger
from sidecars.logshipper.model.line_cutting import Ending
from sidecars.logshipper.state import checkpoint
from sidecars.logshipper.state.checkpoint import FileState
from sidecars.logshipper.state.store import Store

log = logs.get("follow")

_STALE = 0.1  # seconds for which it is believed what was seen in a directory
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")


class Follower(FollowedFiles):
    def __init__(
        self,
        inputs: Mapping[str, InputSettings],
        rules: Mapping[str, CuttingRules],
        rotated: RotatedFilePolicy,
        store: Store,
        ledgers: Mapping[str, Ledger],
        clock: Callable[[], float],
    ) -> None:
        super().__init__(inputs, rules, store, ledgers, clock)
        self._rotated = rotated
        self.folders: set[str] = set()  # where something may happen to what is followed, and where new files may come
        self.missing: dict[str, str] = {}  # log -> a rotated file of it that was not there at the first look
        self._directories = DirectoryTimes(inputs)
        self._ignored: dict[FileKey, str] = {}
        self._copies = UnfinishedCopies(clock)

    # -- the beginning -------------------------------------------------------------------------------------------------

    def load_state(self) -> None:
        """Make known what the state knows. None of it is open before the first scan."""
        for state in self._store.state.files.values():
            for gone in set(state.positions) - set(self._ledgers):
                del state.positions[gone]
            for sink in self._ledgers:
                state.positions.setdefault(sink, self._first_position(state))
            self._follow(state).dormant = True

    @property
    def is_fresh(self) -> bool:
        """True if no state was saved before, so that START_AT counts."""
        return self._store.fresh

    def start(self) -> None:
        """Take up what the state knows, then look for what is new."""
        self.load_state()
        for _ in self.steps(first=self.is_fresh):
            pass

    def _first_position(self, state: FileState) -> Fingerprint:
        """Where a sink begins that is new while the file is not."""
        at_end = self._input(state.input).start_at == "end"
        return Fingerprint(state.size, 0, "") if at_end else START

    def _resume(self, listing: Mapping[FileKey, FoundFile]) -> Iterator[None]:
        """Find the files of the dormant. What is not there is lost, unless its directory cannot be read (yet)."""
        look_into, since = cache(rotated_file_matching.look_into), self._clock()
        for tail in [tail for tail in self.tails.values() if tail.dormant]:
            yield
            if self._clock() > since + _STALE:  # others were at work meanwhile
                look_into, since = cache(rotated_file_matching.look_into), self._clock()
            state = tail.state
            tail.dormant = not discovery.can_look_into(discovery.folder_of(state.path))
            for found in rotated_file_matching.candidates(state, listing, look_into):
                if found.key in self._by_key:
                    continue
                descriptor = self.access.open_if(found, partial(rotated_file_matching.is_same_generation, state, found))
                if descriptor is not None:
                    self._attach(tail, found, descriptor)
                    self.settle()
                    break
                if found.key == (state.device, state.inode) and self.access.is_refused(found.path):
                    tail.dormant = True
                    break

    # -- looking -------------------------------------------------------------------------------------------------------

    def needs_scan(self) -> bool:
        """Return True unless a poll is enough, as no name in the directories can have changed.

        Whatever the directories say, every so many looks there is a scan.
        """
        astray = any(not tail.reachable for tail in self.tails.values())
        return bool(self.access.unreadable or self._copies or astray) or self._directories.may_have_changed()

    def look(self, *, sure: bool) -> bool:
        """A scan, or only a poll where that is enough. True when there may be news. `sure`: something did change."""
        if sure or self.needs_scan():
            self.scan()
            return True
        return self.poll()

    def scan(self) -> None:
        for _ in self.steps(first=False):
            pass

    def steps(self, *, first: bool) -> Generator[None, None, None]:
        """Scan, step by step. `first`: START_AT counts."""
        looked = yield from self.scan_known()
        yield from self.scan_new(looked, first=first)

    def scan_known(self) -> Generator[None, None, Listing]:
        """Do the first half of a scan: list what is there, and open what the state tells of."""
        self.access.begin_scan()
        self._real_folders.clear()
        looked = Listing(self._inputs, self.access.refused)
        yield from looked.steps()
        self.poll()  # after listing: a copy that is listed was made before the cut that is seen now
        yield from self._resume(looked.found)
        return looked

    def scan_new(self, looked: Listing, *, first: bool) -> Generator[None, None, None]:
        """Do the second half: follow what is new, and let go of what is over."""
        listing = looked.found
        yield from self._take_up_new(listing, first=first)
        for gone in [key for key in self._ignored if key not in listing]:
            del self._ignored[gone]
        self._copies.forget_all_but(listing)
        for tail in list(self.tails.values()):
            if tail.state.generation in self.tails:
                self._perhaps_let_go(tail, listing)
        self.settle()
        self.access.end_scan()
        followed = {tail.folder for tail in self.tails.values() if tail.folder}
        self.folders = followed | looked.folders | discovery.watch_roots(self._inputs)

    def _take_up_new(self, listing: Mapping[FileKey, FoundFile], *, first: bool) -> Iterator[None]:
        heads: HeadIndex | None = None
        for key, found in listing.items():
            tail = self._by_key.get(key)
            if tail is None:
                heads = heads or HeadIndex(self.tails.values())
                self._consider(found, heads, at_end=first and self._inputs[found.input].start_at == "end")
                yield
            elif tail.state.path != found.path:
                tail.state.path, tail.folder = found.path, self._folder_of(found.path)
                self._store.append(checkpoint.file_entry(tail.state))

    def finish(self) -> None:
        """The last look: nobody writes any more, and an unfinished last line is shipped as it is."""
        for _ in self.final_scan_steps():
            pass

    def final_scan_steps(self) -> Generator[None, None, None]:
        """Do what `finish` does, step by step."""
        self._copies.finish()
        yield from self.steps(first=False)
        for tail in self.tails.values():
            tail.ending = Ending.PAUSE
        self._news = True

    def warn_about_missing(self, looked: Listing) -> None:
        """Warn, where the state is fresh, if lines may have been rotated away before the first look."""
        at_beginning = {name for name, one in self._inputs.items() if one.start_at == "beginning"}
        if self.is_fresh:
            self.missing = looked.missing(at_beginning)
        for path, gone in self.missing.items():
            log.warning(
                "the log was rotated before the first look, and an earlier file is not there: "
                "its lines are not shipped; let the app start after logshipper is ready",
                file=path,
                missing=gone,
            )

    def unreadable_inputs(self) -> dict[str, str]:
        """Return why nothing can be read, for each input of which no file is followed while some are there."""
        found = {}
        for name in self._inputs:
            refused = self.access.refusals(name)
            if refused and not any(tail.reachable and tail.state.input == name for tail in self.tails.values()):
                path, error = next(iter(refused.items()))
                more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
                found[name] = permissions.why(path, error) + more
        return found

    def _consider(self, found: FoundFile, heads: HeadIndex, *, at_end: bool) -> None:
        """A file that is not followed: is it new, a copy in the making, or nothing for us?"""
        if self._ignored.get(found.key) == found.path or (not found.size and found.path.endswith(_COMPRESSED)):
            return
        descriptor = self.access.open_if(found, partial(self._is_new, found, heads))
        if descriptor is not None:
            heads.add(self._begin(found, descriptor, at_end=at_end))
        self.settle()

    def _is_new(self, found: FoundFile, heads: HeadIndex, read_at: fingerprint.ReadAt) -> bool:
        if fingerprint.is_compressed(read_at(0, 8)):
            log.info("a compressed file is left alone", file=found.path)
            self._ignored[found.key] = found.path
            return False
        if self._is_copy_in_the_making(found, heads, read_at):
            log.debug("a copy in the making is left alone", file=found.path)
            return False
        return found.key not in self._by_key  # looking at others may have shown that it is known

    def _is_copy_in_the_making(self, found: FoundFile, heads: HeadIndex, read_at: fingerprint.ReadAt) -> bool:
        for name in heads.candidates(found, read_at, self._beginning):
            tail = self.tails.get(name)
            if tail is None:
                continue
            self._poll(tail, self._clock())  # it may have been cut since: then it has gone on in this very file
            if found.key in self._by_key:
                return True
            if not self.opened(tail):
                continue
            if fingerprint.equals_beginning_of(found.size, read_at, tail.state.size, tail.read_at):
                return self._copies.hold_back(found)
        return False

    def _beginning(self, generation: str) -> bytes:
        """Return the first bytes of a followed file, for telling those apart that have the same head."""
        tail = self.tails.get(generation)
        if tail is None:
            return b""
        if len(tail.beginning) < min(PREFIX_LENGTH, tail.state.size) and self.opened(tail):
            tail.beginning = tail.read_at(0, PREFIX_LENGTH)
            self.settle()
        return tail.beginning

    # -- letting go ----------------------------------------------------------------------------------------------------

    def _perhaps_let_go(self, tail: Tail, listing: Mapping[FileKey, FoundFile]) -> None:
        state = tail.state
        if tail.dormant:
            return
        if not tail.reachable:
            self._lose(tail)
        elif self._is_out_of_place(tail, listing) and self._clock() - tail.quiet_since >= self._rotated.wait:
            self._news = self._news or tail.ending is not Ending.OVER
            tail.ending = Ending.OVER
            if (state.device, state.inode) in listing or self._is_still_there(tail):
                if self._rotated.delete and tail.settled():
                    self._delete(tail)
                return
            if all(tail.idle(sink) and not tail.in_flight(sink) for sink in self._ledgers):
                self._lose(tail)
        if tail.state.generation in self.tails and tail.settled() and not tail.reachable:
            self._forget(tail)

    def _is_out_of_place(self, tail: Tail, listing: Mapping[FileKey, FoundFile]) -> bool:
        return tail.state.path != tail.state.first_path or (tail.state.device, tail.state.inode) not in listing

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
            deleted = rotated_file_deletion.delete(state.path, (state.device, state.inode), state.generation)
        except OSError as error:
            self.access.refused(state.path, error)
            return
        if deleted:
            tail.quiet_since = self._clock()
            log.info("deleted a rotated file that every sink has", file=state.first_path, path=state.path)

    def _lose(self, tail: Tail) -> None:
        """The rest of the file is out of reach: count it, for every sink that has nothing of it on its way."""
        for sink in self._ledgers:
            if not tail.in_flight(sink) and (count := tail.give_up(sink)):
                state = tail.state
                log.warning(
                    "bytes were lost", file=state.first_path, generation=state.generation, sink=sink, bytes=count
                )
        if tail.reachable and tail.settled():
            self._close(tail)

    def _forget(self, tail: Tail) -> None:
        tail.close_accounts()
        del self.tails[tail.state.generation]
        self._store.state.files.pop(tail.state.generation, None)
        self._store.append(checkpoint.gone_entry(tail.state.generation))
        log.info("done with a file", file=tail.state.first_path, generation=tail.state.generation)
