"""Access tokens (RFC 6750) that are always fresh.

    none yet, or ended           `current` waits for a new one
    it ends in 1 to 5 minutes    `current` returns it, and a new one is fetched beside it
    that fails                   the old one stays in use until it ends; the next try comes after a pause
    the receiver rejects it      `reject`: the next `current` waits for a new one, once in a minute at most

There is one fetch at a time, whoever waits for it. A token is a secret: it is looked for in all outputs.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from sidecars.chassis.identity.access_tokens import AccessToken, TokenSource
from sidecars.chassis.identity.answers import NoCredentials
from sidecars.chassis.runtime import logs, scrubber
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.identity.fetch_failures import FetchFailures

log = logs.get("token")

_RETRY = 30.0  # seconds between two fetches while the old token is still valid
_BETWEEN_REJECTIONS = 60.0  # seconds


class TokenCache:
    """The token of one sink, which owns it. `clock` gives seconds."""

    def __init__(self, source: TokenSource, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._token: AccessToken | None = None
        self._renew_at = 0.0
        self._rejected_at: float | None = None
        self._fetch: asyncio.Task[AccessToken] | None = None
        self._failures = FetchFailures(clock)

    async def current(self) -> AccessToken:
        """Return a token that is valid now. Raises RetryLater with a sentence if there is none."""
        token, now = self._token, self._clock()
        if token is None or token.ends <= now:
            return await asyncio.shield(self._fetching())
        if self._renew_at <= now:
            self._fetching()
        return token

    def reject(self, token: AccessToken) -> None:
        """Note that the receiver does not accept this token."""
        now = self._clock()
        recently = self._rejected_at is not None and now < self._rejected_at + _BETWEEN_REJECTIONS
        if token is self._token and not recently:
            self._token, self._rejected_at = None, now

    def close(self) -> None:
        """Stop a fetch that is under way."""
        if self._fetch is not None:
            self._fetch.cancel()

    def _fetching(self) -> asyncio.Task[AccessToken]:
        """Return the fetch that is under way, or start one."""
        if self._fetch is None or self._fetch.done():
            self._fetch = asyncio.create_task(self._fetch_token())
            self._fetch.add_done_callback(self._note_end)
        return self._fetch

    async def _fetch_token(self) -> AccessToken:
        self._renew_at = self._clock() + _RETRY  # unless it succeeds
        try:
            token = await self._source.fetch(self._clock())
        except NoCredentials as error:
            raise RetryLater(error.reason) from None
        scrubber.hide(self, [token.text])
        self._token, self._renew_at = token, token.renew_at(random.random())  # noqa: S311 - jitter
        return token

    def _note_end(self, fetch: asyncio.Task[AccessToken]) -> None:
        if (reason := self._failures.to_log(fetch)) is not None:
            log.warning("a new token cannot be had", code="token-not-renewed", reason=reason)
