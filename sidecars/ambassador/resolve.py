"""Names to addresses, again and again.

A resolver answers with addresses and with the time for which they hold. The system's resolver does not tell a TTL, so
its answers hold for the interval that is set; one that speaks DNS itself can take its place without a change elsewhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sidecars.ambassador.endpoints import Name
    from sidecars.ambassador.upstream import Upstream

_RETRY_AFTER_FAILURE = 1.0  # seconds, unless the interval is shorter


@dataclass(frozen=True, slots=True)
class Answer:
    addresses: list[str]
    ttl: float  # seconds


class LookupFailed(Exception):
    """The name has no addresses at present; the message says why."""


class Resolver(Protocol):
    async def lookup(self, host: str) -> Answer:
        """The addresses of the name. Raises LookupFailed."""


class SystemResolver:
    """getaddrinfo: /etc/hosts, search domains and all, as any program in the Pod would see the name."""

    def __init__(self, interval: float) -> None:
        self._interval = interval

    async def lookup(self, host: str) -> Answer:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise LookupFailed(getattr(error, "strerror", None) or str(error)) from None
        return Answer(list(dict.fromkeys(str(where[0]) for *_, where in found)), self._interval)


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def follow(upstream: Upstream, name: Name, resolver: Resolver) -> None:
    """Keep the upstream's endpoints for this name as DNS has them; for an address that is done once."""
    loop = asyncio.get_running_loop()
    if is_address(name.host):
        upstream.answered(name, [name.host], loop.time())
        return
    while True:
        try:
            answer = await resolver.lookup(name.host)
        except LookupFailed as error:
            upstream.unanswered(name, str(error))
            await asyncio.sleep(min(_RETRY_AFTER_FAILURE, upstream.settings.dns_interval))
            continue
        upstream.answered(name, answer.addresses, loop.time())
        await asyncio.sleep(answer.ttl)
