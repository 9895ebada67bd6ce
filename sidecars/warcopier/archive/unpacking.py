"""Unpacking: the sink of `verification` that writes an archive's entries as files of an exploded directory.

The directory is new and private, but a neighbour with our uid can still plant links in it and exchange its directories.
So each directory is opened once, without following a link (`open_directories`), and each file in it by one component.
Every name has passed the rule `unpackable`. A file is created with O_EXCL and its final permissions, written, and read
back. The times of files and directories follow from the archive (see `entry_times`), so that replicas agree. Modes,
owners and times are set through descriptors only.

Tomcat marks a directory that it has unpacked with `META-INF/war-tracker`, which has the mtime of the WAR. This module
writes one too. If a WAR of that name ever appears beside the directory, Tomcat then sees that the directory is not that
WAR, and unpacks it. Without the file it would serve the old directory forever.
"""

from __future__ import annotations

import errno
import os
import zlib
from contextlib import nullcontext, suppress

from sidecars.chassis.runtime.file_io import write_all
from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier import io_errors, tomcat_names
from sidecars.warcopier.archive.entry_times import directory_mtime_ns, dos_to_unix_time, file_mtime_ns
from sidecars.warcopier.archive.zip_format import BadArchive
from sidecars.warcopier.tomcat_names import escaped_prefix
from sidecars.warcopier.transfer.copying import holds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sidecars.warcopier.archive.open_directories import OpenDirectories
    from sidecars.warcopier.archive.zip_format import Entry
    from sidecars.warcopier.settings import Owner

TRACKER = tomcat_names.WAR_TRACKER.encode()
_BELOW_TRACKER, _ABOVE_TRACKER = TRACKER + b"/", os.path.dirname(TRACKER)  # noqa: PTH120 - bytes
# Tomcat reloads the application if the mtime of one of the last two differs.
_GETS_NEW_TIME = (tomcat_names.WAR_TRACKER, "WEB-INF/web.xml", "WEB-INF/tomcat-web.xml")
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_BITS, _READ_TO_SEARCH = 0o444, 2  # a user who may read a directory may also search it
_OWNER_BITS = 0o300  # the owner of a directory may fill and empty it
_INSIGNIFICANT = (b"", b"/", b".")
_PIECE = 1 << 16  # bytes read at a time


