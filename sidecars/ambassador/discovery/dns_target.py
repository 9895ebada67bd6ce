"""What DNS has said of a target: its endpoints, for how long that holds, and what is gone. No I/O; time is passed in.

The contract about stale addresses, as far as it is decided here:

- A good answer holds for its TTL, but never for less than DNS_MIN_TTL or more than DNS_MAX_TTL; then the name is due.
- A good answer replaces the one before. An endpoint that it does not hold any more is `removed`: no request and no
  connection begins there from that instant. It is *leaving* until its connections have ended, and one that comes back
  meanwhile (some name servers tell a few of many addresses each time) is the same endpoint, with all that is known.
- An answer without addresses, and every failure, changes nothing: an outage of DNS is no outage of the service.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.setting_types import Target
from sidecars.chassis.config.setting_types import DEFAULT_PORTS
from sidecars.chassis.runtime.light_dataclasses import dataclass

_HOST = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*").fullmatch
_LONGEST_NAME = 253
_HIGHEST_PORT = 65535
_LEAST_SHARE = 0.1  # of an SRV record of weight 0 beside one of weight 1: "a very small chance" (RFC 2782)


@dataclass(frozen=True)
class ResolvedAddress:
    """One address of an answer. An SRV record brings a port and a host name with it."""

    ip: str
    port: int = 0
    host: str = ""
    weight: float = 1.0
    priority: int = 0


@dataclass(frozen=True)
class DnsAnswer:
    """A good answer, and for how many seconds the name server says it holds."""

    found: tuple[ResolvedAddress, ...]
    ttl: float


@dataclass(frozen=True)
class SrvRecord:
    """One SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    host: str

    @property
    def is_usable(self) -> bool:
        """True if it names a host and a port: the host becomes the Host of requests, and the name in certificates.

        A name in DNS may hold any bytes (RFC 2181 section 11), and "." says that there is no such service.
        """
        return (
            isinstance(self.host, str)
            and len(self.host) <= _LONGEST_NAME
            and _HOST(self.host) is not None
            and 0 < self.port <= _HIGHEST_PORT
        )


def addresses_of_records(records: Sequence[tuple[SrvRecord, Sequence[str]]]) -> tuple[ResolvedAddress, ...]:
    """The addresses behind SRV records, each record with the addresses of its host.

    A record that names no host or no port is left out. A record's weight is shared by its addresses, and within a
    priority the mean weight is 1, so that the weights of records and of other targets can be compared.
    """
    found: list[ResolvedAddress] = []
    records = [(service, addresses) for service, addresses in records if service.is_usable]
    for priority in sorted({service.priority for service, _ in records}):
        tier = [(service, addresses) for service, addresses in records if service.priority == priority and addresses]
        if not tier:
            continue
        weights = [float(service.weight) or _LEAST_SHARE for service, _ in tier]
        mean = sum(weights) / sum(len(addresses) for _, addresses in tier)
        for weight, (service, addresses) in zip(weights, tier, strict=True):
            found += (
                ResolvedAddress(address, service.port, service.host, weight / len(addresses) / mean, service.priority)
                for address in addresses
            )
    return tuple(found)


class LookupFailed(Exception):
    """The name has no addresses at present; the message says why. `definite`: the name server says that it has none."""

    def __init__(self, reason: str, *, definite: bool = False) -> None:
        super().__init__(reason)
        self.definite = definite


class DnsTarget:
    """A target and what DNS last said of it."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.endpoints: dict[tuple[str, int], Endpoint] = {}
        self.leaving: dict[tuple[str, int], Endpoint] = {}  # removed, with connections that have not ended
        self.answered_at: float | None = None  # when the last good answer came
        self.valid_for = 0.0  # seconds for which it holds
        self.error = ""  # why there is no newer one

    def answered(
        self, answer: DnsAnswer, now: float, shortest: float, longest: float
    ) -> tuple[list[Endpoint], list[Endpoint]]:
        """Take a good answer; the endpoints that are new (or back), and those that are gone."""
        if not answer.found:
            self.failed("the name has no addresses")
            return [], []
        self.answered_at, self.error = now, ""
        self.valid_for = max(shortest, min(longest, answer.ttl))
        named = {(found.ip, found.port or self.target.port): found for found in answer.found}
        gone = [self.endpoints.pop(where) for where in list(self.endpoints) if where not in named]
        for endpoint in gone:
            endpoint.removed, endpoint.removed_at = True, now
            self.leaving[endpoint.ip, endpoint.port] = endpoint
        new = []
        for where, found in named.items():
            endpoint = self.endpoints.get(where) or self.leaving.pop(where, None) or self._made(found)
            endpoint.full_weight = found.weight * self.target.weight
            endpoint.priority = found.priority
            endpoint.removed = False
            if where not in self.endpoints:
                self.endpoints[where] = endpoint
                new.append(endpoint)
        return new, gone

    def _made(self, found: ResolvedAddress) -> Endpoint:
        host, port = found.host or self.target.host, found.port or self.target.port
        return Endpoint(
            authority(self.target.scheme, host, port).encode(), found.ip, port, tls=self.target.tls, server_name=host
        )

    def failed(self, error: str) -> None:
        """Note that the look-up failed; what was known before still holds."""
        self.error = error

    def drop_drained(self) -> None:
        """Drop those that are gone and have no connection any more."""
        for where, endpoint in list(self.leaving.items()):
            if not endpoint.connections and not endpoint.pending:
                del self.leaving[where]


def authority(scheme: str, host: str, port: int) -> str:
    """How a URL names this place (RFC 3986 section 3.2); the usual port is left out."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port == DEFAULT_PORTS.get(scheme) else f"{shown}:{port}"
