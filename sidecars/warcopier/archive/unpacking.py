"""An archive's entries become files below a directory: the sink of `archive.prove`.

The directory is new, private, and only ours, so no link can be in the way; every name has passed the check of what can
be unpacked. Each file is created by `O_EXCL` with its final permissions, written, and read back. Times of files and
directories follow from the archive (see `entry_times`), so that replicas agree.

Tomcat knows a directory that it has unpacked by `META-INF/war-tracker`, which has the time of the WAR. We leave one
too: should a WAR of that name ever appear beside the directory, Tomcat sees that it is not the one that is unpacked
there, and unpacks it, instead of serving the old directory for ever.
"""

from __future__ import annotations

import errno
import os
import zlib
from contextlib import suppress

from sidecars.chassis.runtime.file_io import write_all
from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier import io_errors, tomcat_names
from sidecars.warcopier.archive.entry_times import file_mtime_ns
from sidecars.warcopier.archive.zip_directory import BadArchive
from sidecars.warcopier.tomcat_names import escaped_prefix
from sidecars.warcopier.transfer.copying import holds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sidecars.warcopier.settings import Owner

_TRACKER = tomcat_names.WAR_TRACKER.encode()
_BELOW_TRACKER, _ABOVE_TRACKER = _TRACKER + b"/", os.path.dirname(_TRACKER)  # noqa: PTH120 - bytes
_WATCHED = (b"WEB-INF/web.xml", b"WEB-INF/tomcat-web.xml")  # Tomcat reloads the app when the time of one differs
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ_BITS, _ENTER, _OWNERS = 0o444, 2, 0o300  # who may read a directory may enter it; its owner may fill and empty it
_MEANS_NOTHING = (b"", b"/", b".")
_PIECE = 1 << 16  # bytes read at a time


class ExplodedDirectoryWriter:
    """The directory that an archive is unpacked into. Several processes may do that at a time, with one each.

    `wrote` is told how many more bytes are written.
    """

    def __init__(self, root: int, mode: int, owner: Owner | None, wrote: Callable[[int], None]) -> None:
        self._root = root
        self._mode = mode
        self._directory_mode = mode | ((mode & _READ_BITS) >> _ENTER) | _OWNERS
        self._owner = owner
        self._wrote = wrote

    def directory(self, path: bytes) -> None:
        if plain := _plain(path):
            _demand_place_of_tracker(plain, path, is_file=False)
            self._make(plain, path)

    def file(self, path: bytes, pieces: Iterable[bytes], crc: int, modified: int) -> None:
        plain = _plain(path)
        if not plain:
            raise BadArchive(f"has a file without a name, so it is not unpacked: {_shown(path)}")
        if plain == _TRACKER:
            for _ in pieces:
                pass  # it is checked like any other, but the tracker is ours
            return
        _demand_place_of_tracker(plain, path, is_file=True)
        self._write(plain, pieces, crc, file_mtime_ns(modified, crc))

    def finish(self, mtime_ns: int, directories_ns: int | None = None) -> None:
        """Add the tracker, and let what Tomcat watches have a time that it does not know. Raises OSError.

        `directories_ns` is the time for all directories; None leaves them as they are. Only for all that is unpacked.
        """
        self._write(_TRACKER, (), 0, mtime_ns)
        for path in (_TRACKER, *_WATCHED):
            with suppress(FileNotFoundError, NotADirectoryError):
                os.utime(path, ns=(mtime_ns, mtime_ns), dir_fd=self._root)
        os.fchmod(self._root, self._directory_mode)
        if self._owner:
            io_errors.change_owner(self._root, self._owner)
        if directories_ns is not None:
            self._set_times(directories_ns)

    def _set_times(self, time_ns: int) -> None:
        """Set the time of every directory, the root too. Nothing may be created afterwards."""
        below = [b"."]
        while below:
            path = below.pop()
            directory = os.open(path, _DIRECTORY, dir_fd=self._root)
            try:
                with os.scandir(directory) as found:
                    names = [os.fsencode(one.name) for one in found if one.is_dir(follow_symlinks=False)]
                os.utime(directory, ns=(time_ns, time_ns))
            finally:
                os.close(directory)
            below += [path + b"/" + name for name in names]

    def _write(self, path: bytes, pieces: Iterable[bytes], crc: int, mtime_ns: int) -> None:
        file = self._create(path)
        try:
            size = 0
            piece = b""
            for piece in pieces:
                write_all(file, piece)
                size += len(piece)
                self._wrote(len(piece))
            if self._owner:
                io_errors.change_owner(file, self._owner)
            if not _is_whole(file, piece, size, crc):
                raise IOFailed(
                    f"{_shown(path)}: what was unpacked is not what was written; suspect the disk of the target"
                )
            os.utime(file, ns=(mtime_ns, mtime_ns))
        finally:
            os.close(file)

    def _create(self, path: bytes) -> int:
        try:
            try:
                return os.open(path, _CREATE, self._mode, dir_fd=self._root)
            except FileNotFoundError:
                self._make(os.path.dirname(path), path)  # noqa: PTH120 - bytes
                return os.open(path, _CREATE, self._mode, dir_fd=self._root)
        except OSError as error:
            raise _refusal(error, path) from None

    def _make(self, directory: bytes, path: bytes) -> None:
        """Make the directory and those above it. An archive may name them in any order, twice, or not at all."""
        missing = [directory]
        while missing:
            try:
                os.mkdir(missing[-1], self._directory_mode, dir_fd=self._root)
            except FileNotFoundError:
                above = os.path.dirname(missing[-1])  # noqa: PTH120 - bytes
                if not above:
                    raise  # somebody has removed the root itself
                missing.append(above)
                continue
            except FileExistsError:
                os.close(self._open_directory(missing[-1], path))
            except OSError as error:
                raise _refusal(error, path) from None
            else:
                self._give(missing[-1], path)
            missing.pop()

    def _give(self, directory: bytes, path: bytes) -> None:
        """Let a new directory belong to the owner that is asked for."""
        if self._owner:
            made = self._open_directory(directory, path)
            try:
                io_errors.change_owner(made, self._owner)
            finally:
                os.close(made)

    def _open_directory(self, directory: bytes, path: bytes) -> int:
        try:
            return os.open(directory, _DIRECTORY, dir_fd=self._root)
        except OSError as error:
            raise _refusal(error, path) from None


