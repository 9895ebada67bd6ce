"""The names of an archive's entries: rules for safe and unpackable names, duplicates, and the number of directories."""

from __future__ import annotations

import stat
from array import array
from itertools import pairwise

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier.archive.zip_format import BadArchive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidecars.warcopier.archive.zip_format import Entry

MAX_DEPTH = 256  # directories above an entry that is unpacked
MAX_NAME_BYTES = 3_584
"""Bytes of the name of an entry that is unpacked. A path has at most 4,095 bytes (PATH_MAX), and the directory that the
server mounts and the name of the application come before it."""
_NOT_UNPACKED = (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK)


def require_safe_name(entry: Entry) -> None:
    """Raise BadArchive if unpacking the entry would create a file outside the web application."""
    name = entry.name
    drive = name[1:2] == b":" and name[:1].isalpha()
    leaves = b".." in name and b".." in name.replace(b"\\", b"/").split(b"/")
    if name[:1] in (b"", b"/", b"\\") or leaves or b"\0" in name or drive:
        raise BadArchive(f"has an entry with an unsafe name: {entry}")


def require_unpackable(entry: Entry) -> None:
    """Raise BadArchive if a file system cannot hold the entry as exactly that file or directory."""
    if b"\\" in entry.name:
        raise BadArchive(f"has an entry with a backslash in its name, so it is not unpacked: {entry}")
    if entry.name.count(b"/") > MAX_DEPTH:
        raise BadArchive(f"has an entry more than {MAX_DEPTH} directories deep, so it is not unpacked: {entry}")
    if len(entry.name) > MAX_NAME_BYTES:
        raise BadArchive(
            f"has an entry whose name is too long to be unpacked, with more than {MAX_NAME_BYTES} bytes: {entry}"
        )
    # A directory is an entry whose name ends in a slash, as for Java. Older archivers write the mode 0177777: no type.
    file_type = stat.S_IFMT(entry.unix_mode)
    if file_type in _NOT_UNPACKED or (file_type == stat.S_IFDIR and not entry.name.endswith(b"/")):
        raise BadArchive(f"has an entry that is neither file nor directory, so it is not unpacked: {entry}")


class DirectoryCounter:
    """Counts the files and the directories of one unpacked archive, also directories that it does not list.

    `len` is the number of directories. One entry can create as many directories as its name has slashes, and each takes
    an inode and a block. Only a hash of each directory is kept.
    """

    def __init__(self, most: int) -> None:
        self.files = 0
        self._most = most
        self._seen: set[int] = set()
        self._last = b""

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, name: bytes) -> None:
        """Count an entry and the directories in its name. Raises BadArchive if there are too many."""
        path = name[: name.rfind(b"/") + 1]
        self.files += path != name
        if path == self._last or len(name) > MAX_NAME_BYTES:  # `require_unpackable` refuses a longer one
            return
        self._last = path
        while path and (key := hash(path)) not in self._seen:
            self._seen.add(key)
            path = path[: path.rfind(b"/", 0, -1) + 1]
        if len(self._seen) + self.files > self._most:
            raise BadArchive(
                f"unpacks to more files and directories than WARCOPIER_MAX_ENTRIES={self._most}, with the directories"
                " that it does not list"
            )


class DuplicateNameFinder:
    """Finds two files with one name in an archive. It keeps one hash a file, and compares names only for equal hashes.

    Tomcat serves one of two such files, and a scanner that examined the archive may have seen the other. A directory
    may be listed twice: many build tools do that.
    """

    def __init__(self, *, fold_case: bool) -> None:
        """`fold_case` True means that names which differ only in case are equal, as on some file systems."""
        self._hashes = array("q")
        self._fold_case = fold_case

    def add(self, entry: Entry) -> None:
        if not entry.name.endswith(b"/"):
            self._hashes.append(hash(self._key(entry.name)))

    def require_unique(self, entries: Iterable[Entry]) -> None:
        """Raise BadArchive if two files have one name. `entries` are the entries that were added."""
        alike = {one for one, other in pairwise(sorted(self._hashes)) if one == other}
        if not alike:
            return
        seen: set[bytes | str] = set()
        for entry in entries:
            key = self._key(entry.name)
            if not entry.name.endswith(b"/") and hash(key) in alike:
                if key in seen:
                    raise BadArchive(self._reason(entry))
                seen.add(key)

    def _key(self, name: bytes) -> bytes | str:
        return name.decode(errors="surrogateescape").casefold() if self._fold_case else name

    def _reason(self, entry: Entry) -> str:
        if self._fold_case:
            return f"has two files whose names differ in nothing or in case only, so it is not unpacked: {entry}"
        return f"has two files of one name, which WARCOPIER_VALIDATE=zip would allow: {entry}"
