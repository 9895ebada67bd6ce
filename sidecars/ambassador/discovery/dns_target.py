"""One target of an upstream and its endpoints, as the last good DNS answer gives them. No I/O; time is passed in.

The contract about stale addresses, as far as it is decided here:

- A good answer is valid for its TTL, but never for less than DNS_MIN_TTL or more than DNS_MAX_TTL. Then the target is
  looked up again.
- A good answer replaces the one before. An endpoint that it does not contain is `removed`: from that instant no request
  and no connection begins there. The endpoint is *leaving* until its connections have ended. If its address comes back
  meanwhile (some name servers give a few of many addresses each time) it is the same endpoint, with all its statistics.
- An answer without addresses, and every failure, changes nothing: an outage of DNS is no outage of the service. Only an
  answer that is complete may be empty: Kubernetes knows that a Service has no endpoints.

States of an endpoint here, by the transitions:

    (unknown)   ──in a good answer──▶ in `endpoints`
    `endpoints` ──missing in a good answer──▶ `leaving`, with `removed`
    `leaving`   ──in a good answer──▶ `endpoints`
    `leaving`   ──its last connection and attempt ended──▶ (unknown)
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.config.target_types import PORTS, Target
from sidecars.chassis.runtime import light_dataclasses

_HOST = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*").fullmatch
_LONGEST_NAME = 253
_HIGHEST_PORT = 65535
_LEAST_SHARE = 0.1  # of an SRV record of weight 0 beside one of weight 1: "a very small chance" (RFC 2782)


@dataclass(frozen=True, slots=True)
class ResolvedAddress:
    """One address of an answer. Of an SRV record it has a port and a host name, too."""

    ip: str
    port: int = 0
    host: str = ""
    weight: float = 1.0
    priority: int = 0


@light_dataclasses.dataclass(frozen=True, slots=True)
class DnsAnswer:
    """A good answer of a name server, with its TTL in seconds."""

    addresses: tuple[ResolvedAddress, ...]
    ttl: float
    is_complete: bool = False  # True for Kubernetes, which knows all: without addresses there is no endpoint
    reason: str = ""  # of a complete answer without addresses: a clause
    listed: frozenset[tuple[str, int]] = frozenset()  # addresses whose connections may go on; Kubernetes names them


@light_dataclasses.dataclass(frozen=True, slots=True)
class SrvRecord:
    """One SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    host: str

    @property
    def is_usable(self) -> bool:
        """True if it has a host and a port.

        The host becomes the Host of requests without TLS. A name in DNS may hold any bytes (RFC 2181 section 11), and
        "." means that there is no such service.
        """
        return (
            isinstance(self.host, str)
            and len(self.host) <= _LONGEST_NAME
            and _HOST(self.host) is not None
            and 0 < self.port <= _HIGHEST_PORT
        )


def addresses_of_records(records: Sequence[tuple[SrvRecord, Sequence[str]]]) -> tuple[ResolvedAddress, ...]:
    """Return the addresses behind SRV records; each record comes with the addresses of its host.

    A record without a usable host or port is left out. The addresses of a record share its weight, and within a
    priority the mean weight is 1, so that the weights of records and of other targets can be compared.
    """
    found: list[ResolvedAddress] = []
    records = [(record, addresses) for record, addresses in records if record.is_usable]
    for priority in sorted({record.priority for record, _ in records}):
        tier = [(record, addresses) for record, addresses in records if record.priority == priority and addresses]
        if not tier:
            continue
        weights = [float(record.weight) or _LEAST_SHARE for record, _ in tier]
        mean = sum(weights) / sum(len(addresses) for _, addresses in tier)
        for weight, (record, addresses) in zip(weights, tier, strict=True):
            found += (
                ResolvedAddress(address, record.port, record.host, weight / len(addresses) / mean, record.priority)
                for address in addresses
            )
    return tuple(found)


class LookupFailed(Exception):
    """A look-up without a usable answer; the message is the reason.

    `definite` is True if the name server has answered that there are no addresses.
    """

    def __init__(self, reason: str, *, definite: bool = False) -> None:
        super().__init__(reason)
        self.definite = definite


class AddressWaiter(Protocol):
    """A request or a connection of the app that waits for the first answer of DNS."""

    @property
    def over(self) -> bool:
        """True if nobody awaits it any more."""


class AddressWaiters:
    """Requests and connections that wait for the first address of an upstream. The upstream owns it."""

    def __init__(self) -> None:
        self._waiting: list[tuple[AddressWaiter, Callable[[], object]]] = []

    def admit(self, waiter: AddressWaiter, go_on: Callable[[], object], most: int) -> bool:
        """Let it wait, and return True; False if `most` wait already. Whoever is over does not count."""
        if len(self._waiting) >= most:
            self._waiting = [one for one in self._waiting if not one[0].over]
        if len(self._waiting) >= most:
            return False
        self._waiting.append((waiter, go_on))
        return True

    def end(self) -> list[Callable[[], object]]:
        """End the wait; return what is to be called, in the order in which they came."""
        waiting, self._waiting = self._waiting, []
        return [go_on for waiter, go_on in waiting if not waiter.over]