def _plain(path: bytes) -> bytes:
    """The path without what means nothing to a file system: `a//b/./c/` is `a/b/c`."""
    if path[:1] not in _MEANS_NOTHING and path[-1:] not in _MEANS_NOTHING and b"//" not in path and b"/./" not in path:
        return path  # as nearly all of them are
    return b"/".join(part for part in path.split(b"/") if part not in (b"", b"."))


def _demand_place_of_tracker(plain: bytes, path: bytes, *, is_file: bool) -> None:
    """Raise BadArchive where the entry takes the place of the tracker, or of the directory that it lies in."""
    in_its_place = plain == _TRACKER or plain.startswith(_BELOW_TRACKER)
    if in_its_place or (is_file and plain == _ABOVE_TRACKER):
        raise BadArchive(
            f"has an entry in the place of {tomcat_names.WAR_TRACKER}, by which Tomcat knows an unpacked directory:"
            f" {_shown(path)}"
        )


def _is_whole(file: int, last: bytes, size: int, crc: int) -> bool:
    """Whether the file really holds what was written: so many bytes with that checksum, at the end `last`."""
    if len(last) == size:
        return holds(file, last)
    found = at = 0
    while piece := os.pread(file, _PIECE, at):
        found = zlib.crc32(piece, found)
        at += len(piece)
    return (at, found) == (size, crc)


def _refusal(error: OSError, path: bytes) -> Exception:
    """What the file system has against the entry's name; any other error is itself."""
    if error.errno in (errno.EEXIST, errno.EISDIR, errno.ENOTDIR):
        return BadArchive(f"has two entries that want to be the same file, so it is not unpacked: {_shown(path)}")
    if error.errno == errno.ENAMETOOLONG:
        return BadArchive(f"has an entry whose name is too long to be a file's: {_shown(path)}")
    return error


def _shown(path: bytes) -> str:
    return escaped_prefix(path.decode(errors="surrogateescape"))
