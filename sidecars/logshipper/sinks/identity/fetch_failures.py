"""The failed fetches of credentials that are logged: a drain tries twice a second, and would flood the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sidecars.logshipper.sinks.base import RetryLater

_AGAIN = 30.0  # seconds until a reason that was logged is logged again
_MOST = 4  # reasons that are logged in that time: some have a number that is another one each time


class FetchFailures:
    """The failures that were logged lately. Owned by the credentials of a sink. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._logged: dict[str, float] = {}  # reason -> time

    def to_log(self, fetch: asyncio.Task[Any]) -> str | None:
        """Return the reason of a fetch that has failed, if it is to be logged; None if there is nothing to log.

        A reason is logged once in 30 s, also if others come between. Nobody may be waiting for the fetch.
        """
        if fetch.cancelled() or (error := fetch.exception()) is None:
            return None
        reason, now = error.reason if isinstance(error, RetryLater) else repr(error), self._clock()
        self._logged = {text: at for text, at in self._logged.items() if abs(now - at) < _AGAIN}
        if reason in self._logged or len(self._logged) >= _MOST:
            return None
        self._logged[reason] = now
        return reason
