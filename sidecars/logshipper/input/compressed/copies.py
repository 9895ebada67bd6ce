"""Compressed copies: the decision on a compressed file that a scan has found, with COMPRESSED=auto.

| the file | then |
|---|---|
| is the copy of a generation, and the original is still there, or open and not read to its end | the original is read |
| is the copy of a generation, and the original is gone | the generation continues in it, at its positions |
| is none of a known generation | it is a new generation, and is read once |
| ends too early | it is looked at again when it has changed; after _REST it is taken for what it has |
| is damaged, or grows out of all proportion | it is refused, with a warning |

A generation whose original is gone is neither given up nor forgotten while a file beside it may be its copy. It
continues in its copy even if every sink has all of it: so it is known, also after a restart, that the copy was read.

Files are inspected one after another, in steps of about half a millisecond.
The reader of compressed files is loaded at the start if an input has COMPRESSED=auto: later no descriptor may be left.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING

from sidecars.chassis.runtime import logs
from sidecars.logshipper.input import discovery
from sidecars.logshipper.input.compressed.unlisted import Unlisted
from sidecars.logshipper.input.discovery import FoundFile, Version
from sidecars.logshipper.input.followed_files import Inputs, new_generation
from sidecars.logshipper.input.new_files import NewFiles
from sidecars.logshipper.input.tail import HEAD, Tail
from sidecars.logshipper.input.tail_states import Content
from sidecars.logshipper.model.file_key import FileKey
from sidecars.logshipper.model.fingerprint import ReadAt, position_fingerprint, prefix_fingerprint
from sidecars.logshipper.model.ledger import Ledger
from sidecars.logshipper.model.times.event_times import FileTimes
from sidecars.logshipper.state.file_state import FileState
from sidecars.logshipper.state.store import Store

if TYPE_CHECKING:
    from sidecars.logshipper.input.compressed.inspection import Inspection

log = logs.get("compressed")

_SUFFIXES = (".gz", ".zst")
_REST = 60.0  # seconds without a change after which an unfinished file is taken for what it has
_STEPS_AT_ONCE = 128  # of an inspection: 32 MiB of text


class CompressedCopies(NewFiles):
    """Base of `Follower`: follows compressed files."""

    def __init__(
        self,
        inputs: Inputs,
        store: Store,
        ledgers: Mapping[str, Ledger],
        clock: Callable[[], float],
        rotate_wait: float,
    ) -> None:
        super().__init__(inputs, store, ledgers, clock, rotate_wait)
        self._reads_compressed = any(one.compressed == "auto" for one in inputs.settings.values())
        if self._reads_compressed:
            from sidecars.logshipper.input.compressed import content, decompression, inspection  # noqa: F401, PLC0415 - see above

            self._kind_of = decompression.kind_of
        self._undecided: dict[FileKey, tuple[FoundFile, bool]] = {}  # to be inspected; True: START_AT=end applies
        self._unfinished: dict[FileKey, tuple[Version, float]] = {}  # those that ended too early, and since when
        self._refused: dict[FileKey, Version] = {}
        self._known_copies: dict[FileKey, tuple[FoundFile, str, Inspection]] = {}  # with the generation
        self._unlisted = Unlisted(rotate_wait)
        self._were_dormant: set[str] = set()  # generations, at the last listing
        self._names: dict[str, list[str]] = {}  # directory -> names of compressed files that may be copies
        self._inspecting: Generator[None, None, None] | None = None
        self._reading: dict[str, Tail] = {}  # generations that are read from compressed files

    # -- what a scan finds ---------------------------------------------------------------------------------------------

    def _note_listing(self, files: Mapping[FileKey, FoundFile]) -> None:
        """Note which listed files may be compressed copies."""
        if not self._reads_compressed:
            return
        self._names = {}
        self._were_dormant = {tail.state.generation for tail in self.tails.values() if tail.dormant}
        for key, found in files.items():
            if key in self._undecided:
                self._undecided[key] = (found, self._undecided[key][1])
            elif key in self._known_copies:
                self._known_copies[key] = (found, *self._known_copies[key][1:])
            if (key in self._undecided or found.path.endswith(_SUFFIXES)) and self._may_be_a_copy(found):
                self._note_name(found)
        self._keep_unlisted(files)

    def _note_name(self, found: FoundFile) -> None:
        folder, name = os.path.split(found.path)
        self._names.setdefault(self._folder_of(f"{folder}/{name}"), []).append(name)

    def _keep_unlisted(self, files: Mapping[FileKey, FoundFile]) -> None:
        for found in [self._undecided[key][0] for key in self._undecided if key not in files]:
            self._note_name(found)
        tables = (self._undecided, self._known_copies, self._unfinished, self._refused)
        for gone in self._unlisted.note([key for table in tables for key in table], files, self._clock()):
            for table in tables:
                table.pop(gone, None)

    def _may_be_a_copy(self, found: FoundFile) -> bool:
        tail = self._by_key.get(found.key)  # if it is closed, its inode may be another file's by now
        is_followed = tail is not None and (tail.descriptor is not None or tail.is_as_found(found))
        decided = is_followed or found.key in self._known_copies
        return found.size > 0 and not decided and self._refused.get(found.key) != found.version

    def _awaits_copy(self, tail: Tail) -> bool:
        """Return True if a file that was not inspected yet may be the compressed copy of a generation."""
        stem = discovery.stem(tail.state.first_path)
        names = self._names.get(tail.folder or self._folder_of(tail.state.path), ()) if self._names else ()
        return any(name.startswith(stem) for name in names)

    def _is_newly_dormant(self, tail: Tail) -> bool:
        """Return True if the last listing may be older than the end of the original: the next one may show a copy."""
        return tail.is_summed and tail.state.generation not in self._were_dormant

    def _take_compressed(self, found: FoundFile, read_at: ReadAt, *, at_end: bool) -> None:
        if self._input(found.input).compressed != "auto" or not self._kind_of(read_at(0, 4)):
            super()._take_compressed(found, read_at, at_end=at_end)
        elif self._may_be_a_copy(found):
            self._undecided[found.key] = (found, at_end)

    def _is_in_hand(self, found: FoundFile) -> bool:
        return found.key in self._undecided or found.key in self._known_copies or super()._is_in_hand(found)

    # -- the work ------------------------------------------------------------------------------------------------------

    def has_compressed_work(self) -> bool:
        """Return True if `compressed_steps` has something to do now."""
        wanted = any(one.wanted is not None for tail in self._reading.values() if (one := tail.compressed))
        due = any(self._is_due(found) for found, _ in self._undecided.values())
        return wanted or due or self._inspecting is not None

    def compressed_steps(self, most: int = _STEPS_AT_ONCE) -> Generator[None, None, None]:
        """Go on with the ways to wanted offsets, and up to `most` steps with the inspection of files."""
        for tail in list(self._reading.values()):
            yield from self._seek(tail)
        for _ in range(most):
            if self._inspecting is None:
                due = next((one for one in self._undecided.values() if self._is_due(one[0])), None)
                if due is None:
                    return
                self._inspecting = self._inspect(*due)
            if next(self._inspecting, self) is self:
                self._inspecting = None
            yield

    def finish_compressed(self) -> Generator[None, None, None]:
        """Inspect all, and let all be read without waiting: no more is expected."""
        while self.has_compressed_work():
            yield from self.compressed_steps()
        for one in [tail.compressed for tail in self._reading.values() if tail.compressed]:
            one.is_hurried = True

    def _is_due(self, found: FoundFile) -> bool:
        if found.key in self._unlisted:
            return False
        version, since = self._unfinished.get(found.key, ((-1, -1), 0.0))
        return version != found.version or self._clock() >= since + _REST

    def _seek(self, tail: Tail) -> Generator[None, None, None]:
        from sidecars.logshipper.input.compressed.content import CompressedContent  # noqa: PLC0415 - see above

        if tail.compressed is None or (wanted := tail.compressed.wanted) is None:
            return
        try:
            if self.ensure_open(tail) and isinstance(tail.content, CompressedContent):
                yield from tail.content.seek(wanted)
        except OSError as error:
            self.handle_read_error(tail, error)
        tail.reached()
        self._has_news = True

    def _content_of(self, tail: Tail, descriptor: int) -> Content | None:
        if tail.compressed is None:
            return None
        from sidecars.logshipper.input.compressed.content import CompressedContent  # noqa: PLC0415 - see above

        return CompressedContent(descriptor, tail.length)

    # -- decisions -----------------------------------------------------------------------------------------------------

    def _inspect(self, found: FoundFile, at_end: bool) -> Generator[None, None, None]:  # noqa: FBT001 - as it is kept
        from sidecars.logshipper.input.compressed.decompression import Bomb, Damaged  # noqa: PLC0415 - see above
        from sidecars.logshipper.input.compressed.inspection import inspect  # noqa: PLC0415 - see above

        descriptor = self.access.open_if(found, lambda _read_at: True)
        if descriptor is None:
            self._unlisted.add(found.key, self._clock())  # the next scan lists it under another name, or not
            return
        keeps = False
        try:
            stem = os.path.basename(found.path)  # noqa: PTH119 - paths are text
            beside = [
                tail.state for tail in self.tails.values() if stem.startswith(discovery.stem(tail.state.first_path))
            ]
            inspection = yield from inspect(descriptor, found.size, beside)
            status = os.fstat(descriptor)
            if found.key not in self._undecided or (status.st_size, status.st_mtime_ns) != found.version:
                return  # it has changed, or has gone: the next scan finds out
            found = self._undecided[found.key][0]  # it may have another name by now
            if inspection.is_whole or self._has_rested(found):
                keeps = self._decide(found, inspection, descriptor, at_end=at_end)
        except (Damaged, Bomb) as error:
            reason = "it is damaged" if isinstance(error, Damaged) else "its text is more than 1,000 times larger"
            self._refuse(found, reason)
        except OSError as error:
            self._undecided.pop(found.key, None)
            self.access.refused(found.path, error, found.input)
        finally:
            if not keeps:
                os.close(descriptor)

    def _has_rested(self, found: FoundFile) -> bool:
        """Return True if an unfinished file has not changed for _REST."""
        now = self._clock()
        version, since = self._unfinished.get(found.key, (found.version, now))
        if version != found.version:
            version, since = found.version, now
        self._unfinished[found.key] = (version, since)
        if now < since + _REST:
            return False
        log.warning(
            "a compressed file ends too early; what it has is read", code="compressed-file-cut", file=found.path
        )
        return True

    def _refuse(self, found: FoundFile, reason: str) -> None:
        self._undecided.pop(found.key, None)
        self._refused[found.key] = found.version
        log.warning("a compressed file is not read", code="compressed-file-refused", file=found.path, reason=reason)

    def _decide(self, found: FoundFile, inspection: Inspection, descriptor: int, *, at_end: bool) -> bool:
        """Decide what the file is. Return True if its descriptor is kept."""
        del self._undecided[found.key]
        self._unfinished.pop(found.key, None)
        if found.key in self._by_key:
            return False
        if not inspection.length:
            self._refused[found.key] = found.version
            return False
        if inspection.generation:
            self._known_copies[found.key] = (found, inspection.generation, inspection)
            return self._continue_in(found.key, descriptor)
        self._begin_compressed(found, inspection, descriptor, at_end=at_end)
        return True

    def _begin_compressed(self, found: FoundFile, inspection: Inspection, descriptor: int, *, at_end: bool) -> None:
        """Follow the file as a new generation."""
        state = FileState(new_generation(), found.path, found.path, found.input, *found.key)
        status = os.fstat(descriptor)
        if self._rules[self._input(found.input).name].timed:
            state.times = FileTimes(inspection.length, found.modified)
        state.prefix = prefix_fingerprint(inspection.first)
        state.crc, state.crc_length = inspection.crc, inspection.length
        is_old = self._is_old(found)
        end = position_fingerprint(inspection.length, inspection.last)
        if at_end or is_old:
            state.size, state.seen = inspection.length, end
            self._set_all_positions(state, end)
        self._store.add_file(state)
        tail = self._follow(state)
        self._attach_compressed(tail, found, inspection, descriptor, status)
        if is_old:
            tail.ignore_all()
        log.info("following a compressed file", file=found.path, generation=state.generation)

    def _continue_in_copies(self) -> None:
        """Let each generation whose original is gone continue in its copy."""
        for key, (found, generation, _) in list(self._known_copies.items()):
            if generation not in self.tails:
                del self._known_copies[key]
                self._undecided[key] = (found, False)
            elif self._may_continue_in(self.tails[generation]):
                self._open_copy(key)

    def _continues_in_copy(self, tail: Tail) -> bool:
        """Return True if the generation, whose original is gone, has or may have a compressed copy."""
        if not self._reads_compressed or (tail.reachable and not tail.is_pinned):
            return False
        if self._awaits_copy(tail):
            return True
        mine = [key for key, (_, generation, _) in self._known_copies.items() if generation == tail.state.generation]
        if self._may_continue_in(tail):
            any(map(self._open_copy, mine))
        return bool(mine)  # one that cannot be opened may have been renamed

    def _may_continue_in(self, tail: Tail) -> bool:
        return not tail.reachable or (tail.is_pinned and tail.settled())

    def _open_copy(self, key: FileKey) -> bool:
        descriptor, keeps = self.access.open_if(self._known_copies[key][0], lambda _read_at: True), False
        if descriptor is None:
            return False
        with contextlib.suppress(OSError):
            keeps = self._continue_in(key, descriptor)
        if not keeps:
            os.close(descriptor)
        return keeps

    def _continue_in(self, key: FileKey, descriptor: int) -> bool:
        """Let the generation continue in its copy if its original is gone. Return True if the descriptor is kept."""
        found, generation, inspection = self._known_copies[key]
        tail, status = self.tails.get(generation), os.fstat(descriptor)
        if tail is None or (tail.compressed is not None and tail.reachable) or key in self._by_key:
            return False
        tail.pin()
        if not self._may_continue_in(tail):
            return False
        if self._by_key.get(tail.key) is tail:
            del self._by_key[tail.key]
        self.open_files.forget(tail)
        self._attach_compressed(tail, found, inspection, descriptor, status)
        log.info("a file continues in its compressed copy", file=tail.state.first_path, copy=found.path)
        return True

    def _attach_compressed(
        self, tail: Tail, found: FoundFile, inspection: Inspection, descriptor: int, status: os.stat_result
    ) -> None:
        from sidecars.logshipper.input.compressed.content import CompressedContent  # noqa: PLC0415 - see above

        now = self._clock()
        tail.move(found.path, found.key, self._folder_of(found.path))
        self._by_key[found.key] = tail
        self._known_copies.pop(found.key, None)
        tail.attach_compressed(
            descriptor, CompressedContent(descriptor, inspection.length), inspection.first[:HEAD], status
        )
        self.open_files.use(tail)
        tail.grow_in_copy(inspection.length, inspection.last, now)
        self._store.record_file(tail.state)
        if tail.settled():
            self.open_files.park(tail)
        else:
            self.unsettled[tail.state.generation] = tail
            self._reading[tail.state.generation] = tail
            self._has_news = self.has_grown = True
            self.last_growth = now
            self.trim_open_files()

    def note_settled(self, tail: Tail) -> None:
        super().note_settled(tail)
        if tail.state.generation in self._reading and tail.settled():
            del self._reading[tail.state.generation]
            self.open_files.park(tail)  # it is not read again
