"""The volumes with the log files: each directory that a glob begins with, and each declared root of links, held open.

The app can write to these volumes, so a path on them is only a text. It becomes a file by `LogVolumes`: the longest
configured directory that the path begins with is held open, and the rest is looked up beneath it, through no link.

| the path | is looked up |
|---|---|
| below the directory of a glob | beneath it, without links |
| the same, and a link is on the way | not at all, unless the link leads below a directory of LOGSHIPPER_LINK_ROOTS |
| below a directory of LOGSHIPPER_LINK_ROOTS | beneath it, without links |
| anywhere else (a saved state may say so) | not at all |

A link that is followed is read here and compared with the declared roots as a text. The kernel follows none, so that a
swap gains nothing: a file that is opened is below a declared root in any case.

A configured directory that does not exist yet, or was replaced (a volume that was mounted again), is opened by
`refresh`, which each scan calls.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import stat
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from sidecars.chassis.isolation.beneath import LeavesRoot, Root
from sidecars.logshipper.model.file_key import FileKey, file_key
from sidecars.logshipper.volumes import configured_paths
from sidecars.logshipper.volumes.configured_paths import ConfiguredDirectory
from sidecars.logshipper.volumes.own_files import OwnFiles

MAX_HOPS = 8  # links that one path may lead through
OUTSIDE = "it is in no directory that LOGSHIPPER_PATHS or LOGSHIPPER_LINK_ROOTS names"
NOT_FOLLOWED = "a link, and it is not followed: LOGSHIPPER_LINK_ROOTS may name the directory that it leads to"


class LogVolumes:
    """The configured directories. Owned by the app; the follower and its parts look up each path by it.

    `own_files`: the files that are never read as logs, wherever they are found.
    """

    def __init__(
        self, folders: Iterable[str], link_roots: Iterable[str] = (), own_files: OwnFiles | None = None
    ) -> None:
        self.own_files = own_files or OwnFiles()
        self._link_roots = [ConfiguredDirectory(folder) for folder in sorted(set(link_roots), key=len, reverse=True)]
        named = {one.path: one for one in self._link_roots}
        self._directories = [named.get(folder) or ConfiguredDirectory(folder) for folder in set(folders) | named.keys()]
        self._directories.sort(key=lambda one: len(one.path), reverse=True)  # the longest path first
        self.refresh(lambda _path, _error: None)

    @property
    def follows_links(self) -> bool:
        """True if LOGSHIPPER_LINK_ROOTS declares a directory."""
        return bool(self._link_roots)

    def refresh(self, refused: Callable[[str, OSError], None]) -> None:
        """Open the directories that exist by now, or were replaced. `refused` is called if that is not permitted."""
        for one in self._directories:
            try:
                one.refresh()
            except (FileNotFoundError, NotADirectoryError):
                pass  # it does not exist yet
            except OSError as error:
                refused(one.path, error)

    def on_the_mount_of(self, root: Root) -> list[str]:
        """Return the directories that are on the same mount as another one: see `configured_paths.shared_mount`."""
        return [one.path for one in self._directories if one.root and configured_paths.shared_mount(one.root, root)]

    def close(self) -> None:
        """Close all directories."""
        for one in self._directories:
            one.close()

    # -- looking up --------------------------------------------------------------------------------------------------

    def open(self, path: str) -> int:
        """Return a descriptor of a regular file, for reading. Raises OSError, without waiting for anybody."""
        root, name = self._locate(path)
        try:
            return root.open_file(name)
        except LeavesRoot as error:
            root, name = self._follow(path, error)
            return root.open_file(name)

    def status(self, path: str) -> os.stat_result:
        """Return the status of a file or directory. Raises OSError: LeavesRoot for a link that is not followed."""
        root, name = self._locate(path)
        try:
            status = root.status(name)
        except LeavesRoot as error:
            root, name = self._follow(path, error)
            return root.status(name)
        if not stat.S_ISLNK(status.st_mode):
            return status
        root, name = self._follow(path, LeavesRoot(path, NOT_FOLLOWED))
        return root.status(name)

    def scan(self, folder: str) -> Iterator[os.DirEntry[str]]:
        """Return an iterator over the entries of a directory, which is open already. See `Root.scan`."""
        root, name = self._locate(folder)
        try:
            return _begun(root.scan(name))
        except LeavesRoot as error:
            root, name = self._follow(folder, error)
            return _begun(root.scan(name))

    def directory(self, folder: str) -> Root:
        """Return a directory, open. The caller closes it."""
        root, name = self._locate(folder)
        try:
            return _below(root, name)
        except LeavesRoot as error:
            root, name = self._follow(folder, error)
            return _below(root, name)

    def directory_to_watch(self, folder: str) -> Root:
        """Return a directory, or a configured one that is above those of the globs. The caller closes it."""
        if any(one.below(folder) is not None for one in self._directories):
            return self.directory(folder)
        return configured_paths.open_directory(folder)

    def parent_without_links(self, path: str) -> tuple[Root, str]:
        """Return the open directory of a path and its last component, for a change. No link is followed.

        The caller closes the directory. Raises OSError.
        """
        root, name = self._locate(path)
        folder, _, last = name.rpartition("/")
        return _below(root, folder), last

    def real_folder(self, path: str) -> str:
        """Return the directory that a file is in once the declared links are followed, as a text."""
        folder = posixpath.dirname(path)
        if self._link_roots:
            with contextlib.suppress(OSError):
                root, name = self._follow(path, LeavesRoot(path))
                folder = posixpath.dirname(f"{root.path.rstrip('/')}/{name}")
        return folder

    def look(self, path: str) -> os.stat_result:
        """Return the status of a path, for a message: also of a configured directory, or one above it."""
        try:
            return self.status(path)
        except LeavesRoot:
            if any(one.path.startswith(path.rstrip("/")) for one in self._directories):
                return os.stat(path)  # noqa: PTH116 - the operator's part of the path
            raise

    def file_key(self, path: str) -> FileKey | None:
        """Return the key of the file at the path; None if there is none, or if it may not be looked at."""
        try:
            return file_key(self.status(path))
        except OSError:
            return None

    def is_readable(self, folder: str) -> bool:
        """Return True if the directory exists and can be listed: a file that is not found in it does not exist."""
        try:
            with self.directory(folder) as opened:
                return os.access(".", os.R_OK | os.X_OK, dir_fd=opened.descriptor)
        except OSError:
            return False

    def is_below_a_link_root(self, path: str) -> bool:
        """Return True if the path is, as a text, below a directory of LOGSHIPPER_LINK_ROOTS."""
        return any(one.below(path) is not None for one in self._link_roots)

    def _locate(self, path: str) -> tuple[Root, str]:
        return _find(self._directories, path)

    # -- links -------------------------------------------------------------------------------------------------------

    def _follow(self, path: str, error: LeavesRoot) -> tuple[Root, str]:
        """Return the place of a path with its links replaced by their targets, as far as these are declared.

        Raises `error` if a target is not below a declared root, or there are too many links.
        """
        if not self._link_roots:
            raise error
        root, name = self._locate(path)
        for _ in range(MAX_HOPS + 1):
            link = _first_link(root, name)
            if link is None:
                return root, name
            target = posixpath.join(root.path, posixpath.dirname(link), root.read_link(link))
            rest = name[len(link) :]
            try:
                root, name = _find(self._link_roots, posixpath.normpath(target) + rest)
            except LeavesRoot:
                raise error from None
        raise error


def _find(directories: Iterable[ConfiguredDirectory], path: str) -> tuple[Root, str]:
    """Return the first of the directories that the path is in, and the rest of the path. Raises OSError."""
    for one in directories:
        name = one.below(path)
        if name is not None:
            if one.root is None:
                raise FileNotFoundError(2, "No such file or directory", path)
            return one.root, name
    raise LeavesRoot(path, OUTSIDE)


def _first_link(root: Root, name: str) -> str | None:
    """Return the part of the name up to the first link on it; None if there is none."""
    end = 0
    while name and end >= 0:
        end = name.find("/", end + 1)
        part = name if end < 0 else name[:end]
        if stat.S_ISLNK(root.status(part).st_mode):
            return part
    return None


def _below(root: Root, name: str) -> Root:
    return root.subdirectory(name) if name else Root(os.dup(root.descriptor), root.path)


def _begun(entries: Iterator[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
    """Return the iterator after it has opened its directory, so that an error is raised here."""
    first = next(entries, None)
    return iter(()) if first is None else chain((first,), entries)
