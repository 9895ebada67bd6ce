"""The targets of an upstream, as UPSTREAM names them: URLs of hosts, SRV records, Services of Kubernetes, unix sockets.

A scheme is a protocol, and perhaps where its endpoints are found: `http`, `http+srv`, `http+k8s`, `http+unix`. There is
no `unix://` alone: for Docker's clients it is HTTP/1.1, and for those of gRPC HTTP/2.
"""

from __future__ import annotations

import posixpath
import re
import socket
from typing import TYPE_CHECKING

from sidecars.chassis.config.setting_types import SettingType
from sidecars.chassis.config.urls import DEFAULT_PORTS
from sidecars.chassis.isolation import roots
from sidecars.chassis.runtime.light_dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidecars.chassis.isolation.roots import DeclaredRoot

_TARGET = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?"
)
# The names of a Service and of a namespace are labels (RFC 1123 section 2.1), that of a port is one of RFC 6335.
_KUBERNETES = re.compile(
    r"(?P<service>[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.(?P<namespace>[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?))?"
    r":(?:(?P<port>[0-9]{1,5})|(?P<name>(?=[0-9-]*[a-z])[a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?))"
)
# A path of an HTTP target, the base of all that is sent to it, and the parameters behind it. Nothing in it is encoded,
# so that there is one way to write it.
_BASE = re.compile(r"(?P<place>[a-z0-9+.-]+://[^/;]+)(?P<base>(?:/[A-Za-z0-9._~!$&'()*+=:@-]+)*)/?(?P<more>(?:;.*)?)")
_SRV_LABELS = re.compile(r"^(?:_[^.]*\.)+")
KUBERNETES = "k8s"
_EXPECTED_KUBERNETES = (
    "expected k8s://service.namespace:port, with the number or the name of a port of the Service's Pods"
)
_LONGEST_KUBERNETES = 200  # characters, so that all that is made of them is a name for DNS
UNIX = "unix"
POSTGRES = "tls+postgres"  # TLS that begins as PostgreSQL's protocol wants it
PORTS = {**DEFAULT_PORTS, "h2c": 80, POSTGRES: 5432}  # the default ports by scheme
_HTTP = ("http", "https", "h2c")
_SCHEMES = (*_HTTP, "tcp", "tls", POSTGRES)
_TLS = ("https", "tls", POSTGRES)
_PATH = re.compile(r"/[A-Za-z0-9/._~@:+=-]+")
_LONGEST_PATH = 107  # bytes of `sun_path`, without its end (unix(7))
_HIGHEST_PORT = 65535
_LARGEST_WEIGHT = 1000
_EXPECTED = (
    "expected http://host[:port], https://host[:port], h2c://host[:port], tcp://host:port, tls://host:port, "
    "tls+postgres://host[:port], k8s://service.namespace:port or http+unix:///path, several between commas"
)
_MEANT = {  # what the schemes of others are here
    "grpc": "h2c://, or https:// with TLS",
    "grpcs": "https://",
    "postgres": "tls+postgres://, or tcp:// without TLS",
    "postgresql": "tls+postgres://, or tcp:// without TLS",
    "redis": "tcp://",
    "rediss": "tls://",
    "ws": "http://",
    "wss": "https://",
}


@dataclass(frozen=True)
class Target:
    """One target of an upstream: a host (a name or an address) and a port, or the name of SRV records (`port` 0).

    With `is_kubernetes` the host is the name of a Service, perhaps with its namespace (`orders.shop`), and the port is
    that of its Pods, by its number or its name (`port_name`, and `port` 0). With `is_unix` the host is the path of a
    socket, and the port 0.
    """

    scheme: str
    host: str
    port: int
    weight: int = 1
    is_kubernetes: bool = False
    port_name: str = ""
    is_unix: bool = False

    @property
    def is_srv(self) -> bool:
        return not self.port and not self.is_kubernetes and not self.is_unix

    @property
    def tls(self) -> bool:
        return self.scheme in _TLS

    @property
    def service(self) -> str:
        """The name of the service: the host, and of SRV records the name behind `_service._proto` (RFC 2782).

        Of a Service in Kubernetes it is the name that DNS has for it, `orders.shop.svc`. A unix socket is on this host.
        """
        if self.is_unix:
            return "localhost"
        if self.is_kubernetes:
            return f"{self.host}.svc" if "." in self.host else self.host
        return _SRV_LABELS.sub("", self.host) if self.is_srv else self.host

    @property
    def protocol(self) -> str:
        """The protocol, `http` or `tcp`, whether encrypted or not."""
        return "http" if self.scheme in _HTTP else "tcp"

    @property
    def host_port(self) -> str:
        """The host and the port, as people write them; of SRV records the name alone."""
        if self.is_srv or self.is_unix:
            return self.host
        if self.port_name:
            return f"{self.host}:{self.port_name}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        weight = f";weight={self.weight}" if self.weight != 1 else ""
        scheme = f"{self.scheme}{'+srv' if self.is_srv else ''}"
        if self.is_kubernetes:
            scheme = KUBERNETES if self.scheme == "http" else f"{self.scheme}+{KUBERNETES}"
        elif self.is_unix:
            scheme = f"{self.scheme}+{UNIX}"
        return f"{scheme}://{self.host_port}{weight}"


