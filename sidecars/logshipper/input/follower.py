"""The follower: finds the log files, keeps them through every kind of rotation, and forgets them when they are over.

Theory of operation. `scan` looks at the globs. `poll` looks at the followed files only, and is called more often. Both
depend only on the present state of the file system, and on no notification, which could be missed.

| event | what the follower does |
|---|---|
| a file is renamed | reads on from the held descriptor; records keep the path under which it was first seen |
| a file is copied and truncated | continues in the copy, if it is in the same directory; a new generation begins |
| a file is deleted | reads it to its end from the held descriptor |
| there are more files than descriptors | closes some of them for a time: see `open_files` |
| a file is out of place (renamed or deleted) and quiet for ROTATE_WAIT | ships its unfinished last line |
| a renamed file was quiet for ROTATE_WAIT, and every sink has all of it | deletes it, with DELETE_DELIVERED |
| a deleted file was quiet for ROTATE_WAIT, and every sink has all of it | forgets it |
| the process starts | finds the files of the saved state again, wherever they are now |
| a file of the saved state is not found | counts the bytes that were not shipped as lost, with a warning |

A sink that is down keeps each file open until it has all of it.

A scan is a generator. Between its steps lines are shipped and probes are answered, so that a very large number of files
delays nothing. So a step does not rely on the state that an earlier step has seen.

`rotated_file_matching` decides whether a found file is known. `delivery.sink_queue` decides which file a sink reads
next.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from functools import cache, partial

from sidecars.chassis.runtime import logs
from sidecars.logshipper.input import discovery, rotated_file_deletion, rotated_file_matching
from sidecars.logshipper.input.discovery import DirectoryTimes, FoundFile, Listing
from sidecars.logshipper.input.followed_files import FollowedFiles, Inputs
from sidecars.logshipper.input.rotated_file_deletion import RotatedFilePolicy
from sidecars.logshipper.input.rotated_file_matching import HeadIndex, UnfinishedCopies
from sidecars.logshipper.input.tail import Tail
from sidecars.logshipper.model import fingerprint, steps
from sidecars.logshipper.model.file_key import FileKey, file_key
from sidecars.logshipper.model.fingerprint import START, Fingerprint
from sidecars.logshipper.model.ledger import Ledger
from sidecars.logshipper.model.line_cutting import Ending
from sidecars.logshipper.state.checkpoint import FileState
from sidecars.logshipper.state.store import Store

log = logs.get("follow")

_STALE = 0.1  # seconds for which the listing of a directory is used again
_AT_ONCE = 500  # files that a step looks at: a few milliseconds
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")


class Follower(FollowedFiles):
    """All files that are followed, for all inputs. Owned by the app, called by `ScanLoop` and each `SinkQueue`."""

    def __init__(
        self,
        inputs: Inputs,
        rotated: RotatedFilePolicy,
        store: Store,
        ledgers: Mapping[str, Ledger],
        clock: Callable[[], float],
    ) -> None:
        super().__init__(inputs, store, ledgers, clock)
        self._rotated = rotated
        self.folders: set[str] = set()  # to be watched: those of the followed files, and those of new files
        self.missing: dict[str, str] = {}  # log -> a rotated file of it that was missing at the first scan
        self._directory_times = DirectoryTimes(inputs.settings)
        self._ignored: dict[FileKey, str] = {}  # compressed files
        self._copies = UnfinishedCopies(clock)

    # -- start ---------------------------------------------------------------------------------------------------------

    def load_state(self) -> None:
        """Follow the generations of the saved state. All are dormant until the first scan."""
        for state in self._saved_states():
            for removed in set(state.positions) - set(self._ledgers):
                del state.positions[removed]
            for sink in self._ledgers:
                state.positions.setdefault(sink, self._first_position(state))
            self._follow(state).make_dormant(dormant=self._is_in_reach(state))

    def _is_in_reach(self, state: FileState) -> bool:
        """Return True if a glob looks into the directory of a saved path. Give the generation the input of its path.

        The saved state is a hint: it can name no other file, and no other input's redaction. A generation that is out
        of reach is neither dormant nor open, so that the next scan counts its bytes as lost.
        """
        if self._volumes.is_below_a_link_root(state.path):
            return True  # `_find_dormant` compares its directory with those of the listed files
        names = discovery.inputs_of(state.path, self._inputs)
        if not names:
            message = "a saved path is in no directory of the globs, and is not looked at"
            log.warning(message, code="saved-path-outside-globs", file=state.path)
        elif state.input not in names:
            self.tails[state.generation].assign(names[0], self._rules[names[0]])
        return bool(names)

    def _is_no_candidate(self, found: FoundFile) -> bool:
        """Return True for a file that is followed, or that no listing has found and each input leaves out."""
        is_followed = found.key in self._by_key
        if is_followed or found.input or self._volumes.is_below_a_link_root(found.path):
            return is_followed
        return not discovery.inputs_of(found.path, self._inputs)

    @property
    def is_fresh(self) -> bool:
        """True if no state was saved before: START_AT applies to the files that exist."""
        return self._store.is_fresh

    def start(self) -> None:
        """Load the state and make the first scan."""
        self.load_state()
        steps.run(self.scan_steps(first=self.is_fresh))

    def _first_position(self, state: FileState) -> Fingerprint:
        """Return where a new sink begins in a known file."""
        at_end = self._input(state.input).start_at == "end"
        return Fingerprint(state.size, 0, "") if at_end else START

    def _find_dormant(self, listing: Mapping[FileKey, FoundFile]) -> Iterator[None]:
        """Look for the files of the dormant tails. One stays dormant as long as its directory cannot be read."""
        list_directory, since = cache(rotated_file_matching.list_directory), self._clock()
        dormant = [tail for tail in self.tails.values() if tail.dormant]
        for tail in sorted(dormant, key=lambda tail: not tail.state.prefix.length):  # content first: it proves more
            yield
            if self._clock() > since + _STALE:  # other work was done during the yield
                list_directory, since = cache(rotated_file_matching.list_directory), self._clock()
            folder = self._volumes.real_folder(tail.state.path)
            tail.make_dormant(dormant=self.access.is_refused(folder) or not self._volumes.is_readable(folder))
            candidates = rotated_file_matching.candidates(tail.state, listing, self._volumes, list_directory)
            try:
                match = rotated_file_matching.find(tail.state, candidates, self._is_no_candidate, self.access)
            except OSError:
                tail.make_dormant()
                continue
            if match:
                self._attach(tail, *match)
                self.trim_open_files()

    # -- scans ---------------------------------------------------------------------------------------------------------

    def needs_scan(self) -> bool:
        """Return False if a poll is enough, because no name in the directories can have changed.

        One call in ten returns True in any case: see `DirectoryTimes`.
        """
        unreachable = any(not tail.reachable for tail in self.tails.values())
        return bool(self.access.needs_scan or self._copies or unreachable) or self._directory_times.may_have_changed()

    def look(self, *, changed: bool) -> bool:
        """Scan, or poll if that is enough and nothing is known to have `changed`. Return True if there may be news."""
        if changed or self.needs_scan():
            self.scan()
            return True
        return self.poll()

    def scan(self) -> None:
        """Scan in one go."""
        steps.run(self.scan_steps(first=False))

    def scan_steps(self, *, first: bool) -> Generator[None, None, None]:
        """Scan, step by step. `first`: True if START_AT applies to new files."""
        listing = yield from self.scan_known()
        yield from self.scan_new(listing, first=first)

    def scan_known(self) -> Generator[None, None, Listing]:
        """Do the first half of a scan: list the files, poll the followed ones, and find those of dormant tails."""
        self.access.begin_scan()
        self._volumes.refresh(self.access.refused)
        listing = Listing(self._inputs, self._volumes, self.access.refused, self._by_key.keys())
        yield from listing.steps()
        self.access.note_left_out(listing.left_out)
        self._leave_own_files(listing.files)
        # After the listing: a copy that is listed was made before a truncation that is noticed now.
        yield from self.poll_steps()
        yield from self._find_dormant(listing.files)
        return listing

    def scan_new(self, listing: Listing, *, first: bool) -> Generator[None, None, None]:
        """Do the second half of a scan: follow new files, and close those that are over."""
        files = listing.files
        yield from self._follow_new(files, first=first)
        self._forget_empty_files(listing.left_out_with_content)
        for gone in [key for key in self._ignored if key not in files]:
            del self._ignored[gone]
        self._copies.forget_all_but(files)
        for count, tail in enumerate(list(self.tails.values())):
            if count % _AT_ONCE == 0:
                yield
            if tail.state.generation in self.tails:
                self._close_if_over(tail, files)
        self.trim_open_files()
        self.access.end_scan()
        followed = {tail.folder for tail in self.tails.values() if tail.folder}
        self.folders = followed | listing.folders | discovery.watch_roots(self._inputs)

    def _follow_new(self, files: Mapping[FileKey, FoundFile], *, first: bool) -> Generator[None, None, None]:
        heads: HeadIndex | None = None
        for count, (key, found) in enumerate(files.items()):
            tail = self._by_key.get(key)
            if tail is None:
                heads = heads or (yield from HeadIndex.of(list(self.tails.values())))
                self._consider(found, heads, at_end=first and self._inputs[found.input].start_at == "end")
                yield
            elif tail.state.path != found.path:
                tail.move(found.path, key, self._folder_of(found.path))
                self._store.record_file(tail.state)
            if count % _AT_ONCE == 0:
                yield

    def finish(self) -> None:
        """Make the final scan in one go."""
        steps.run(self.final_scan_steps())

    def final_scan_steps(self) -> Generator[None, None, None]:
        """Make the final scan: no more writes are expected, and unfinished last lines are shipped as they are."""
        self._copies.finish()
        yield from self.scan_steps(first=False)
        for tail in self.tails.values():
            tail.end_input(Ending.PAUSE)
        self._has_news = True

    def warn_about_missing(self, listing: Listing) -> None:
        """Warn, if no state was saved before, about logs of which a rotated file is missing."""
        at_beginning = {name for name, one in self._inputs.items() if one.start_at == "beginning"}
        if self.is_fresh:
            self.missing = listing.missing(at_beginning)
        for path, gone in self.missing.items():
            log.warning(
                "the log was rotated before the first look, and an earlier file is not there: "
                "its lines are not shipped; let the app start after logshipper is ready",
                code="rotated-before-first-look",
                file=path,
                missing=gone,
            )

    def unreadable_inputs(self) -> dict[str, str]:
        """Return the inputs that have files of which none can be read, each with the reason."""
        inputs = {}
        for name in self._inputs:
            refused = self.access.refusals(name)
            if refused and not any(tail.reachable and tail.state.input == name for tail in self.tails.values()):
                path, error = next(iter(refused.items()))
                more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
                inputs[name] = self.access.why(path, error) + more
        return inputs

    # -- new files -----------------------------------------------------------------------------------------------------

    def _consider(self, found: FoundFile, heads: HeadIndex, *, at_end: bool) -> None:
        """Follow a file if it is new, and neither compressed nor a copy that is still being written."""
        if self._ignored.get(found.key) == found.path or (not found.size and found.path.endswith(_COMPRESSED)):
            return
        descriptor = self.access.open_if(found, partial(self._is_new, found, heads))
        if descriptor is not None:
            heads.add(self._begin(found, descriptor, at_end=at_end))
        self.trim_open_files()

    def _is_new(self, found: FoundFile, heads: HeadIndex, read_at: fingerprint.ReadAt) -> bool:
        if fingerprint.is_compressed(read_at(0, 8)):
            log.info("a compressed file is not read", file=found.path)
            self._ignored[found.key] = found.path
            return False
        if self._is_unfinished_copy(found, heads, read_at):
            log.debug("a file is held back: it may be a copy that is still being written", file=found.path)
            return False
        return found.key not in self._by_key  # a poll of another file may have shown that this one is its copy

    def _is_unfinished_copy(self, found: FoundFile, heads: HeadIndex, read_at: fingerprint.ReadAt) -> bool:
        for generation in heads.originals(found, read_at, self._beginning):
            tail = self.tails.get(generation)
            if tail is None:
                continue
            self._poll_one(tail)  # it may have been truncated since: then its generation continues in this very file
            if found.key in self._by_key:
                return True
            if not self.ensure_open(tail):
                continue
            if fingerprint.equals_beginning_of(found.size, read_at, tail.state.size, tail.read_at):
                return self._copies.hold_back(found)
        return False

    def _beginning(self, generation: str) -> bytes:
        """Return the first bytes of a followed file, to tell it from others that have the same head."""
        tail = self.tails.get(generation)
        if tail is None:
            return b""
        if tail.needs_beginning and self.ensure_open(tail):
            tail.read_beginning()
            self.trim_open_files()
        return tail.beginning

    # -- files that are over -------------------------------------------------------------------------------------------

    def _close_if_over(self, tail: Tail, files: Mapping[FileKey, FoundFile]) -> None:
        if tail.dormant:
            return
        if not tail.reachable:
            self._give_up(tail)
        elif self._is_out_of_place(tail, files) and self._clock() - tail.quiet_since >= self._rotated.wait:
            self._has_news = tail.end_input(Ending.OVER) or self._has_news
            if tail.key in files or self._is_still_there(tail):
                if self._rotated.delete and tail.settled():
                    self._delete(tail)
                return
            if not any(tail.has_event_for(sink) or tail.in_flight(sink) for sink in self._ledgers):
                self._give_up(tail)
        if tail.state.generation in self.tails and tail.settled() and not tail.reachable:
            self._forget(tail)

    def _is_out_of_place(self, tail: Tail, files: Mapping[FileKey, FoundFile]) -> bool:
        """Return True if the file was renamed, or is gone. A listing without it proves nothing: it may have failed."""
        # A loss of power can undo a rotation: then the rotated file is a log again.
        return tail.is_renamed or (tail.key not in files and not self._is_still_there(tail))

    def _is_still_there(self, tail: Tail) -> bool:
        """Return True if the file is where it was, although the globs did not find it."""
        try:
            status = self._volumes.status(tail.state.path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return file_key(status) == tail.key

    def _delete(self, tail: Tail) -> None:
        """Delete a rotated file that every sink has. The tail stays for ROTATE_WAIT, as for any deleted file."""
        state = tail.state
        try:
            deleted = rotated_file_deletion.delete(self._volumes, state.path, tail.key, state.generation)
        except OSError as error:
            self.access.refused(state.path, error)
            return
        if deleted:
            tail.restart_quiet(self._clock())
            log.info("deleted a rotated file that every sink has", file=state.first_path, path=state.path)

    def _give_up(self, tail: Tail) -> None:
        """Count the rest of a file that is out of reach as dropped, for each sink that has no chunk of it in flight."""
        state = tail.state
        for sink in self._ledgers:
            if not tail.in_flight(sink) and (count := tail.give_up_rest(sink)):
                where = {"file": state.first_path, "generation": state.generation, "sink": sink}
                log.warning("bytes were lost", code="bytes-lost", **where, bytes=count)
        if tail.reachable and tail.settled():
            self._close(tail)
