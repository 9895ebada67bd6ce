"""Blocking calls beside the event loop: one thread, one call at a time.

The executor of the loop is not used: the process waits for it at exit, and a write into a pipe without a reader never
returns. This thread is a daemon: a call that hangs ends with the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class BlockingThread:
    """One daemon thread, started by the first call."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return the function's result, or raise its error. A call that is cancelled still runs to its end.

        Raises RuntimeError if the process can have no further thread; the next call tries again.
        """
        if self._thread is None:
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            thread.start()
            self._thread = thread
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._calls.put((lambda: function(*arguments), future))
        return await future

    def _run(self) -> None:
        while True:
            function, future = self._calls.get()
            result: Any = None
            error: BaseException | None = None
            try:
                result = function()
            except BaseException as raised:  # noqa: BLE001 - every error belongs to the caller
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop is closed, and no caller waits
                future.get_loop().call_soon_threadsafe(_settle, future, result, error)
            del function, future, result, error  # they may hold much memory, and the next call may come late


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
