"""The search for the files of dormant generations: after a restart, or when a file was not where it had been.

For each generation, the likeliest first:

1. the file that the scan's listing has with its inode, then the files beside its last place: see
   `rotated_file_matching`;
2. a *sweep*: the directory is read again, and each entry with a wanted inode is opened at once. Where files are renamed
   all the time, a listing is out of date before all that it names is opened.

A generation that is found in neither is missed by this scan: `missed_files` decides whether it is gone.

Then the files that were truncated meanwhile are searched: each has the inode and the identity of a generation that goes
on in its copy, or is missed. A new generation begins in it, as in a file whose truncation a poll notices. If the globs
match its name, the scan finds it as a new file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from functools import cache
from itertools import islice

from sidecars.chassis.runtime import descriptors, logs
from sidecars.logshipper.input import discovery
from sidecars.logshipper.input.discovery import FoundFile
from sidecars.logshipper.input.file_access import FileAccess
from sidecars.logshipper.input.rotation import rotated_file_matching
from sidecars.logshipper.input.rotation.missed_files import MissedFiles
from sidecars.logshipper.input.tail import Tail
from sidecars.logshipper.model.file_key import FileKey
from sidecars.logshipper.volumes.log_volumes import LogVolumes

log = logs.get("follow")

_STALE = 0.1  # seconds for which the listing of a directory is used again
_SWEEPS = 5  # of a directory in one search, as long as each has seen a wanted file that it could not open
_SWEPT_AT_ONCE = 2000  # entries: about a millisecond
_MOST_NAMES = 20_000  # of one directory

Attach = Callable[[Tail, FoundFile, int], None]
"""Lets a tail follow the open file at a descriptor."""

Begin = Callable[[Tail, FoundFile, int], None]
"""Begins a new generation in the open file, which was truncated: it was the one of the tail."""


class DormantSearch:
    """Searches the files of dormant tails. Owned by the `Follower`, which passes its own decisions."""

    def __init__(  # noqa: PLR0913, PLR0917 - the last three are decisions of the follower
        self,
        access: FileAccess,
        volumes: LogVolumes,
        missed: MissedFiles,
        clock: Callable[[], float],
        is_no_candidate: Callable[[FoundFile], bool],
        attach: Attach,
        begin: Begin,
    ) -> None:
        self._access = access
        self._volumes = volumes
        self._missed = missed
        self._clock = clock
        self._is_no_candidate = is_no_candidate
        self._attach = attach
        self._begin = begin

    def steps(
        self, tails: Collection[Tail], listing: Mapping[FileKey, FoundFile] | None
    ) -> Generator[None, None, None]:
        """Search the files of these tails. Those that are not found are in `missed` at the end.

        One whose directory cannot be read is not missed: nothing is known about it. Without the listing of a scan no
        truncated files are searched.
        """
        keys, identities = [tail.key for tail in tails], [tail.state.identity for tail in tails]  # no tuple a tail
        yield from self._search(tails, listing or {})
        if listing is not None:
            yield from self._search_truncated(zip(tails, keys, identities, strict=True), listing)

    def _search(self, tails: Collection[Tail], listing: Mapping[FileKey, FoundFile]) -> Generator[None, None, None]:
        self._missed.keep_only({tail.state.generation for tail in tails})
        missing: dict[str, list[Tail]] = {}  # by directory
        list_directory, since = cache(rotated_file_matching.list_directory), self._clock()
        for tail in sorted(tails, key=lambda tail: not tail.state.prefix.length):  # content first: it proves more
            yield
            if self._clock() > since + _STALE:  # other work was done during the yield
                list_directory, since = cache(rotated_file_matching.list_directory), self._clock()
            folder = self._volumes.real_folder(tail.state.path)
            candidates = rotated_file_matching.candidates(tail.state, listing, self._volumes, list_directory)
            try:
                match = rotated_file_matching.find(tail.state, candidates, self._is_no_candidate, self._access)
            except OSError:
                continue
            if match:
                self._found(tail, *match)
            elif not self._access.is_refused(folder) and self._volumes.is_readable(folder):
                missing.setdefault(folder, []).append(tail)
        for folder, some in missing.items():
            yield from self._sweep(folder, some)
            for tail in some:
                if tail.dormant:
                    self._missed.note(tail.state, self._clock())

    def _search_truncated(
        self, before: Iterable[tuple[Tail, FileKey, str]], listing: Mapping[FileKey, FoundFile]
    ) -> Generator[None, None, None]:
        """Begin new generations in the files that were truncated. `before`: what was known of them before the search.

        All generations that are found have been found by then: no file is taken that one of them goes on in.
        """
        list_directory = cache(rotated_file_matching.list_directory)
        for tail, key, identity in before:
            is_elsewhere = tail.key != key and tail.key[0] == key[0]  # with another device no key is known
            if not identity or not (is_elsewhere or tail.dormant):
                continue
            yield
            with contextlib.suppress(OSError):
                found = rotated_file_matching.with_key(tail.state, key, listing, self._volumes, list_directory)
                if found is None or self._is_no_candidate(found) or _is_listed(found, listing):
                    continue
                descriptor = rotated_file_matching.open_truncated(tail.state, identity, found, self._access)
                if descriptor is not None:
                    self._begin(tail, found, descriptor)

    def warn_about_missed(self, tails: Iterable[Tail]) -> None:
        """Warn at the end about missed files that some sink does not have."""
        for tail in tails:
            if tail.dormant and tail.state.generation in self._missed and not tail.settled():
                log.warning(
                    "a file is not found, and the process ends: the next one looks for it",
                    code="file-missed-at-the-end",
                    file=tail.state.first_path,
                    generation=tail.state.generation,
                    bytes=max(tail.pending(sink) for sink in tail.sinks),
                )

    def _found(self, tail: Tail, found: FoundFile, descriptor: int) -> None:
        self._missed.forget(tail.state.generation)
        self._attach(tail, found, descriptor)

    def _sweep(self, folder: str, tails: Iterable[Tail]) -> Generator[None, None, None]:
        wanted = {tail.key: tail for tail in tails}
        for _ in range(_SWEEPS):
            seen = 0
            with contextlib.suppress(OSError):  # the next scan searches again
                for count, found in enumerate(self._entries(folder, {inode for _, inode in wanted})):
                    if count % _SWEPT_AT_ONCE == 0:
                        yield
                    if found is not None and (tail := wanted.get(found.key)) is not None:
                        seen += 1
                        if self._open(tail, found):
                            del wanted[found.key]
            if not wanted or not seen:
                return

    def _entries(self, folder: str, inodes: Collection[int]) -> Iterator[FoundFile | None]:
        """Yield the entries of the directory that have one of the inode numbers, and None for each other one."""
        with descriptors.reserved():
            entries = self._volumes.scan(folder)
        for entry in islice(entries, _MOST_NAMES):
            yield discovery.found_beside(folder, entry) if entry.inode() in inodes else None

    def _open(self, tail: Tail, found: FoundFile) -> bool:
        """Let the tail follow the file if it is its own. Return True if so."""
        name, stem = found.path.rpartition("/")[2], discovery.stem(tail.state.first_path)
        if not name.startswith(stem):
            return False
        with contextlib.suppress(OSError):
            match = rotated_file_matching.find(tail.state, [found], self._is_no_candidate, self._access)
            if match:
                self._found(tail, *match)
                return True
        return False


def _is_listed(found: FoundFile, listing: Mapping[FileKey, FoundFile]) -> bool:
    listed = listing.get(found.key)
    return listed is not None and listed.path == found.path