@dataclass(frozen=True)
class Targets:
    """The targets of an upstream, all of the same protocol.

    `base` is the path below which all requests are sent, without a slash at its end; "" for none.
    """

    targets: tuple[Target, ...]
    base: str = ""

    @property
    def protocol(self) -> str:
        """The protocol of all targets. A port that several upstreams share has no targets, and is of HTTP."""
        return self.targets[0].protocol if self.targets else "http"

    @property
    def schemes(self) -> frozenset[str]:
        """Their schemes, such as `https`."""
        return frozenset(target.scheme for target in self.targets)

    @property
    def tls(self) -> bool:
        """True if any of them is reached over TLS."""
        return any(target.tls for target in self.targets)

    @property
    def needs_kubernetes(self) -> bool:
        """True if any of them is a Service in Kubernetes."""
        return any(target.is_kubernetes for target in self.targets)

    @property
    def has_unix(self) -> bool:
        """True if any of them is a unix socket."""
        return any(target.is_unix for target in self.targets)

    @property
    def is_postgres(self) -> bool:
        """True if TLS begins as PostgreSQL's protocol wants it, with all of them."""
        return any(target.scheme == POSTGRES for target in self.targets)

    @property
    def speaks_http2(self) -> bool:
        """True if HTTP/2 may be spoken to any of them."""
        return any(target.scheme in ("h2c", "https") for target in self.targets)

    def __str__(self) -> str:
        parts = [str(target).partition(";") for target in self.targets]
        return ",".join(f"{place}{self.base}{mark}{weight}" for place, mark, weight in parts)


def _parse_targets(raw: str) -> Targets:
    split = [_split_base(item) for item in raw.split(",")]
    items, bases = [item for item, _ in split], [base for _, base in split]
    targets = tuple(_parse_target(item.strip(), f"URL {n}: " * (len(items) > 1)) for n, item in enumerate(items, 1))
    schemes = sorted({target.scheme for target in targets})
    if len({target.protocol for target in targets}) > 1:
        raise ValueError(f"expected HTTP or TCP, but there are {' and '.join(schemes)}")
    if POSTGRES in schemes and len(schemes) > 1:
        raise ValueError(f"expected {POSTGRES}:// alone, or none, but there are {' and '.join(schemes)}")
    if len({(target.scheme, target.host_port, target.is_kubernetes) for target in targets}) < len(targets):
        raise ValueError("expected each place once")
    if len(set(bases)) > 1:
        raise ValueError("expected the same path behind each host: it is the base of all that the app asks for")
    if bases[0] and targets[0].protocol != "http":
        raise ValueError("expected no path: only an upstream of HTTP has one")
    return Targets(targets, bases[0])


def _split_base(item: str) -> tuple[str, str]:
    """Return the item without its path, and the path. One that is malformed stays as it is, to be refused."""
    found = _BASE.fullmatch(item.strip())
    if not found or any(segment in (".", "..") for segment in found["base"].split("/")):
        return item, ""
    return found["place"] + found["more"], found["base"]


def _parse_target(raw: str, where: str) -> Target:
    """Return the target. Raises ValueError, whose message begins with `where` and repeats no text."""
    try:
        return _parse_one_target(raw)
    except ValueError as error:
        raise ValueError(f"{where}{error}") from None


def _parse_one_target(raw: str) -> Target:
    raw, *parameters = (part.strip() for part in raw.split(";"))
    weight = _parse_weight(parameters)
    scheme, _, rest = raw.partition("://")
    if not rest:
        raise ValueError(_EXPECTED + ("" if "://" in raw else "; it has no scheme: write one of these before it"))
    place = scheme.rpartition("+")[2]
    if place == KUBERNETES:
        return _parse_kubernetes(scheme, rest, weight)
    if place == UNIX:
        return _parse_unix(scheme, rest, weight)
    return _parse_host(raw, scheme, rest, weight)


