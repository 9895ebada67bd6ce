"""The unfinished files and directories of one run, its lock, and the removal of those that killed runs have left.

A run that stages anything creates `.warcopier-TOKEN.lock` and holds a lock on it as long as it lives. It stages each
WAR as `.warcopier-TOKEN-N.staging`, beside its final place and therefore on the same file system. It stages each
exploded directory as `META-INF/.warcopier-TOKEN-N.staging`: below its appBase, `META-INF` is the only place where
Tomcat does not deploy a directory that we may create.

A later run removes the files of a run whose lock no process holds. It keeps those of a live run, because several Pods
may share a volume.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress

from sidecars.chassis.runtime import logs, signals
from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier import tomcat_names
from sidecars.warcopier.tomcat_names import META_INF, escaped

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from sidecars.warcopier.target.directory import TargetDirectory

log = logs.get("warcopier")

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LOCK_MODE = 0o644
_PRIVATE = 0o700  # mode of a directory while it is being filled
_ATTEMPTS = 10  # to create a directory in META-INF, which another run may remove whenever it is empty


class StagingArea:
    """The staged files and directories of one run in its target. Leaving the context removes all that remain."""

    def __init__(self, target: TargetDirectory) -> None:
        self._target = target
        self._token = ""
        self._lock: int | None = None  # descriptor of the lock file; None until something is staged
        self._unfinished: dict[str, None] = {}  # names, in the order of their creation
        self._created = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with signals.block_stop():
            # The lock file goes last: while it exists and is locked, no other run takes our files for stale.
            for name in reversed(self._unfinished):
                self._remove(name)
            if any(name.startswith(META_INF) for name in self._unfinished):
                self._remove_meta_inf()
            if self._lock is not None:
                os.close(self._lock)

    # -- new names ---------------------------------------------------------------------------------------------------

    def create_file(self, mode: int) -> tuple[str, int]:
        """Create a staging file. Return its name, and a descriptor for reading and writing. Raises OSError."""
        name = self._new_name()
        return name, os.open(name, _CREATE, mode, dir_fd=self._target.descriptor)

    def create_directory(self) -> tuple[str, int]:
        """Create a staging directory in META-INF. Return its name and descriptor. Raises OSError or IOFailed."""
        name = self.new_directory_name()
        for attempt in range(_ATTEMPTS):
            self.create_meta_inf()
            try:
                os.mkdir(name, _PRIVATE, dir_fd=self._target.descriptor)
                break
            except NotADirectoryError:
                raise self._meta_inf_failure() from None
            except FileNotFoundError:
                if attempt == _ATTEMPTS - 1:
                    if self._target.stat(META_INF):  # a link to nothing
                        raise self._meta_inf_failure() from None
                    raise
        return name, os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=self._target.descriptor)

    def create_meta_inf(self) -> None:
        """Create META-INF of the target unless it exists. Raises OSError."""
        with suppress(FileExistsError):
            os.mkdir(META_INF, 0o755, dir_fd=self._target.descriptor)

    def new_directory_name(self) -> str:
        """Return a new name in META-INF. A directory with the name is removed at the end. Raises OSError."""
        return self._new_name(f"{META_INF}/")

    def published(self, name: str) -> None:
        """Note that the staged file or directory has been renamed to its final name."""
        del self._unfinished[name]

    def _new_name(self, place: str = "") -> str:
        if self._lock is None:
            self._lock = self._create_lock()
        self._created += 1
        name = f"{place}{tomcat_names.staging_name(self._token, self._created)}"
        self._unfinished[name] = None  # noted before it is created: a signal may come between any two lines
        return name

    def _create_lock(self) -> int:
        while True:
            self._token = os.urandom(8).hex()
            name = tomcat_names.lock_name(self._token)
            self._unfinished[name] = None
            lock = os.open(name, _CREATE, _LOCK_MODE, dir_fd=self._target.descriptor)
            with suppress(OSError):  # a file system without locks: `remove_stale` then never takes our files for stale
                fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock).st_nlink:
                return lock
            os.close(lock)  # another run removed it before it was locked

    def _meta_inf_failure(self) -> IOFailed:
        place = escaped(f"{self._target.path}/{META_INF}")
        return IOFailed(f"{place}: it is no directory, and exploded directories are staged below it: remove it")

    # -- removal -----------------------------------------------------------------------------------------------------

    def remove_stale(self, names: Iterable[str]) -> list[str]:
        """Remove the files and directories of killed runs, among the target's `names` and in META-INF.

        Return the removed names. Only names exactly of our form are removed, of runs whose lock no process holds.
        """
        by_token: dict[str, list[str]] = {}
        for name in (*names, *self._names_in_meta_inf()):
            if token := tomcat_names.run_token(name.removeprefix(f"{META_INF}/")):
                by_token.setdefault(token, []).append(name)
        removed: list[str] = []
        for token, stale in by_token.items():
            if self._is_abandoned(token):
                # The lock file goes last: a run that is killed here leaves nothing that looks alive.
                removed += filter(self._remove, sorted(stale, key=tomcat_names.lock_name(token).__eq__))
        if META_INF in names:
            self._remove_meta_inf()
        return removed

    def _names_in_meta_inf(self) -> list[str]:
        with suppress(OSError):
            directory = os.open(META_INF, _DIRECTORY, dir_fd=self._target.descriptor)
            try:
                names = os.listdir(directory)  # noqa: PTH208 - pathlib has no listing of a descriptor
                return [f"{META_INF}/{name}" for name in sorted(names)]
            finally:
                os.close(directory)
        return []

    def _is_abandoned(self, token: str) -> bool:
        """True if no process holds the lock of the run with this token."""
        try:
            with self._target.open_file(tomcat_names.lock_name(token)) as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno == errno.ENOENT
        return True

    def _remove(self, name: str) -> bool:
        """Remove an unfinished file or directory. Return False, after a warning, if it cannot be removed."""
        try:
            if name.startswith(f"{META_INF}/"):
                from sidecars.warcopier.target import directory_swap  # noqa: PLC0415 - not for a WAR

                directory_swap.remove_tree(name, self._target.descriptor)
            else:
                os.unlink(name, dir_fd=self._target.descriptor)
        except OSError as error:
            if error.errno != errno.ENOENT:
                log.warning("cannot be removed; a later run tries again", file=name, reason=error.strerror)
            return False
        return True

    def _remove_meta_inf(self) -> None:
        with suppress(OSError):  # it belongs to another user, or is not empty
            os.rmdir(META_INF, dir_fd=self._target.descriptor)
