"""HTTP proxies by setting: which one a request goes through, if any. No I/O.

    own setting, or else the variable of the scheme, or else ALL_PROXY ─► Proxy, or None
                                        │
                     never: this host, link-local and metadata addresses
                     not:   what NO_PROXY covers

NO_PROXY is read as Go's programs read it, since they are most of a cluster
(https://pkg.go.dev/golang.org/x/net/http/httpproxy). Its entries, between commas:

| entry | covers |
|---|---|
| `*` | every host |
| `10.0.0.1`, `[fd00::1]` | this address |
| `10.0.0.0/8`, `fd00::/8` | the addresses of this network; a host name is not looked up |
| `example.org` | this host, and all below it |
| `.example.org`, `*.example.org` | all hosts below it |
| any but `*` and a network, with `:8080` | only this port |
"""

from __future__ import annotations

import re
import socket
from asyncio import Protocol as AsyncioProtocol
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from ssl import SSLContext
from typing import Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from sidecars.chassis.config.setting_types import HIDDEN, Address, Secret, fixed_secret
from sidecars.chassis.http import authorization

P = TypeVar("P", bound=AsyncioProtocol)

_EXPECTED = "expected http://[user:password@]host:port"
_DEFAULT_PORTS = {"https": 443}  # of others 80
_PORTS = 1 << 16
_PLACE = re.compile(r"[^\s/@\[\]]+")
_ODD_IPV4 = re.compile(r"[0-9a-fx.]+")  # forms that getaddrinfo(3) takes for an address, such as 127.1
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)

