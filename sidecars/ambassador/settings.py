"""What the ambassador can be told."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

from chassis.frozen import dataclass
from chassis.kinds import Address, Kind, address, duration, integer, size
from chassis.settings import ServiceSettings, group, setting, variable

_TARGET = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?"
)
_HIGHEST_PORT = 65535
_HTTP_PORT = 80
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_EVERYWHERE = ("", "0.0.0.0", "::")
_EXPECTED = "expected http://host[:port] or tcp://host:port, several of one scheme between commas"


@dataclass(frozen=True)
class Target:
    """One place of an upstream: a host (a name or an address) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Targets:
    """The places of an upstream, all reached by the same protocol."""

    scheme: str
    places: tuple[Target, ...]

    def __str__(self) -> str:
        return ",".join(f"{self.scheme}://{place}" for place in self.places)


def _parse_targets(raw: str) -> Targets:
    found = [_parse_target(item.strip()) for item in raw.split(",")]
    schemes = sorted({scheme for scheme, _ in found})
    if len(schemes) > 1:
        raise ValueError(f"expected one scheme for all, but there are {' and '.join(schemes)}")
    places = tuple(place for _, place in found)
    if len(set(places)) < len(places):
        raise ValueError("expected each place once")
    return Targets(schemes[0], places)


def _parse_target(raw: str) -> tuple[str, Target]:
    scheme, _, rest = raw.partition("://")
    if not rest:
        raise ValueError(_EXPECTED)
    if scheme not in ("http", "tcp"):
        raise ValueError(f"{_EXPECTED}; the scheme {scheme} is not one of them")
    if "@" in rest:
        raise ValueError(f"{_EXPECTED}, without a user name or password")
    if rest.endswith("/") and "/" not in rest[:-1]:
        raw = raw[:-1]
    elif re.search(r"[/?#]", rest):
        raise ValueError(f"{_EXPECTED}, without a path or query: the app's own is passed on")
    parts = _TARGET.fullmatch(raw)
    if not parts:
        raise ValueError(_EXPECTED)
    if parts["port"] is None and scheme == "tcp":
        raise ValueError(f"{_EXPECTED}; tcp has no usual port, so it must be given")
    if parts["v6"] and not _is_ipv6(parts["v6"]):
        raise ValueError(f"{_EXPECTED}; [{parts['v6']}] is not an IPv6 address")
    port = int(parts["port"] or _HTTP_PORT)
    if not 0 < port <= _HIGHEST_PORT:
        raise ValueError(f"{_EXPECTED}, with a port from 1 to {_HIGHEST_PORT}")
    return scheme, Target((parts["v6"] or parts["host"]).lower(), port)


def _is_ipv6(literal: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, literal)
    except OSError:
        return False
    return True


targets = Kind("URLs", _parse_targets)


@dataclass(frozen=True, kw_only=True)
class UpstreamSettings:
    """One upstream: where the app finds it, and where it really is."""

    name: str
    listen: Address = setting(
        address, "where the app reaches this upstream; on loopback unless told otherwise", default="127.0.0.1:8500"
    )
    upstream: Targets = setting(
        targets, "`http://host[:port]` or `tcp://host:port`, several between commas; a DNS name means all its addresses"
    )
    retries: int = setting(
        integer(maximum=10), "how often a request that may safely be repeated is tried elsewhere", default="2"
    )
    connect_timeout: float = setting(
        duration("10ms", "5m"), "how long a connection to the upstream may take to open", default="2s"
    )
    timeout: float = setting(
        duration("100ms", "24h"),
        "how long the upstream may be silent before it answers, or within a body whose length it announced",
        default="60s",
    )
    idle_timeout: float = setting(
        duration("100ms", "24h"),
        "how long the app may be silent: between requests, within one, or by taking nothing of an answer",
        default="60s",
    )
    dns_interval: float = setting(
        duration("100ms", "1h"), "how often the names in `UPSTREAM` are looked up again", default="5s"
    )
    max_connections: int = setting(
        integer(1, 65535), "how many connections the app may have open here at a time", default="4096"
    )
    max_header_size: int = setting(
        size("8KiB", "1MiB"), "how large the head of a request or a response may be", default="64KiB"
    )


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    PREFIX = "AMBASSADOR"

    upstreams: dict[str, UpstreamSettings] = group(UpstreamSettings, anchor="upstream")
    admin_listen: Address = setting(
        address, "where `/livez`, `/readyz`, `/metrics` and `/status` answer", default=":9913"
    )

    def check(self) -> Iterator[str]:
        taken = [(variable(type(self), "admin_listen"), self.admin_listen)] if self.admin_listen else []
        for name, upstream in self.upstreams.items():
            listen = variable(type(self), "listen", name)
            if not upstream.listen:
                yield f"{listen}=off: expected an address: an upstream that the app cannot reach serves nobody"
                continue
            for other, where in taken:
                if _overlap(upstream.listen, where):
                    yield f"{listen}={upstream.listen}: {other} is {where}: give each its own address"
            taken.append((listen, upstream.listen))
        for name, upstream in self.upstreams.items():
            own = variable(type(self), "upstream", name)
            for place in upstream.upstream.places:
                if _is_here(place, upstream.listen):
                    yield f"{own}={upstream.upstream}: {place} is this ambassador itself"


def _is_here(place: Target, listen: Address) -> bool:
    """Whether the place is where we listen ourselves."""
    if listen.path or not listen.port or place.port != listen.port:
        return False
    return place.host == listen.host or (place.host in _LOOPBACK and listen.host in (*_EVERYWHERE, *_LOOPBACK))


def _overlap(one: Address, other: Address) -> bool:
    """Whether both cannot be listened on at once."""
    if one.path or other.path:
        return one.path == other.path
    if one.port != other.port or one.port == 0:
        return False
    return one.host == other.host or one.host in _EVERYWHERE or other.host in _EVERYWHERE
