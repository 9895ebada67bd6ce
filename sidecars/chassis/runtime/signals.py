"""SIGTERM and SIGINT, which ask a process to stop: handled, blocked, ignored, or with their default action.

The functions are those of CPython's own `_signal`. The module `signal` wraps them and makes enums of all numbers. That
takes a third of the time in which a bare Python starts and ends, and a job would have to wait for it.
"""

from __future__ import annotations

from contextlib import contextmanager

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import Any

    Handler = Callable[[int, FrameType | None], Any]
else:
    import _signal

STOP_SIGNALS = {int(_signal.SIGTERM): "SIGTERM", int(_signal.SIGINT): "SIGINT"}


def on_stop_signal(handler: Handler) -> None:
    """Call the handler, in the main thread, for every stop signal."""
    for number in STOP_SIGNALS:
        _signal.signal(number, handler)


def ignore_stop() -> None:
    """Ignore stop signals from now on: for a job that has done its work and only has to report it."""
    for number in STOP_SIGNALS:
        _signal.signal(number, _signal.SIG_IGN)


def default_stop() -> None:
    """Let a stop signal end the process from now on, without a log line: for a child process that only helps."""
    for number in STOP_SIGNALS:
        _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, STOP_SIGNALS)


@contextmanager
def block_stop() -> Iterator[None]:
    """Block stop signals until the context ends: for a few steps that belong together.

    This blocks them in the calling thread. The kernel gives a signal to any thread that does not block it, so the other
    threads must block it, too. A thread that is started in this context does.
    """
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
