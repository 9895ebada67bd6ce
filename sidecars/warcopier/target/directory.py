"""The target directory: how an artifact gets there without anybody ever seeing a part of it.

A run that has something to publish
1. creates `.warcopier-TOKEN.lock` and holds a lock on it for as long as it lives,
2. writes every WAR as `.warcopier-TOKEN-N.staging` beside its place, so on the same file system and under a name that
   Tomcat never deploys, and every unpacked directory as `META-INF/.warcopier-TOKEN-N.staging`: that is the one place
   below its appBase where Tomcat never takes a directory for an application; proves it, and has it flushed to the disk,
3. only when all of them are there and good, renames each over its place, and flushes the directory. An unpacked
   directory changes places with the one before it (see `trees`).

A rename replaces the old artifact in one step: there is no instant without one, and whoever has the old one open keeps
it. Killed at any instant, a run leaves each artifact old or new, and files of its own whose lock nobody holds any more:
`sweep` of a later run removes those, and leaves alone the ones of a run that lives (several Pods may share a volume).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import contextmanager, suppress

from sidecars.chassis.runtime import logs, signals
from sidecars.chassis.runtime.file_io import write_all
from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier import artifacts, io_errors, tomcat_names
from sidecars.warcopier.io_errors import READ_FLAGS
from sidecars.warcopier.target import directory_swap, free_space
from sidecars.warcopier.tomcat_names import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from sidecars.warcopier.artifacts import Fingerprint
    from sidecars.warcopier.settings import Settings

log = logs.get("warcopier")

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_RECORD_MODE = 0o644
_PART = 1 << 16  # bytes written at a time
_PRIVATE = 0o700  # a directory while it is being filled
_ATTEMPTS = 10  # to create a directory where another run removes the empty one around it


class TargetDirectory:
    """The directory that is published into, held open; leaving the context removes whatever is unfinished."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._token = ""
        self._lock: int | None = None
        self._unfinished: dict[str, None] = {}  # in the order in which they came
        self._created = 0
        try:
            self.directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise IOFailed(
                f"WARCOPIER_TARGET={escaped(path)}: there is no such directory: mount the volume there"
            ) from None
        except NotADirectoryError:
            raise IOFailed(f"WARCOPIER_TARGET={escaped(path)}: it is not a directory") from None
        except OSError as error:
            raise IOFailed(f"WARCOPIER_TARGET={escaped(path)}: cannot be opened: {error.strerror}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with signals.block_stop():
            # The lock file goes last: while it is there and held, no other run takes our files for stale.
            for name in reversed(self._unfinished):
                self._remove(name)
            if any(name.startswith(tomcat_names.META_INF) for name in self._unfinished):
                self._remove_trees_place()
            if self._lock is not None:
                os.close(self._lock)
            os.close(self.directory)

    # -- what is there ----------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        with io_errors.reading(self.path):
            return sorted(os.listdir(self.directory))  # noqa: PTH208 - of the open directory

    def contains_file(self, path: str) -> bool:
        """Whether the file lies in this very directory."""
        with io_errors.reading(path):
            parent = os.stat(os.path.dirname(os.path.realpath(path)))  # noqa: PTH116, PTH120 - paths are text
            return os.path.samestat(parent, os.fstat(self.directory))

    def stat(self, name: str) -> os.stat_result | None:
        """What has the name now, a link itself and not what it leads to; None when there is nothing."""
        try:
            return os.stat(name, dir_fd=self.directory, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def present(self, name: str) -> Fingerprint | None:
        """The file that has the name now; None when there is none, or a link or the like that is to be replaced."""
        with io_errors.writing(self.path):
            found = self.stat(name)
        if found is None:
            return None
        if stat.S_ISDIR(found.st_mode):
            place = escaped(f"{self.path}/{name}")
            raise IOFailed(f"{place} is a directory, so nothing can be published there: remove it")
        return artifacts.fingerprint(found) if stat.S_ISREG(found.st_mode) else None

    def directory_fingerprint(self, name: str) -> Fingerprint | None:
        """The directory that has the name now; None when there is none."""
        with io_errors.writing(self.path):
            found = self.stat(name)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            place = escaped(f"{self.path}/{name}")
            raise IOFailed(f"{place} is not a directory, so nothing can be unpacked there: remove it")
        return artifacts.fingerprint(found) if found else None

    def mtime(self, name: str) -> int | None:
        with suppress(OSError):
            found = self.stat(name)
            return found.st_mtime_ns if found else None
        return None

    def exists(self, name: str) -> bool | None:
        """True if something has the name, False if nothing has; None where that cannot be known.

        Tomcat as root unpacks into directories that others may not look into (0750).
        """
        try:
            return self.stat(name) is not None
        except OSError:
            return None

    def is_hidden_by_directory(self, war: str) -> bool:
        """True if a directory beside the WAR that Tomcat did not unpack will be served instead of the WAR."""
        tree = tomcat_names.exploded_directory_name(war)
        return tree != war and bool(self.exists(tree)) and self.exists(f"{tree}/{tomcat_names.WAR_TRACKER}") is False

    def mtimes_known_to_tomcat(self, war: str) -> list[int | None]:
        """The times by which Tomcat would tell an artifact of that name from the one that it has deployed."""
        tree = tomcat_names.exploded_directory_name(war)
        inside = [f"{tree}/{tomcat_names.WAR_TRACKER}", f"{tree}/WEB-INF/web.xml"] if self.stat(tree) else []
        return [self.mtime(name) for name in (war, *inside)]

    @contextmanager
    def open_file(self, name: str) -> Iterator[int]:
        """A file that is here, open to be read. Raises OSError."""
        file = os.open(name, READ_FLAGS | os.O_NOFOLLOW, dir_fd=self.directory)
        try:
            yield file
        finally:
            os.close(file)

    def set_mode_and_owner(self, name: str, settings: Settings) -> Fingerprint | None:
        """Set mode and owner of a file that stays, where they differ: Tomcat does not mind. How it looks then."""
        found = self.stat(name)
        if found is None:
            return None
        owner = settings.owner or (found.st_uid, found.st_gid)
        if (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (settings.mode, *owner):
            return None
        try:
            with self.open_file(name) as file:
                os.fchown(file, *owner)
                os.fchmod(file, settings.mode)
                return artifacts.fingerprint(os.fstat(file))
        except OSError as error:
            log.warning("its mode or owner differs and cannot be set", file=escaped(name), reason=error.strerror)
        return None

    # -- making room ------------------------------------------------------------------------------------------

    def remove_stale(self, names: Sequence[str]) -> list[str]:
        """Remove what runs that were killed have left. The names removed; never one that is not exactly ours."""
        ours: dict[str, list[str]] = {}
        for name in (*names, *self._below_trees()):
            if token := tomcat_names.run_token(name.removeprefix(f"{tomcat_names.META_INF}/")):
                ours.setdefault(token, []).append(name)
        removed: list[str] = []
        for token, files in ours.items():
            if self._is_abandoned(token):
                # Again the lock file last, so that a run killed while it sweeps leaves nothing that looks alive.
                removed += filter(self._remove, sorted(files, key=tomcat_names.lock_name(token).__eq__))
        if tomcat_names.META_INF in names:
            self._remove_trees_place()
        return removed

    def _below_trees(self) -> list[str]:
        """What lies where directories are staged, ours or not."""
        with suppress(OSError):
            place = os.open(tomcat_names.META_INF, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.directory)
            try:
                return [f"{tomcat_names.META_INF}/{name}" for name in sorted(os.listdir(place))]  # noqa: PTH208 - as above
            finally:
                os.close(place)
        return []

    def _is_abandoned(self, token: str) -> bool:
        """Whether nobody holds the lock of the run with this token."""
        try:
            with self.open_file(tomcat_names.lock_name(token)) as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno == errno.ENOENT
        return True

    def _remove(self, name: str) -> bool:
        """Remove an unfinished file or directory. What cannot be removed is no obstacle: a later run tries again."""
        try:
            if name.startswith(f"{tomcat_names.META_INF}/"):
                directory_swap.remove_tree(name, self.directory)
            else:
                os.unlink(name, dir_fd=self.directory)
        except OSError as error:
            if error.errno != errno.ENOENT:
                log.warning("cannot be removed; a later run tries again", file=name, reason=error.strerror)
            return False
        return True

    def _remove_trees_place(self) -> None:
        with suppress(OSError):  # it is somebody's, or not empty
            os.rmdir(tomcat_names.META_INF, dir_fd=self.directory)

    def require_space(self, needed: int, files: int, reserve: int) -> None:
        """Raise IOFailed when the bytes or files will not fit, and so many bytes beside them (see `space`)."""
        free_space.demand(self.directory, self.path, needed, files, reserve)

    def block_size(self) -> int:
        with io_errors.writing(self.path):
            return os.statvfs(self.directory).f_frsize or 1

    # -- unfinished things ------------------------------------------------------------------------------------

    def create_file(self, mode: int) -> tuple[str, int]:
        """A new staging file: its name, and the file open for reading and writing. Raises OSError."""
        name = self._new_name()
        return name, os.open(name, _CREATE, mode, dir_fd=self.directory)

    def create_directory(self) -> tuple[str, int]:
        """A new staging directory: its name below this one, and the directory open. Raises OSError."""
        name = self._new_name(f"{tomcat_names.META_INF}/")
        for attempt in range(_ATTEMPTS):
            with suppress(FileExistsError):
                os.mkdir(tomcat_names.META_INF, 0o755, dir_fd=self.directory)
            try:
                os.mkdir(name, _PRIVATE, dir_fd=self.directory)
                break
            except NotADirectoryError:
                raise self._no_place_for_trees() from None
            except FileNotFoundError:
                if attempt == _ATTEMPTS - 1:
                    if self.stat(tomcat_names.META_INF):  # a link to nothing
                        raise self._no_place_for_trees() from None
                    raise
        return name, os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.directory)

    def _no_place_for_trees(self) -> IOFailed:
        place = escaped(f"{self.path}/{tomcat_names.META_INF}")
        return IOFailed(f"{place}: it is no directory, and directories are unpacked below it first: remove it")

    def _new_name(self, place: str = "") -> str:
        if self._lock is None:
            self._lock = self._create_lock()
        self._created += 1
        name = f"{place}{tomcat_names.staging_name(self._token, self._created)}"
        self._unfinished[name] = None  # noted before it is there: a signal may come between any two lines
        return name

    def _create_lock(self) -> int:
        while True:
            self._token = os.urandom(8).hex()
            name = tomcat_names.lock_name(self._token)
            self._unfinished[name] = None
            lock = os.open(name, _CREATE, _RECORD_MODE, dir_fd=self.directory)
            with suppress(OSError):  # a file system without locks: nobody can tell then, and `sweep` leaves us alone
                fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock).st_nlink:
                return lock
            os.close(lock)  # swept away in the instant before it was locked

    # -- giving names -----------------------------------------------------------------------------------------

    def publish_file(self, staging: str, name: str) -> None:
        """Put a staged file in its place, over what is there. Raises OSError."""
        os.rename(staging, name, src_dir_fd=self.directory, dst_dir_fd=self.directory)
        del self._unfinished[staging]

    def publish_directory(self, staging: str, name: str) -> None:
        """Put a staged directory in its place; what was there is removed with the unfinished. Raises OSError."""
        aside = self._new_name(f"{tomcat_names.META_INF}/")
        if not directory_swap.replace_directory(staging, name, aside, self.directory):
            del self._unfinished[staging]

    def unpublish(self, name: str) -> None:
        """Remove an artifact: a file at once, a directory in one rename before its parts go. Raises OSError."""
        if tomcat_names.is_war(name):
            with suppress(FileNotFoundError):  # somebody was faster
                os.unlink(name, dir_fd=self.directory)
            return
        with suppress(FileExistsError):
            os.mkdir(tomcat_names.META_INF, 0o755, dir_fd=self.directory)
        aside = self._new_name(f"{tomcat_names.META_INF}/")
        os.rename(name, aside, src_dir_fd=self.directory, dst_dir_fd=self.directory)

    def flush(self) -> None:
        """What has its name keeps it whatever happens. Raises OSError."""
        try:
            os.fsync(self.directory)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems have nothing to flush there
                raise

    def write(self, name: str, parts: Iterable[bytes]) -> None:
        """Write a small file of our own, as safely as a WAR. Raises IOFailed."""
        with io_errors.writing(self.path):
            staging, writer = self.create_file(_RECORD_MODE)
            try:
                for part in _gathered(parts):
                    write_all(writer, part)
                os.fsync(writer)
            finally:
                os.close(writer)
            self.publish_file(staging, name)
            self.flush()


def _gathered(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in fewer parts."""
    gathered = bytearray()
    for part in parts:
        gathered += part
        if len(gathered) >= _PART:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)
