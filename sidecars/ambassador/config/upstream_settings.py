"""The settings of one upstream."""

from __future__ import annotations

from pathlib import Path

from sidecars.ambassador.config import setting_types, target_types
from sidecars.ambassador.config.auth_settings import AuthSettings
from sidecars.ambassador.config.beside_settings import BesideSettings
from sidecars.ambassador.config.ejection_settings import EjectionSettings
from sidecars.ambassador.config.limit_settings import LimitSettings
from sidecars.ambassador.config.routing_settings import RoutingSettings
from sidecars.ambassador.config.seeing_settings import SeeingSettings
from sidecars.ambassador.config.setting_types import (
    AUTO_PROTOCOL,
    HTTP1_ALONE,
    HTTP2_ALONE,
    TIMEOUT,
    CallStatuses,
    RetryOn,
)
from sidecars.ambassador.config.target_types import Targets
from sidecars.ambassador.config.tls_settings import TlsSettings
from sidecars.ambassador.config.way_settings import NO_HEADER, WaySettings
from sidecars.ambassador.http import header_edits
from sidecars.ambassador.http.header_edits import HeaderEdit
from sidecars.chassis.config.declared_fields import gives_way, on, that
from sidecars.chassis.config.setting_types import (
    Address,
    address,
    choice,
    duration,
    integer,
    path_to_read,
    size,
)
from sidecars.chassis.config.settings import setting
from sidecars.chassis.config.urls import RequestTarget
from sidecars.chassis.runtime.light_dataclasses import dataclass

_DEFAULT_CHECK_INTERVAL = 5.0  # seconds, with a HEALTH_PATH
_FIELDS = that(
    lambda upstream: (
        upstream.upstream.protocol == "http" or not upstream.balance.startswith(("hash:header", "hash:cookie"))
    ),
    "{upstream} is not HTTP: there only hash:source works",
)
_NO_HTTP1 = that(
    lambda upstream: upstream.protocol != HTTP2_ALONE or "http" not in upstream.upstream.schemes,
    "an http:// target of {upstream} speaks HTTP/1.1: write h2c://",
)
_NO_HTTP2 = that(
    lambda upstream: upstream.protocol != HTTP1_ALONE or "h2c" not in upstream.upstream.schemes,
    "an h2c:// target of {upstream} speaks HTTP/2: write http://",
)
_WEIGHTS = that(
    lambda upstream: not upstream.balance.startswith("hash:"), "{balance} is a hash, which has no slow start"
)
_TIMEOUTS = that(lambda upstream: TIMEOUT in upstream.retry_on.failures, "{retry_on} has no timeout: add it")


