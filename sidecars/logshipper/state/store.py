"""The state directory: one writer, an atomic snapshot, and the journal of what happened since.

How both look, and why there are two, is told in `checkpoint`. A snapshot names the first journal that goes on from it;
a new journal is begun before the snapshot is written, so whichever snapshot is found, the journals from its number on
are complete.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import re
from pathlib import Path

from sidecars.chassis.runtime import descriptors, logs
from sidecars.chassis.runtime.blocking_thread import BlockingThread
from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.logshipper.state import checkpoint
from sidecars.logshipper.state.checkpoint import Entry, State

log = logs.get("state")

SNAPSHOT = "positions.json"
_TEMPORARY = "positions.json.new"
_LOCK = "lock"
_JOURNAL = re.compile(r"journal-(\d+)")
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class Store:
    """The state on disk. `state` is the live one: change it, and `append` what was changed."""

    def __init__(self, folder: Path, variable: str) -> None:
        self._folder = folder
        self._where = f"{variable}={folder}"
        self._lock: int | None = None
        self._journal: int | None = None
        self._written = 0  # bytes of whole lines in the journal
        self._begun = False  # the journal is newer than any snapshot
        self._thread = BlockingThread("state")
        self.state = State()
        self.fresh = True  # nothing was saved here before
        self.problem = ""  # why the state on disk is behind the truth; "" when it is not
        self.changed = asyncio.Event()  # something happened since the last snapshot

    def open(self) -> None:
        """Lock the directory and load what is there. Raises IOFailed."""
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
            self.state.journal = max(self._journals(), default=0)  # what an older state left must not be taken for ours
            return
        except OSError as error:
            raise IOFailed(f"{self._where}: {SNAPSHOT} cannot be read: {error.strerror}") from None
        try:
            self.state = checkpoint.load(data)
        except ValueError as error:
            raise IOFailed(
                f"{self._where}: {SNAPSHOT} {error}; restore it, or remove it to ship all log files again from START_AT"
            ) from None
        self.fresh = False
        for number in self._journals():
            if number >= self.state.journal:
                for entry in checkpoint.journal_entries(self._read_journal(number)):
                    checkpoint.apply(self.state, entry)
                self.state.journal = number

    def _read_journal(self, number: int) -> bytes:
        try:
            return (self._folder / f"journal-{number}").read_bytes()
        except OSError as error:
            raise IOFailed(f"{self._where}: journal-{number} cannot be read: {error.strerror}") from None

    def _journals(self) -> list[int]:
        with descriptors.reserved():
            names = [entry.name for entry in self._folder.iterdir()]
        return sorted(int(found[1]) for name in names if (found := _JOURNAL.fullmatch(name)))

    def append(self, entry: Entry) -> None:
        """Write the entry to the journal: from here on it survives kill -9. A failure is noted in `problem`.

        Shipping goes on without it: a full disk must not keep lines from their sink, and a repeat is not a loss. An
        entry that is missing among others does no harm either, for each tells where things are, not how they moved.
        """
        self.changed.set()
        if self._journal is None:
            return
        line = checkpoint.journal_line(entry)
        try:
            _write_whole(self._journal, line)
            self._written += len(line)
        except OSError as error:
            self._failed(f"{self._where}: the journal cannot be written: {_reason(error)}")
            with contextlib.suppress(OSError):
                os.ftruncate(self._journal, self._written)  # a torn line would end it for the entries to come

    async def save(self) -> bool:
        """Write a snapshot and begin a new journal. False, and a `problem`, when that fails; try again later."""
        try:
            if self._journal is None or not self._begun:
                with descriptors.reserved():
                    self._begin_journal()
            data = checkpoint.dump(self.state, self.state.journal)
            self.changed.clear()
            await self._thread.call(self._write, data, self.state.journal)
        except OSError as error:
            self.changed.set()
            self._failed(f"{self._where}: {SNAPSHOT} cannot be written: {_reason(error)}")
            return False
        self._begun = False
        if self.problem:
            log.info("the state can be saved again")
            self.problem = ""
        return True

    def _begin_journal(self) -> None:
        """What happens from now on goes to a new journal. While no snapshot can be written, the same one goes on."""
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

    def _failed(self, problem: str) -> None:
        if not self.problem:
            log.error("the state cannot be saved: shipping goes on, and a restart would repeat lines", reason=problem)
        self.problem = problem

    def close(self) -> None:
        for descriptor in (self._journal, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._journal = self._lock = None


def _reason(error: OSError) -> str:
    """Return what the error says, and what to do about it."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{reason}; make room there"
    if descriptors.exhausted_resource(error) == descriptors.DESCRIPTORS:
        return f"{reason}; raise the container's limit of open files (ulimit -n)"
    return f"{reason}; mount a writable volume there"


def _write_whole(descriptor: int, line: bytes) -> None:
    if os.write(descriptor, line) < len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
