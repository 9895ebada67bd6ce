"""A sidecar without the protection of `beneath`: `python -m tests.hostile.unprotected sidecars.logshipper`.

Names are opened as a program does that trusts its volumes: links are followed, in the middle of a path and at its end,
and directories may be swapped. Only Landlock is left. This exists in tests alone, and no setting leads to it.
"""

from __future__ import annotations

import importlib
import os
import runpy
import sys
from collections.abc import Iterator
from typing import Any

beneath: Any = importlib.import_module("sidecars.chassis.isolation.beneath")
openat2: Any = importlib.import_module("sidecars.chassis.isolation.openat2")


def _open(self: Any, name: str, flags: int, mode: int = 0) -> int:
    return os.open(name, flags & ~os.O_NOFOLLOW, mode, dir_fd=self.descriptor)


def _status(self: Any, name: str = "") -> os.stat_result:
    return os.stat(name, dir_fd=self.descriptor) if name else os.fstat(self.descriptor)


def _linked(self: Any, path: str, *_: object) -> Iterator[Any]:
    globs: Any = importlib.import_module("sidecars.logshipper.volumes.globs")
    try:
        status = os.stat(path)  # noqa: PTH116 - as the sidecar would
    except OSError as error:
        self._refused(path, error, True)
        return
    yield globs.Match(path, status)


def remove_protection(sidecar: str) -> None:
    """Let the code that the sidecar will run follow links."""
    openat2.probed[:] = ["ENOSYS"]
    beneath.Root._open, beneath.Root.status = _open, _status
    if sidecar == "logshipper":
        importlib.import_module("sidecars.logshipper.volumes.globs")._Walk._linked = _linked
        paths: Any = importlib.import_module("sidecars.logshipper.volumes.configured_paths")
        paths._is_of_root = lambda _status: True


if __name__ == "__main__":
    module = sys.argv.pop(1)
    remove_protection(module.rpartition(".")[2])
    runpy.run_module(module, run_name="__main__")
