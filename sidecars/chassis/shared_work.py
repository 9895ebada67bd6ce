"""Work for many clients, done once for all who wait: a flood of requests costs no more than a share of the time.

    request ──▶ result(key) ──▶ the work of this key that has not begun ──▶ one at a time, with a rest after each
    request ──▶ result(key) ──┘    └─ else a new one

A result is never older than the request for it. Clients that leave at once leave no work behind: at most one work of
each key is under way, and one waits. After a work that took a time t, none begins for RESTS * t. So whoever asks
without an end gets a quarter of the event loop; who asks every second waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

RESTS = 3.0  # times the duration of the work before
LONGEST_REST = 0.5  # seconds

K = TypeVar("K")
T = TypeVar("T")


class SharedWork(Generic[K, T]):
    """Works by their keys, of which there must be few."""

    def __init__(self) -> None:
        self._waiting: dict[K, asyncio.Task[T]] = {}  # works that have not begun
        self._turn = asyncio.Lock()  # first come, first served
        self._rests_until = 0.0  # of the loop's clock

    async def result(self, key: K, work: Callable[[K], Awaitable[T]]) -> T:
        """Return the result of a work that begins from now on, or raise its error. It may be that of another call."""
        task = self._waiting.get(key)
        if task is None:
            task = self._waiting[key] = asyncio.get_running_loop().create_task(self._run(key, work))
        return await asyncio.shield(task)  # a client that is gone stops no work of others

    async def _run(self, key: K, work: Callable[[K], Awaitable[T]]) -> T:
        clock = asyncio.get_running_loop().time
        async with self._turn:
            if (rest := self._rests_until - clock()) > 0:
                await asyncio.sleep(rest)
            del self._waiting[key]
            began = clock()
            try:
                return await work(key)
            finally:
                ended = clock()
                self._rests_until = ended + min(RESTS * (ended - began), LONGEST_REST)
