"""Directories on a shared volume, and every operation beneath them. No link is ever followed.

A neighbour that can write to the volume may plant links and swap directories at any time, also between two calls of
ours. `Root` holds a descriptor of the directory, and each name is resolved beneath it in the same call that uses it:

- openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, where the kernel and the seccomp profile allow it;
- else one openat(2) with O_NOFOLLOW for each component, as the kubelet does it for subPath volumes
  (https://github.com/kubernetes/kubernetes, pkg/volume/util/subpath: `doSafeOpen`).

Calls that remove, rename, link or make a directory never follow their last component. They get a descriptor of the
parent, which was resolved in one of these two ways, and a single component.

Names are text with "/" between components, relative to the root. "", "." and ".." are no components.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys

from sidecars.chassis.isolation import openat2
from sidecars.chassis.runtime.file_io import not_regular
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

PATH_ONLY = getattr(os, "O_PATH", 0)  # opens a directory that may not be read; only Linux has it
_DIRECTORY = PATH_ONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a FIFO without a writer, or a file under a write lease, would block open() (fcntl(2), F_SETLEASE).
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_ENCODING, _ON_ERROR = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()  # of os.fsencode: it takes longer
_WITHOUT_NOFOLLOW = ~os.O_NOFOLLOW
_probed = openat2.probed  # the same list
_NO_COMPONENTS = frozenset(("", ".", ".."))


class LeavesRoot(OSError):
    """A name leads out of its root, or through a link, which is not followed. errno is ELOOP."""

    def __init__(self, path: str, reason: str = "a link stands on the way, and links are not followed here") -> None:
        super().__init__(errno.ELOOP, reason, path)


class NotOurFile(OSError):
    """A file that this process would write is not its own: a device, a hard link, or another user's. errno is EPERM."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(errno.EPERM, reason, path)


