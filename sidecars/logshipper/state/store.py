"""The store: the state in memory, and the state directory with one writer, a snapshot and a journal.

`checkpoint` explains the two files. A snapshot names the first journal that continues it. A new journal is begun before
the snapshot is written. So whichever snapshot a later process finds, the journals from its number on are complete.

| situation | the next process loads |
|---|---|
| killed before the snapshot was renamed | the old snapshot, then the old and the new journal |
| killed after that | the new snapshot, then the new journal |
| the disk is full | the last snapshot and what the journal has; `problem` says so, and shipping continues |

All names are looked up beneath the descriptor of the directory, and no link is followed. A file that is no regular
file, has a second name or belongs to another user is not ours, and is neither read nor written.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from sidecars.chassis.isolation.beneath import LeavesRoot, NotOurFile, Root
from sidecars.chassis.runtime import descriptors, logs
from sidecars.chassis.runtime.blocking_thread import BlockingThread
from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.logshipper.model.fingerprint import Fingerprint
from sidecars.logshipper.state import checkpoint, snapshot_file
from sidecars.logshipper.state.checkpoint import JournalEntry, SinkState, State
from sidecars.logshipper.state.file_state import TELLS_FILES_APART, FileState
from sidecars.logshipper.state.sent_batches import SentBatch
from sidecars.logshipper.state.snapshot_file import SNAPSHOT, SnapshotFile
from sidecars.logshipper.volumes import configured_paths

log = logs.get("state")

_LOCK = "lock"
_MOST_JOURNALS = 1000  # after the one of the snapshot: a name with a far higher number is not of ours
_LARGEST_SNAPSHOT = 64 * 1024 * 1024  # bytes; 20,000 files take about 12 MiB
_LONGEST_ENTRY = 16 * 1024 * 1024  # bytes of a line of a journal


class Store:
    """The state of this process, and its copy on disk. Owned by the app; there is one.

    Each method that changes the state also writes the change to the journal. A file's own `FileState` is changed by its
    tail, which then calls `record_file`.
    """

    def __init__(self, folder: Path, variable: str) -> None:
        self._folder = folder
        self._where = f"{variable}={folder}"
        self._root: Root | None = None
        self._lock: int | None = None
        self._journal: int | None = None
        self._written = 0  # bytes of complete lines in the journal
        self._begun = False  # True if the journal is newer than any snapshot
        self._thread = BlockingThread("state")
        self._saving = asyncio.Lock()  # one snapshot at a time
        self._closing: asyncio.Future[None] | None = None  # the closing of a snapshot that failed
        # Generation -> the bytes of content by which the journal knows it, where these tell few files apart.
        self._little_known: dict[str, int] = {}
        self._is_entry_missing = False  # True if an entry could not be written since the state was last copied
        self.state = State()
        self.is_fresh = True  # True if the directory had no state at the start
        self.problem = ""  # why the state on disk is older than the state in memory; "" if it is not
        self.changed = asyncio.Event()  # set if the state has changed since the last snapshot

    def open(self) -> None:
        """Lock the directory and load its state. Raises IOFailed if it is in use, not writable, or not valid."""
        try:
            self._root = configured_paths.open_directory(str(self._folder), create=True)
            self._lock = self._root.open_own(_LOCK, os.O_RDWR | os.O_CREAT)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise IOFailed(
                f"{self._where} is in use by another logshipper: give each a directory of its own", code="state-in-use"
            ) from None
        except (LeavesRoot, NotOurFile) as error:
            raise IOFailed(
                f"{self._where} cannot be used: {error.filename}: {error.strerror}", code="state-unsafe"
            ) from None
        except OSError as error:
            raise IOFailed(f"{self._where} cannot be written: {_reason(error)}", code="state-not-writable") from None
        self._load()

    @property
    def root(self) -> Root:
        """The state directory. Raises RuntimeError before `open`."""
        if self._root is None:
            raise RuntimeError("the store is not open")
        return self._root

    def _load(self) -> None:
        try:
            with self._opened(SNAPSHOT) as file:
                data = file.read(_LARGEST_SNAPSHOT + 1)
        except FileNotFoundError:
            self.state.journal = max(self._saved_journals(), default=0)  # journals of a removed snapshot
            return
        except OSError as error:
            raise IOFailed(
                f"{self._where}: {SNAPSHOT} cannot be read: {error.strerror}", code="state-unreadable"
            ) from None
        try:
            self.state = checkpoint.load(data)  # of a larger file the end is missing: it is torn
        except ValueError as error:
            raise IOFailed(
                f"{self._where}: {SNAPSHOT} {error}; restore it, or remove it to ship all log files again from"
                " START_AT",
                code="state-damaged",
            ) from None
        self.is_fresh = False
        first = self.state.journal
        for number in self._saved_journals():
            if first <= number < first + _MOST_JOURNALS:
                self._replay(number)
                self.state.journal = number
        for one in self.state.files.values():
            self._note_known(one)

    def _saved_journals(self) -> list[int]:
        try:
            return snapshot_file.journals(self.root)
        except OSError as error:
            raise IOFailed(f"{self._where} cannot be listed: {error.strerror}", code="state-unreadable") from None

    def _replay(self, number: int) -> None:
        """Apply the entries of a journal to the state. Raises IOFailed."""
        name = f"journal-{number}"
        try:
            with self._opened(name) as file:
                for entry in checkpoint.journal_entries(iter(partial(file.readline, _LONGEST_ENTRY), b"")):
                    checkpoint.apply(self.state, entry)
        except OSError as error:
            raise IOFailed(f"{self._where}: {name} cannot be read: {error.strerror}", code="state-unreadable") from None
        except ValueError as error:
            raise IOFailed(
                f"{self._where}: {name} {error}; remove it to ship again what it was to remember", code="state-damaged"
            ) from None

    def _opened(self, name: str) -> BinaryIO:
        return os.fdopen(self.root.open_own(name, os.O_RDONLY), "rb")

    # -- changes ---------------------------------------------------------------------------------------------------

    def add_sinks(self, names: Iterable[str]) -> None:
        """Begin the state of sinks that have none yet."""
        for name in names:
            self.state.sinks.setdefault(name, SinkState())

    def sink(self, name: str) -> SinkState:
        """Return the state of a sink, to be read."""
        return self.state.sinks[name]

    def set_receipt(self, name: str, receipt: Any) -> None:
        """Note the receipt that a sink returned when it was opened. The next snapshot has it."""
        self.state.sinks[name].receipt = receipt

    def add_file(self, file: FileState) -> None:
        """Add a generation that is followed from now on."""
        self.state.files[file.generation] = file
        self.record_file(file)
        for sink, position in file.positions.items():
            receipt = self.state.sinks[sink].receipt if sink in self.state.sinks else None
            self.append(checkpoint.done_entry(sink, {file.generation: position}, receipt))

    def note_change(self) -> None:
        """Note a change that needs no journal entry: the next snapshot has it."""
        self.changed.set()

    def record_file(self, file: FileState) -> None:
        """Write where a generation is now, and its fingerprints."""
        if self.append(checkpoint.file_entry(file)):
            self._note_known(file)
        else:
            self._little_known.setdefault(file.generation, 0)

    def _note_known(self, file: FileState) -> None:
        """Note by how much of its content the journal knows a file."""
        if file.known < TELLS_FILES_APART:
            self._little_known[file.generation] = file.known
        else:
            self._little_known.pop(file.generation, None)

    def forget_file(self, generation: str) -> None:
        """Remove a generation that is followed no longer."""
        self.state.files.pop(generation, None)
        self._little_known.pop(generation, None)
        self.append(checkpoint.gone_entry(generation))

    def record_sending(self, sink: str, batches: list[SentBatch]) -> None:
        """Write the batches that are in flight from now on. Call it before the newest of them is sent.

        Files of which the journal knows little come first: the batch is never to be repeated from another file.
        """
        for item in batches[-1].ranges if batches and self._little_known else ():
            known, file = self._little_known.get(item.generation), self.state.files.get(item.generation)
            if known is not None and file is not None and file.known > known:
                self.record_file(file)
        self.state.sinks[sink].sending = batches
        self.append(checkpoint.send_entry(sink, batches))

    def record_decision(
        self, sink: str, positions: dict[str, Fingerprint], receipt: Any, sending: list[SentBatch]
    ) -> None:
        """Write that the sink has decided on its oldest batch: the new positions, and the batches still in flight."""
        state = self.state.sinks[sink]
        state.receipt, state.sending = receipt, sending
        self.append(checkpoint.done_entry(sink, positions, receipt))

    # -- the journal -----------------------------------------------------------------------------------------------

    def append(self, entry: JournalEntry) -> bool:
        """Write the entry to the journal: it then survives kill -9. Return False, and set `problem`, if that fails.

        Shipping continues after a failure: a full disk must not keep lines from their sink, and a repeated line is
        not a lost one. Later entries are right without a missing one, since each has a place and not a movement.
        """
        self.note_change()
        if self._journal is None:
            return True
        line = checkpoint.journal_line(entry)
        try:
            _write_whole(self._journal, line)
            self._written += len(line)
        except OSError as error:
            self._is_entry_missing = True
            self._note_problem(f"{self._where}: the journal cannot be written: {_reason(error)}")
            with contextlib.suppress(OSError):
                os.ftruncate(self._journal, self._written)  # entries after a torn line would never be read
            return False
        return True

    async def save(self) -> bool:
        """Write a snapshot and begin a new journal. Return False, and set `problem`, if that fails."""
        async with self._saving:
            return await self._save()

    async def _save(self) -> bool:
        try:
            if self._journal is None or not self._begun:
                with descriptors.reserved():
                    self._begin_journal()
            self._is_entry_missing = False
            self.changed.clear()
            await self._write(self.state.journal)
        except OSError as error:
            self.changed.set()
            self._note_problem(f"{self._where}: {SNAPSHOT} cannot be written: {_reason(error)}")
            return False
        self._begun = False
        if self.problem and not self._is_entry_missing:  # one may have been lost while the snapshot was written
            log.info("the state can be saved again")
            self.problem = ""
        return True

    def _begin_journal(self) -> None:
        """Begin a new journal for all further changes. While no snapshot can be written, the same journal continues."""
        number = self.state.journal + 1
        journal = snapshot_file.create(self.root, f"journal-{number}", os.O_WRONLY | os.O_APPEND)
        if self._journal is not None:
            os.close(self._journal)
        self._journal, self._written, self._begun, self.state.journal = journal, 0, True, number

    async def _write(self, journal: int) -> None:
        """Write a snapshot, which this journal continues: each piece is made here, and written in the thread."""
        snapshot, call = SnapshotFile(self.root), self._thread.call
        try:
            await call(snapshot.begin)
            for offset, piece in checkpoint.pieces(self.state, journal):
                await call(snapshot.write, offset, piece)
            await call(snapshot.finish, journal)
        except BaseException:
            self._closing = asyncio.ensure_future(call(snapshot.close))  # behind a write that goes on when cancelled
            raise

    def _note_problem(self, problem: str) -> None:
        if not self.problem:
            log.error(
                "the state cannot be saved: shipping goes on, and a restart would repeat lines",
                code="state-not-saved",
                reason=problem,
            )
        self.problem = problem

    def close(self) -> None:
        """Close the files and the directory, and release the lock."""
        for descriptor in (self._journal, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._journal = self._lock = None
        if self._root is not None:
            self._root.close()


def _reason(error: OSError) -> str:
    """Return the error's text, and the cure."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{reason}; make room there"
    if descriptors.exhausted_resource(error) == descriptors.DESCRIPTORS:
        return f"{reason}; raise the container's limit of open files (ulimit -n)"
    return f"{reason}; mount a writable volume there"


def _write_whole(descriptor: int, line: bytes) -> None:
    if os.write(descriptor, line) < len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
