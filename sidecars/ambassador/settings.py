"""What the ambassador can be told."""

from __future__ import annotations

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
    path,
    secret,
    size,
)
from sidecars.chassis.config.settings import ServiceSettings, group, setting, variable
from sidecars.chassis.runtime.light_dataclasses import dataclass

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_EVERYWHERE = ("", "0.0.0.0", "::")
_CHECK_EVERY = 5.0  # seconds


@dataclass(frozen=True, kw_only=True)
class UpstreamSettings:
    """One upstream: where the app finds it, and where it really is."""

    name: str
    listen: Address = setting(
        address, "where the app reaches this upstream; on loopback unless told otherwise", default="127.0.0.1:8500"
    )
    upstream: Targets = setting(
        setting_types.targets,
        "`http`, `https`, `tcp` or `tls` URLs (`http://host[:port]`) between commas, each with `;weight=2` where "
        "it has one; a DNS name means all its addresses, `http+srv://_http._tcp.orders.shop` all that its SRV records "
        "name",
    )
    balance: str = setting(
        setting_types.balance,
        "`ewma` (the least expected latency of two, failures counted in), `least_request` (of two), `round_robin`, "
        "`random`, `hash:header:<name>`, `hash:cookie:<name>` or `hash:source`",
        default="ewma",
    )
    slow_start: float = setting(
        duration(maximum="1h"), "how long an endpoint that is new or back takes to come to its full share", default="0"
    )
    health_path: str | None = setting(
        setting_types.health_path,
        "the path that a healthy endpoint answers with 2xx or 3xx; unset: a connection need only open",
        default="",
    )
    health_interval: float | None = setting(
        duration("100ms", "1h"),
        "how often each endpoint is checked; unset: `5s` with a `HEALTH_PATH`, else not at all",
        default="",
    )
    eject_after: int = setting(
        integer(1, 1000),
        "after how many failures in a row (5xx, resets, timeouts) an endpoint is left alone; at once when it cannot be "
        "reached",
        default="5",
    )
    eject_for: float = setting(
        duration("100ms", "1h"),
        "for how long, before one request is its trial; twice as long after each trial that fails, up to 30 times",
        default="1s",
    )
    max_ejected: float = setting(
        setting_types.percent,
        "how many of the endpoints may be left alone at a time, rounded up",
        default="50%",
    )
    panic_threshold: float = setting(
        setting_types.percent,
        "when fewer of the endpoints than this are well, health is ignored and all are used",
        default="30%",
    )
    retries: int = setting(
        integer(maximum=10), "how often a request that may safely be repeated is tried elsewhere", default="2"
    )
    retry_on: RetryOn = setting(
        setting_types.retry_on,
        "`connect` (no connection opened), `reset` (it broke, or the answer is malformed), `timeout` (no answer in "
        "time), `5xx`, statuses, or `none`",
        default="connect,reset,timeout,502,503,504",
    )
    retry_budget: float = setting(
        setting_types.percent,
        "how many retries there may be beyond ten a second, as a share of the requests",
        default="20%",
    )
    retry_buffer: int = setting(
        size(maximum="16MiB"), "how much of a request's body is kept for another try", default="64KiB"
    )
    try_timeout: float | None = setting(
        duration("10ms", "24h"),
        "how long an endpoint may take to answer before another is tried, where that is safe; unset: `TIMEOUT`, so "
        "that a slow answer is waited for",
        default="",
    )
    connect_timeout: float = setting(
        duration("10ms", "5m"), "how long a connection to the upstream may take to open", default="2s"
    )
    timeout: float = setting(
        duration("100ms", "24h"),
        "how long the app waits for an answer to begin, all tries together (504); also how long the upstream may be "
        "silent within a body whose length it announced",
        default="60s",
    )
    stream_idle_timeout: float = setting(
        duration("100ms", "24h"),
        "how long the upstream may be silent within a body of no announced length (chunked, or ended by close), such "
        "as a stream of events",
        default="5m",
    )
    total_timeout: float | None = setting(
        duration("100ms", "24h"),
        "how long a request may take as a whole, from its head to the end of its answer, all tries together; unset: no "
        "limit but the other time-outs",
        default="",
    )
    idle_timeout: float = setting(
        duration("100ms", "24h"),
        "how long the app may be silent: between requests, within one, or by taking nothing of an answer",
        default="60s",
    )
    tcp_keepalive: float = setting(
        duration(maximum="2h"),
        "after how long without a byte TCP asks whether the other host is still there, on connections of both sides; "
        "without a reply it is gone after twice this time; 0: never",
        default="30s",
    )
    resolv_conf: Path = setting(
        path, "the file that names the DNS servers, search domains and options", default="/etc/resolv.conf"
    )
    dns_min_ttl: float = setting(
        duration("100ms", "1h"), "the least time for which an answer of DNS holds, whatever its TTL", default="1s"
    )
    dns_max_ttl: float = setting(
        duration("100ms", "24h"), "the longest time for which an answer of DNS holds, whatever its TTL", default="30s"
    )
    max_connections: int = setting(
        integer(1, 65535), "how many connections the app may have open here at a time", default="4096"
    )
    max_pending: int = setting(
        integer(1, 65535), "how many requests may wait for a connection to open; more are answered 503", default="1024"
    )
    max_header_size: int = setting(
        size("8KiB", "1MiB"), "how large the head of a request or a response may be", default="64KiB"
    )
    max_headers: int = setting(
        integer(64, 10_000), "how many header fields a request or a response may have", default="1000"
    )
    tls_ca: Path | None = setting(
        path,
        "`https` and `tls`: a PEM file of the authorities to trust, instead of the system's; "
        "a file that is replaced is taken up, as with the next two",
        default="",
    )
    tls_cert: Path | None = setting(
        path, "`https` and `tls`: PEM file of our certificate, where the upstream asks for it", default=""
    )
    tls_key: Path | None = setting(
        path, "PEM file with the private key of `TLS_CERT`, unless that is in the same file", default=""
    )
    tls_server_name: str | None = setting(
        setting_types.host_name,
        "`https` and `tls`: the name that the upstream's certificate must have, instead of the host in `UPSTREAM`",
        default="",
    )
    tls_min_version: str = setting(
        choice("1.2", "1.3"), "`https` and `tls`: the oldest TLS that is spoken", default="1.2"
    )
    tls_alpn: tuple[str, ...] | None = setting(
        setting_types.alpn, "`tls` only: the protocols to offer by ALPN; `https` offers `http/1.1`", default=""
    )
    headers: tuple[HeaderEdit, ...] | None = setting(
        header_edits.edits,
        "edits of each request, one a line: `Name: value` sets, `+Name: value` adds, `-Name` removes",
        default="",
    )
    host: str = setting(
        choice("upstream", "preserve"), "the `Host` that is sent: the upstream's own, or the app's", default="upstream"
    )
    token: Secret | None = setting(
        secret,
        "a bearer token, sent instead of the app's `Authorization`; one by `TOKEN_FILE` is looked at every second",
        default="",
    )
    access_log: str = setting(
        choice("off", "errors", "all"),
        "a log line for each request or connection, or only for those that end with an error; neither query nor fields",
        default="off",
    )

    @property
    def check_every(self) -> float | None:
        """Seconds between active checks; None where there are none."""
        return self.health_interval or (_CHECK_EVERY if self.health_path else None)


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    PREFIX = "AMBASSADOR"

    upstreams: dict[str, UpstreamSettings] = group(UpstreamSettings, anchor="upstream")
    workers: int = setting(
        integer(1, 64),
        "processes that share the ports, for more than one core; each balances, limits and resolves by itself",
        default="1",
    )
    admin_listen: Address = setting(
        address, "where `/livez`, `/readyz`, `/metrics` and `/status` answer", default=":9913"
    )

    drain_quiet: float = setting(
        duration("0", "1h"),
        "after SIGTERM, go on serving until the app has had no connection for so long: for a plain container, which is "
        "told to stop together with the app",
        default="0",
    )

    def check(self) -> Iterator[str]:
        if self.drain_quiet and self.drain_quiet >= self.drain_timeout:
            quiet, timeout = variable(type(self), "drain_quiet"), variable(type(self), "drain_timeout")
            yield f"{quiet} is not less than {timeout}, which would always cut it short"
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
            for place in upstream.upstream.targets:
                if _is_here(place, upstream.listen):
                    yield f"{own}={upstream.upstream}: {place.place} is this ambassador itself"
            yield from self._together(name, upstream)

    def _together(self, name: str, upstream: UpstreamSettings) -> Iterator[str]:
        def of(field: str) -> str:
            return variable(type(self), field, name)

        if upstream.dns_min_ttl > upstream.dns_max_ttl:
            yield f"{of('dns_min_ttl')} is more than {of('dns_max_ttl')}"
        if upstream.tls_key and not upstream.tls_cert:
            yield f"{of('tls_key')} is set, but {of('tls_cert')} is not: set both"
        if upstream.token is not None and not bearer_token.is_bearer_token(upstream.token):
            yield f"{of('token')}: it holds no bearer token (letters, digits and -._~+/)"
        if upstream.upstream.protocol == "tcp":
            yield from self._only_for_http(upstream, of)

    def _only_for_http(self, upstream: UpstreamSettings, of: Callable[[str], str]) -> Iterator[str]:
        if upstream.health_path:
            yield f"{of('health_path')}: {of('upstream')} is not HTTP; set {of('health_interval')} alone"
        if upstream.balance.startswith(("hash:header", "hash:cookie")):
            yield f"{of('balance')}={upstream.balance}: {of('upstream')} is not HTTP and has none; hash:source works"


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