@dataclass(frozen=True, kw_only=True)
class UpstreamSettings(
    SeeingSettings,
    RoutingSettings,
    TlsSettings,
    AuthSettings,
    WaySettings,
    BesideSettings,
    LimitSettings,
    EjectionSettings,
):
    """The settings of one upstream: the address for the app, the targets, and how requests to them are treated."""

    name: str
    listen: Address = setting(
        address, "the address at which the app reaches this upstream", default="127.0.0.1:8500", heading="Upstream"
    )
    upstream: Targets = setting(
        target_types.targets,
        "the targets: `http`, `https`, `h2c`, `tcp`, `tls` or `tls+postgres` URLs (`http://host[:port]`), separated by "
        "commas, each perhaps with a weight (`;weight=2`); a DNS name stands for all its addresses, "
        "`http+srv://_http._tcp.orders.shop` for all hosts of its SRV records, `k8s://orders.shop:http` for the "
        "Pods of a Service of Kubernetes, by its EndpointSlices (`https+k8s` and so on for another protocol), and "
        "`http+unix:///run/app.sock` for a unix socket; with a path (`http://orders.shop/api/v2`, the same for all "
        "targets) all requests are sent below it",
    )
    protocol: str = setting(
        choice(AUTO_PROTOCOL, HTTP1_ALONE, HTTP2_ALONE),
        "`https` only: the version of HTTP: `auto` (what the endpoint selects by ALPN, HTTP/2 preferred), `http1` or "
        "`http2`; `http` is always HTTP/1.1, and `h2c` HTTP/2",
        default=AUTO_PROTOCOL,
        needs=(setting_types.HTTP, _NO_HTTP1, _NO_HTTP2),
    )
    balance: str = setting(
        setting_types.balance,
        "the load-balancing policy: `ewma` (of two endpoints the one with the lower expected latency, failures "
        "included), `least_request` (of two endpoints the one with fewer requests in progress), `round_robin`, "
        "`random`, `hash:header:<name>`, `hash:cookie:<name>` or `hash:source`",
        default="ewma",
        needs=(_FIELDS,),
        heading="Balancing and health checks",
    )
    slow_start: float = setting(
        duration(maximum="1h"),
        "the time in which a new or returned endpoint reaches its full share",
        default="0",
        needs=(_WEIGHTS,),
    )
    health_path: RequestTarget | None = setting(
        setting_types.health_path,
        "the path of active health checks, to which a healthy endpoint responds with 2xx or 3xx, without the path of "
        "`UPSTREAM`; unset: a check only opens a connection",
        default="",
        needs=(setting_types.HTTP, gives_way("health_path", "health_grpc")),
    )
    health_grpc: str = setting(
        setting_types.health_grpc,
        "active health checks by `grpc.health.v1.Health/Check`: `on` asks for the server as a whole, a name for that "
        "service; a server that does not implement it counts as healthy",
        default="off",
        needs=(setting_types.HTTP, setting_types.HTTP2, gives_way("health_grpc", "health_path")),
    )
    health_interval: float | None = setting(
        duration("100ms", "1h"),
        "the time between active health checks of an endpoint; unset: `5s` with a `HEALTH_PATH` or "
        "`HEALTH_GRPC`, no checks without",
        default="",
    )
    eject_after: int = setting(
        integer(1, 1000),
        "the number of failures in a row (5xx, resets, time-outs) after which an endpoint is ejected; a failure to "
        "connect ejects at once",
        default="5",
        needs=(setting_types.HTTP, setting_types.EJECTIONS),
        heading="Ejection of endpoints",
    )
    eject_for: float = setting(
        duration("100ms", "1h"),
        "the first ejection time, after which one request is the endpoint's trial; each trial that fails doubles it, "
        "up to 30 times",
        default="1s",
        needs=(setting_types.EJECTIONS,),
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
        integer(maximum=10),
        "the number of retries of a request that may safely be repeated",
        default="2",
        heading="Retries",
    )
    retry_on: RetryOn = setting(
        setting_types.retry_on,
        "the failures that are retried: `connect` (no connection opened), `reset` (it broke, or the response is "
        "malformed), `timeout` (no response in time), `5xx`, statuses, or `none`",
        default="connect,reset,timeout,502,503,504",
        needs=(on("retries", "hedge_after"),),
    )
    grpc_retry_on: CallStatuses = setting(
        setting_types.call_statuses,
        "gRPC: the statuses after which a call is tried again, if they come before any message: `unavailable`, "
        "`resource-exhausted`, `aborted`, …, or `none`",
        default="none",
        needs=(setting_types.HTTP2, on("retries", "hedge_after")),  # a hedge takes the place of a call that it ends
    )
    grpc_idempotent: tuple[str, ...] | None = setting(
        setting_types.methods,
        "gRPC: the methods whose calls may be repeated after they were sent, such as `/shop.v1.Orders/Get*`, separated "
        "by commas",
        default="",
        needs=(setting_types.HTTP2,),
    )
    retry_budget: float = setting(
        setting_types.percent,
        "the number of retries beyond ten a second, as a share of the requests",
        default="20%",
        needs=(
            setting_types.HTTP,
            on("retries", "hedge_after"),
        ),
    )
    retry_buffer: int = setting(
        size(maximum="16MiB"),
        "the largest part of a request's body that is kept for a retry",
        default="64KiB",
        needs=(setting_types.HTTP,),
    )
    try_timeout: float | None = setting(
        duration("10ms", "24h"),
        "the time that an endpoint has to respond before another one is tried, if the request may safely be repeated; "
        "unset: `TIMEOUT`, so that no slow response is given up",
        default="",
        needs=(setting_types.HTTP, setting_types.RETRIES, _TIMEOUTS),
    )
    connect_timeout: float = setting(
        duration("10ms", "5m"),
        "the time in which a connection to an endpoint must open",
        default="2s",
        heading="Time limits",
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
        needs=(setting_types.HTTP,),
    )
    total_timeout: float | None = setting(
        duration("100ms", "24h"),
        "the time in which a request must be complete, from its head to the end of its response, all attempts "
        "together; unset: only the other time-outs apply",
        default="",
        needs=(setting_types.HTTP,),
    )
    max_stream_age: float | None = setting(
        duration("1s", "24h"),
        "gRPC: the time after which the stream of a response ends with UNAVAILABLE, so that new replicas get some; it "
        "varies by a tenth; unset: a stream lives as long as its connections",
        default="",
        needs=(setting_types.HTTP2,),
    )
    idle_timeout: float = setting(
        duration("100ms", "24h"),
        "the longest pause of the app: between requests, within a request, or without reading its response",
        default="60s",
    )
    tunnel_idle_timeout: float | None = setting(
        duration("1s", "24h"),
        "the longest time in which nothing moves in a tunnel (`tcp`, `tls`, an upgrade such as WebSocket), in either "
        "direction; then both its ends are reset; unset: it may be silent while both ends are open",
        default="",
    )
    tcp_keepalive: float = setting(
        duration(maximum="2h"),
        "the time without a byte after which TCP sends keepalive probes, on connections of both sides; a host that "
        "does not reply counts as gone after twice this time; 0: no probes",
        default="30s",
    )
    resolv_conf: Path = setting(
        path_to_read,
        "the file with the DNS servers, search domains and options",
        default="/etc/resolv.conf",
        heading="DNS",
    )
    dns_min_ttl: float = setting(
        duration("100ms", "1h"),
        "the shortest time for which a DNS answer is valid, whatever its TTL",
        default="1s",
        needs=(setting_types.LOOK_UPS,),
    )
    dns_max_ttl: float = setting(
        duration("100ms", "24h"),
        "the longest time for which a DNS answer is valid, whatever its TTL",
        default="30s",
        needs=(setting_types.LOOK_UPS,),
    )
    max_connections: int = setting(
        integer(1, 65535),
        "the number of connections that the app may have open to this upstream; one more takes the place of one that "
        "serves no request; each that is not open leaves room for three requests of HTTP/2 at once",
        default="4096",
        heading="Connections and sizes of heads",
    )
    max_pending: int = setting(
        integer(1, 65535),
        "the number of requests that may wait for a connection to open; further ones get 503",
        default="1024",
    )
    max_header_size: int = setting(
        size("8KiB", "1MiB"),
        "the largest head of a request or a response",
        default="64KiB",
        needs=(setting_types.HTTP,),
    )
    max_headers: int = setting(
        integer(64, 10_000),
        "the number of header fields that a request or a response may have",
        default="1000",
        needs=(setting_types.HTTP,),
    )
    headers: tuple[HeaderEdit, ...] | None = setting(
        header_edits.edits,
        "edits of the fields of each request, one a line: `Name: value` sets, `+Name: value` adds, `-Name` removes",
        default="",
        needs=(setting_types.HTTP,),
        heading="Header fields and access log",
    )
    host: str = setting(
        choice("upstream", "preserve"),
        "the `Host` that is sent: the upstream's, or the app's",
        default="upstream",
        needs=(setting_types.HTTP,),
    )
    access_log: str = setting(
        choice("off", "errors", "all"),
        "a log line for each request or connection, or only for those that end with an error; it has neither the "
        "query nor header fields, unless `ACCESS_LOG_FIELDS` names one",
        default="off",
    )

    @property
    def asks_dns(self) -> bool:
        """True if a name is looked up: of a target, or of the proxy."""
        names = [
            target.host for target in self.upstream.targets if not (target.is_unix or self.is_sent_as_name(target))
        ]
        names += [self.proxy.host] if self.proxy is not None else []
        return any(map(target_types.is_name, names))

    @property
    def needs_way(self) -> bool:
        """True if a connection to an endpoint is more than one of TCP, with or without TLS."""
        has_setting = self.proxy is not None or self.send_proxy != NO_HEADER
        return has_setting or self.upstream.has_unix or self.upstream.is_postgres

    @property
    def all_taken_fields(self) -> frozenset[bytes]:
        """The fields of a request that are kept aside, since each attempt has its own."""
        return self.taken_fields | self.deadline_fields

    @property
    def check_every(self) -> float | None:
        """The time between active health checks in seconds; None without checks."""
        has_request = self.health_path is not None or self.health_service is not None
        return self.health_interval or (_DEFAULT_CHECK_INTERVAL if has_request else None)

    @property
    def health_service(self) -> str | None:
        """The service that health checks of gRPC ask for; "" for the server as a whole, None without such checks."""
        return {"off": None, "on": ""}.get(self.health_grpc, self.health_grpc)
