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
| deleted files that are held open take more disk than MAX_HELD | gives up the oldest of them, with a warning |
| the process starts | finds the files of the saved state again, wherever they are now |
| a file is not found where it was, or after a start | looks for it; after ROTATE_WAIT its unshipped bytes are lost |

A sink that is down keeps each file open until it has all of it.

A scan is a generator. Between its steps lines are shipped and probes are answered, so that a very large number of files
delays nothing. So a step does not rely on the state that an earlier step has seen.

`rotated_file_matching` decides whether a found file is known. `delivery.sink_queue` decides which file a sink reads
next.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping

from sidecars.chassis.runtime import logs
from sidecars.logshipper.input import discovery
from sidecars.logshipper.input.compressed.copies import CompressedCopies
from sidecars.logshipper.input.discovery import DirectoryTimes, FoundFile, Listing
from sidecars.logshipper.input.followed_files import Inputs
from sidecars.logshipper.input.rotation import rotated_file_deletion
from sidecars.logshipper.input.rotation.dormant_search import DormantSearch
from sidecars.logshipper.input.rotation.rotated_file_deletion import RotatedFilePolicy
from sidecars.logshipper.input.tail import Tail
from sidecars.logshipper.model import steps
from sidecars.logshipper.model.file_key import FileKey, file_key
from sidecars.logshipper.model.ledger import GIVEN_UP, Ledger
from sidecars.logshipper.model.line_cutting import Ending
from sidecars.logshipper.state.file_state import FileState
from sidecars.logshipper.state.store import Store

log = logs.get("follow")

_AT_ONCE = 500  # files that a step looks at: a few milliseconds