@dataclass(slots=True)
class ApiState:
    """The state of a `k8s://` target by the API server. The follower of the target writes it."""

    in_force: bool = False  # True if EndpointSlices named the endpoints, False if DNS did
    heard_at: float | None = None  # when the API server sent something last
    error: str = ""  # the reason why the slices are not followed at present; "" if they are
    note: str = ""  # a clause about how the addresses were chosen
    problem: str = ""  # the reason why the slices name no endpoints
    slices: int | None = None  # EndpointSlices of the Service; None before the first list
    listed: int = 0  # addresses in them, whether they get requests or not
    failures: int = 0  # lists and watches that failed, ever


class DnsTarget:
    """A target and the endpoints of its last good answer, of DNS or of Kubernetes. Its upstream owns it."""

    def __init__(self, target: Target, *, is_sent_as_name: bool = False) -> None:
        """`is_sent_as_name` is True if a proxy looks the name up: then it is one endpoint."""
        self.target = target
        self.needs_lookup = not (is_sent_as_name or target.is_unix or is_address(target.host))
        self.endpoints: dict[tuple[str, int], Endpoint] = {}
        self.leaving: dict[tuple[str, int], Endpoint] = {}  # removed by DNS, with connections that have not ended
        self.answered_at: float | None = None  # when the last good answer came
        self.valid_for = 0.0  # seconds for which that answer is valid
        self.error = ""  # the reason why the last look-up failed; "" if it succeeded
        self.api: ApiState | None = None  # of a `k8s://` target

    @property
    def source(self) -> str:
        """The source that has named the endpoints: `kubernetes`, `dns`, or `none` yet."""
        if self.answered_at is None:
            return "none"
        return "kubernetes" if self.api is not None and self.api.in_force else "dns"

    def follow(self, state: ApiState) -> None:
        """Let Kubernetes tell where the target is."""
        self.api = state

    def apply_answer(
        self, answer: DnsAnswer, now: float, min_ttl: float, max_ttl: float
    ) -> tuple[list[Endpoint], list[Endpoint]]:
        """Apply a good answer. Return the endpoints that are new or back, and those that are removed."""
        if not answer.addresses and not answer.is_complete:
            self.note_failure("the name has no addresses")
            return [], []
        self.answered_at, self.error = now, "" if answer.addresses else answer.reason
        self.valid_for = max(min_ttl, min(max_ttl, answer.ttl))
        named = {(each.ip, each.port or self.target.port): each for each in answer.addresses}
        gone = [self.endpoints.pop(key) for key in list(self.endpoints) if key not in named]
        for endpoint in gone:
            endpoint.remove(now)
            self.leaving[endpoint.ip, endpoint.port] = endpoint
        new = []
        for key, address in named.items():
            endpoint = self.endpoints.get(key) or self.leaving.pop(key, None) or self._make_endpoint(address)
            endpoint.place(address.weight * self.target.weight, address.priority)
            if key not in self.endpoints:
                endpoint.add(now)
                self.endpoints[key] = endpoint
                new.append(endpoint)
        for key, endpoint in self.leaving.items():
            if endpoint.is_listed is not (key in answer.listed):
                endpoint.remove(now, is_listed=key in answer.listed)
        return new, gone

    def _make_endpoint(self, address: ResolvedAddress) -> Endpoint:
        """Return an endpoint at the address.

        With TLS its names, `Host` and the one of its certificate, are those of the settings and never those of an SRV
        record: whoever answers DNS queries would choose the certificate that is good enough (RFC 9525 section 6.1). A
        port is of the settings or of none, as with other records that only say where to connect (RFC 9460 section 9).
        """
        target, port = self.target, address.port or self.target.port
        if target.tls or target.is_kubernetes or target.is_unix:
            host = authority(target.scheme, target.service, target.port or PORTS.get(target.scheme, port))
        else:
            host = authority(target.scheme, address.host or target.host, port)
        return Endpoint(
            host.encode(), address.ip, port, tls=target.tls, server_name=target.service, http2=target.scheme == "h2c"
        )

    def note_failure(self, error: str) -> None:
        """Note that a look-up failed; the endpoints stay as they are."""
        self.error = error

    def drop_drained(self) -> None:
        """Forget removed endpoints that have no connection and no attempt any more."""
        for key, endpoint in list(self.leaving.items()):
            if not endpoint.connections and not endpoint.pending:
                del self.leaving[key]


def is_address(host: str) -> bool:
    """Return True if the host is an IP address, which needs no look-up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def authority(scheme: str, host: str, port: int) -> str:
    """Return the authority of a URL (RFC 3986 section 3.2), without the scheme's default port."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port == PORTS.get(scheme) else f"{shown}:{port}"
