"""Reading answers beside the event loop: a large page must not hold up other probes, or `/livez`.

A small answer is read at once. A larger one is read by a thread of its app: the app's next answer waits for it, and so
there is never more than one thread for each. When the request's deadline is over, the thread is told to end, which it
does at the next part of the page.
"""

from __future__ import annotations

import asyncio
import threading

from chassis.frozen import TYPE_CHECKING
from sidecars.adapter.outcome import Reply
from sidecars.adapter.reading import Limits, Reading, Unreadable, understand

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

LARGE = 128 * 1024
"""Bytes: a page of metrics of this size takes some 10 ms."""
LARGE_DOCUMENT = 16 * 1024
"""Bytes of JSON or of lines about health, whose components are translated first: some 10 ms, too."""


class Abandoned(Exception):
    """Nobody waits for this reading any more."""


def _is_large(reply: Reply) -> bool:
    """True if reading it takes longer than other probes should wait."""
    document = reply.body[:64].lstrip()[:1] in (b"{", b"[")
    return "content-encoding" in reply.headers or len(reply.body) >= (LARGE_DOCUMENT if document else LARGE)


class Readers:
    """The threads that read, one for each app that has sent a large answer."""

    def __init__(self) -> None:
        self._threads: dict[str, ThreadPoolExecutor] = {}

    def close(self) -> None:
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)

    async def read(self, app: str, reply: Reply, limits: Limits) -> Reading | Unreadable:
        """Understand the app's reply. May be cancelled."""
        if not _is_large(reply):
            return understand(reply, limits)
        over = threading.Event()

        def proceed() -> None:
            if over.is_set():
                raise Abandoned

        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread(app), understand, reply, limits, proceed
            )
        finally:
            over.set()

    def _thread(self, app: str) -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - most apps have small pages

        if app not in self._threads:
            self._threads[app] = ThreadPoolExecutor(1, thread_name_prefix=f"read-{app}")
        return self._threads[app]
