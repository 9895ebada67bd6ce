"""The loop that refreshes the endpoints of one target from DNS, with traffic or without."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from sidecars.ambassador.discovery.dns_target import DnsAnswer, DnsTarget, LookupFailed, ResolvedAddress
from sidecars.ambassador.http.local_replies import DEFECT

_RETRY_AFTER_FAILURE = 1.0  # seconds, or DNS_MIN_TTL if that is less


class Resolver(Protocol):
    """Looks names up: CaresResolver, or a substitute in tests."""

    async def lookup(self, host: str) -> DnsAnswer:
        """Return the addresses of the name. Raises LookupFailed."""

    async def lookup_srv(self, name: str) -> DnsAnswer:
        """Return the addresses behind the SRV records of the name. Raises LookupFailed."""


class DnsListener(Protocol):
    """The upstream whose targets are looked up: it counts look-ups and applies their results."""

    def on_lookup(self) -> None:
        """Count a look-up that begins."""

    def on_dns_answer(self, target: DnsTarget, answer: DnsAnswer, now: float) -> None:
        """Apply a good answer."""

    def on_dns_failure(self, target: DnsTarget, error: str) -> None:
        """Note that a look-up failed; the addresses of the last good answer stay."""

    def on_defect(self, error: Exception) -> None:
        """Count and log an unexpected exception."""


async def keep_refreshed(listener: DnsListener, target: DnsTarget, resolver: Resolver | None, min_ttl: float) -> None:
    """Look the target up each time its last answer expires, until cancelled. Times are in seconds.

    Without a `resolver` the target needs no look-up: apply it once and return.
    """
    host = target.target.host
    if resolver is None:
        listener.on_dns_answer(target, DnsAnswer((ResolvedAddress(host),), 0.0), time.monotonic())
        return
    look_up = resolver.lookup_srv if target.target.is_srv else resolver.lookup
    while True:
        listener.on_lookup()
        try:
            answer = await look_up(host)
            listener.on_dns_answer(target, answer, time.monotonic())
        except LookupFailed as error:
            failure = str(error)
        except Exception as error:  # noqa: BLE001 - no answer of a name server may end the loop
            listener.on_defect(error)
            failure = DEFECT.text
        else:
            failure = ""
        if failure:
            listener.on_dns_failure(target, failure)
            await asyncio.sleep(min(_RETRY_AFTER_FAILURE, min_ttl))
            continue
        await asyncio.sleep(target.valid_for)