_METADATA_HOSTS = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_METADATA = frozenset(
    map(ip_address, ("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "168.63.129.16", "100.100.100.200"))
)
"""Of AWS, Google Cloud, Azure and Alibaba, where they are not link-local. They answer with credentials."""


class Connector(Protocol):
    """Makes the connections of an `HttpClient` in another way than directly."""

    async def connect(self, protocol: Callable[[], P], context: SSLContext | None) -> P:
        """Return a connected protocol. Raises ConnectorFailed, or OSError."""


class Proxy:
    """An HTTP proxy. As text it is its URL without the credentials. `scheme` is `http`, unless it cannot be used."""

    __slots__ = ("_credentials", "host", "port", "scheme")

    def __init__(self, scheme: str, host: str, port: int, credentials: Secret | None) -> None:
        self.scheme = scheme
        self.host = host
        self.port = port
        self._credentials = credentials

    @property
    def has_credentials(self) -> bool:
        """True if the URL has a user."""
        return self._credentials is not None

    @property
    def lacks_password(self) -> bool:
        """True if the URL has a user and no password."""
        return self._credentials is not None and ":" not in self._credentials.reveal()

    def fields(self, password: Secret | None = None) -> list[tuple[str, str]]:
        """Return the header fields that identify the sender to the proxy (RFC 9110, 11.7.2).

        `password` is that of the URL's user, if the URL has none. Raises OSError or UnicodeDecodeError if its file
        cannot be read.
        """
        if self._credentials is None:
            return []
        user, _, own = self._credentials.reveal().partition(":")
        known = unquote(own) if password is None else password.reveal()
        return [("Proxy-Authorization", authorization.basic(unquote(user), known))]

    def __str__(self) -> str:
        if not self.host:
            return "off"
        return f"{self.scheme}://{HIDDEN + '@' if self._credentials else ''}{Address(self.host, self.port)}"

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        mine = isinstance(other, Proxy) and (self.scheme, self.host, self.port) == (
            other.scheme,
            other.host,
            other.port,
        )
        return isinstance(other, Proxy) and mine and self.fields() == other.fields()

    def __hash__(self) -> int:
        return hash((self.scheme, self.host, self.port))


OFF = Proxy("off", "", 0, None)
"""The setting that there is no proxy, whatever the environment says."""


def parse(raw: str, schemes: tuple[str, ...] = ("http",)) -> Proxy:
    """Return the proxy of a URL; without a scheme it is `http`. Raises ValueError, which never repeats the text."""
    try:
        parts = urlsplit(raw if _SCHEME.match(raw) else f"http://{raw}")
        host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 80)
    except ValueError:  # a bad port, or a bad IPv6 literal
        host = ""
    if not host or not raw.isascii() or not raw.isprintable() or " " in raw:
        raise ValueError(_EXPECTED)
    if parts.scheme not in schemes or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(_EXPECTED)
    user = parts.netloc.rpartition("@")[0]
    return Proxy(parts.scheme, host, port, fixed_secret(user, parts=_secrets) if user else None)


def _secrets(user: str) -> list[str]:
    name, _, password = user.partition(":")
    return [text for part in (password or name,) for text in {part, unquote(part)}]


def parse_foreign(raw: str) -> Proxy:
    """Return the proxy of a variable that all programs read. It may be of a kind that cannot be used: see `scheme`."""
    return parse(raw, ("http", "https", "socks4", "socks4a", "socks5", "socks5h"))


# -- the choice ----------------------------------------------------------------------------------------------------


def choose(scheme: str, host: str, port: int, proxies: Mapping[str, Proxy | None], no_proxy: str) -> Proxy | None:
    """Return the proxy for requests to a host; None if they go there directly.

    `proxies`: the proxy of each scheme; `all` has the one of other schemes.
    """
    proxy = proxies.get(scheme) or proxies.get("all")
    return None if proxy is None or proxy == OFF or is_never_proxied(host) or covers(no_proxy, host, port) else proxy


def is_never_proxied(host: str) -> bool:
    """Return True if requests to the host never leave it or its link, or ask for credentials of the node."""
    name = host.lower().rstrip(".")
    if name in ("localhost", *_METADATA_HOSTS) or name.endswith(".localhost"):
        return True
    address = _address(name)
    if address is None:
        return False
    return address.is_loopback or address.is_link_local or address.is_unspecified or address in _METADATA


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a host is written as; None for a name."""
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        try:
            return IPv4Address(socket.inet_aton(host)) if _ODD_IPV4.fullmatch(host) else None
        except OSError:
            return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def covers(no_proxy: str, host: str, port: int) -> bool:
    """Return True if an entry of NO_PROXY covers the host and port."""
    name = host.lower().rstrip(".")
    address = _address(name)
    return any(_matches(entry, name, address, port) for entry in map(str.strip, no_proxy.lower().split(",")) if entry)


def _matches(entry: str, name: str, address: IPv4Address | IPv6Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        try:
            return address is not None and address in ip_network(entry, strict=False)
        except ValueError:
            return False
    place, wanted_port = _split_port(entry)
    if wanted_port not in ("", str(port)):
        return False
    wanted = _address(place)
    if wanted is not None or address is not None:
        return wanted == address
    place = place.removeprefix("*").rstrip(".")
    return name.endswith(place) if place.startswith(".") else name == place or name.endswith(f".{place}")


def entries_without_effect(no_proxy: str) -> list[str]:
    """Return the entries of NO_PROXY that can cover no host: a wrong network or port, a URL, or blanks inside."""
    return [entry for entry in map(str.strip, no_proxy.split(",")) if entry and not _can_cover(entry.lower())]


def _can_cover(entry: str) -> bool:
    if "/" in entry:
        try:
            ip_network(entry, strict=False)
        except ValueError:
            return False
        return True
    place, port = _split_port(entry)
    if place == "*" and port:
        return False
    is_port = not port or (port.isascii() and port.isdecimal() and 0 < int(port) < _PORTS)
    return bool(_PLACE.fullmatch(place)) and is_port and entry.count("[") == entry.count("]")


def _split_port(entry: str) -> tuple[str, str]:
    """Return the host, without brackets, and the port of an entry; "" if it has none."""
    if entry.startswith("["):
        place, _, rest = entry[1:].partition("]")
        return place, rest.removeprefix(":")
    place, colon, port = entry.rpartition(":")
    return (place, port) if colon and ":" not in place else (entry, "")
