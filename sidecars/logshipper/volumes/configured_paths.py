"""Configured paths: opens a directory that the operator named, although a neighbour may own a part of its path.

`LOGSHIPPER_PATHS=/data/shop/logs/*.log` names `/data/shop/logs`. If the volume is mounted at `/data`, the app can
replace `shop` or `logs` by a link to any directory, while the process runs or before its next start. So a link in such
a path is followed only where the app cannot have made it:

- on the file system of `/`: it is a part of the image;
- or it belongs to root, and this process is not root.

Each component is opened by itself, and a link is judged and read by one descriptor, so that no swap comes in between.
"""

from __future__ import annotations

import os

from sidecars.chassis.isolation.beneath import LeavesRoot, Root

_LINK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40  # of one path, as in the kernel (path_resolution(7))
_REASON = "a link on the volume stands on the way, and the app may have made it"


def open_directory(path: str, *, create: bool = False, mode: int = 0o700) -> Root:
    """Return a configured directory. `create` makes what is missing of it, with this mode. The caller closes it.

    Raises OSError: LeavesRoot for a link that is not followed.
    """
    walk = _Walk(path)
    try:
        return walk.finish(create=create, mode=mode)
    finally:
        walk.close()


class _Walk:
    """The way from `/` to one directory. It owns the descriptors of the directories on the way."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._left = _components(os.path.abspath(path))  # noqa: PTH100 - paths are text
        self._trail = [Root.open("/")]
        self._image = self._trail[0].status().st_dev
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
        return Root(os.dup(self._trail[-1].descriptor), self._path)

    def _follow(self, name: str) -> None:
        link = os.open(name, _LINK, dir_fd=self._trail[-1].descriptor)
        try:
            status, target = os.fstat(link), os.readlink("", dir_fd=link)
        finally:
            os.close(link)
        self._links += 1
        is_of_root = status.st_uid == 0 and os.geteuid() != 0
        if not (status.st_dev == self._image or is_of_root) or self._links > _MOST_LINKS:
            raise LeavesRoot(self._path, f"{self._trail[-1].path.rstrip('/')}/{name}: {_REASON}")
        if target.startswith("/"):
            while len(self._trail) > 1:
                self._trail.pop().close()
        self._left += _components(target)

    def close(self) -> None:
        for directory in self._trail:
            directory.close()


def _components(path: str) -> list[str]:
    """Return the components of a path, the last one first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
