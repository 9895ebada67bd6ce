"""The growth of work with the input: CPU time of 4n by CPU time of n.

A linear function has a ratio of 4, a quadratic one 16. Measured on a busy machine, linear parsers were between 3.7 and
6.6. So a median of more than MOST is a defect. What counts is the CPU time of this thread, and the least of three runs:
other processes and the garbage collector have little part in it. Nor has the kernel: freed memory stays with the
process, or only the large inputs would wait for new pages in each run (a ratio of 12 for one copy of the input). A
first ratio of at most SURE, of one run each, ends the measurement. A median beyond MOST is a defect if a quarter of the
input has such a median, too: an input that has outgrown a cache of the machine is slower once, and a quadratic function
at each size.

A count of executed lines or calls would be exact, but would not see the work inside one call of C: `bytes +=` in a
loop, `in` a list, a regex that tries again from each place.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

TIMES = 4
MOST, SURE = 7.0, 6.0
_LEAST_SECONDS = 0.005  # of n
_RUNS, _RATIOS, _ROUNDS = 3, 7, 2
_LARGEST = 1 << 18  # of n

# Parameters of mallopt(3) of glibc, and their defaults.
_TRIM_THRESHOLD, _USUAL_TRIM_THRESHOLD = -1, 128 * 1024
_MMAP_THRESHOLD, _USUAL_MMAP_THRESHOLD = -3, 128 * 1024

Make = Callable[[int], Any]
Work = Callable[[Any], object]


@dataclass(frozen=True)
class Case:
    """An input of size n that `make` makes, and the work on it. `most` is the largest 4n that the parser accepts."""

    name: str
    make: Make
    work: Work
    most: int = TIMES * _LARGEST
    least: int = 64  # the smallest n that is tried


def require_linear(case: Case) -> None:
    """Fail if the work of a case grows faster than its input."""
    with _only_the_work():
        size, repeats = _calibrate(case)
        shown = []
        for n, times in ((size, repeats), (max(1, size // TIMES), repeats * TIMES)):
            ratios = _ratios(case, n, times)
            if not ratios:
                return
            shown.append(f"{', '.join(f'{ratio:.1f}' for ratio in ratios)} times the work (n = {n})")
    raise AssertionError(f"{case.name}: {TIMES} times as much input took {', and '.join(shown)}")


def _ratios(case: Case, size: int, repeats: int) -> list[float]:
    """Return ratios whose median is beyond MOST, or none if it is not."""
    small, large = case.make(size), case.make(TIMES * size)
    ratios: list[float] = []
    for _ in range(_ROUNDS):
        if _ratio(case.work, small, large, repeats, runs=1) <= SURE:
            return []
        ratios = []
        for _ in range(_RATIOS):
            ratios.append(_ratio(case.work, small, large, repeats))
            if sum(ratio <= MOST for ratio in ratios) > _RATIOS // 2:  # so the median is, whatever the others are
                return []
    return ratios


@contextlib.contextmanager
def _only_the_work() -> Iterator[None]:
    """Collect no garbage, and give no memory back, while the context is open."""
    enabled = gc.isenabled()
    gc.disable()
    _set_malloc(_TRIM_THRESHOLD, -1)  # the largest size_t
    _set_malloc(_MMAP_THRESHOLD, 32 << 20)  # the largest
    try:
        yield
    finally:
        _set_malloc(_MMAP_THRESHOLD, _USUAL_MMAP_THRESHOLD)
        _set_malloc(_TRIM_THRESHOLD, _USUAL_TRIM_THRESHOLD)
        if enabled:
            gc.enable()


def _set_malloc(parameter: int, value: int) -> None:
    with contextlib.suppress(AttributeError):  # of another C library
        ctypes.CDLL(None).mallopt(parameter, value)


def _calibrate(case: Case) -> tuple[int, int]:
    """Return n, and how often a run repeats the work so that it takes _LEAST_SECONDS."""
    size = case.least
    while True:
        seconds = _seconds(case.work, case.make(size), 1)
        if seconds >= _LEAST_SECONDS:
            return size, 1
        larger = size * max(2, min(16, int(_LEAST_SECONDS / max(seconds, 1e-6))))
        if TIMES * larger > case.most or larger > _LARGEST:
            size = min(case.most // TIMES, _LARGEST)
            seconds = max(_seconds(case.work, case.make(size), 1), 1e-6)
            return size, max(1, int(_LEAST_SECONDS / seconds))
        size = larger


def _ratio(work: Work, small: Any, large: Any, repeats: int, runs: int = _RUNS) -> float:
    least_small = min(_seconds(work, small, repeats) for _ in range(runs))
    least_large = min(_seconds(work, large, repeats) for _ in range(runs))
    return least_large / least_small


def _seconds(work: Work, data: Any, repeats: int) -> float:
    begun = time.thread_time()
    for _ in range(repeats):
        work(data)
    return time.thread_time() - begun
