"""Virtual time: an event loop whose clock jumps to the next timer, and the clocks of the ambassador set to it."""

from __future__ import annotations

import contextlib
import heapq
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

_BEGIN = 1000.0  # of the monotonic clock


class VirtualLoop:
    """As much of an event loop as exchanges use: `call_soon`, `call_later` and `time`.

    There is no I/O. `call_soon` runs what it is given at the same time, behind all that is due then.
    """

    def __init__(self) -> None:
        self.now = _BEGIN
        self._timers: list[tuple[float, int, Callable[..., Any], tuple[Any, ...]]] = []
        self._soon: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._number = 0
        self.steps = 0

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., Any], *arguments: Any, context: Any = None) -> None:  # noqa: ARG002 - asyncio's
        self._soon.append((callback, arguments))

    def call_later(self, seconds: float, callback: Callable[..., Any], *arguments: Any) -> None:
        self.call_at(self.now + seconds, callback, *arguments)

    def call_at(self, when: float, callback: Callable[..., Any], *arguments: Any) -> None:
        self._number += 1  # what is due at one time runs in the order in which it was asked for
        heapq.heappush(self._timers, (when, self._number, callback, arguments))

    def run_until(self, end: float) -> None:
        """Run all that is due up to this time."""
        timers, soon = self._timers, self._soon
        while True:
            while soon:
                callback, arguments = soon.popleft()
                callback(*arguments)
            if not timers or timers[0][0] > end:
                break
            when, _, callback, arguments = heapq.heappop(timers)
            self.now = max(self.now, when)
            self.steps += 1
            callback(*arguments)
        self.now = end


@contextlib.contextmanager
def virtual_time(seed: str) -> Iterator[VirtualLoop]:
    """Set the clocks and the chance of the ambassador's modules for one run. They must not be compiled."""
    loop = VirtualLoop()
    clock, state = time.monotonic, random.getstate()
    changed = [
        module
        for name, module in sys.modules.items()
        if name.startswith("sidecars.ambassador.") and getattr(module, "monotonic", None) is clock
    ]
    time.monotonic = loop.time
    for module in changed:
        module.monotonic = loop.time  # type: ignore[attr-defined] # a module has what it defines
    random.seed(seed)
    try:
        yield loop
    finally:
        time.monotonic = clock
        for module in changed:
            module.monotonic = clock  # type: ignore[attr-defined] # a module has what it defines
        random.setstate(state)
