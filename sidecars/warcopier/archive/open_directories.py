"""Directories of one application, held open, so that a file costs one openat(2) of one component.

A neighbour may plant links and exchange directories. Each directory is looked up once beneath the open root, without
following a link (`chassis.isolation.beneath`); after that only its descriptor counts.
"""

from __future__ import annotations

import os

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from sidecars.chassis.isolation.beneath import Root

_MOST = 128  # directories that are open at a time


class OpenDirectories:
    """The directories below `root` that were used last. It owns their descriptors, and not the root's."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self._open: dict[bytes, Root] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for directory in self._open.values():
            directory.close()

    def descriptor(self, path: bytes) -> int:
        """Return the descriptor of a directory, by its path below the root; "" is the root. Raises OSError."""
        if not path:
            return self.root.descriptor
        found = self._open.get(path)
        if found is None:
            found = self.root.subdirectory(os.fsdecode(path))
            if len(self._open) == _MOST:
                self._open.pop(next(iter(self._open))).close()
            self._open[path] = found
        return found.descriptor
