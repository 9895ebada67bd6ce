"""Threads for large pages, so that no other probe and no `/livez` waits while one is parsed or written.

A small page is handled at once, on the event loop. A larger one is handled by the thread of its app or route. Each app
or route has one thread, and its next page waits for that thread. When nobody waits for a page any more, its work is
cancelled: the work calls its `Checkpoint` at every part of the page, and the checkpoint raises `Abandoned` then.
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

LARGE = 16 * 1024
"""Bytes. Parsing a page of this size takes up to 25 ms, the change to a thread and back 0.1 ms."""

T = TypeVar("T")


class Abandoned(Exception):
    """Nobody waits for the result any more. A checkpoint raises this to end the work."""


class BackgroundThreads:
    """One thread for each app or route that has had a large page. Owned by the app client."""

    def __init__(self) -> None:
        self._threads: dict[str, ThreadPoolExecutor] = {}

    def close(self) -> None:
        """Release the threads, without waiting for work in progress."""
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)

    async def run(self, key: str, size: int, work: Callable[[Checkpoint], T]) -> T:
        """Run the work and return its result. May be cancelled.

        `key` is the name of the app or route; `size` is the size of its page in bytes.
        """
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
