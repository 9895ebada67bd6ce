"""Things in the place of a small file that must neither block a reader nor fill its memory."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import PATIENCE


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    """A file of a terabyte that takes no room on the disk."""
    path.touch()
    os.truncate(path, 1 << 40)


def a_directory(path: Path) -> None:
    path.mkdir()


def a_socket(path: Path) -> None:
    """A socket that nobody listens on. It is bound by a short name: one has at most 107 bytes."""
    with socket.socket(socket.AF_UNIX) as made:
        folder = os.open(path.parent, os.O_PATH)
        try:
            made.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)


NO_SMALL_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe": (a_pipe, "it is a pipe"),
    "endless": (endless, "it is a device"),
    "huge": (huge, r"it has more than \d+ bytes"),
    "directory": (a_directory, "it is a directory"),
    "socket": (a_socket, "it is a socket"),
}
"""Each with the reason that a message gives."""


def unblocked(work: Callable[[], Any]) -> Any:
    """Return the result of the work, or raise its exception. Fail if it blocks, instead of blocking the test run."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:  # noqa: BLE001 - it is raised in the test
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert outcome, "it blocks"
    result, error = outcome[0]
    if error is not None:
        raise error
    return result
