"""The types of values that only the ambassador's settings have: targets, policies, shares, failures to retry."""

from __future__ import annotations

import contextlib
import re
import socket

from sidecars.chassis.config.setting_types import SettingType
from sidecars.chassis.config.urls import DEFAULT_PORTS, RequestTarget
from sidecars.chassis.runtime.light_dataclasses import dataclass

_TARGET = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?"
)
_SRV_LABELS = re.compile(r"^(?:_[^.]*\.)+")
_SCHEMES = ("http", "https", "tcp", "tls")
_HIGHEST_PORT = 65535
_LARGEST_WEIGHT = 1000
_EXPECTED = (
    "expected http://host[:port], https://host[:port], tcp://host:port or tls://host:port, several between commas"
)

# The kinds of failures of an attempt, as RETRY_ON names them. Its other words are statuses.
CONNECT, RESET, TIMEOUT = "connect", "reset", "timeout"


@dataclass(frozen=True)
class Target:
    """One target of an upstream: a host (a name or an address) and a port, or the name of SRV records (`port` 0)."""

    scheme: str
    host: str
    port: int
    weight: int = 1

    @property
    def is_srv(self) -> bool:
        return not self.port

    @property
    def tls(self) -> bool:
        return self.scheme in ("https", "tls")

    @property
    def service(self) -> str:
        """The name of the service: the host, and of SRV records the name behind `_service._proto` (RFC 2782)."""
        return _SRV_LABELS.sub("", self.host) if self.is_srv else self.host

    @property
    def protocol(self) -> str:
        """The protocol, `http` or `tcp`, whether encrypted or not."""
        return "http" if self.scheme in ("http", "https") else "tcp"

    @property
    def host_port(self) -> str:
        """The host and the port, as people write them; of SRV records the name alone."""
        if self.is_srv:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        weight = f";weight={self.weight}" if self.weight != 1 else ""
        return f"{self.scheme}{'+srv' if self.is_srv else ''}://{self.host_port}{weight}"


@dataclass(frozen=True)
class Targets:
    """The targets of an upstream, all of the same protocol."""

    targets: tuple[Target, ...]

    @property
    def protocol(self) -> str:
        return self.targets[0].protocol

    @property
    def tls(self) -> bool:
        """True if any of them is reached over TLS."""
        return any(target.tls for target in self.targets)

    def __str__(self) -> str:
        return ",".join(map(str, self.targets))


def _parse_targets(raw: str) -> Targets:
    items = raw.split(",")
    targets = tuple(_parse_target(item.strip(), f"URL {n}: " * (len(items) > 1)) for n, item in enumerate(items, 1))
    schemes = sorted({target.scheme for target in targets})
    if len({target.protocol for target in targets}) > 1:
        raise ValueError(f"expected HTTP or TCP, but there are {' and '.join(schemes)}")
    if len({(target.scheme, target.host, target.port) for target in targets}) < len(targets):
        raise ValueError("expected each place once")
    return Targets(targets)


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
        raise ValueError(_EXPECTED)
    plain = scheme.removesuffix("+srv")
    if plain not in _SCHEMES:
        raise ValueError(f"{_EXPECTED}; the scheme is not one of them")
    if "@" in rest:
        raise ValueError(f"{_EXPECTED}, without a user name or password")
    if rest.endswith("/") and "/" not in rest[:-1]:
        raw = raw[:-1]
    elif re.search(r"[/?#]", rest):
        raise ValueError(f"{_EXPECTED}, without a path or query: the app's own is passed on")
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


def _parse_port(scheme: str, given: str | None, v6: str | None) -> int:
    if given is None and scheme not in DEFAULT_PORTS:
        raise ValueError(f"{_EXPECTED}; {scheme} has no usual port, so it must be given")
    if v6 and not _is_ipv6(v6):
        raise ValueError(f"{_EXPECTED}; between the brackets there is no IPv6 address")
    port = int(given or DEFAULT_PORTS[scheme])
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


def _is_ipv6(literal: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, literal)
    except OSError:
        return False
    return True


targets = SettingType("URLs", _parse_targets, sensitive=True)


# -- balancing ----------------------------------------------------------------------------------------------------

_POLICIES = ("ewma", "least_request", "round_robin", "random", "hash:source")
_HASHED = re.compile(r"hash:(?:header|cookie):[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def _parse_balance(raw: str) -> str:
    if raw not in _POLICIES and not _HASHED.fullmatch(raw):
        raise ValueError(f"expected one of {', '.join(_POLICIES)}, hash:header:<name>, hash:cookie:<name>")
    return raw.lower() if raw.startswith("hash:header:") else raw


balance = SettingType("policy", _parse_balance)


def _parse_percent(raw: str) -> float:
    found = re.fullmatch(r"([0-9]{1,3})%", raw)
    if not found or int(found[1]) > 100:  # noqa: PLR2004 - the meaning of percent
        raise ValueError("expected a share from 0% to 100%")
    return int(found[1]) / 100


percent = SettingType("percentage", _parse_percent, lambda share: f"{share * 100:.0f}%")


def _parse_health_path(raw: str) -> RequestTarget:
    if not re.fullmatch(r"/[\x21\x22\x24-\x7e]*", raw):
        raise ValueError("expected a path that begins with /, without blanks")
    return RequestTarget(raw)


health_path = SettingType("path", _parse_health_path, sensitive=True)

# -- names --------------------------------------------------------------------------------------------------------

_PROTOCOL = re.compile(r"[!-+\--~]{1,255}").fullmatch  # a printable protocol name (RFC 7301 allows any bytes)


def _parse_alpn(raw: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in raw.split(","))
    if not all(map(_PROTOCOL, names)):
        raise ValueError("expected names of protocols between commas, such as h2,http/1.1")
    return names


alpn = SettingType("protocols", _parse_alpn, ",".join)


def _parse_host_name(raw: str) -> str:
    """Accept a name that TLS can ask for and a certificate can have: an address, or a name that IDNA can encode."""
    with contextlib.suppress(UnicodeError):
        if _is_ipv6(raw) or _HOST_NAME(raw.encode("idna").decode()):
            return raw
    raise ValueError("expected a host name or an IP address")


_HOST_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*").fullmatch
host_name = SettingType("host name", _parse_host_name)


# -- retries ------------------------------------------------------------------------------------------------------

_ALL_5XX = frozenset(range(500, 600))


@dataclass(frozen=True)
class RetryOn:
    """The failures that are retried: kinds of failures, and statuses."""

    failures: frozenset[str]
    statuses: frozenset[int]

    def __str__(self) -> str:
        words = [word for word in (CONNECT, RESET, TIMEOUT) if word in self.failures]
        words += ["5xx"] if self.statuses >= _ALL_5XX else []
        words += [str(status) for status in sorted(self.statuses) if status not in _ALL_5XX or "5xx" not in words]
        return ",".join(words) or "none"


def _parse_retry_on(raw: str) -> RetryOn:
    failures: set[str] = set()
    statuses: set[int] = set()
    words = [word.strip() for word in raw.split(",")]
    for word in words:
        if word in (CONNECT, RESET, TIMEOUT):
            failures.add(word)
        elif word == "5xx":
            statuses |= _ALL_5XX
        elif re.fullmatch(r"4[0-9][0-9]|5[0-9][0-9]", word):
            statuses.add(int(word))
        elif word != "none" or len(words) > 1:
            raise ValueError("expected connect, reset, timeout, 5xx and statuses from 400 between commas, or none")
    return RetryOn(frozenset(failures), frozenset(statuses))


retry_on = SettingType("causes", _parse_retry_on)
