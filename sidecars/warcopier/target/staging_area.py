"""The unfinished files and directories of one run, its lock, and the removal of those that killed runs have left.

A run that stages anything creates `.warcopier-TOKEN.lock` and holds a lock on it as long as it lives. It stages each
WAR as `.warcopier-TOKEN-N.staging`, beside its final place and therefore on the same file system. It stages each
exploded directory as `META-INF/.warcopier-TOKEN-N.staging`: below its appBase, `META-INF` is the only place where
Tomcat does not deploy a directory that we may create.

A later run removes the files of a run whose lock no process holds. It keeps those of a live run, because several Pods
may share a volume. Others may write into the target. They can plant such names, so a directory is removed only from a
`META-INF` that is ours and that nobody else may write into: nobody but us has moved anything there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress

from sidecars.chassis.isolation.beneath import LeavesRoot
from sidecars.chassis.runtime import logs, signals
from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier import tomcat_names
from sidecars.warcopier.tomcat_names import META_INF, escaped

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from sidecars.chassis.isolation.beneath import Root
    from sidecars.warcopier.target.directory import TargetDirectory

log = logs.get("warcopier")

_LOCK_MODE = 0o644
_PRIVATE = 0o700  # mode of a directory while it is being filled
_META_INF_MODE = 0o755
_WRITTEN_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_ATTEMPTS = 10  # to create a directory in META-INF, which another run may remove whenever it is empty


class StagingArea:
    """The staged files and directories of one run in its target. Leaving the context removes all that remain."""

    def __init__(self, target: TargetDirectory) -> None:
        self._target = target
        self._token = ""
        self._lock: int | None = None  # descriptor of the lock file; None until something is staged
        self._meta_inf: Root | None = None  # META-INF of the target, once something was staged there
        self._unfinished: dict[str, Root] = {}  # the directory of each name, in the order of their creation
        self._created = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with signals.block_stop():
            # The lock file goes last: while it exists and is locked, no other run takes our files for stale.
            for name, root in reversed(self._unfinished.items()):
                self._remove(root, name)
            if self._meta_inf is not None:
                self._meta_inf.close()
                self._remove_meta_inf()
            if self._lock is not None:
                os.close(self._lock)

    # -- new names ---------------------------------------------------------------------------------------------------

    def create_file(self, mode: int) -> tuple[str, int]:
        """Create a staging file. Return its name, and a descriptor for reading and writing. Raises OSError."""
        name = self._new_name(self._target.root)
        return name, self._target.root.create(name, mode, os.O_RDWR)

    def create_directory(self) -> tuple[str, Root]:
        """Create a staging directory in META-INF. Return its name, and the directory. Raises OSError or IOFailed."""
        for attempt in range(_ATTEMPTS):
            meta_inf, name = self.new_directory_name()
            try:
                meta_inf.make_directory(name, _PRIVATE)
                break
            except FileNotFoundError:  # another run has removed META-INF
                self._forget_meta_inf(name)
                if attempt == _ATTEMPTS - 1:
                    raise
        directory = meta_inf.subdirectory(name)
        made = directory.status()
        if not self.is_own_user(made.st_uid):
            directory.close()
            raise IOFailed(
                f"{escaped(directory.path)}: something else took the place of this directory; try again",
                code="target-taken",
            )
        return name, directory

    def new_directory_name(self) -> tuple[Root, str]:
        """Return META-INF, which is created if it is missing, and a new name in it.

        A directory with the name is removed at the end. Raises OSError or IOFailed.
        """
        if self._meta_inf is None:
            try:
                self._meta_inf = self._target.root.subdirectory(META_INF, create=True, mode=_META_INF_MODE)
            except (LeavesRoot, NotADirectoryError):
                raise self._meta_inf_failure() from None
        return self._meta_inf, self._new_name(self._meta_inf)

    def _forget_meta_inf(self, name: str) -> None:
        del self._unfinished[name]
        if self._meta_inf is not None and self._meta_inf not in self._unfinished.values():
            self._meta_inf.close()
            self._meta_inf = None

    def is_own_user(self, user: int) -> bool:
        """True if the file system gives our files to this user. Some network file systems map all users to one.

        Raises OSError.
        """
        if user == os.geteuid():
            return True
        if self._lock is None:
            self._lock = self._create_lock()
        return os.fstat(self._lock).st_uid == user

    def published(self, name: str) -> None:
        """Note that the staged file or directory has been renamed to its final name."""
        del self._unfinished[name]

    def _new_name(self, place: Root) -> str:
        if self._lock is None:
            self._lock = self._create_lock()
        self._created += 1
        name = tomcat_names.staging_name(self._token, self._created)
        self._unfinished[name] = place  # noted before it is created: a signal may come between any two lines
        return name

    def _create_lock(self) -> int:
        root = self._target.root
        while True:
            self._token = os.urandom(8).hex()
            name = tomcat_names.lock_name(self._token)
            self._unfinished[name] = root
            lock = root.create(name, _LOCK_MODE, os.O_RDWR)
            # Without waiting: a neighbour may hold a lock on it already. Then, as on a file system without locks,
            # `remove_stale` never takes our files for stale.
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_nlink:
                return lock
            os.close(lock)  # another run removed it before it was locked

    def _meta_inf_failure(self) -> IOFailed:
        place = escaped(f"{self._target.path}/{META_INF}")
        return IOFailed(
            f"{place}: it is no directory, and exploded directories are staged below it: remove it",
            code="target-name-taken",
        )

    # -- removal -----------------------------------------------------------------------------------------------------

    def remove_stale(self, names: Iterable[str]) -> list[str]:
        """Remove the files and directories of killed runs, among the target's `names` and in META-INF.

        Return the removed names. Only names exactly of our form are removed, of runs whose lock no process holds.
        """
        root = self._target.root
        has_meta_inf = META_INF in names
        by_token: dict[str, list[tuple[Root, str]]] = {}
        meta_inf = self._own_meta_inf() if has_meta_inf else None
        try:
            found = [(root, name) for name in names]
            if meta_inf is not None:
                found += [(meta_inf, entry.name) for entry in meta_inf.scan()]
            for place, name in found:
                if token := tomcat_names.run_token(name):
                    by_token.setdefault(token, []).append((place, name))
            removed: list[str] = []
            for token, stale in by_token.items():
                if self._is_abandoned(token):
                    # The lock file goes last: a run that is killed here leaves nothing that looks alive.
                    stale.sort(key=lambda one: (one[1] == tomcat_names.lock_name(token), one[1]))
                    removed += [name for place, name in stale if self._remove(place, name)]
        finally:
            if meta_inf is not None:
                meta_inf.close()
        if has_meta_inf:
            self._remove_meta_inf()
        return removed

    def _own_meta_inf(self) -> Root | None:
        """Return META-INF of the target if it is ours and nobody else may write into it, else None."""
        with suppress(OSError):
            meta_inf = self._target.root.subdirectory(META_INF)
            found = meta_inf.status()
            if not found.st_mode & _WRITTEN_BY_OTHERS and self.is_own_user(found.st_uid):
                return meta_inf
            meta_inf.close()
        return None

    def _is_abandoned(self, token: str) -> bool:
        """True if no process holds the lock of the run with this token."""
        try:
            with self._target.open_file(tomcat_names.lock_name(token)) as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno == errno.ENOENT
        return True

    def _remove(self, root: Root, name: str) -> bool:
        """Remove an unfinished file or directory. Return False, after a warning, if it cannot be removed."""
        try:
            if root is self._target.root:
                root.remove(name)
            else:
                from sidecars.warcopier.target import directory_swap  # noqa: PLC0415 - not for a WAR

                directory_swap.remove_tree(root, name)
        except OSError as error:
            if error.errno != errno.ENOENT:
                log.warning(
                    "cannot be removed; a later run tries again",
                    code="leftover-not-removed",
                    file=name,
                    reason=error.strerror,
                )
            return False
        return True

    def _remove_meta_inf(self) -> None:
        with suppress(OSError):  # it belongs to another user, or is not empty
            self._target.root.remove_directory(META_INF)
