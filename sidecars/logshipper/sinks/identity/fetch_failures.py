"""The failed fetches of credentials that are logged: a drain tries twice a second, and would flood the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sidecars.logshipper.sinks.base import RetryLater

_AGAIN = 30.0  # seconds until a reason that was logged is logged again


class FetchFailures:
    """The last failure that was logged. Owned by the credentials of a sink. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._logged: tuple[str, float] | None = None  # its reason and time

    def to_log(self, fetch: asyncio.Task[Any]) -> str | None:
        """Return the reason of a fetch that has failed, once for each reason in 30 s. None: there is nothing to log.

        Nobody may be waiting for the fetch.
        """
        if fetch.cancelled() or (error := fetch.exception()) is None:
            return None
        reason, now = error.reason if isinstance(error, RetryLater) else repr(error), self._clock()
        if self._logged is not None and self._logged[0] == reason and abs(now - self._logged[1]) < _AGAIN:
            return None
        self._logged = reason, now
        return reason
