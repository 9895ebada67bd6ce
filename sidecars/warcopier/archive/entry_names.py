"""The names of an archive's entries: which are safe, which can be unpacked, and how many directories they make."""

from __future__ import annotations

import stat
from array import array
from itertools import pairwise

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier.archive.zip_directory import BadArchive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidecars.warcopier.archive.zip_directory import Entry

MAX_DEPTH = 256  # directories above an entry that is unpacked
MAX_NAME_BYTES = 3_584
"""Bytes of the name of an entry that is unpacked. A path has at most 4,095 (PATH_MAX), and the directory that a server
mounts and the application's own name come before it."""
_NOT_UNPACKED = (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK)


def require_safe_name(entry: Entry) -> None:
    """Raise BadArchive where the entry would land outside the web application when it is unpacked."""
    name = entry.name
    drive = name[1:2] == b":" and name[:1].isalpha()
    leaves = b".." in name and b".." in name.replace(b"\\", b"/").split(b"/")
    if name[:1] in (b"", b"/", b"\\") or leaves or b"\0" in name or drive:
        raise BadArchive(f"has an entry with an unsafe name: {entry}")


def require_unpackable(entry: Entry) -> None:
    """Raise BadArchive where a file system could take the name for anything but that file or directory."""
    if b"\\" in entry.name:
        raise BadArchive(f"has an entry with a backslash in its name, so it is not unpacked: {entry}")
    if entry.name.count(b"/") > MAX_DEPTH:
        raise BadArchive(f"has an entry more than {MAX_DEPTH} directories deep, so it is not unpacked: {entry}")
    if len(entry.name) > MAX_NAME_BYTES:
        raise BadArchive(
            f"has an entry whose name is too long to be unpacked, with more than {MAX_NAME_BYTES} bytes: {entry}"
        )
    # The name alone says whether it is a directory, as for Java. Older archivers write 0177777 as its mode: no type.
    kind = stat.S_IFMT(entry.unix_mode)
    if kind in _NOT_UNPACKED or (kind == stat.S_IFDIR and not entry.name.endswith(b"/")):
        raise BadArchive(f"has an entry that is neither file nor directory, so it is not unpacked: {entry}")


class DirectoryCounter:
    """The directories that an archive unpacks to, listed or not, one number each; and how many `files` are in them.

    One entry can make as many directories as its name is long, and each of them takes an inode and a block.
    """

    def __init__(self, most: int) -> None:
        self.files = 0
        self._most = most
        self._seen: set[int] = set()
        self._last = b""

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, name: bytes) -> None:
        """Count an entry and the directories in its name. Raises BadArchive when there are too many."""
        path = name[: name.rfind(b"/") + 1]
        self.files += path != name
        if path == self._last or len(name) > MAX_NAME_BYTES:  # `verify_part` refuses a longer one
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
    """Find files of one name: one number each, and names are compared only where the numbers are alike.

    Of two such files Tomcat serves one and whoever looked into the archive before may have seen the other. That a
    directory is listed twice, as many build tools do, means nothing. `fold`: names that differ only in case are one, as
    they are to some file systems.
    """

    def __init__(self, *, fold: bool) -> None:
        self._hashes = array("q")
        self._fold = fold

    def _key(self, name: bytes) -> bytes | str:
        return name.decode(errors="surrogateescape").casefold() if self._fold else name

    def add(self, entry: Entry) -> None:
        if not entry.name.endswith(b"/"):
            self._hashes.append(hash(self._key(entry.name)))

    def demand_each_once(self, entries: Iterable[Entry]) -> None:
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

    def _reason(self, entry: Entry) -> str:
        if self._fold:
            return f"has two files whose names differ in nothing or in case only, so it is not unpacked: {entry}"
        return f"has two files of one name, which WARCOPIER_VALIDATE=zip would allow: {entry}"