class Follower(CompressedCopies):
    """All files that are followed, for all inputs. Owned by the app, called by `ScanLoop` and each `SinkQueue`."""

    def __init__(
        self,
        inputs: Inputs,
        rotated: RotatedFilePolicy,
        store: Store,
        ledgers: Mapping[str, Ledger],
        clock: Callable[[], float],
    ) -> None:
        super().__init__(inputs, store, ledgers, clock, rotated.wait)
        self._rotated = rotated
        self._search = DormantSearch(
            self.access, self._volumes, self._missed, clock, self._is_no_candidate, self._attach_found, self._begin_anew
        )
        self.folders: set[str] = set()  # to be watched: those of the followed files, and those of new files
        self.missing: dict[str, str] = {}  # log -> a rotated file of it that was missing at the first scan
        self._directory_times = DirectoryTimes(inputs.settings)

    # -- start ---------------------------------------------------------------------------------------------------------

    def load_state(self) -> None:
        """Follow the generations of the saved state. All are dormant until the first scan."""
        for state in self._saved_states():
            in_reach = self._is_in_reach(state)
            self._route(state)
            self._follow(state).make_dormant(dormant=in_reach)

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
            state.input = names[0]
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

    def find_missed(self) -> Generator[None, None, None]:
        """Look once more for the files that the last scan has missed."""
        yield from self._find_dormant(None)

    def misses_sent(self) -> bool:
        """Return True if a batch that was in flight when an earlier process ended has lines of a missed file."""
        batches = (batch for sink in self._store.state.sinks.values() for batch in sink.sending)
        return any(one.generation in self._missed for batch in batches for one in batch.ranges)

    def _find_dormant(self, listing: Mapping[FileKey, FoundFile] | None) -> Generator[None, None, None]:
        """Look for the files of the dormant tails. One whose directory cannot be read is not missed by the scan."""
        yield from self._search.steps([tail for tail in self.tails.values() if tail.dormant], listing)

    def _attach_found(self, tail: Tail, found: FoundFile, descriptor: int) -> None:
        self._attach(tail, found, descriptor)
        self.trim_open_files()

    # -- scans ---------------------------------------------------------------------------------------------------------

    def needs_scan(self) -> bool:
        """Return False if a poll is enough, because no name in the directories can have changed.

        One call in ten returns True in any case: see `DirectoryTimes`.
        """
        awaited = self.awaits_scan or any(not tail.reachable for tail in self.tails.values())
        return awaited or self.access.needs_scan or self._directory_times.may_have_changed()

    def look(self, *, changed: bool) -> bool:
        """Scan, or poll if that is enough and nothing is known to have `changed`. Return True if there may be news."""
        if changed or self.needs_scan():
            self.scan()
            return True
        return self.poll()

    def poll(self) -> bool:
        """Look at the followed files in one go. Return True if there may be something new to read."""
        before, self._has_news = self._has_news, False
        steps.run(self.poll_steps(self.open_files.some_parked()))
        news, self._has_news = self._has_news, self._has_news or before
        return news

    def scan(self) -> None:
        """Scan in one go, and inspect compressed files to the end."""
        steps.run(self.scan_steps(first=False))
        while self.has_compressed_work():
            steps.run(self.compressed_steps())

    def scan_steps(self, *, first: bool) -> Generator[None, None, None]:
        """Scan, step by step. `first`: True if START_AT applies to new files."""
        listing = yield from self.scan_known()
        yield from self.scan_new(listing, first=first)

    def scan_known(self) -> Generator[None, None, Listing]:
        """Do the first half of a scan: list the files, poll the followed ones, and find those of dormant tails."""
        self.access.begin_scan()
        self._volumes.refresh(self.access.refused)
        dormant = {tail.key: tail for tail in self.tails.values() if tail.dormant}
        listing = Listing(self._inputs, self._volumes, self.access.refused, self._by_key, dormant)
        yield from listing.steps()
        self.access.note_left_out(listing.left_out)
        self._leave_own_files(listing.files)
        self._note_listing(listing.files)
        # After the listing: a copy that is listed was made before a truncation that is noticed now.
        parked = self.open_files.parked()
        yield from self.poll_steps((yield from steps.select(parked, lambda one: not one.is_as_listed(listing.files))))
        yield from self._find_dormant(listing.files)
        return listing

    def scan_new(self, listing: Listing, *, first: bool) -> Generator[None, None, None]:
        """Do the second half of a scan: follow new files, and close those that are over."""
        files = listing.files
        yield from self._follow_new(files, first=first)
        self._forget_empty_files(listing.left_out_with_content)
        for count, tail in enumerate(list(self.tails.values())):
            if count % _AT_ONCE == 0:
                yield
            if tail.state.generation in self.tails:
                self._close_if_over(tail, files)
        self._continue_in_copies()
        self._give_up_held()
        self.trim_open_files()
        self.open_files.count()
        self.access.end_scan()
        followed = {tail.folder for tail in self.tails.values() if tail.folder}
        self.folders = followed | listing.folders | discovery.watch_roots(self._inputs)
        self._directory_times.expect(listing.folders, len(files))

    def finish(self) -> None:
        """Make the final scan in one go."""
        steps.run(self.final_scan_steps())

    def final_scan_steps(self) -> Generator[None, None, None]:
        """Make the final scan: no more writes are expected, and unfinished last lines are shipped as they are."""
        self._copies.finish()
        yield from self.scan_steps(first=False)
        yield from self.finish_compressed()
        if any(tail.dormant for tail in self.tails.values()):
            yield from self.scan_steps(first=False)  # it may be where it was not listed yet
            yield from self.finish_compressed()
        self._search.warn_about_missed(self.tails.values())
        for tail in self.tails.values():
            tail.end_input(Ending.PAUSE)
        self._has_news = True

    def warn_about_missing(self, listing: Listing) -> Generator[None, None, None]:
        """Warn, if no state was saved before, about logs of which a rotated file is missing."""
        at_beginning = {name for name, one in self._inputs.items() if one.start_at == "beginning"}
        if self.is_fresh:
            self.missing = yield from listing.missing(at_beginning)
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

    # -- files that are over -------------------------------------------------------------------------------------------

    def _leave_own_files(self, files: Mapping[FileKey, FoundFile]) -> None:
        """Close each followed file that has become one of ours: it was moved to where we write."""
        is_moved = not self._by_key.keys() <= files.keys()
        for key in (self._volumes.own_files.keys() & self._by_key.keys()) - files.keys() if is_moved else ():
            tail = self._by_key[key]
            log.error(
                "a log file has become a file of logshipper itself, and is left",
                code="own-file-among-logs",
                file=tail.state.path,
            )
            self._close(tail)  # its bytes are counted as lost by this scan

    def _forget_empty_files(self, wanted: int) -> None:
        """Forget up to `wanted` files that have no content, so that the next scan has room for those that have some."""
        tails = self.tails.values() if wanted else ()
        empty = [tail for tail in tails if tail.reachable and not tail.state.size]
        for tail in empty[:wanted]:
            self._close(tail)
            self._forget(tail)

    def _close_if_over(self, tail: Tail, files: Mapping[FileKey, FoundFile]) -> None:
        if self._is_searched(tail):
            return
        tail.note_listed(self._clock(), is_listed=tail.key in files)
        is_over = tail.reachable and self._has_ended(tail, files)
        self._has_news |= is_over and tail.end_input(Ending.OVER)
        if self._continues_in_copy(tail):
            return
        if not tail.reachable:
            self._give_up(tail)
        elif is_over:
            if tail.key in files or self._is_still_there(tail):
                if self._rotated.delete and tail.is_renamed and tail.settled():
                    self._delete(tail)
                return
            if tail.may_come_back(self._clock() - self._rotated.wait):
                return
            if not any(tail.has_event_for(sink) or tail.in_flight(sink) for sink in tail.sinks):
                self._give_up(tail)
        if tail.state.generation in self.tails and tail.settled() and not tail.reachable:
            self._forget(tail)

    def _is_searched(self, tail: Tail) -> bool:
        """Return True if each scan looks for the file. End that if it is gone and no compressed copy is awaited."""
        is_gone = self._missed.is_gone(tail.state.generation, self._clock())
        if is_gone and not self._is_newly_dormant(tail) and not self._awaits_copy(tail):
            self._missed.forget(tail.state.generation)
            tail.make_dormant(dormant=False)
        return tail.dormant

    def _has_ended(self, tail: Tail, files: Mapping[FileKey, FoundFile]) -> bool:
        """Return True if the file was quiet for ROTATE_WAIT, and is rotated or gone. A listing may have missed it."""
        is_quiet = self._clock() - tail.quiet_since >= self._rotated.wait
        return is_quiet and (tail.is_rotated or (tail.key not in files and not self._is_still_there(tail)))

    def _is_still_there(self, tail: Tail) -> bool:
        """Return True if the file is where it was, although the globs did not find it."""
        try:
            return file_key(self._volumes.status(tail.state.path)) == tail.key
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True

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
        for sink in tail.sinks:
            if not tail.in_flight(sink) and (count := tail.give_up_rest(sink)):
                log.warning("bytes were lost", code="bytes-lost", **_names(tail, sink), bytes=count)
        if tail.reachable and tail.settled():
            self._close(tail)

    def _give_up_held(self) -> None:
        """Give up the oldest deleted files that are held open, as long as they take more disk than MAX_HELD."""
        most = self._rotated.max_held
        if most is None or self.open_files.held_deleted() <= most:
            return
        for tail in self.open_files.held_beyond(most):
            for sink in tail.sinks:
                if not tail.in_flight(sink) and (count := tail.give_up(sink, 0, GIVEN_UP)):
                    log.warning(
                        "a deleted file was held open for a sink, and is given up: MAX_HELD is reached",
                        code="held-file-given-up",
                        **_names(tail, sink),
                        bytes=count,
                    )
            if tail.settled():
                self._close(tail)
                self._forget(tail)


def _names(tail: Tail, sink: str) -> dict[str, str]:
    return {"file": tail.state.first_path, "generation": tail.state.generation, "sink": sink}
