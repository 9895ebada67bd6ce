"""The store: the state in memory, and the state directory with one writer, a snapshot and a journal.

`checkpoint` explains the two files. A snapshot names the first journal that continues it. A new journal is begun before
the snapshot is written. So whichever snapshot a later process finds, the journals from its number on are complete.

| situation | the next process loads |
|---|---|
| killed before the snapshot was renamed | the old snapshot, then the old and the new journal |
| killed after that | the new snapshot, then the new journal |
| the disk is full | the last snapshot and what the journal has; `problem` says so, and shipping continues |
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sidecars.chassis.runtime import descriptors, logs
from sidecars.chassis.runtime.blocking_thread import BlockingThread
from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.logshipper.model.fingerprint import Fingerprint
from sidecars.logshipper.state import checkpoint
from sidecars.logshipper.state.checkpoint import ChunkRange, FileState, JournalEntry, SinkState, State

log = logs.get("state")

SNAPSHOT = "positions.json"
_TEMPORARY = "positions.json.new"
_LOCK = "lock"
_JOURNAL = re.compile(r"journal-(\d+)")
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class Store:
    """The state of this process, and its copy on disk. Owned by the app; there is one.

    Each method that changes the state also writes the change to the journal. A file's own `FileState` is changed by its
    tail, which then calls `record_file`.
    """

    def __init__(self, folder: Path, variable: str) -> None:
        self._folder = folder
        self._where = f"{variable}={folder}"
        self._lock: int | None = None
        self._journal: int | None = None
        self._written = 0  # bytes of complete lines in the journal
        self._begun = False  # True if the journal is newer than any snapshot
        self._thread = BlockingThread("state")
        self.state = State()
        self.is_fresh = True  # True if the directory had no state at the start
        self.problem = ""  # why the state on disk is older than the state in memory; "" if it is not
        self.changed = asyncio.Event()  # set if the state has changed since the last snapshot

    def open(self) -> None:
        """Lock the directory and load its state. Raises IOFailed if it is in use, not writable, or not valid."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise IOFailed(f"{self._where} is in use by another logshipper: give each a directory of its own") from None
        except OSError as error:
            raise IOFailed(f"{self._where} cannot be written: {_reason(error)}") from None
        self._load()

    def _load(self) -> None:
        snapshot = self._folder / SNAPSHOT
        try:
            data = snapshot.read_bytes()
        except FileNotFoundError:
            self.state.journal = max(self._journals(), default=0)  # journals of a removed snapshot
            return
        except OSError as error:
            raise IOFailed(f"{self._where}: {SNAPSHOT} cannot be read: {error.strerror}") from None
        try:
            self.state = checkpoint.load(data)
        except ValueError as error:
            raise IOFailed(
                f"{self._where}: {SNAPSHOT} {error}; restore it, or remove it to ship all log files again from START_AT"
            ) from None
        self.is_fresh = False
        for number in self._journals():
            if number >= self.state.journal:
                self._replay(number)
                self.state.journal = number

    def _replay(self, number: int) -> None:
        try:
            for entry in checkpoint.journal_entries(self._read_journal(number)):
                checkpoint.apply(self.state, entry)
        except ValueError as error:
            raise IOFailed(
                f"{self._where}: journal-{number} {error}; remove it to ship again what it was to remember"
            ) from None

    def _read_journal(self, number: int) -> bytes:
        try:
            return (self._folder / f"journal-{number}").read_bytes()
        except OSError as error:
            raise IOFailed(f"{self._where}: journal-{number} cannot be read: {error.strerror}") from None

    def _journals(self) -> list[int]:
        with descriptors.reserved():
            names = [entry.name for entry in self._folder.iterdir()]
        return sorted(int(found[1]) for name in names if (found := _JOURNAL.fullmatch(name)))

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
        self.append(checkpoint.file_entry(file))

    def forget_file(self, generation: str) -> None:
        """Remove a generation that is followed no longer."""
        self.state.files.pop(generation, None)
        self.append(checkpoint.gone_entry(generation))

    def record_sending(self, sink: str, batches: list[list[ChunkRange]]) -> None:
        """Write the batches that are in flight from now on. Call it before the newest of them is sent."""
        self.state.sinks[sink].sending = batches
        self.append(checkpoint.send_entry(sink, batches))

    def record_decision(
        self, sink: str, positions: dict[str, Fingerprint], receipt: Any, sending: list[list[ChunkRange]]
    ) -> None:
        """Write that the sink has decided on its oldest batch: the new positions, and the batches still in flight."""
        state = self.state.sinks[sink]
        state.receipt, state.sending = receipt, sending
        self.append(checkpoint.done_entry(sink, positions, receipt))

    # -- the journal -----------------------------------------------------------------------------------------------

    def append(self, entry: JournalEntry) -> None:
        """Write the entry to the journal: it then survives kill -9. A failure is noted in `problem`.

        Shipping continues after a failure: a full disk must not keep lines from their sink, and a repeated line is
        not a lost one. Later entries are right without a missing one, since each has a place and not a movement.
        """
        self.note_change()
        if self._journal is None:
            return
        line = checkpoint.journal_line(entry)
        try:
            _write_whole(self._journal, line)
            self._written += len(line)
        except OSError as error:
            self._note_problem(f"{self._where}: the journal cannot be written: {_reason(error)}")
            with contextlib.suppress(OSError):
                os.ftruncate(self._journal, self._written)  # entries after a torn line would never be read

    async def save(self) -> bool:
        """Write a snapshot and begin a new journal. Return False, and set `problem`, if that fails."""
        try:
            if self._journal is None or not self._begun:
                with descriptors.reserved():
                    self._begin_journal()
            data = checkpoint.dump(self.state, self.state.journal)
            self.changed.clear()
            await self._thread.call(self._write, data, self.state.journal)
        except OSError as error:
            self.changed.set()
            self._note_problem(f"{self._where}: {SNAPSHOT} cannot be written: {_reason(error)}")
            return False
        self._begun = False
        if self.problem:
            log.info("the state can be saved again")
            self.problem = ""
        return True

    def _begin_journal(self) -> None:
        """Begin a new journal for all further changes. While no snapshot can be written, the same journal continues."""
        number = self.state.journal + 1
        journal = os.open(self._folder / f"journal-{number}", _FLAGS | os.O_TRUNC, 0o600)
        if self._journal is not None:
            os.close(self._journal)
        self._journal, self._written, self._begun, self.state.journal = journal, 0, True, number

    def _write(self, data: bytes, journal: int) -> None:
        temporary = self._folder / _TEMPORARY
        with contextlib.ExitStack() as opened:
            with descriptors.reserved():
                file = opened.enter_context(temporary.open("wb"))
                directory = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
                opened.callback(os.close, directory)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(self._folder / SNAPSHOT)
            os.fsync(directory)
        for number in self._journals():
            if number < journal:
                with contextlib.suppress(OSError):
                    (self._folder / f"journal-{number}").unlink()

    def _note_problem(self, problem: str) -> None:
        if not self.problem:
            log.error("the state cannot be saved: shipping goes on, and a restart would repeat lines", reason=problem)
        self.problem = problem

    def close(self) -> None:
        """Close the files and release the lock."""
        for descriptor in (self._journal, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._journal = self._lock = None


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
