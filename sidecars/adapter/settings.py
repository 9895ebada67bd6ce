"""The settings of the adapter: environment variables, their types, and the checks across several of them."""

from __future__ import annotations

from itertools import combinations
from types import MappingProxyType
from typing import ClassVar, Literal, get_args

from sidecars.adapter.setting_types import (
    AUTO,
    DIALECT_NAMES,
    SOURCE_FORMATS,
    ByRoute,
    RulesText,
    SourceFormat,
    StatusCodes,
    Threshold,
    by_route,
    json_paths,
    routes,
    rules,
    status_codes,
    status_values,
    target_url,
    threshold,
)
from sidecars.chassis.config.declared_fields import on, that
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
    text,
)
from sidecars.chassis.config.settings import ServiceSettings, group, setting, variable
from sidecars.chassis.config.urls import DEFAULT_PORTS, RequestTarget, Url, is_loopback, overlap
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sidecars.adapter.health.json_paths import JsonPath

Mode = Literal["forward", "verdict", "metrics"]

_ANSWERS = {"forward": "the response of", "verdict": "the verdict on", "metrics": "metrics from"}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})

_VERDICT = that(lambda app: "verdict" in app.modes, "no route has a verdict: set {mode}=verdict")
_READ = that(lambda app: app.modes != {"forward"}, "every route is forwarded: set {mode} to verdict or metrics")
_HTTPS = that(lambda app: app.uses_tls, "{target} is not https: unset it, or write https://")
_A_VERDICT = that(
    lambda settings: any("verdict" in app.modes for app in settings.apps.values()),
    "no route has the mode verdict: set {mode}=verdict",
)