class Root:
    """A directory that is held open. It owns the descriptor. `path` is for messages and is never used again.

    Every method raises OSError, with the full path as its `filename`; LeavesRoot if a link is on the way.
    """

    __slots__ = ("descriptor", "path")

    def __init__(self, descriptor: int, path: str) -> None:
        self.descriptor = descriptor
        self.path = path

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Root:
        """Return the root at a configured path. Links in that path are the operator's, and are followed."""
        return cls(os.open(path, PATH_ONLY | os.O_DIRECTORY | os.O_CLOEXEC), os.fspath(path))

    def close(self) -> None:
        """Close the descriptor. A second call does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Root({self.path!r})"

    # -- files ----------------------------------------------------------------------------------------------------

    def open_file(self, name: str, flags: int = os.O_RDONLY) -> int:
        """Return a descriptor of a regular file; raise OSError with EINVAL for anything else."""
        descriptor = self._open(name, flags | _FILE)
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, not_regular(mode), self._full(name))
        return descriptor

    def open_own(self, name: str, flags: int, mode: int = 0o600) -> int:
        """Return a descriptor of a file that this process writes. `flags` may have O_CREAT, and never O_TRUNC.

        Raises NotOurFile if it is no regular file, has a second name, or belongs to another user. Truncate after that,
        by the descriptor: O_TRUNC would empty a file before it could be looked at.
        """
        if flags & os.O_TRUNC:
            raise ValueError("O_TRUNC empties a file before it is checked")
        descriptor = self._open(name, flags | _FILE, mode if flags & os.O_CREAT else 0)
        found = os.fstat(descriptor)
        reason = ""
        if not stat.S_ISREG(found.st_mode):
            reason = not_regular(found.st_mode)
        elif found.st_nlink > 1:
            reason = "it has a second name (a hard link)"
        elif found.st_uid != os.geteuid():
            reason = f"it belongs to user {found.st_uid}, and this process is user {os.geteuid()}"
        if reason:
            os.close(descriptor)
            raise NotOurFile(self._full(name), reason)
        return descriptor

    def create(self, name: str, mode: int = 0o600, flags: int = os.O_WRONLY) -> int:
        """Return a descriptor of a new file. Raises FileExistsError if anything has the name, a link included."""
        return self._open(name, flags | os.O_CREAT | os.O_EXCL | _FILE, mode)

    def read_small(self, name: str, limit: int) -> bytes:
        """Return the content of a regular file. Raises OSError with EFBIG if it has more than `limit` bytes."""
        descriptor = self.open_file(name)
        try:
            data = bytearray()
            while len(data) <= limit and (part := os.read(descriptor, limit + 1 - len(data))):
                data += part
        finally:
            os.close(descriptor)
        if len(data) > limit:
            raise OSError(errno.EFBIG, f"it has more than {limit} bytes", self._full(name))
        return bytes(data)

    # -- directories ----------------------------------------------------------------------------------------------

    def subdirectory(self, name: str, *, create: bool = False, mode: int = 0o700) -> Root:
        """Return a directory beneath this one as a root of its own. `create` makes its last component, if missing."""
        if create:
            with contextlib.suppress(FileExistsError):  # whatever has the name: the next call finds out
                self.make_directory(name, mode)
        return Root(self._open(name, _DIRECTORY), self._full(name))

    def make_directory(self, name: str, mode: int = 0o700) -> None:
        """Make a directory. Raises FileExistsError if anything has the name."""
        with _Parent(self, name) as parent:
            os.mkdir(parent.last, mode, dir_fd=parent.descriptor)

    def scan(self, name: str = "") -> Iterator[os.DirEntry[str]]:
        """Yield the entries of the root, or of a directory beneath it. `is_dir` needs `follow_symlinks=False`.

        An entry's `stat` works until the iteration ends.
        """
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = self._open(name, flags) if name else os.open(".", flags, dir_fd=self.descriptor)
        try:
            with os.scandir(descriptor) as entries:
                yield from entries
        finally:
            os.close(descriptor)

    def sync(self) -> None:
        """Bring the names in this directory to the disk, as a rename or a removal needs (fsync(2))."""
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.descriptor)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    # -- names ----------------------------------------------------------------------------------------------------

    def status(self, name: str = "") -> os.stat_result:
        """Return the status of a name; of a link, that of the link. "" is the root itself."""
        if not name:
            return os.fstat(self.descriptor)
        with _Parent(self, name) as parent:
            return os.stat(parent.last, dir_fd=parent.descriptor, follow_symlinks=False)

    def read_link(self, name: str) -> str:
        """Return the target of a link, as text that nothing has resolved."""
        with _Parent(self, name) as parent:
            return os.readlink(parent.last, dir_fd=parent.descriptor)

    def remove(self, name: str) -> None:
        """Remove a file, or a link itself."""
        with _Parent(self, name) as parent:
            os.unlink(parent.last, dir_fd=parent.descriptor)

    def remove_directory(self, name: str) -> None:
        """Remove an empty directory."""
        with _Parent(self, name) as parent:
            os.rmdir(parent.last, dir_fd=parent.descriptor)

    def rename(self, name: str, new: str, to: Root | None = None) -> None:
        """Rename, also to a name beneath another root. A file of the new name is replaced."""
        with _Parent(self, name) as old, _Parent(to or self, new) as parent:
            os.rename(old.last, parent.last, src_dir_fd=old.descriptor, dst_dir_fd=parent.descriptor)

    def link(self, name: str, new: str, to: Root | None = None) -> None:
        """Give a file a second name. A link itself gets the second name, not its target."""
        with _Parent(self, name) as old, _Parent(to or self, new) as parent:
            os.link(
                old.last,
                parent.last,
                src_dir_fd=old.descriptor,
                dst_dir_fd=parent.descriptor,
                follow_symlinks=False,
            )

    # -- resolving ------------------------------------------------------------------------------------------------

    def _full(self, name: str) -> str:
        return os.path.join(self.path, name)  # noqa: PTH118 - only for messages

    def _open(self, name: str, flags: int, mode: int = 0) -> int:
        """Open a name by openat2, or by the chain where that is absent. One component needs neither."""
        try:
            if "/" not in name:
                if name in _NO_COMPONENTS or "\0" in name:
                    raise self._leaves(name)
                return _open_component(self.descriptor, name, flags, mode)
            enclosed = f"/{name}/"
            if "//" in enclosed or "\0" in enclosed or ("/." in enclosed and _has_dots(enclosed)):
                raise self._leaves(name)
            if (_probed or (openat2.absence(),))[0]:
                return _open_chain(self.descriptor, name.split("/"), flags, mode)
            # Without O_NOFOLLOW: a link at the end is then ELOOP also for O_PATH and O_DIRECTORY.
            encoded = name.encode(_ENCODING, _ON_ERROR)
            return openat2.open_beneath(self.descriptor, encoded, flags & _WITHOUT_NOFOLLOW, mode)
        except UnicodeEncodeError as error:
            raise _no_name(self._full(name)) from error
        except LeavesRoot:
            raise
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise LeavesRoot(self._full(name)) from error
            raise OSError(error.errno, error.strerror, self._full(name)) from error

    def _leaves(self, name: str) -> LeavesRoot:
        return LeavesRoot(self._full(name), "the name leads out of its directory")


class _Parent:
    """The directory of a name's last component, open while the context is. Errors in the context name the full path."""

    __slots__ = ("_name", "_owned", "_root", "descriptor", "last")

    def __init__(self, root: Root, name: str) -> None:
        self._root = root
        self._name = name
        self._owned = -1
        self.descriptor = root.descriptor
        self.last = name

    def __enter__(self) -> Self:
        directory, _, self.last = self._name.rpartition("/")
        if self.last in _NO_COMPONENTS or "\0" in self.last:
            raise LeavesRoot(self._root._full(self._name), "the name leads out of its directory")  # noqa: SLF001 - a part of Root
        if directory:
            self._owned = self.descriptor = self._root._open(directory, _DIRECTORY)  # noqa: SLF001 - a part of Root
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._owned >= 0:
            os.close(self._owned)
        if isinstance(error, UnicodeEncodeError):
            raise _no_name(os.path.join(self._root.path, self._name)) from error  # noqa: PTH118 - only for messages
        if isinstance(error, OSError) and error.filename == self.last:
            error.filename = self._root._full(self._name)  # noqa: SLF001 - a part of Root


