"""Configured paths: opens a directory that the operator named, although a neighbour may own a part of its path.

`LOGSHIPPER_PATHS=/data/shop/logs/*.log` names `/data/shop/logs`. If the volume is mounted at `/data`, the app can
replace `shop` or `logs` by a link to any directory, while the process runs or before its next start. So a link in such
a path is followed only where the app cannot have made it:

- on the file system of `/`: it is a part of the image;
- or it belongs to root, and this process is not root.

Each component is opened by itself, and a link is judged and read by one descriptor, so that no swap comes in between.
Systems other than Linux have no descriptor of a link: there it is looked at before and after it is read, and a link
that was replaced in between is not followed.
"""

from __future__ import annotations

import contextlib
import os

from sidecars.chassis.isolation.beneath import PATH_ONLY, LeavesRoot, Root
from sidecars.logshipper.model.file_key import FileKey, file_key

_LINK = PATH_ONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40  # of one path, as in the kernel (path_resolution(7))
_REASON = "a link on the volume stands on the way, and the app may have made it"


def open_directory(path: str, *, create: bool = False, mode: int = 0o700) -> Root:
    """Return a configured directory. `create` makes its missing parts, with this mode, also on the disk.

    The caller closes it. Raises OSError: LeavesRoot for a link that is not followed.
    """
    walk = _Walk(path)
    try:
        return walk.finish(create=create, mode=mode)
    finally:
        walk.close()


def shared_mount(one: Root, other: Root) -> bool:
    """Return True if both directories are on one mount that is not the one of `/`: hard links work between them."""
    with Root.open("/") as image:
        first = _mount(one)
        return first == _mount(other) and first not in (None, _mount(image))


def _mount(root: Root) -> str | None:
    """Return the id of the mount that a directory is on (proc_pid_fdinfo(5)); None if it is not known."""
    try:
        with open(f"/proc/self/fdinfo/{root.descriptor}", encoding="ascii") as text:  # noqa: PTH123 - of this process
            return next((line.split()[1] for line in text if line.startswith("mnt_id:")), None)
    except OSError:
        return None


class ConfiguredDirectory:
    """One configured directory, open while it exists, or made if it is missing. `path` has no slash at the end."""

    def __init__(self, path: str, *, create: bool = False, mode: int = 0o700) -> None:
        self.path = os.path.abspath(path).rstrip("/")  # noqa: PTH100 - paths are text
        self.root: Root | None = None
        self._create = create
        self._mode = mode
        self._key: FileKey | None = None

    def is_current(self) -> bool:
        """Return True if the open directory is still the one at the path. Raises OSError if there is none."""
        status = os.stat(self.path or "/")  # noqa: PTH116 - only compared: what is opened is judged by itself
        return self.root is not None and file_key(status) == self._key

    def refresh(self) -> None:
        """Open the directory if another one is at its path by now. Raises OSError; then none is open."""
        try:
            if self.is_current():
                return
        except OSError:
            if not self._create:
                self.close()
                raise
        self.close()
        self.root = open_directory(self.path or "/", create=self._create, mode=self._mode)
        self._key = file_key(self.root.status())

    def opened(self) -> Root:
        """Return the directory that is at the path now. Raises OSError."""
        self.refresh()
        if self.root is None:
            raise AssertionError("no directory after it was opened")
        return self.root

    def below(self, path: str) -> str | None:
        """Return the part of a path below this directory; "" for the directory itself; None if it is outside."""
        if path == self.path or (path == "/" and not self.path):
            return ""
        return path[len(self.path) + 1 :] if path.startswith(f"{self.path}/") else None

    def close(self) -> None:
        """Close the directory."""
        if self.root is not None:
            self.root.close()
            self.root = None


class _Walk:
    """The way from `/` to one directory. It owns the descriptors of the directories on the way."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._left = _components(os.path.abspath(path))  # noqa: PTH100 - paths are text
        self._trail = [Root.open("/")]
        self._image = _device_of_the_image(self._trail[0])
        self._links = 0

    def finish(self, *, create: bool, mode: int) -> Root:
        while self._left:
            name = self._left.pop()
            if name == "..":
                if len(self._trail) > 1:
                    self._trail.pop().close()
                continue
            try:
                self._trail.append(self._trail[-1].subdirectory(name))
            except LeavesRoot:
                self._follow(name)
            except FileNotFoundError:
                if not create:
                    raise
                self._trail.append(self._trail[-1].subdirectory(name, create=True, mode=mode))
                with contextlib.suppress(PermissionError):  # who may make names in it may perhaps not list it
                    self._trail[-2].sync()
        return Root(os.dup(self._trail[-1].descriptor), self._path)

    def _follow(self, name: str) -> None:
        try:
            status, target = (_read_link if PATH_ONLY else _read_link_by_name)(self._trail[-1].descriptor, name)
        except _ReplacedError:
            raise LeavesRoot(self._path, f"{self._trail[-1].path.rstrip('/')}/{name}: {_REASON}") from None
        self._links += 1
        if not (status.st_dev == self._image or _is_of_root(status)) or self._links > _MOST_LINKS:
            raise LeavesRoot(self._path, f"{self._trail[-1].path.rstrip('/')}/{name}: {_REASON}")
        if target.startswith("/"):
            while len(self._trail) > 1:
                self._trail.pop().close()
        self._left += _components(target)

    def close(self) -> None:
        for directory in self._trail:
            directory.close()


class _ReplacedError(Exception):
    """A link was replaced while it was read."""


def _read_link(directory: int, name: str) -> tuple[os.stat_result, str]:
    """Return the status and the target of a link. Raises OSError."""
    link = os.open(name, _LINK, dir_fd=directory)
    try:
        return os.fstat(link), os.readlink("", dir_fd=link)
    finally:
        os.close(link)


def _read_link_by_name(directory: int, name: str) -> tuple[os.stat_result, str]:
    """Return the same without O_PATH. Raises OSError, and _ReplacedError for a link that is swapped meanwhile.

    A rename changes the ctime of its file. So the two looks differ even if the first link is back.
    """
    before = os.stat(name, dir_fd=directory, follow_symlinks=False)
    target = os.readlink(name, dir_fd=directory)
    after = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if (file_key(before), before.st_ctime_ns) != (file_key(after), after.st_ctime_ns):
        raise _ReplacedError
    return before, target


def _device_of_the_image(root: Root) -> int:
    return root.status().st_dev


def _is_of_root(status: os.stat_result) -> bool:
    """Return True if root alone can have made a file, and the app is not root: it would have our user id at most."""
    return status.st_uid == 0 and os.geteuid() != 0


def _components(path: str) -> list[str]:
    """Return the components of a path, the last one first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
