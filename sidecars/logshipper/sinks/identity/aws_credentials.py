"""AWS credentials that are always fresh: chooses their place, and gets new ones before the old ones end.

    none yet, or ended          `current` waits for new ones
    5 to 10 minutes are left    `current` returns the old ones, and new ones are fetched beside it
    that fails                  the old ones stay in use until they end; the next try comes after a pause
    the receiver rejects them   `reject`: the next `current` waits for new ones

There is one fetch at a time, whoever waits for it. The moment of a refresh is random, so that the replicas of an app do
not ask STS together.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from functools import partial

from sidecars.chassis.config.cloud_settings import region_of
from sidecars.chassis.identity import aws_sources
from sidecars.chassis.identity.answers import NoCredentials
from sidecars.chassis.identity.aws_signature import AwsKeys
from sidecars.chassis.identity.aws_sources import Source, StaticSource, session_name
from sidecars.chassis.identity.local_keys import LocalSource
from sidecars.chassis.runtime import logs, scrubber
from sidecars.logshipper.config.over_http.http_settings import proxy_for
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.identity.fetch_failures import FetchFailures
from sidecars.logshipper.sinks.protocols.credentials import tls_context

log = logs.get("aws")

_LATEST, _EARLIEST = 300.0, 600.0  # seconds before the end at which new credentials are fetched
_RETRY = 30.0  # seconds between two fetches while the old credentials are still valid


def refresh_time(keys: AwsKeys, fetched: float, chance: float) -> float | None:
    """Return the time at which new credentials are fetched; None if these never end. Pure.

    `fetched`: when these came, in seconds since 1970. `chance`: a random number in [0, 1). Credentials that are
    short-lived are replaced when at most half of their time is left.
    """
    if keys.expires is None:
        return None
    margin = _LATEST + (_EARLIEST - _LATEST) * chance
    return keys.expires - min(margin, max(0.0, keys.expires - fetched) / 2)


class AwsCredentials:
    """The AWS credentials of one sink, which owns it. `clock` gives seconds since 1970."""

    def __init__(self, source: Source, clock: Callable[[], float] = time.time) -> None:
        self.source = source
        self._clock = clock
        self._keys: AwsKeys | None = None
        self._refresh_at: float | None = None  # of the clock; None: never
        self._fetch: asyncio.Task[AwsKeys] | None = None
        self._failures = FetchFailures(clock)

    async def current(self) -> AwsKeys:
        """Return credentials that are valid now. Raises RetryLater with a sentence if there are none."""
        if isinstance(self.source, LocalSource):
            try:
                return self.source.read()
            except NoCredentials as error:
                raise RetryLater(error.reason) from None
        now = self._clock()
        keys = self._keys
        if keys is None or (keys.expires is not None and keys.expires <= now):
            return await asyncio.shield(self._fetching())
        if self._refresh_at is not None and self._refresh_at <= now:
            self._fetching()
        return keys

    def reject(self, keys: AwsKeys) -> None:
        """Note that the receiver does not accept these credentials: they have ended, or were revoked."""
        if keys is self._keys:
            self._keys = None

    async def close(self) -> None:
        """Stop a fetch that is under way."""
        if self._fetch is not None:
            self._fetch.cancel()
            await asyncio.gather(self._fetch, return_exceptions=True)

    def _fetching(self) -> asyncio.Task[AwsKeys]:
        """Return the fetch that is under way, or start one."""
        if self._fetch is None or self._fetch.done():
            self._fetch = asyncio.create_task(self._fetch_keys())
            self._fetch.add_done_callback(self._note_end)
        return self._fetch

    async def _fetch_keys(self) -> AwsKeys:
        try:
            keys = await self.source.fetch()
        except NoCredentials as error:
            self._refresh_at = self._clock() + _RETRY
            raise RetryLater(error.reason) from None
        now = self._clock()
        if keys.expires is not None and keys.expires <= now:
            self._refresh_at = now + _RETRY
            raise RetryLater(f"{self.source.name} gives credentials that have ended: is this clock right?")
        scrubber.hide(self, [text for text in (keys.secret_key, keys.session_token) if text])
        self._keys = keys
        self._refresh_at = refresh_time(keys, now, random.random())  # noqa: S311 - jitter
        return keys

    def _note_end(self, fetch: asyncio.Task[AwsKeys]) -> None:
        if (reason := self._failures.to_log(fetch)) is not None:
            log.warning("new AWS credentials cannot be had", code="aws-credentials-not-renewed", reason=reason)


def create(settings: Settings, sink: SinkSettings, clock: Callable[[], float] = time.time) -> AwsCredentials:
    """Return the credentials of a sink. Raises IOFailed if its TLS files are unusable."""
    own = None
    if sink.sink_username is not None and sink.sink_password is not None:
        own = StaticSource("SINK_PASSWORD", sink.sink_username, sink.sink_password, sink.sink_session_token)
    region = region_of(settings, sink.sink_region)
    proxy = partial(proxy_for, settings, sink)
    session = session_name(settings.aws_role_session_name, "logshipper", settings.pod_name)
    elsewhere = "SINK_USERNAME and SINK_PASSWORD"
    tls = tls_context(sink)
    source = aws_sources.choose(settings, own, region, tls, proxy, session=session, elsewhere=elsewhere)
    return AwsCredentials(source, clock)