def _no_name(path: str) -> OSError:
    """Return the error of a text that no file can have as its name: half of a surrogate pair."""
    return OSError(errno.EILSEQ, os.strerror(errno.EILSEQ), path)


def _has_dots(enclosed: str) -> bool:
    """Return True if a component of a name between two "/" is "." or ".."."""
    return "/./" in enclosed or "/../" in enclosed


def _open_component(directory: int, component: str, flags: int, mode: int) -> int:
    """Open a name that has one component. Raises OSError: ELOOP if it is a link."""
    try:
        return os.open(component, flags | os.O_NOFOLLOW, mode, dir_fd=directory)
    except NotADirectoryError:
        _refuse_link(directory, component)
        raise


def _open_chain(root: int, components: list[str], flags: int, mode: int) -> int:
    """Open a name by one openat for each component. Raises OSError: ELOOP if a component is a link."""
    directory = root
    component = last = components.pop()
    try:
        for component in components:
            below = os.open(component, _DIRECTORY, dir_fd=directory)
            if directory != root:
                os.close(directory)
            directory = below
        component = last
        return os.open(last, flags | os.O_NOFOLLOW, mode, dir_fd=directory)
    except NotADirectoryError:
        _refuse_link(directory, component)
        raise
    finally:
        if directory != root:
            os.close(directory)


def _refuse_link(directory: int, component: str) -> None:
    """Raise OSError with ELOOP for a link: O_PATH with O_DIRECTORY and O_NOFOLLOW answers ENOTDIR for one, too."""
    if stat.S_ISLNK(os.stat(component, dir_fd=directory, follow_symlinks=False).st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
