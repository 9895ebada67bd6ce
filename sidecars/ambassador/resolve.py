"""Names to addresses, again and again.

A resolver answers with addresses and with the time for which they hold. The system's resolver does not tell a TTL, so
its answers hold for the interval that is set; one that speaks DNS itself can take its place without a change elsewhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from typing import TYPE_CHECKING, Protocol

from sidecars.ambassador.names import Answer, Found

if TYPE_CHECKING:
    from sidecars.ambassador.names import Name
    from sidecars.ambassador.upstream import Upstream

_RETRY_AFTER_FAILURE = 1.0  # seconds, unless answers hold for less
_SYSTEM_TTL = 5.0  # seconds for which an answer holds of which no TTL is known


class LookupFailed(Exception):
    """The name has no addresses at present; the message says why."""


class Resolver(Protocol):
    async def lookup(self, host: str) -> Answer:
        """The addresses of the name. Raises LookupFailed."""


class SystemResolver:
    """getaddrinfo: /etc/hosts, search domains and all, as any program in the Pod would see the name."""

    async def lookup(self, host: str) -> Answer:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise LookupFailed(getattr(error, "strerror", None) or str(error)) from None
        return Answer(tuple(Found(ip) for ip in dict.fromkeys(str(where[0]) for *_, where in found)), _SYSTEM_TTL)


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def follow(upstream: Upstream, name: Name, resolver: Resolver) -> None:
    """Keep the upstream's endpoints for this name as DNS has them; for an address that is done once."""
    host = name.target.host
    if is_address(host):
        upstream.answered(name, Answer((Found(host),), _SYSTEM_TTL), time.monotonic())
        return
    while True:
        try:
            answer = await resolver.lookup(host)
        except LookupFailed as error:
            upstream.unanswered(name, str(error))
            await asyncio.sleep(min(_RETRY_AFTER_FAILURE, upstream.settings.dns_min_ttl))
            continue
        upstream.answered(name, answer, time.monotonic())
        await asyncio.sleep(name.holds)
