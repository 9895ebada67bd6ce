"""Missed files: generations whose files a scan has looked for and not found. When is one gone? Pure.

One listing proves nothing. A directory that is listed while files are renamed in it may leave some of them out
(readdir(3)), and a name that it has shown may be another file's before it is opened. So a file that is missed stays
known by its identity:

| a missed generation | then |
|---|---|
| is found by a later scan | it goes on |
| is the new file that a scan is about to follow: the same inode, and the content fits | it goes on in it |
| has the content of a new file with another inode | that file is not followed yet: the next search decides |
| was missed by LEAST scans, for ROTATE_WAIT | it is gone: what is not shipped is lost |
| is missed when the process ends | it stays in the state, with a warning: the next process looks for it |
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sidecars.logshipper.input.discovery import FoundFile
from sidecars.logshipper.input.rotation.rotated_file_matching import is_same_generation, may_be_beside
from sidecars.logshipper.model import fingerprint
from sidecars.logshipper.model.file_key import FileKey
from sidecars.logshipper.state.file_state import FileState

LEAST = 3  # scans that miss a file, however short ROTATE_WAIT is


class MissedFiles:
    """The generations that are missed now. Owned by the `Follower`."""

    def __init__(self, wait: float) -> None:
        self._wait = wait  # seconds
        self._missed: dict[str, _Missed] = {}  # by generation
        self._by_key: dict[FileKey, list[FileState]] | None = None  # None: to be made anew
        self._by_prefix: dict[int, dict[str, list[FileState]]] = {}  # length and digest of the prefix

    def __len__(self) -> int:
        return len(self._missed)

    def __contains__(self, generation: str) -> bool:
        return generation in self._missed

    def note(self, state: FileState, now: float) -> None:
        """Note that a scan has looked for the file, and has not found it."""
        missed = self._missed.get(state.generation)
        if missed is None:
            missed = self._missed[state.generation] = _Missed(state, now)
            self._by_key = None
        missed.scans += 1

    def keep_only(self, generations: Collection[str]) -> None:
        """Forget all others: they were found, or are not looked for any more."""
        for gone in [one for one in self._missed if one not in generations]:
            self.forget(gone)

    def forget(self, generation: str) -> None:
        """Note that the file was found, or is not looked for any more."""
        if self._missed.pop(generation, None) is not None:
            self._by_key = None

    def is_gone(self, generation: str, now: float) -> bool:
        """Return True if the file was missed often and long enough."""
        missed = self._missed.get(generation)
        return missed is not None and missed.scans >= LEAST and now >= missed.since + self._wait

    def generation_of(self, found: FoundFile, read_at: fingerprint.ReadAt) -> FileState | None:
        """Return the missed generation that the new file may be: one with its inode, or else with its content."""
        if not self._missed:
            return None
        return next((one for one in self._alike(found, read_at) if is_same_generation(one, found, read_at)), None)

    def _alike(self, found: FoundFile, read_at: fingerprint.ReadAt) -> Iterator[FileState]:
        if self._by_key is None:
            self._index()
        yield from (self._by_key or {}).get(found.key, ())
        for length, states in self._by_prefix.items():
            if length <= found.size:
                same = states.get(fingerprint.digest(read_at(0, length)), ())
                yield from (one for one in same if may_be_beside(one, found.path))

    def _index(self) -> None:
        self._by_key, self._by_prefix = {}, {}
        for state in (one.state for one in self._missed.values()):
            self._by_key.setdefault(state.key, []).append(state)
            if state.prefix.length:
                self._by_prefix.setdefault(state.prefix.length, {}).setdefault(state.prefix.digest, []).append(state)


class _Missed:
    """A missed generation, and since when."""

    __slots__ = ("scans", "since", "state")

    def __init__(self, state: FileState, now: float) -> None:
        self.state = state
        self.since = now  # seconds
        self.scans = 0  # scans in a row that have not found the file