def _parse_host(raw: str, scheme: str, rest: str, weight: int) -> Target:
    """Return the target of `http://host:port`, or of `http+srv://_http._tcp.orders.shop`."""
    plain = scheme.removesuffix("+srv")
    if plain not in _SCHEMES:
        meant = _MEANT.get(plain.lower())
        raise ValueError(f"{_EXPECTED}; the scheme is not one of them" + (f": write {meant}" if meant else ""))
    if "@" in rest:
        raise ValueError(f"{_EXPECTED}, without a user name or password")
    if rest.endswith("/") and "/" not in rest[:-1]:
        raw = raw[:-1]
    elif re.search(r"[/?#]", rest):
        raise ValueError(
            f"{_EXPECTED}; a path behind it has letters, digits and -._~!$&'()*+=:@, no empty or dot segments, and no"
            " query: the app's own is passed on"
        )
    parts = _TARGET.fullmatch(raw)
    if not parts:
        raise ValueError(_EXPECTED)
    host = (parts["v6"] or parts["host"]).lower()
    if scheme != plain:
        if parts["v6"] or parts["port"]:
            raise ValueError(
                f"{scheme}:// expects the name of SRV records, such as _http._tcp.orders.shop, and no port"
            )
        return Target(plain, host, 0, weight)
    return Target(plain, host, _parse_port(plain, parts["port"], parts["v6"]), weight)


def _parse_kubernetes(scheme: str, rest: str, weight: int) -> Target:
    """Return the target of `k8s://orders.shop:8080`, whose protocol is HTTP, or of `https+k8s://` and so on."""
    plain = "http" if scheme == KUBERNETES else scheme.removesuffix(f"+{KUBERNETES}")
    if plain not in _SCHEMES:
        raise ValueError(f"{_EXPECTED_KUBERNETES}; for another protocol https+k8s, h2c+k8s, tcp+k8s or tls+k8s")
    parts = _KUBERNETES.fullmatch(rest.removesuffix("/"))
    if not parts or len(parts[0]) > _LONGEST_KUBERNETES:
        raise ValueError(_EXPECTED_KUBERNETES)
    host = ".".join(filter(None, (parts["service"], parts["namespace"])))
    if parts["name"]:
        return Target(plain, host, 0, weight, is_kubernetes=True, port_name=parts["name"])
    return Target(plain, host, _parse_port(plain, parts["port"], None), weight, is_kubernetes=True)


def _parse_unix(scheme: str, path: str, weight: int) -> Target:
    """Return the target of `http+unix:///run/app.sock`."""
    if scheme == UNIX:
        raise ValueError(
            f"{_EXPECTED}; unix:// does not say which protocol is spoken: http+unix, h2c+unix, https+unix, tcp+unix or"
            " tls+unix"
        )
    plain = scheme.removesuffix(f"+{UNIX}")
    if plain not in _SCHEMES or plain == POSTGRES:  # PostgreSQL has no TLS on a unix socket
        raise ValueError("expected http+unix, h2c+unix, https+unix, tcp+unix or tls+unix")
    if not _PATH.fullmatch(path) or posixpath.normpath(path) != path:
        raise ValueError(
            f"expected {scheme}:///run/app.sock: a path from / on, of letters, digits and ._~@:+=-, without . and .. as"
            " names"
        )
    if len(path) > _LONGEST_PATH:
        raise ValueError(f"expected a path of at most {_LONGEST_PATH} bytes, the most that a unix socket has")
    return Target(plain, path, 0, weight, is_unix=True)


def _parse_port(scheme: str, given: str | None, v6: str | None) -> int:
    if given is None and scheme not in PORTS:
        raise ValueError(f"{_EXPECTED}; {scheme} has no usual port, so it must be given")
    if v6 and not is_ipv6(v6):
        raise ValueError(f"{_EXPECTED}; between the brackets there is no IPv6 address")
    port = int(given or PORTS[scheme])
    if not 0 < port <= _HIGHEST_PORT:
        raise ValueError(f"{_EXPECTED}, with a port from 1 to {_HIGHEST_PORT}")
    return port


def _parse_weight(parameters: list[str]) -> int:
    weight = 1
    for parameter in parameters:
        found = re.fullmatch(r"weight=([0-9]{1,4})", parameter)
        if not found or not 0 < int(found[1]) <= _LARGEST_WEIGHT:
            raise ValueError(f"after the ; expected weight= and a whole number from 1 to {_LARGEST_WEIGHT}")
        weight = int(found[1])
    return weight


def is_name(host: str) -> bool:
    """Return True if the host of a target is a name, and no address."""
    return ":" not in host and not re.fullmatch(r"[0-9.]+", host)


def is_ipv6(literal: str) -> bool:
    """Return True if the text is an IPv6 address."""
    try:
        socket.inet_pton(socket.AF_INET6, literal)
    except OSError:
        return False
    return True


def _roots_of(value: Targets) -> Iterable[DeclaredRoot]:
    for target in value.targets:
        if target.is_unix:
            yield from roots.to_connect(target.host)


targets = SettingType("URLs", _parse_targets, sensitive=True, roots=_roots_of)
