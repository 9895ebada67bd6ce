"""The target directory: how a WAR gets there without anybody ever seeing a part of it.

A run that has something to publish
1. creates `.warcopier-TOKEN.lock` and holds a lock on it for as long as it lives,
2. writes every WAR as `.warcopier-TOKEN-N.staging` beside its place, so on the same file system and under a name that
   Tomcat never deploys, reads it back, and has it flushed to the disk,
3. only when all of them are there and good, renames each over its place, and flushes the directory.

A rename replaces the old WAR in one step: there is no instant without one, and whoever has the old one open keeps it.
Killed at any instant, a run leaves each WAR old or new, and files of its own whose lock nobody holds any more: `sweep`
of a later run removes those, and leaves alone the ones of a run that lives (several Pods may share a volume).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self

from chassis import lifecycle
from chassis.lifecycle import BadData, IOFailed
from sidecars.warcopier import failures, naming, plan
from sidecars.warcopier.archive import Contents, NotAnArchive, Read
from sidecars.warcopier.copying import Beside, copy, reader_of, sha256_of, signals_waiting
from sidecars.warcopier.naming import shown
from sidecars.warcopier.plan import Fingerprint, Source

Examine = Callable[[Read, int], Contents | None]
"""The check that an archive of the given size must pass. Raises NotAnArchive."""

MODE = 0o644  # Tomcat usually runs as another user
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # never hangs on a pipe that took a file's place
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Staged(NamedTuple):
    """A WAR that is complete, checked and on the disk, and lacks only its name."""

    source: Source
    staging: str
    inode: int
    sha256: str
    contents: Contents | None


class Target:
    """The directory that is published into, held open; leaving the context removes whatever is unfinished."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._token = ""
        self._lock: int | None = None
        self._unfinished: list[str] = []
        self._created = 0
        try:
            self.directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise IOFailed(
                f"WARCOPIER_TARGET={shown(path)}: there is no such directory: mount the volume there"
            ) from None
        except NotADirectoryError:
            raise IOFailed(f"WARCOPIER_TARGET={shown(path)}: it is not a directory") from None
        except OSError as error:
            raise IOFailed(f"WARCOPIER_TARGET={shown(path)}: cannot be opened: {error.strerror}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with signals_waiting():
            # The lock file goes last: while it is there and held, no other run takes our files for stale.
            for name in reversed(self._unfinished):
                with suppress(OSError):
                    os.unlink(name, dir_fd=self.directory)
            if self._lock is not None:
                os.close(self._lock)
            os.close(self.directory)

    # -- what is there ----------------------------------------------------------------------------------------

    def is_where(self, source: Source) -> bool:
        """Whether the source lies in this very directory."""
        with failures.reading(source.path):
            parent = os.stat(os.path.dirname(os.path.realpath(source.path)))  # noqa: PTH116, PTH120 - paths are text
            return os.path.samestat(parent, os.fstat(self.directory))

    def present(self, name: str) -> Fingerprint | None:
        """The file that has the name now; None when there is none, or a link or the like that is to be replaced."""
        with failures.writing(self.path):
            try:
                found = os.stat(name, dir_fd=self.directory, follow_symlinks=False)
            except FileNotFoundError:
                return None
        if stat.S_ISDIR(found.st_mode):
            place = shown(f"{self.path}/{name}")
            raise IOFailed(f"{place} is a directory, so nothing can be published there: remove it")
        return Fingerprint.of(found) if stat.S_ISREG(found.st_mode) else None

    def is_shadowed(self, name: str) -> bool:
        """Whether a directory beside the WAR that Tomcat did not unpack will be served instead of the WAR."""
        unpacked = naming.unpacked_directory(name)
        return self._mtime(unpacked) is not None and self._mtime(f"{unpacked}/META-INF/war-tracker") is None

    def _mtime(self, name: str) -> int | None:
        try:
            return os.stat(name, dir_fd=self.directory, follow_symlinks=False).st_mtime_ns
        except OSError:
            return None

    def digests(self, source: Source, believed: str | None) -> tuple[str, str | None]:
        """The digests of the source and of the file that has its name here; None for one that we may not read."""
        reader = _open_source(source)
        try:
            with Beside(reader, sha256_of) as digest:
                here = believed or self._sha256(source.name)
                with failures.reading(source.path):
                    return digest.result(), here
        finally:
            os.close(reader)

    def _sha256(self, name: str) -> str | None:
        try:
            present = os.open(name, _READ | os.O_NOFOLLOW, dir_fd=self.directory)
        except OSError:
            return None  # another user's: it can still be replaced
        try:
            with failures.reading(f"{self.path}/{name}"):
                return sha256_of(reader_of(present))
        finally:
            os.close(present)

    def check(self, source: Source, examine: Examine) -> None:
        """Examine the file that is here already and has the source's bytes. Raises BadData."""
        with failures.reading(f"{self.path}/{source.name}"):
            present = os.open(source.name, _READ | os.O_NOFOLLOW, dir_fd=self.directory)
            try:
                _examined(source, examine, reader_of(present), os.fstat(present).st_size)
            finally:
                os.close(present)

    # -- making room ------------------------------------------------------------------------------------------

    def sweep(self) -> list[str]:
        """Remove what runs that were killed have left. The names removed; never one that is not exactly ours."""
        with failures.reading(self.path):
            names = sorted(os.listdir(self.directory))  # noqa: PTH208 - of the open directory
        ours: dict[str, list[str]] = {}
        for name in names:
            if token := naming.token_of(name):
                ours.setdefault(token, []).append(name)
        removed: list[str] = []
        for token, files in ours.items():
            if self._is_abandoned(token):
                # Again the lock file last, so that a run killed while it sweeps leaves nothing that looks alive.
                for name in sorted(files, key=naming.lock_name(token).__eq__):
                    with suppress(OSError):  # what cannot be removed is no obstacle either
                        os.unlink(name, dir_fd=self.directory)
                        removed.append(name)
        return removed

    def _is_abandoned(self, token: str) -> bool:
        """Whether nobody holds the lock of the run with this token."""
        try:
            lock = os.open(naming.lock_name(token), _READ | os.O_NOFOLLOW, dir_fd=self.directory)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
        else:
            return True
        finally:
            os.close(lock)

    def demand_space(self, needed: int, files: int) -> None:
        """Raise IOFailed when the file system says that the bytes will not fit."""
        with failures.writing(self.path):
            disk = os.statvfs(self.directory)
        free = disk.f_bavail * disk.f_frsize
        if disk.f_blocks and needed > free:
            what = "1 file" if files == 1 else f"{files} files"
            raise IOFailed(
                f"WARCOPIER_TARGET={shown(self.path)}: it is too full: {needed} bytes are needed for {what},"
                f" {free} are free; make room, or give the volume more"
            )

    # -- publishing -------------------------------------------------------------------------------------------

    def stage(self, source: Source, examine: Examine, now_ns: int) -> Staged:
        """Copy the source beside its place and prove the copy. Raises BadData or IOFailed."""
        reader = _open_source(source)
        try:
            before = Fingerprint.of(os.fstat(reader))
            staging, writer = self._create_staging()
            try:
                with Beside(reader, sha256_of) as digest:
                    with failures.writing(self.path):
                        copied = copy(reader, writer, before.size)
                    with failures.reading(source.path):
                        wanted = digest.result()
                        after = Fingerprint.of(os.fstat(reader))
                if after != before or copied != before.size:
                    raise IOFailed(f"{shown(source.path)}: it was changed while it was being copied: try again")
                staged = Source(source.path, source.name, source.device, before)
                return self._proven(staged, staging, writer, wanted, examine, now_ns)
            finally:
                os.close(writer)
        finally:
            os.close(reader)

    def _proven(self, source: Source, staging: str, writer: int, wanted: str, examine: Examine, now_ns: int) -> Staged:
        """Read back what was written, while the kernel brings it to the disk."""
        size = source.fingerprint.size
        with (
            Beside(writer, lambda read: _examined(source, examine, read, size)) as contents,
            Beside(writer, sha256_of) as digest,
            failures.writing(self.path),
        ):
            with suppress(PermissionError):  # some network file systems have modes of their own
                os.fchmod(writer, MODE)
            os.utime(writer, ns=(now_ns, self._new_mtime(source.name, now_ns)))
            os.fsync(writer)
            found, inode = digest.result(), os.fstat(writer).st_ino
            if found != wanted:
                raise IOFailed(
                    f"{shown(source.path)}: the copy is not what was read: sha256 {found} instead of {wanted};"
                    " suspect the memory, or the disk of the target"
                )
            return Staged(source, staging, inode, found, contents.result())

    def _new_mtime(self, name: str, now_ns: int) -> int:
        tracker = f"{naming.unpacked_directory(name)}/META-INF/war-tracker"
        taken = (self._mtime(name), self._mtime(tracker))
        return plan.modification_time(now_ns, (mtime for mtime in taken if mtime is not None))

    def commit(self, staged: Iterable[Staged]) -> dict[str, Fingerprint]:
        """Give every staged WAR its name, and flush the directory. What each looks like now.

        Signals wait until all have their names, so that being told to stop never publishes a part of a set; then it is
        too late for them: all is published, and what is left is to say so. Raises IOFailed, which names the WARs that
        were already published.
        """
        done: dict[str, Fingerprint] = {}
        named: list[str] = []
        with signals_waiting():
            try:
                with failures.writing(self.path):
                    for one in staged:
                        self._rename(one.staging, one.source.name)
                        named.append(one.source.name)
                        found = os.stat(one.source.name, dir_fd=self.directory, follow_symlinks=False)
                        if found.st_ino == one.inode:  # else another run was faster than this line
                            done[one.source.name] = Fingerprint.of(found)
                    self._flush()
            except IOFailed as failure:
                if not named:
                    raise
                names = ", ".join(shown(name) for name in named)
                raise IOFailed(f"{failure.reason}; published before that: {names}; run again for the rest") from None
            lifecycle.stop_no_more()
        return done

    def write(self, name: str, data: bytes) -> None:
        """Write a small file of our own, as safely as a WAR. Raises IOFailed."""
        staging, writer = self._create_staging()
        with failures.writing(self.path):
            try:
                while data:
                    data = data[os.write(writer, data) :]
                with suppress(PermissionError):
                    os.fchmod(writer, MODE)
                os.fsync(writer)
            finally:
                os.close(writer)
            self._rename(staging, name)
            self._flush()

    def _rename(self, staging: str, name: str) -> None:
        os.rename(staging, name, src_dir_fd=self.directory, dst_dir_fd=self.directory)
        self._unfinished.remove(staging)

    def _flush(self) -> None:
        try:
            os.fsync(self.directory)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems have nothing to flush there
                raise

    def _create_staging(self) -> tuple[str, int]:
        with failures.writing(self.path):
            if self._lock is None:
                self._lock = self._create_lock()
            self._created += 1
            name = naming.staging_name(self._token, self._created)
            # Noted before it is there: a signal may come between any two lines.
            self._unfinished.append(name)
            return name, os.open(name, _CREATE, MODE, dir_fd=self.directory)

    def _create_lock(self) -> int:
        while True:
            self._token = os.urandom(8).hex()
            name = naming.lock_name(self._token)
            self._unfinished.append(name)
            lock = os.open(name, _CREATE, MODE, dir_fd=self.directory)
            with suppress(OSError):  # a file system without locks: nobody can tell then, and `sweep` leaves us alone
                fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock).st_nlink:
                return lock
            os.close(lock)  # swept away in the instant before it was locked


def _open_source(source: Source) -> int:
    with failures.reading(source.path):
        reader = os.open(source.path, _READ)
        if not stat.S_ISREG(os.fstat(reader).st_mode):
            os.close(reader)
            raise BadData(f"{shown(source.path)}: is not a file any more; nothing was published")
        return reader


def _examined(source: Source, examine: Examine, read: Read, size: int) -> Contents | None:
    try:
        return examine(read, size)
    except NotAnArchive as error:
        raise BadData(f"{shown(source.path)}: {error}; nothing was published") from None