@dataclass(frozen=True, kw_only=True)
class App:
    """The settings of one app in the Pod, and of the routes that it answers."""

    name: str
    set_by: Mapping[str, str] = MappingProxyType({})  # field -> the variable that set it
    target: Url = setting(
        target_url,
        "URL of the app: `http://host[:port]` or `https://host[:port]`",
        default="http://127.0.0.1:8080",
        heading="App and its routes",
    )
    routes: dict[str, RequestTarget] = setting(
        routes, "paths to serve, each with the path to request from the app", default="/health=/metrics"
    )
    mode: ByRoute[Mode] = setting(
        by_route(choice(*get_args(Mode)), "forward"),
        "response to a prober: `forward` is the app's own, `verdict` the app's health, `metrics` a metrics page; one"
        " value for all routes, or exceptions by path: `verdict,/metrics=metrics`",
        default="forward",
    )
    rules: RulesText | None = setting(
        rules,
        "rules that the app's metrics must keep to be healthy: `name: expression warn` or `… fail`, one a line or"
        " separated by `;`. Without rules an app is healthy if its response is complete and well-formed. A file"
        " (`_FILE`) is read again when it changes",
        default="",
        needs=(_VERDICT,),
        heading="Verdict",
    )
    select: tuple[JsonPath, ...] | None = setting(
        json_paths,
        "numbers to select from JSON of no known dialect: `name=$.path.in[0].it`, separated by `;`",
        default="",
        needs=(_READ,),
    )
    status_values: dict[str, float] | None = setting(
        status_values,
        "numbers of the app's own status words, for verdicts, metrics and `ADAPTER_SELECT`: `success=1,RESTRICTED=0.5`."
        " 1 is up, 0 is down, a number between them is a warning; upper and lower case are the same. Words of the known"
        " dialects (`UP`, `DOWN`, `ok`, `fail`, …) need none",
        default="",
        needs=(_READ,),
    )
    valid_status_codes: StatusCodes | None = setting(
        status_codes,
        "HTTP statuses of the app that are no failure, such as `200-299,503` to judge the JSON that comes with 503."
        " Unset it is 200-399 for health documents and JSON, and 200-299 for metrics",
        default="",
        needs=(_READ,),
    )
    source_format: SourceFormat = setting(
        choice(*SOURCE_FORMATS),
        "format of the app's responses, for an app whose `Content-Type` is wrong or missing. `auto` follows that"
        " header, and the body if the header names no known format",
        default=AUTO,
        needs=(_READ,),
        heading="Forms of metrics and of the verdict",
    )
    format: ByRoute[str] = setting(
        by_route(choice(AUTO, *DIALECT_NAMES), AUTO),
        "dialect of a verdict. `auto` follows the request's `Accept` and path; one value for all routes, or exceptions"
        " by path",
        default=AUTO,
        needs=(_VERDICT,),
    )
    timeout: float = setting(
        duration("1ms", "1h"),
        "time for the app's whole response; keep it below the probe's own timeout (the kubelet's is 1s). A scraper's"
        " timeout (`X-Prometheus-Scrape-Timeout-Seconds`) shortens it",
        default="750ms",
        heading="Limits",
    )
    cache_ttl: float = setting(
        duration("0", "1h"), "time for which a response of the app is used again; `0` requests a new one", default="0"
    )
    max_body: int = setting(
        size("1", "1GiB"), "largest body of the app's response, as received and once unpacked", default="4MiB"
    )
    max_series: int = setting(
        integer(1, 10_000_000), "most series in a response that is parsed", default="50000", needs=(_READ,)
    )
    fail_after: Threshold = setting(
        threshold,
        "number of failures in a row, or their duration (`10s`), that turns a verdict to fail; until then it is warn,"
        " also after the start. Probers that ask within half a second count as one",
        default="1",
        needs=(_VERDICT,),
        heading="Change of the verdict",
    )
    pass_after: Threshold = setting(
        threshold,
        "number of passes in a row, or their duration (`10s`), that ends a failed verdict; until then it stays fail",
        default="1",
        needs=(_VERDICT,),
    )
    grace: float = setting(
        duration("0", "24h"),
        "time after the start in which a failure is only a warning; the first pass ends it",
        default="0",
        needs=(_VERDICT,),
    )
    target_ca: Path | None = setting(
        path_to_read,
        "PEM file with the authorities to trust for an `https` target, instead of the system's authorities",
        default="",
        needs=(_HTTPS,),
        heading="TLS and credentials for the app",
    )
    target_cert: Path | None = setting(
        path_to_read, "PEM file with the client certificate for the app", default="", needs=(_HTTPS,)
    )
    target_key: Path | None = setting(
        path_to_read,
        "PEM file with the private key of `ADAPTER_TARGET_CERT`; unset, that file must have the key, too",
        default="",
        needs=(_HTTPS, on("target_cert")),
    )
    target_token: Secret | None = setting(secret, "token to send to the app as `Authorization: Bearer`", default="")
    target_username: str | None = setting(text, "user to send to the app as `Authorization: Basic`", default="")
    target_password: Secret | None = setting(secret, "password of the user in `ADAPTER_TARGET_USERNAME`", default="")

    @property
    def modes(self) -> set[Mode]:
        return {self.mode[route] for route in self.routes}

    @property
    def uses_tls(self) -> bool:
        return self.target.scheme == "https"

    @property
    def port(self) -> int:
        return self.target.port or DEFAULT_PORTS[self.target.scheme]


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    """The adapter's settings."""

    PREFIX: ClassVar[str] = "ADAPTER"

    listen: Address = setting(
        address, "address on which the routes are served", default=":8081", heading="Port for probers"
    )
    apps: dict[str, App] = group(App, anchor="target")
    agent_listen: Address = setting(
        address,
        "address of HAProxy's agent-check, over TCP, with one verdict of all apps",
        default="off",
        needs=(_A_VERDICT,),
        heading="Agent port, TLS and credentials for probers",
    )
    tls_cert: Path | None = setting(
        path_to_read, "PEM file with the certificate of `ADAPTER_LISTEN`, which serves https then", default=""
    )
    tls_key: Path | None = setting(
        path_to_read,
        "PEM file with the private key of `ADAPTER_TLS_CERT`; unset, that file must have the key, too",
        default="",
        needs=(on("tls_cert"),),
    )
    client_ca: Path | None = setting(
        path_to_read,
        "PEM file with authorities; a prober must present a certificate that one of them signed",
        default="",
        needs=(on("tls_cert"),),
    )
    basic_auth: Secret | None = setting(
        secret,
        "users and passwords of probers, as lines of `user:bcrypt hash` that `htpasswd -B` writes",
        default="",
    )
    token: Secret | None = setting(secret, "token that a prober must send as `Authorization: Bearer`", default="")
    max_connections: int = setting(
        integer(1, 100_000),
        "most connections of probers at once; one more takes the place of an idle one, or gets 503 if none is idle",
        default="2048",
    )
    admin_listen: Address = setting(
        address, "address of the page, `/livez`, `/readyz`, `/metrics` and `/status`", default=":9914"
    )

    def check(self) -> Iterator[str]:
        if not self.listen:
            yield "ADAPTER_LISTEN=off: without it the adapter has nothing to do; give it an address"
        yield from self._same_addresses()
        yield from self._shared_paths()
        for app in self.apps.values():
            yield from self._target_is_not_itself(app)
            yield from _unknown_routes(app)
            yield from _credentials(app)
        yield from self._agent()

    def summary(self) -> str:
        answers = (
            f"{path} with {_ANSWERS[app.mode[path]]} {app.target.with_target(source)}"
            for app in self.apps.values()
            for path, source in app.routes.items()
        )
        return f"answers on {self.listen}: {', '.join(answers)}"

    def warn(self) -> Iterator[str]:
        for app in self.apps.values():
            for field in ("target_token", "target_password"):
                if getattr(app, field) and not app.uses_tls and not is_loopback(app.target.hostname):
                    secret_name, target = (variable(Settings, each, app.name) for each in (field, "target"))
                    yield f"{secret_name} is sent to {target}={app.target} without encryption: use https://"

    def _same_addresses(self) -> Iterator[str]:
        ours = [(name, getattr(self, name)) for name in ("admin_listen", "agent_listen", "listen")]
        for (first, one), (second, other) in combinations([(name, at) for name, at in ours if at], 2):
            if overlap(one, other):
                names = f"{variable(Settings, first)} and {variable(Settings, second)}"
                both = f"both {one}" if str(one) == str(other) else f"{one} and {other}, which are one address"
                yield f"{names} are {both}: give them different ports"

    def _target_is_not_itself(self, app: App) -> Iterator[str]:
        nearby = app.target.hostname in _LOOPBACK and self.listen.host in _EVERYWHERE | _LOOPBACK
        if self.listen.port and app.port == self.listen.port and nearby:
            name = variable(Settings, "target", app.name)
            yield f"{name}={app.target}: that is ADAPTER_LISTEN itself; it must be the app's address"

    def _shared_paths(self) -> Iterator[str]:
        """Check that apps share a route only if their responses can be combined. All routes are on one port."""
        first: dict[str, App] = {}
        for app in self.apps.values():
            for route in app.routes:
                other = first.setdefault(route, app)
                if other is app:
                    continue
                names = [variable(Settings, "routes", each.name) for each in (other, app)]
                both = f"{' and '.join(names)} both answer {route}"
                if "forward" in (other.mode[route], app.mode[route]):
                    yield f"{both}: give each app paths of its own, or let the mode be verdict or metrics"
                elif other.mode[route] != app.mode[route] or other.format[route] != app.format[route]:
                    yield f"{both}, but with another mode or format: give both the same"

    def _agent(self) -> Iterator[str]:
        modes = [(app, route, app.mode[route]) for app in self.apps.values() for route in app.routes]
        for app, route, mode in modes:
            if not self.agent_listen and mode == "verdict" and app.format[route] == "haproxy-agent":
                name = variable(Settings, "format", app.name)
                yield f"{name}=haproxy-agent is answered over TCP: set ADAPTER_AGENT_LISTEN, such as :8082"
                return


def _unknown_routes(app: App) -> Iterator[str]:
    for name, value in (("mode", app.mode), ("format", app.format)):
        for route in value.exceptions:
            if route not in app.routes:
                where = variable(Settings, "routes", app.name)
                yield f"{variable(Settings, name, app.name)} has {route}, which is no route of {where}"


def _credentials(app: App) -> Iterator[str]:
    def named(field: str) -> str:
        return variable(Settings, field, app.name)

    if bool(app.target_username) != bool(app.target_password):
        yield f"{named('target_username')} and {named('target_password')} belong together: set both"
    if app.target_token and app.target_username:
        yield f"{named('target_token')} and {named('target_username')} are both set: keep one"
