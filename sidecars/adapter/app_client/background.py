"""Work beside the event loop: a large page must not hold up other probes, or `/livez`.

What is small is done at once. What is larger is done by a thread of its app or route, whose next work waits for it: so
there is never more than one thread for each. When nobody waits for the work any more, it is told to end, which it does
at the next part of the page.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from sidecars.adapter.exposition.cancellation import Checkpoint, never_cancelled
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

LARGE = 128 * 1024
"""Bytes: to read a page of this size takes some 10 ms."""

T = TypeVar("T")


class Abandoned(Exception):
    """Nobody waits for this work any more: what its `Proceed` raises then."""


class Background:
    """The threads that work, one for each app or route that has a large page."""

    def __init__(self) -> None:
        self._threads: dict[str, ThreadPoolExecutor] = {}

    def close(self) -> None:
        """Let go of the threads. Work in progress is not waited for."""
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)

    async def run(self, key: str, size: int, work: Callable[[Checkpoint], T]) -> T:
        """Do the work for this app or route, whose page has so many bytes. May be cancelled."""
        if size < LARGE:
            return work(never_cancelled)
        over = threading.Event()

        def checkpoint() -> None:
            if over.is_set():
                raise Abandoned

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread(key), work, checkpoint)
        finally:
            over.set()

    def _thread(self, key: str) -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - most apps have small pages

        if key not in self._threads:
            self._threads[key] = ThreadPoolExecutor(1)
        return self._threads[key]
