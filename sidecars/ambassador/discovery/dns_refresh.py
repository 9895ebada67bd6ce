"""Keeping the endpoints of each name as DNS has them, with traffic or without."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from typing import TYPE_CHECKING, Protocol

from sidecars.ambassador.discovery.dns_target import DnsAnswer, LookupFailed, ResolvedAddress
from sidecars.ambassador.http.local_replies import DEFECT

if TYPE_CHECKING:
    from sidecars.ambassador.discovery.dns_target import DnsTarget
    from sidecars.ambassador.upstream.upstream import Upstream

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


async def keep_refreshed(upstream: Upstream, name: DnsTarget, resolver: Resolver | None) -> None:
    """Look the name up whenever what is known of it holds no longer. An address is taken as it is, once."""
    host = name.target.host
    if resolver is None:
        upstream.answered(name, DnsAnswer((ResolvedAddress(host),), 0.0), time.monotonic())
        return
    look_up = resolver.lookup_srv if name.target.is_srv else resolver.lookup
    while True:
        upstream.lookups += 1
        try:
            answer = await look_up(host)
            upstream.answered(name, answer, time.monotonic())
        except LookupFailed as error:
            failure = str(error)
        except Exception as error:  # noqa: BLE001 - what was known still holds, whatever a name server wrote
            upstream.defects.note(error)
            failure = DEFECT.text
        else:
            failure = ""
        if failure:
            upstream.unanswered(name, failure)
            await asyncio.sleep(min(_RETRY_AFTER_FAILURE, upstream.settings.dns_min_ttl))
            continue
        await asyncio.sleep(name.valid_for)
