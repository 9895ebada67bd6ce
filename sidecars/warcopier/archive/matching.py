"""Matching: the sink of `verification` that compares an archive's entries with the files of an exploded directory.

It reads what `unpacking` has written. Files that the archive does not have are not looked at: an application may write
into its own directory. No link is followed, and the descriptor of the last directory is kept.
"""

from __future__ import annotations

import os

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier.archive.unpacking import TRACKER, normalized, shown

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from sidecars.chassis.isolation.beneath import Root
    from sidecars.warcopier.archive.zip_format import Entry


class Differs(Exception):
    """A file or directory is not as in the archive. The text is its path, for a message."""

    def __init__(self, path: bytes) -> None:
        super().__init__(shown(path))


class ExplodedDirectoryMatcher:
    """Compares the entries of one archive with the files below `root`. It is closed by its owner."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._directory: Root | None = None  # the directory of the last entry, kept open
        self._path = b""  # of that directory

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._directory is not None:
            self._directory.close()

    def directory(self, path: bytes) -> None:
        """Require that the directory of an entry exists. Raises Differs."""
        if plain := normalized(path):
            self._open_directory(plain)

    def file(self, entry: Entry, pieces: Iterable[bytes]) -> None:
        """Require that the file of an entry has these bytes, and no more. Raises Differs."""
        plain = normalized(entry.name)
        directory, _, name = plain.rpartition(b"/")
        try:
            file = -1 if plain == TRACKER else self._open_directory(directory).open_file(os.fsdecode(name))
        except OSError:  # missing, a link, not to be read
            raise Differs(plain) from None
        try:
            at = 0
            for piece in pieces:
                if file >= 0 and os.pread(file, len(piece), at) != piece:
                    raise Differs(plain)
                at += len(piece)
            if file >= 0 and os.fstat(file).st_size != at:
                raise Differs(plain)
        finally:
            if file >= 0:
                os.close(file)

    def _open_directory(self, directory: bytes) -> Root:
        if not directory:
            return self._root
        if self._directory is None or directory != self._path:
            try:
                found = self._root.subdirectory(os.fsdecode(directory))
            except OSError:
                raise Differs(directory) from None
            if self._directory is not None:
                self._directory.close()
            self._directory, self._path = found, directory
        return self._directory
