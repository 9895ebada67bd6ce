"""The settings of the ambassador: one UpstreamSettings for each upstream, and Settings for the process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from sidecars.ambassador import setting_types
from sidecars.ambassador.http import bearer_token, header_edits
from sidecars.ambassador.http.header_edits import HeaderEdit
from sidecars.ambassador.setting_types import RetryOn, Target, Targets
from sidecars.chassis.config.setting_types import (
    Address,
    Secret,
    address,
    choice,
    duration,
    integer,
    path_to_read,
    secret,
    size,
)
from sidecars.chassis.config.settings import ServiceSettings, group, setting, variable
from sidecars.chassis.config.urls import RequestTarget, is_loopback
from sidecars.chassis.isolation import roots
from sidecars.chassis.isolation.roots import DeclaredRoot
from sidecars.chassis.runtime.light_dataclasses import dataclass

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_EVERYWHERE = ("", "0.0.0.0", "::")
_DEFAULT_CHECK_INTERVAL = 5.0  # seconds, with a HEALTH_PATH


@dataclass(frozen=True, kw_only=True)
class UpstreamSettings:
    """The settings of one upstream: the address for the app, the targets, and how requests to them are treated."""

    name: str
    listen: Address = setting(address, "the address at which the app reaches this upstream", default="127.0.0.1:8500")
    upstream: Targets = setting(
        setting_types.targets,
        "the targets: `http`, `https`, `tcp` or `tls` URLs (`http://host[:port]`), separated by commas, each perhaps "
        "with a weight (`;weight=2`); a DNS name stands for all its addresses, `http+srv://_http._tcp.orders.shop` for "
        "all hosts of its SRV records",
    )
    balance: str = setting(
        setting_types.balance,
        "the load-balancing policy: `ewma` (of two endpoints the one with the lower expected latency, failures "
        "included), `least_request` (of two endpoints the one with fewer requests in progress), `round_robin`, "
        "`random`, `hash:header:<name>`, `hash:cookie:<name>` or `hash:source`",
        default="ewma",
    )
    slow_start: float = setting(
        duration(maximum="1h"), "the time in which a new or returned endpoint reaches its full share", default="0"
    )
    health_path: RequestTarget | None = setting(
        setting_types.health_path,
        "the path of active health checks, to which a healthy endpoint responds with 2xx or 3xx; unset: a check only "
        "opens a connection",
        default="",
    )
    health_interval: float | None = setting(
        duration("100ms", "1h"),
        "the time between active health checks of an endpoint; unset: `5s` with a `HEALTH_PATH`, no checks without",
        default="",
    )
    eject_after: int = setting(
        integer(1, 1000),
        "the number of failures in a row (5xx, resets, time-outs) after which an endpoint is ejected; a failure to "
        "connect ejects at once",
        default="5",
    )
    eject_for: float = setting(
        duration("100ms", "1h"),
        "the first ejection time, after which one request is the endpoint's trial; each trial that fails doubles it, "
        "up to 30 times",
        default="1s",
    )
    max_ejected: float = setting(
        setting_types.percent,
        "the share of the endpoints that may be ejected at a time, rounded up",
        default="50%",
    )
    panic_threshold: float = setting(
        setting_types.percent,
        "the share of usable endpoints below which health is ignored and all endpoints are used",
        default="30%",
    )
    retries: int = setting(
        integer(maximum=10), "the number of retries of a request that may safely be repeated", default="2"
    )
    retry_on: RetryOn = setting(
        setting_types.retry_on,
        "the failures that are retried: `connect` (no connection opened), `reset` (it broke, or the response is "
        "malformed), `timeout` (no response in time), `5xx`, statuses, or `none`",
        default="connect,reset,timeout,502,503,504",
    )
    retry_budget: float = setting(
        setting_types.percent,
        "the number of retries beyond ten a second, as a share of the requests",
        default="20%",
    )
    retry_buffer: int = setting(
        size(maximum="16MiB"), "the largest part of a request's body that is kept for a retry", default="64KiB"
    )
    try_timeout: float | None = setting(
        duration("10ms", "24h"),
        "the time that an endpoint has to respond before another one is tried, if the request may safely be repeated; "
        "unset: `TIMEOUT`, so that no slow response is given up",
        default="",
    )
    connect_timeout: float = setting(
        duration("10ms", "5m"), "the time in which a connection to an endpoint must open", default="2s"
    )
    timeout: float = setting(
        duration("100ms", "24h"),
        "the time in which a response must begin, all attempts together (504 after it), and the longest pause of an "
        "endpoint within a body of announced length",
        default="60s",
    )
    stream_idle_timeout: float = setting(
        duration("100ms", "24h"),
        "the longest pause of an endpoint within a body of no announced length (chunked, or ended by close), such as "
        "a stream of events",
        default="5m",
    )
    total_timeout: float | None = setting(
        duration("100ms", "24h"),
        "the time in which a request must be complete, from its head to the end of its response, all attempts "
        "together; unset: only the other time-outs apply",
        default="",
    )
    idle_timeout: float = setting(
        duration("100ms", "24h"),
        "the longest pause of the app: between requests, within a request, or without reading its response",
        default="60s",
    )
    tcp_keepalive: float = setting(
        duration(maximum="2h"),
        "the time without a byte after which TCP sends keepalive probes, on connections of both sides; a host that "
        "does not reply counts as gone after twice this time; 0: no probes",
        default="30s",
    )
    resolv_conf: Path = setting(
        path_to_read, "the file with the DNS servers, search domains and options", default="/etc/resolv.conf"
    )
    dns_min_ttl: float = setting(
        duration("100ms", "1h"), "the shortest time for which a DNS answer is valid, whatever its TTL", default="1s"
    )
    dns_max_ttl: float = setting(
        duration("100ms", "24h"), "the longest time for which a DNS answer is valid, whatever its TTL", default="30s"
    )
    max_connections: int = setting(
        integer(1, 65535),
        "the number of connections that the app may have open to this upstream; one more takes the place of one that "
        "serves no request",
        default="4096",
    )
    max_pending: int = setting(
        integer(1, 65535),
        "the number of requests that may wait for a connection to open; further ones get 503",
        default="1024",
    )
    max_header_size: int = setting(size("8KiB", "1MiB"), "the largest head of a request or a response", default="64KiB")
    max_headers: int = setting(
        integer(64, 10_000), "the number of header fields that a request or a response may have", default="1000"
    )
    tls_ca: Path | None = setting(
        path_to_read,
        "`https` and `tls`: PEM file of the authorities to trust, instead of the system's; a new file is used as soon "
        "as it is there",
        default="",
    )
    tls_cert: Path | None = setting(
        path_to_read,
        "`https` and `tls`: PEM file of the client certificate, for an upstream that asks for one; a new file is used "
        "as soon as it is there",
        default="",
    )
    tls_key: Path | None = setting(
        path_to_read,
        "PEM file with the private key of `TLS_CERT`, if that file does not contain it; a new file is used as soon as "
        "it is there",
        default="",
    )
    tls_server_name: str | None = setting(
        setting_types.host_name,
        "`https` and `tls`: the name that the upstream's certificate must have, instead of the host in `UPSTREAM` (of "
        "SRV records: the name behind `_service._proto`)",
        default="",
    )
    tls_min_version: str = setting(choice("1.2", "1.3"), "`https` and `tls`: the oldest version of TLS", default="1.2")
    tls_alpn: tuple[str, ...] | None = setting(
        setting_types.alpn, "`tls` only: the protocols to offer by ALPN; `https` offers `http/1.1`", default=""
    )
    headers: tuple[HeaderEdit, ...] | None = setting(
        header_edits.edits,
        "edits of the fields of each request, one a line: `Name: value` sets, `+Name: value` adds, `-Name` removes",
        default="",
    )
    host: str = setting(
        choice("upstream", "preserve"), "the `Host` that is sent: the upstream's, or the app's", default="upstream"
    )
    token: Secret | None = setting(
        secret,
        "a bearer token, sent instead of the app's `Authorization`; `TOKEN_FILE` is read again every second",
        default="",
    )
    access_log: str = setting(
        choice("off", "errors", "all"),
        "a log line for each request or connection, or only for those that end with an error; it has neither query nor "
        "fields",
        default="off",
    )

    @property
    def check_every(self) -> float | None:
        """The time between active health checks in seconds; None without checks."""
        return self.health_interval or (_DEFAULT_CHECK_INTERVAL if self.health_path else None)


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    PREFIX = "AMBASSADOR"

    upstreams: dict[str, UpstreamSettings] = group(UpstreamSettings, anchor="upstream")
    workers: int = setting(
        integer(1, 64),
        "the number of processes that share the ports, for more than one core; each has its own balancing, limits and "
        "DNS look-ups",
        default="1",
    )
    buffer_memory: int = setting(
        size("8MiB", "1TiB"),
        "the memory of each process for bytes that wait because a peer does not take them, in either direction, for "
        "bodies that are kept for a retry, and for unfinished heads; if little is left, reads are small and no further "
        "body is kept",
        default="64MiB",
    )
    admin_listen: Address = setting(
        address, "the address of the page, `/livez`, `/readyz`, `/metrics` and `/status`", default=":9913"
    )

    drain_quiet: float = setting(
        duration("0", "1h"),
        "the time without a connection of the app after which a drain ends: for a plain container, which gets SIGTERM "
        "together with the app and goes on serving",
        default="0",
    )

    def summary(self) -> str:
        return ", ".join(f"{upstream.listen} -> {upstream.upstream}" for upstream in self.upstreams.values())

    def further_roots(self) -> Iterator[DeclaredRoot]:
        """Yield the right to execute Python, where the workers are programs of their own."""
        if self.workers > 1:
            yield from roots.to_execute(sys.executable)

    def check(self) -> Iterator[str]:
        if self.drain_quiet and self.drain_quiet >= self.drain_timeout:
            quiet, timeout = variable(type(self), "drain_quiet"), variable(type(self), "drain_timeout")
            yield f"{quiet} is not less than {timeout}, which would always end it first: set a smaller value"
        taken = [(variable(type(self), "admin_listen"), self.admin_listen)] if self.admin_listen else []
        for name, upstream in self.upstreams.items():
            listen = variable(type(self), "listen", name)
            if not upstream.listen:
                yield f"{listen}=off: expected an address: the app cannot reach an upstream without one"
                continue
            for other, address_of_other in taken:
                if _overlap(upstream.listen, address_of_other):
                    yield f"{listen}={upstream.listen}: {other} is {address_of_other}: give each its own address"
            taken.append((listen, upstream.listen))
        for name, upstream in self.upstreams.items():
            own = variable(type(self), "upstream", name)
            for target in upstream.upstream.targets:
                if _is_own_address(target, upstream.listen):
                    yield f"{own}={upstream.upstream}: {target.host_port} is this ambassador itself: set the service's"
            yield from self._check_upstream(name, upstream)

    def _check_upstream(self, name: str, upstream: UpstreamSettings) -> Iterator[str]:
        def of(field: str) -> str:
            return variable(type(self), field, name)

        if upstream.dns_min_ttl > upstream.dns_max_ttl:
            yield f"{of('dns_min_ttl')} is more than {of('dns_max_ttl')}: set it to at most that"
        if upstream.tls_key and not upstream.tls_cert:
            yield f"{of('tls_key')} is set, but {of('tls_cert')} is not: set both"
        if upstream.token is not None and not bearer_token.is_bearer_token(upstream.token):
            yield f"{of('token')}: it holds no bearer token (letters, digits and -._~+/)"
        if upstream.upstream.protocol == "tcp":
            yield from self._check_tcp(upstream, of)

        schemes = {target.scheme for target in upstream.upstream.targets}
        for field in _credentials(upstream) if len(schemes) > 1 else ():
            yield (
                f"{of(field)} would be sent to the http:// targets of {of('upstream')} without encryption: let all of"
                " them be https://"
            )

    def warn(self) -> Iterator[str]:
        for name, upstream in self.upstreams.items():
            plain = [
                target.host_port
                for target in upstream.upstream.targets
                if target.scheme == "http" and not is_loopback(target.host)
            ]
            for field in _credentials(upstream) if plain else ():
                credential = variable(type(self), field, name)
                yield f"{credential} is sent to {', '.join(plain)} without encryption: use https://"

    def _check_tcp(self, upstream: UpstreamSettings, of: Callable[[str], str]) -> Iterator[str]:
        if upstream.health_path:
            yield f"{of('health_path')}: {of('upstream')} is not HTTP; set {of('health_interval')} alone"
        if upstream.balance.startswith(("hash:header", "hash:cookie")):
            yield f"{of('balance')}={upstream.balance}: {of('upstream')} is not HTTP: there only hash:source works"


def _credentials(upstream: UpstreamSettings) -> Iterator[str]:
    """Yield the fields of the settings whose secrets are sent with each request to the upstream."""
    if upstream.upstream.protocol != "http":
        return
    if upstream.token is not None:
        yield "token"
    if any(edit.is_credential for edit in upstream.headers or ()):
        yield "headers"


def _is_own_address(target: Target, listen: Address) -> bool:
    """Return True if the target is the address on which we listen."""
    if listen.path or not listen.port or target.port != listen.port:
        return False
    return target.host == listen.host or (target.host in _LOOPBACK and listen.host in (*_EVERYWHERE, *_LOOPBACK))


def _overlap(one: Address, other: Address) -> bool:
    """Return True if one process cannot listen on both addresses."""
    if one.path or other.path:
        return one.path == other.path
    if one.port != other.port or one.port == 0:
        return False
    if one.host in _LOOPBACK and other.host in _LOOPBACK:
        return True  # both are bound for IPv4 and IPv6
    return one.host == other.host or one.host in _EVERYWHERE or other.host in _EVERYWHERE
