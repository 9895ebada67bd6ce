"""Keeping the endpoints of each name as DNS has them, with traffic or without."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from typing import Protocol

from sidecars.ambassador.discovery.dns_target import DnsAnswer, DnsTarget, LookupFailed, ResolvedAddress
from sidecars.ambassador.http.local_replies import DEFECT

_RETRY_AFTER_FAILURE = 1.0  # seconds, unless answers hold for less


class Resolver(Protocol):
    """What asks name servers."""

    async def lookup(self, host: str) -> DnsAnswer:
        """The addresses of the name. Raises LookupFailed."""

    async def lookup_srv(self, name: str) -> DnsAnswer:
        """The addresses behind the SRV records of the name. Raises LookupFailed."""


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class DnsListener(Protocol):
    """The upstream whose targets are looked up: it counts look-ups, and applies what they find."""

    def on_lookup(self) -> None:
        """Count a look-up that begins."""

    def on_dns_answer(self, target: DnsTarget, answer: DnsAnswer, now: float) -> None:
        """Apply a good answer."""

    def on_dns_failure(self, target: DnsTarget, error: str) -> None:
        """Note that a look-up failed; what was known before still holds."""

    def on_defect(self, error: Exception) -> None:
        """Count and log an exception that nobody expected."""


async def keep_refreshed(listener: DnsListener, target: DnsTarget, resolver: Resolver | None, min_ttl: float) -> None:
    """Look the name up whenever what is known of it holds no longer. An address is taken as it is, once."""
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
        except Exception as error:  # noqa: BLE001 - what was known still holds, whatever a name server wrote
            listener.on_defect(error)
            failure = DEFECT.text
        else:
            failure = ""
        if failure:
            listener.on_dns_failure(target, failure)
            await asyncio.sleep(min(_RETRY_AFTER_FAILURE, min_ttl))
            continue
        await asyncio.sleep(target.valid_for)
