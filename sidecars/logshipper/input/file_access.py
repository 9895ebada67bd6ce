"""File access: opens log files, and keeps those that cannot be read.

A file that cannot be opened is logged once, kept in `FileAccess.unreadable`, and opened again by each scan that finds
it. So is everything that is not to be read: a link that is not followed, a FIFO, a file of logshipper itself.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping

from sidecars.chassis.isolation.beneath import LeavesRoot
from sidecars.chassis.runtime import descriptors, logs
from sidecars.logshipper.config.limits import MAX_FILES
from sidecars.logshipper.input import permissions
from sidecars.logshipper.input.discovery import MAX_FILES_OF_OWNER, FoundFile
from sidecars.logshipper.model.file_key import file_key
from sidecars.logshipper.model.fingerprint import ReadAt, is_compressed
from sidecars.logshipper.volumes.log_volumes import LogVolumes

log = logs.get("discover")

_MOST_LOGGED = 10  # refused paths that one scan logs by name
_MOST_SHOWN = 1000  # refused paths that are kept for `/status`
_NEVER_TO_BE_READ = (errno.ELOOP, errno.EINVAL, errno.EISDIR, errno.EMLINK)  # another mode or owner does not help


class FileAccess:
    """Opens files, and keeps those that cannot be read. Owned by `FollowedFiles`."""

    def __init__(self, volumes: LogVolumes, make_room: Callable[[], bool]) -> None:
        self.unreadable: dict[str, str] = {}  # path -> reason; at most _MOST_SHOWN of them
        self.unreadable_count = 0
        self.not_followed = 0  # files for which there is no room
        self._volumes = volumes
        self._make_room = make_room  # closes a file to free a descriptor; returns False if none can be closed
        self._errors: dict[str, dict[str, OSError]] = {}  # input -> path -> error, of the paths that its globs name
        self._refused: set[str] = set()  # the paths that were refused since the scan began
        self._logged = 0  # refused paths since the scan began that were new
        self._may_become_readable = False

    @property
    def needs_scan(self) -> bool:
        """True if another scan may be able to read a file, although no name has changed."""
        return self._may_become_readable or self.not_followed > 0

    def begin_scan(self) -> None:
        """Note that a scan begins: it will find files again that are still unreadable."""
        self._refused = set()
        self._logged = 0
        self._may_become_readable = False
        self._volumes.own_files.refresh()

    def end_scan(self) -> None:
        """Forget the paths that were unreadable before this scan and not in it."""
        self.unreadable = {path: reason for path, reason in self.unreadable.items() if path in self._refused}
        self.unreadable_count = len(self._refused)
        for errors in self._errors.values():
            for path in errors.keys() - self._refused:
                del errors[path]
        if self._logged > _MOST_LOGGED:
            log.warning(
                "further files cannot be read", code="further-files-unreadable", files=self._logged - _MOST_LOGGED
            )

    def note_left_out(self, count: int) -> None:
        """Note how many files there is no room for. Log it when it begins."""
        if count and not self.not_followed:
            reason = f"one process follows {MAX_FILES} files, and {MAX_FILES_OF_OWNER} of one user"
            log.warning(
                "there are more log files than are followed",
                code="too-many-log-files",
                not_followed=count,
                reason=reason,
            )
        self.not_followed = count

    def refused(self, path: str, error: OSError, name: str = "") -> None:
        """Note that a file or directory cannot be read. `name` is the input whose globs name the path."""
        reason = error.strerror or str(error)
        if descriptors.exhausted_resource(error):
            name = ""  # not the file's fault; `descriptors` logs it, and it passes
        elif self.unreadable.get(path) != reason and path not in self._refused:
            self._log(path, error)
        self._may_become_readable = self._may_become_readable or error.errno not in _NEVER_TO_BE_READ
        if len(self._refused) >= MAX_FILES:
            return
        self._refused.add(path)
        if len(self.unreadable) < _MOST_SHOWN or path in self.unreadable:
            self.unreadable[path] = reason
            if name:
                self._errors.setdefault(name, {})[path] = error

    def _log(self, path: str, error: OSError) -> None:
        self._logged += len(self.unreadable) < _MOST_SHOWN or path in self.unreadable
        if self._logged > _MOST_LOGGED:
            return
        why = permissions.why(path, error, self._volumes.look)
        if error.errno in _NEVER_TO_BE_READ:
            log.warning("a file is not read", code="file-not-read", file=path, reason=why)
        else:
            log.warning("a file cannot be read; it is tried again", code="file-unreadable", file=path, reason=why)

    def is_refused(self, path: str) -> bool:
        """Return True if the path was refused since the scan began."""
        return path in self._refused

    def refusals(self, name: str) -> Mapping[str, OSError]:
        """Return the unreadable files and directories that an input's globs name, with their errors."""
        return self._errors.get(name, {})

    def why(self, path: str, error: OSError) -> str:
        """Return the sentence for a path that was refused."""
        return permissions.why(path, error, self._volumes.look)

    def open_if(self, found: FoundFile, test: Callable[[ReadAt], bool]) -> int | None:
        """Return a descriptor of the file if its content passes the test.

        Return None, too, if the file cannot be read now (which is noted), was deleted, or is another one by now.
        """
        descriptor, passed = None, False
        try:
            descriptor = self._open(found.path)
            key = file_key(os.fstat(descriptor))
            if self._volumes.own_files.is_ours(key):
                self.refused(found.path, LeavesRoot(found.path, "it is a file of logshipper itself"))
            else:
                passed = key == found.key and test(reader_at(descriptor))
        except FileNotFoundError:
            pass
        except OSError as error:
            self.refused(found.path, error, found.input)
        if descriptor is not None and not passed:
            os.close(descriptor)
        return descriptor if passed else None

    def _open(self, path: str) -> int:
        """Open a file for reading. If no descriptor is free, another file is closed for it. Raises OSError."""
        try:
            return self._volumes.open(path)
        except OSError as error:
            if descriptors.count_exhaustion(error) is None or not self._make_room():
                raise
        return self._volumes.open(path)


def is_text(descriptor: int) -> bool:
    """Return False if the open file is compressed, or cannot be read."""
    try:
        return not is_compressed(os.pread(descriptor, 8, 0))
    except OSError:
        return False


def reader_at(descriptor: int) -> ReadAt:
    return lambda offset, length: os.pread(descriptor, length, offset)
