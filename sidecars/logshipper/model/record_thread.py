"""A thread for the records and bodies of large batches, so that `/livez` and the other sinks' connections go on.

Small work is done at once, on the event loop. There is one thread for all sinks: work on records is bound by the
processor, and more threads would only share it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sidecars.chassis.runtime.blocking_thread import BlockingThread

CHUNK = 256
"""Bytes of log lines that take as long as a chunk itself does, however small it is."""
LARGE = 16 * 1024
"""Bytes. Making the records of so many and their body takes up to 20 ms, the change of threads 0.1 ms."""

T = TypeVar("T")

_thread = BlockingThread("records")


async def beside_the_loop(size: int, function: Callable[..., T], *arguments: object) -> T:
    """Return the function's result, or raise its error. `size`: bytes that it works on.

    A large call that is cancelled still runs to its end.
    """
    if size < LARGE:
        return function(*arguments)
    return await _thread.call(function, *arguments)