class ExplodedDirectoryWriter:
    """Writes the entries of one archive below the root of `directories`. Each process that unpacks owns one."""

    def __init__(
        self, directories: OpenDirectories, mode: int, owner: Owner | None, on_written: Callable[[int], None]
    ) -> None:
        """`mode` is that of files; `on_written` is called with the number of further bytes that are written."""
        self._directories = directories
        self._root = directories.root
        self._mode = mode
        self._directory_mode = mode | ((mode & _READ_BITS) >> _READ_TO_SEARCH) | _OWNER_BITS
        self._owner = owner
        self._on_written = on_written

    def directory(self, path: bytes) -> None:
        """Create the directory of an entry. Raises BadArchive, IOFailed or OSError."""
        if plain := normalized(path):
            _require_not_tracker(plain, path, is_file=False)
            self._make_directory(plain, path)

    def file(self, entry: Entry, pieces: Iterable[bytes]) -> None:
        """Write the file of an entry and read it back. Raises BadArchive, IOFailed or OSError."""
        path = entry.name
        plain = normalized(path)
        if not plain:
            raise BadArchive(f"has a file without a name, so it is not unpacked: {shown(path)}")
        if plain == TRACKER:
            for _ in pieces:
                pass  # its data is verified like any other, but the tracker is ours
            return
        _require_not_tracker(plain, path, is_file=True)
        modified = dos_to_unix_time(entry.dos_time) if entry.timestamp is None else entry.timestamp
        self._write(plain, pieces, entry.crc, file_mtime_ns(modified, entry.crc))

    def finish(self, mtime_ns: int, newest_dos_time: int | None = None) -> None:
        """Write the tracker, and give it and the deployment descriptors `mtime_ns`, so that Tomcat sees a change.

        All directories get the time of the newest entry; None leaves theirs unchanged. Called once, by one process,
        after all entries are written. Raises IOFailed or OSError.
        """
        self._write(TRACKER, (), 0, mtime_ns)
        for path in _GETS_NEW_TIME:
            with suppress(FileNotFoundError, NotADirectoryError):
                file = self._root.open_file(path)
                try:
                    os.utime(file, ns=(mtime_ns, mtime_ns))
                finally:
                    os.close(file)
        with io_errors.opened_for_reading(self._root) as root:
            os.fchmod(root, self._directory_mode)
            if self._owner:
                io_errors.change_owner(root, self._owner)
        if newest_dos_time is not None:
            self._set_directory_times(directory_mtime_ns(dos_to_unix_time(newest_dos_time)))

    def _set_directory_times(self, time_ns: int) -> None:
        """Set the mtime of every directory, the root too. Creating a file afterwards would change it again."""
        below = [""]
        while below:
            path = below.pop()
            with (
                self._root.subdirectory(path) if path else nullcontext(self._root) as directory,
                io_errors.opened_for_reading(directory) as descriptor,
            ):
                with os.scandir(descriptor) as found:
                    names = [one.name for one in found if one.is_dir(follow_symlinks=False)]
                os.utime(descriptor, ns=(time_ns, time_ns))
            below += [f"{path}/{name}" if path else name for name in names]

    def _write(self, path: bytes, pieces: Iterable[bytes], crc: int, mtime_ns: int) -> None:
        file = self._create(path)
        try:
            size = 0
            piece = b""
            for piece in pieces:
                write_all(file, piece)
                size += len(piece)
                self._on_written(len(piece))
            if self._owner:
                io_errors.change_owner(file, self._owner)
            if not _is_whole(file, piece, size, crc):
                raise IOFailed(
                    f"{shown(path)}: the unpacked file differs from what was written; suspect the disk of the target",
                    code="copy-differs",
                )
            os.utime(file, ns=(mtime_ns, mtime_ns))
        finally:
            os.close(file)

    def _create(self, path: bytes) -> int:
        directory, _, name = path.rpartition(b"/")
        try:
            try:
                descriptor = self._directories.descriptor(directory)
            except FileNotFoundError:
                self._make_directory(directory, path)
                descriptor = self._directories.descriptor(directory)
            return os.open(name, _CREATE, self._mode, dir_fd=descriptor)
        except OSError as error:
            raise _refusal(error, path) from None

    def _make_directory(self, directory: bytes, path: bytes) -> None:
        """Make a directory and its parents. An archive may list them in any order, twice, or not at all."""
        missing = [os.fsdecode(directory)]
        while missing:
            try:
                self._root.make_directory(missing[-1], self._directory_mode)
            except FileNotFoundError:
                parent = missing[-1].rpartition("/")[0]
                if not parent:
                    raise  # another process has removed the root itself
                missing.append(parent)
                continue
            except FileExistsError:
                self._use_directory(missing[-1], path, is_new=False)
            except OSError as error:
                raise _refusal(error, path) from None
            else:
                self._use_directory(missing[-1], path, is_new=True)
            missing.pop()

    def _use_directory(self, directory: str, path: bytes, *, is_new: bool) -> None:
        """Set the owner of a new directory, if WARCOPIER_OWNER is set; require that an old one is a directory."""
        if is_new and not self._owner:
            return
        try:
            with self._root.subdirectory(directory) as made:
                if is_new and self._owner:
                    with io_errors.opened_for_reading(made) as descriptor:
                        io_errors.change_owner(descriptor, self._owner)
        except OSError as error:
            raise _refusal(error, path) from None


def normalized(path: bytes) -> bytes:
    """Return the path without its insignificant parts: `a//b/./c/` becomes `a/b/c`."""
    first, last = path[:1], path[-1:]
    if first not in _INSIGNIFICANT and last not in _INSIGNIFICANT and b"//" not in path and b"/./" not in path:
        return path  # the usual case
    return b"/".join(part for part in path.split(b"/") if part not in (b"", b"."))


def _require_not_tracker(plain: bytes, path: bytes, *, is_file: bool) -> None:
    """Raise BadArchive if the entry would replace the tracker, or be a file in place of the tracker's directory."""
    in_its_place = plain == TRACKER or plain.startswith(_BELOW_TRACKER)
    if in_its_place or (is_file and plain == _ABOVE_TRACKER):
        raise BadArchive(
            f"has an entry in the place of {tomcat_names.WAR_TRACKER}, by which Tomcat knows an unpacked directory:"
            f" {shown(path)}"
        )


def _is_whole(file: int, last: bytes, size: int, crc: int) -> bool:
    """True if the file has `size` bytes with that CRC-32. `last` is the last piece written, often the whole file."""
    if len(last) == size:
        return holds(file, last)
    found = at = 0
    while piece := os.pread(file, _PIECE, at):
        found = zlib.crc32(piece, found)
        at += len(piece)
    return (at, found) == (size, crc)


def _refusal(error: OSError, path: bytes) -> Exception:
    """Return BadArchive if the error is about the name of the entry, else the error itself."""
    if error.errno in (errno.EEXIST, errno.EISDIR, errno.ENOTDIR):
        return BadArchive(f"has two entries that want to be the same file, so it is not unpacked: {shown(path)}")
    if error.errno == errno.ENAMETOOLONG:
        return BadArchive(f"has an entry whose name is too long to be a file's: {shown(path)}")
    return error


def shown(path: bytes) -> str:
    return escaped_prefix(path.decode(errors="surrogateescape"))
