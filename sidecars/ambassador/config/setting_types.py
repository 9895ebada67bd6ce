"""The types of values that only the ambassador's settings have: policies, shares, names, failures to retry."""

from __future__ import annotations

import contextlib
import re
from functools import cached_property

from sidecars.ambassador.config.target_types import is_ipv6
from sidecars.chassis.config.declared_fields import on, that
from sidecars.chassis.config.setting_types import SettingType, path_to_read
from sidecars.chassis.config.urls import RequestTarget
from sidecars.chassis.runtime.light_dataclasses import dataclass

# The kinds of failures of an attempt, as RETRY_ON names them. Its other words are statuses.
CONNECT, RESET, TIMEOUT = "connect", "reset", "timeout"

# The values of PROTOCOL: which version of HTTP is spoken to the endpoints.
AUTO_PROTOCOL, HTTP1_ALONE, HTTP2_ALONE = "auto", "http1", "http2"

# The values of TLS_NEGOTIATION: how TLS begins with a server of PostgreSQL. They are those of libpq's `sslnegotiation`.
BY_REQUEST, DIRECT = "postgres", "direct"


# -- what a setting of an upstream may need ------------------------------------------------------------------------

HTTP = that(lambda upstream: upstream.upstream.protocol == "http", "{upstream} is not HTTP: leave it unset")
HTTP2 = that(
    lambda upstream: upstream.protocol != HTTP1_ALONE and upstream.upstream.speaks_http2,
    "no target of {upstream} speaks HTTP/2, which gRPC needs: write h2c:// or https://",
)
TLS = that(lambda upstream: upstream.upstream.tls, "no target of {upstream} has TLS: write https:// or tls://")
TLS_TUNNEL = that(
    lambda upstream: upstream.upstream.tls and upstream.upstream.protocol != "http",
    "no target of {upstream} is tls://: leave it unset",
)
POSTGRES = that(
    lambda upstream: upstream.upstream.is_postgres, "no target of {upstream} is tls+postgres://: leave it unset"
)
LOOK_UPS = that(lambda upstream: upstream.asks_dns, "no name of {upstream} is looked up: leave it unset")
RETRIES = on("retries")
EJECTIONS = on("max_ejected")


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
        if is_ipv6(raw) or _HOST_NAME(raw.encode("idna").decode()):
            return raw
    raise ValueError("expected a host name or an IP address")


_HOST_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*").fullmatch
host_name = SettingType("host name", _parse_host_name)


def _parse_zone(raw: str) -> str:
    if not _LABEL_VALUE(raw):
        raise ValueError("expected the value of the label topology.kubernetes.io/zone of the node")
    return raw


_LABEL_VALUE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?").fullmatch
zone = SettingType("zone", _parse_zone)

# It has no root of itself: `Settings.further_roots` has it, if a target is a Service in Kubernetes.
credentials_directory = SettingType("path", path_to_read.parse, roots=lambda _: ())


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

# -- gRPC ---------------------------------------------------------------------------------------------------------

_METHOD = re.compile(r"/[A-Za-z0-9_.*]+/[A-Za-z0-9_*]+").fullmatch
_SERVICE = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*").fullmatch
CALL_STATUSES = (
    "cancelled",
    "unknown",
    "deadline-exceeded",
    "resource-exhausted",
    "aborted",
    "internal",
    "unavailable",
    "data-loss",
)
"""The names of the statuses that can be worth another attempt. Those of the caller's own mistakes are not."""


@dataclass(frozen=True)
class CallStatuses:
    """The statuses of gRPC after which a call is tried again: names of CALL_STATUSES."""

    names: tuple[str, ...]

    @cached_property
    def statuses(self) -> frozenset[int]:
        return frozenset(_NUMBERS[name] for name in self.names)

    def __str__(self) -> str:
        return ",".join(self.names) or "none"


_NUMBERS = dict(zip(CALL_STATUSES, (1, 2, 4, 8, 10, 13, 14, 15), strict=True))


def _parse_call_statuses(raw: str) -> CallStatuses:
    names = tuple(dict.fromkeys(name.strip().lower().replace("_", "-") for name in raw.split(",")))
    if names == ("none",):
        return CallStatuses(())
    if not all(name in _NUMBERS for name in names):
        raise ValueError(f"expected none, or some of {', '.join(CALL_STATUSES)} between commas")
    return CallStatuses(names)


call_statuses = SettingType("statuses", _parse_call_statuses)


def _parse_methods(raw: str) -> tuple[str, ...]:
    methods = tuple(method.strip() for method in raw.split(","))
    if not all(map(_METHOD, methods)):
        raise ValueError("expected paths of methods between commas, such as /shop.v1.Orders/Get*")
    return methods


methods = SettingType("methods", _parse_methods, ",".join)


def _parse_health_grpc(raw: str) -> str:
    if not _SERVICE(raw) or raw.lower() in ("true", "false", "yes", "no"):
        raise ValueError("expected on, off, or the name of a service such as shop.v1.Orders")
    return raw


health_grpc = SettingType("on, off or a service", _parse_health_grpc)
