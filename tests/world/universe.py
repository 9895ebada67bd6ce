"""All that is outside of the process, for one seed: time, dice, and the record of what happened.

The standard library's clocks and sources of chance are replaced once (`install`), before any code of the sidecars is
imported: a module may bind `time.monotonic` to a name of its own. From then on they belong to the universe of the
seed that runs. So the same seed gives the same run, bit for bit, and its `digest` proves that.
"""

from __future__ import annotations

import contextvars
import gc
import hashlib
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

OWNER: contextvars.ContextVar[str] = contextvars.ContextVar("owner", default="the peers")
"""The process that runs: one of the sidecar's, or all peers together."""

_EPOCH = 1_700_000_000.0  # Unix time at the beginning of each universe
_BEGIN = 1000.0  # of the monotonic clock


class Universe:
    """Time, dice and record of one seed."""

    def __init__(self, seed: int, *, show: Callable[[str], None] | None = None) -> None:
        """`show` gets each line of the record as it is made."""
        self.seed = seed
        self.now = _BEGIN
        self.clock_error = 0.0  # seconds by which the time of day differs, once somebody has set it
        self.dice = random.Random(f"world {seed}")  # of the network and the disk; a text, so that near seeds differ
        self.events = 0
        self._digest = hashlib.sha256()
        self._show = show

    def record(self, event: str) -> None:
        """Add an event to the record. It must not contain an address of memory."""
        line = f"{self.now - _BEGIN:.6f} {event}"
        self.events += 1
        self._digest.update(line.encode(errors="backslashreplace") + b"\n")
        if self._show is not None:
            self._show(line)

    @property
    def digest(self) -> str:
        """The digest of the record. Two runs of a seed with the same digest did the same things at the same times."""
        return self._digest.hexdigest()[:16]

    @property
    def elapsed(self) -> float:
        """Virtual seconds since the beginning."""
        return self.now - _BEGIN

    # -- dice -----------------------------------------------------------------------------------------------------

    def chance(self, share: float) -> bool:
        return self.dice.random() < share

    def choose(self, *choices: Any) -> Any:
        return self.dice.choice(choices)

    def between(self, low: float, high: float) -> float:
        return self.dice.uniform(low, high)


class _Current:
    """The universe that runs at present. Before the first one, modules are imported in an empty one."""

    def __init__(self) -> None:
        self.universe = Universe(-1)
        self.entropy = random.Random(0)
        self.is_installed = False


_current = _Current()


def current() -> Universe:
    return _current.universe


def enter(universe: Universe) -> None:
    """Make this the universe in which everything happens from now on."""
    _current.universe = universe
    _current.entropy = random.Random(f"entropy {universe.seed}")
    random.seed(f"chance {universe.seed}")


def _monotonic() -> float:
    return _current.universe.now


def _time() -> float:
    return _EPOCH + _current.universe.now + _current.universe.clock_error - _BEGIN


def _urandom(size: int, /) -> bytes:
    return _current.entropy.randbytes(size)


def _no_sleep(_seconds: float, /) -> NoReturn:
    raise AssertionError("time.sleep() in the world: it would stop the event loop of a real process")


def _no_thread(thread: threading.Thread) -> NoReturn:
    raise AssertionError(f"the thread {thread.name} starts in the world, where all is one thread")


def install() -> None:
    """Replace clocks, chance, threads and the garbage collector of this process. Call it before sidecars are imported.

    The hash of text is part of chance, too (PYTHONHASHSEED), and can be set only at the start of a process.
    """
    if _current.is_installed:
        return
    assert os.environ.get("PYTHONHASHSEED") == "0", "start the world by `python -m tests.world`"
    too_early = [name for name in sys.modules if name.startswith("sidecars")]
    assert not too_early, f"{too_early} were imported before the clocks were replaced"
    _current.is_installed = True
    for name, value in {
        "monotonic": _monotonic,
        "perf_counter": _monotonic,
        "time": _time,
        "monotonic_ns": lambda: int(_monotonic() * 1e9),
        "time_ns": lambda: int(_time() * 1e9),
        "sleep": _no_sleep,
    }.items():
        setattr(time, name, value)
    os.urandom = _urandom
    random._urandom = _urandom  # type: ignore[attr-defined] # bound at its import; SystemRandom and secrets use it
    threading.Thread.start = _no_thread  # type: ignore[method-assign,assignment] # it takes the place of the real one
    # A full collection costs more than the run of a seed; a frozen object would stay for all the seeds to come.
    gc.collect = lambda *_: 0
    gc.freeze = lambda: None


class Broken(AssertionError):
    """A promise that a run has broken."""


def check(promise: str, holds: object, *evidence: object) -> None:
    """Raise Broken with the promise and the evidence, unless it holds."""
    if not holds:
        raise Broken(promise + "".join(f"\n    {each}" for each in evidence))


def check_equal(promise: str, found: object, expected: object) -> None:
    if found != expected:
        check(promise, False, f"found    {found!r:.2000}", f"expected {expected!r:.2000}")


Lines = Sequence[str]
