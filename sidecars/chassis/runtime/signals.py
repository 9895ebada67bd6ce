"""The signals that tell a process to stop: let in, kept waiting, or no longer heeded.

The functions are those of CPython's own `_signal`. `signal` only wraps them, and makes enums of all numbers; that alone
takes a third of the time in which a bare Python starts and ends, and a job has to wait for it.
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
    """Call the handler, in the main thread, for every signal to stop."""
    for number in STOP_SIGNALS:
        _signal.signal(number, handler)


def ignore_stop() -> None:
    """From here on a signal to stop changes nothing. For a job whose work is done but for saying so."""
    for number in STOP_SIGNALS:
        _signal.signal(number, _signal.SIG_IGN)


def default_stop() -> None:
    """From here on a signal to stop ends the process, without a word. For a child that only helps."""
    for number in STOP_SIGNALS:
        _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, STOP_SIGNALS)


@contextmanager
def block_stop() -> Iterator[None]:
    """Let a signal to stop wait until the context is left: for the few steps that belong together.

    That is this thread's matter alone: a signal goes to any thread that lets it in, so others must not. A thread that
    is started in this context takes none.
    """
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
