"""Storms: steps of the planter that go on in a child process, thousands of times, until the planter ends."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator

EXCHANGE = 2  # RENAME_EXCHANGE, renameat2(2)
AT_FDCWD = -100
PDEATHSIG = 1  # PR_SET_PDEATHSIG, prctl(2)
PAUSE = 0.001  # seconds between the turns of a storm that would otherwise starve a machine with few cores

_libc = ctypes.CDLL(None, use_errno=True)


def exchange(one: bytes, other: bytes) -> bool:
    """Exchange two names in one step. Return False if one of them is not there now."""
    return int(_libc.renameat2(AT_FDCWD, one, AT_FDCWD, other, EXCHANGE)) == 0


def _write(name: str, text: str) -> None:
    with open(name, "w", encoding="utf-8") as made:
        made.write(text)


def storm(turns: Iterator[None], pause: float = PAUSE) -> None:
    """Let a child take turns until this process ends. `pause` is the time between two of them, in seconds."""
    parent = os.getpid()
    if os.fork() == 0:
        _libc.prctl(PDEATHSIG, signal.SIGKILL)
        try:
            if os.getppid() == parent:
                for _ in turns:
                    time.sleep(pause)
        finally:
            os._exit(0)


def _swaps(name: bytes, other: bytes) -> Iterator[None]:
    while True:
        for _ in range(20):
            exchange(name, other)
        yield


def swap_storm(name: str, other: str) -> None:
    storm(_swaps(os.fsencode(name), os.fsencode(other)))


def _hunt(root: bytes, target: bytes) -> Iterator[None]:
    """Leave a link to `target` at the place of each directory below `root` for a moment, again and again."""
    traps = [os.path.join(root, b"trap-%d" % number) for number in range(64)]
    for trap in traps:
        os.symlink(target, trap)
    while True:
        found = []
        with contextlib.suppress(OSError):
            for folder, names, _ in os.walk(root):
                found += [os.path.join(folder, name) for name in names if not name.startswith(b"trap-")]
        pairs = list(zip(reversed(found), traps, strict=False))  # the deepest first: the others would take them along
        for path, trap in pairs:
            exchange(path, trap)
        yield
        for path, trap in reversed(pairs):
            exchange(path, trap)
        yield


def hunt(root: str, target: str) -> None:
    storm(_hunt(os.fsencode(root), os.fsencode(target)), pause=0)


def _rotations(name: str) -> Iterator[None]:
    for number in itertools.count():
        with contextlib.suppress(OSError):
            os.rename(name, f"{name}.{number % 3}")
            _write(name, f"a line of rotation {number}\n")
        yield


def rotation_storm(name: str) -> None:
    storm(_rotations(name))


def _lengths(name: str) -> Iterator[None]:
    for number in itertools.count():
        with open(name, "r+b") as opened:
            opened.truncate(number % 7 * 10_000)
            opened.write(b"a line that shrinks\n" * (number % 5 * 100))
        yield


def shrink_storm(name: str) -> None:
    _write(name, "")
    storm(_lengths(name))


def _kinds(name: str, target: str) -> Iterator[None]:
    made: list[Callable[[], None]] = [
        lambda: os.symlink(target, name),
        lambda: os.mkfifo(name),
        lambda: os.mkdir(name),
        lambda: _write(name, "a line of a name of many kinds\n"),
    ]
    for make in itertools.cycle(made):
        with contextlib.suppress(OSError):
            os.unlink(name)
        with contextlib.suppress(OSError):
            os.rmdir(name)
        with contextlib.suppress(OSError):
            make()
        yield


def kind_storm(name: str, target: str) -> None:
    storm(_kinds(name, target))


def _births(folder: str) -> Iterator[None]:
    for number in itertools.count():
        name = f"{folder}/born-{number % 50}.log"
        with contextlib.suppress(OSError):
            _write(name, "a line that is soon gone\n")
            os.unlink(name)
        yield


def birth_storm(folder: str) -> None:
    storm(_births(folder))


def _feed(name: str, text: str) -> Iterator[None]:
    while True:
        with contextlib.suppress(OSError):
            descriptor = os.open(name, os.O_WRONLY | os.O_NONBLOCK)
            with contextlib.suppress(OSError):
                os.write(descriptor, text.encode())
            os.close(descriptor)
        yield


def feed_fifo(name: str, text: str) -> None:
    os.mkfifo(name, 0o666)
    storm(_feed(name, text))


STORMS = (swap_storm, hunt, rotation_storm, shrink_storm, kind_storm, birth_storm, feed_fifo)
