"""A sidecar whose event loop notes its longest turns: `python -m tests.loop_turns REPORT sidecars.adapter`.

A turn is the time between two polls of the selector: in it no connection is served and no probe is answered. It is
measured in CPU time of the main thread, so that other processes have no part in it. While the loop polls, a worker
thread may hold the interpreter's lock; the CPU time that all threads used beyond the poll's own time is the second
measure. Both are written to REPORT, one JSON array a line, with the callback that took the most of the turn.

The loop is asyncio's with a selector of its own, since uvloop has no hook around its poll. The sidecar's code is the
same; only the reading and writing of sockets is done by other code.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import runpy
import selectors
import sys
import time
from typing import Any

TICK = 0.005  # seconds: the longest poll
_LEAST = 0.002  # seconds: shorter turns are not written


class _Selector(selectors.DefaultSelector):
    """A selector that measures the time between its polls."""

    def __init__(self, report: int) -> None:
        super().__init__()
        self._report = report
        self._returned = time.thread_time()
        self.longest: tuple[float, Any] = (0.0, None)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        turn = time.thread_time() - self._returned
        if turn >= _LEAST:
            self._write(turn, 0.0, _name(self.longest[1]))
        self.longest = (0.0, None)
        wait = TICK if timeout is None else min(timeout, TICK)
        began = time.process_time()
        ready = super().select(wait)
        held = time.process_time() - began - max(0.0, wait)
        if held >= _LEAST:
            self._write(0.0, held, "a thread")
        self._returned = time.thread_time()
        return ready

    def _write(self, turn: float, held: float, where: str) -> None:
        os.write(self._report, (json.dumps([turn * 1000, held * 1000, where]) + "\n").encode())


def _name(found: Any) -> str:
    """Return the name of a callback: of its task's innermost coroutine, or of its function."""
    task = getattr(found, "__self__", None)
    if not isinstance(task, asyncio.Task):
        return getattr(found, "__qualname__", repr(found))
    coroutine: Any = task.get_coro()
    name = _name_of(coroutine)
    while inner := getattr(coroutine, "cr_await", None):
        if not hasattr(inner, "cr_await"):
            break
        coroutine = inner
        name = f"{name} > {_name_of(coroutine)}"
    return name


def _name_of(coroutine: Any) -> str:
    return str(getattr(coroutine, "__qualname__", type(coroutine).__name__))  # a compiled one has no name


def _measure_callbacks(selector: _Selector) -> None:
    """Note which callback of a turn takes the longest."""
    handles: Any = asyncio.Handle  # its `_run` is not public
    run = handles._run

    def measured(handle: asyncio.Handle) -> None:
        callback = handle._callback  # type: ignore[attr-defined] # a handle that is cancelled while it runs forgets it
        began = time.thread_time()
        run(handle)
        taken = time.thread_time() - began
        if taken > selector.longest[0]:
            selector.longest = (taken, callback)

    handles._run = measured


def main() -> None:
    lifecycle: Any = importlib.import_module("sidecars.chassis.runtime.lifecycle")
    report = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    program = sys.argv[2]
    run_service = lifecycle.run_service

    def new_loop() -> asyncio.AbstractEventLoop:
        selector = _Selector(report)
        _measure_callbacks(selector)
        return asyncio.SelectorEventLoop(selector)

    def run_measured(service: Any, drain_timeout: float, _factory: Any = None) -> None:
        run_service(service, drain_timeout, new_loop)

    lifecycle.run_service = run_measured
    sys.argv = [program]
    runpy.run_module(program, run_name="__main__")


if __name__ == "__main__":
    main()
