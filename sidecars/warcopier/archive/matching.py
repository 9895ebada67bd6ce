"""Matching: the sink of `verification` that compares an archive's entries with the files of an exploded directory.

It reads the files that `unpacking` has written. Files that the archive does not have are not looked at: an application
may write into its own directory. No link is followed.
"""

from __future__ import annotations

import os
import stat

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier.archive.unpacking import TRACKER, normalized, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidecars.warcopier.archive.open_directories import OpenDirectories
    from sidecars.warcopier.archive.zip_format import Entry


_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # of one component


class Differs(Exception):
    """A file or directory is not as in the archive. The text is its path, for a message."""

    def __init__(self, path: bytes) -> None:
        super().__init__(shown(path))


class ExplodedDirectoryMatcher:
    """Compares the entries of one archive with the files of an application."""

    def __init__(self, directories: OpenDirectories) -> None:
        self._directories = directories

    def directory(self, path: bytes) -> None:
        """Require that the directory of an entry exists. Raises Differs."""
        if plain := normalized(path):
            self._open_directory(plain)

    def file(self, entry: Entry, pieces: Iterable[bytes]) -> None:
        """Require that the file of an entry has these bytes, and no more. Raises Differs."""
        plain = normalized(entry.name)
        if plain == TRACKER:
            for _ in pieces:
                pass  # its data is verified like any other, but the tracker is ours
            return
        directory, _, name = plain.rpartition(b"/")
        try:
            file = os.open(name, _READ, dir_fd=self._open_directory(directory))
        except OSError:  # missing, a link, not to be read
            raise Differs(plain) from None
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode) or found.st_size != entry.uncompressed_size:
                raise Differs(plain)
            at = 0
            for piece in pieces:
                if os.pread(file, len(piece), at) != piece:
                    raise Differs(plain)
                at += len(piece)
        finally:
            os.close(file)

    def _open_directory(self, directory: bytes) -> int:
        try:
            return self._directories.descriptor(directory)
        except OSError:
            raise Differs(directory) from None
