"""A function that is called soon after each change, and yet takes a bounded share of the event loop.

To choose among ten thousand endpoints takes fifty milliseconds, and a rollout changes slices many times a second.
Changes that come while the function has to rest are taken up together by its next call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

_REST: Final = 9.0  # times as long as a call has taken: a tenth of the time is for calls


class PacedCall:
    """The pace of one function. Who asks for it owns it."""

    def __init__(
        self, call: Callable[[], object], loop: asyncio.AbstractEventLoop, on_error: Callable[[Exception], object]
    ) -> None:
        """`on_error` gets an exception that the function raises when it is called later."""
        self._call = call
        self._loop = loop
        self._on_error = on_error
        self._free_at = 0.0  # of the loop's clock
        self._timer: asyncio.TimerHandle | None = None

    def ask(self) -> None:
        """Call the function now, or as soon as it has rested."""
        if self._timer is not None:
            return
        wait = self._free_at - self._loop.time()
        if wait <= 0:
            self._run()
        else:
            self._timer = self._loop.call_later(wait, self._run_later)

    def flush(self) -> None:
        """Call the function now, if it was asked for and has to rest."""
        if self._timer is not None:
            self.cancel()
            self._run()

    def cancel(self) -> None:
        """Forget the call that was asked for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        began = self._loop.time()
        try:
            self._call()
        finally:
            ended = self._loop.time()
            self._free_at = ended + _REST * (ended - began)

    def _run_later(self) -> None:
        self._timer = None
        try:
            self._run()
        except Exception as error:  # noqa: BLE001 - a timer has nobody else to tell
            self._on_error(error)
