"""What the adapter can be told."""

from __future__ import annotations

from itertools import groupby
from types import MappingProxyType
from typing import ClassVar, Literal, get_args

from sidecars.adapter.setting_types import (
    ByRoute,
    RulesText,
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
from sidecars.adapter.verdict.dialect_negotiation import AUTO, DIALECT_NAMES, SourceFormat
from sidecars.chassis.config import unused_settings
from sidecars.chassis.config.setting_types import (
    DEFAULT_PORTS,
    Address,
    Secret,
    address,
    choice,
    duration,
    integer,
    path,
    secret,
    size,
    text,
)
from sidecars.chassis.config.settings import ServiceSettings, group, setting, variable
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from urllib.parse import SplitResult

    from sidecars.adapter.health.json_paths import JsonPath

Mode = Literal["forward", "verdict", "metrics"]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})


@dataclass(frozen=True, kw_only=True)
class App:
    """One app in the Pod, and the paths that are answered from it."""

    name: str
    set_by: Mapping[str, str] = MappingProxyType({})  # field -> the variable that set it
    target: SplitResult = setting(
        target_url, "the app: `http://host[:port]` or `https://host[:port]`", default="http://127.0.0.1:8080"
    )
    routes: dict[str, str] = setting(
        routes, "which path is answered from which of the app's", default="/health=/metrics"
    )
    mode: ByRoute[Mode] = setting(
        by_route(choice(*get_args(Mode)), "forward"),
        "how: `forward` hands the app's answer on as it is, `verdict` tells its health, `metrics` tells it as metrics;"
        " for all routes, or by path: `verdict,/metrics=metrics`",
        default="forward",
    )
    rules: RulesText | None = setting(
        rules,
        "what is healthy, by the app's metrics: `name: expression warn` or `… fail`, one a line or `;` between; without"
        " rules an app is healthy that answers as it should. A file of them (`_FILE`) is read again when it changes",
        default="",
    )
    select: tuple[JsonPath, ...] | None = setting(
        json_paths, "numbers out of JSON that is of no known dialect: `name=$.path.in[0].it`, `;` between", default=""
    )
    status_values: dict[str, float] | None = setting(
        status_values,
        "the numbers of an app's own status words, for verdicts, metrics and `ADAPTER_SELECT`:"
        " `success=1,RESTRICTED=0.5`. 1 is up, 0 is down, between them is a warning; upper and lower case are the same."
        " Words of the known dialects (`UP`, `DOWN`, `ok`, `fail`, …) need none",
        default="",
    )
    valid_status_codes: StatusCodes | None = setting(
        status_codes,
        "the HTTP statuses of the app's answer that are no failure by themselves, such as `200-299,503` where the JSON"
        " that comes with 503 is to be judged; unset it is 200-399 for health documents and JSON, and 200-299 for"
        " metrics",
        default="",
    )
    source_format: SourceFormat = setting(
        choice(*get_args(SourceFormat)),
        "the format of what the app answers, where its `Content-Type` is wrong or missing; `auto` goes by that header,"
        " and by the body where the header names no known format",
        default="auto",
    )
    format: ByRoute[str] = setting(
        by_route(choice(AUTO, *DIALECT_NAMES), AUTO),
        "the dialect of a verdict; `auto` goes by the request's `Accept` and path; for all routes, or by path",
        default=AUTO,
    )
    timeout: float = setting(
        duration("1ms", "1h"),
        "how long the app may take for its whole answer; keep it below the probe's own timeout (kubelet's is 1s). A"
        " scrape's own timeout (`X-Prometheus-Scrape-Timeout-Seconds`) shortens it",
        default="750ms",
    )
    cache_ttl: float = setting(
        duration("0", "1h"), "how long what the app has answered is used again; `0` asks it each time", default="0"
    )
    max_body: int = setting(size("1", "1GiB"), "the largest answer that is taken, also once unpacked", default="4MiB")
    max_series: int = setting(
        integer(1, 10_000_000), "the most series that an answer may have where it is parsed", default="50000"
    )
    fail_after: Threshold = setting(
        threshold,
        "how many failures in a row turn a verdict to fail, or how long they must last (`10s`); until then it is warn,"
        " also after the start. Probers that ask within half a second count as one",
        default="1",
    )
    pass_after: Threshold = setting(
        threshold,
        "how many passes in a row turn it back, or how long they must last; until then it stays fail",
        default="1",
    )
    grace: float = setting(
        duration("0", "24h"),
        "how long after the start a failure is only a warning; it ends with the first pass",
        default="0",
    )
    target_ca: Path | None = setting(
        path, "a file of PEM certificates: whom to trust at `https`, instead of the system's authorities", default=""
    )
    target_cert: Path | None = setting(path, "a PEM file: the certificate that is shown to the app", default="")
    target_key: Path | None = setting(path, "a PEM file: its key, where the certificate's has none", default="")
    target_token: Secret | None = setting(secret, "sent to the app as `Authorization: Bearer`", default="")
    target_username: str | None = setting(text, "sent to the app as `Authorization: Basic`", default="")
    target_password: Secret | None = setting(secret, "the password of `TARGET_USERNAME`", default="")

    @property
    def modes(self) -> set[Mode]:
        return {self.mode[route] for route in self.routes}

    @property
    def secure(self) -> bool:
        return self.target.scheme == "https"

    @property
    def port(self) -> int:
        return self.target.port or DEFAULT_PORTS[self.target.scheme]


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    """The adapter's settings."""

    PREFIX: ClassVar[str] = "ADAPTER"

    listen: Address = setting(address, "where the routes are answered", default=":8081")
    apps: dict[str, App] = group(App, anchor="target")
    agent_listen: Address = setting(
        address, "where HAProxy's agent-check is answered, over TCP, with one verdict of all apps", default="off"
    )
    tls_cert: Path | None = setting(
        path, "a PEM file: the certificate of `ADAPTER_LISTEN`, which is https then", default=""
    )
    tls_key: Path | None = setting(path, "a PEM file: its key, where the certificate's has none", default="")
    client_ca: Path | None = setting(
        path, "a file of PEM certificates: who asks must show one that they have signed", default=""
    )
    basic_auth: Secret | None = setting(
        secret,
        "lines of `user:bcrypt hash`, as `htpasswd -B` writes them: who may ask, by name and password",
        default="",
    )
    token: Secret | None = setting(secret, "who may ask, by `Authorization: Bearer`", default="")
    max_connections: int = setting(
        integer(1, 100_000),
        "how many connections of probers there may be at once; one more is told 503",
        default="2048",
    )
    admin_listen: Address = setting(
        address, "where `/livez`, `/readyz`, `/metrics` and `/status` answer", default=":9914"
    )

    def check(self) -> Iterator[str]:
        if not self.listen:
            yield "ADAPTER_LISTEN=off: without it the adapter has nothing to do; give it an address"
        yield from self._same_addresses()
        yield from self._shared_paths()
        yield from self._own_tls()
        for app in self.apps.values():
            yield from self._target_is_not_itself(app)
            yield from _routes_that_are_none(app)
            yield from _credentials(app)
        yield from unused_settings.unused_variables(self.apps.values(), _NEEDS)
        yield from self._agent()

    def _same_addresses(self) -> Iterator[str]:
        ours = [(name, getattr(self, name)) for name in ("listen", "agent_listen", "admin_listen")]
        taken = sorted(((str(at), variable(Settings, name)) for name, at in ours if at and at.port != 0), key=str)
        for at, same in groupby(taken, key=lambda pair: pair[0]):
            names = [name for _, name in same]
            if len(names) > 1:
                yield f"{' and '.join(names)} are both {at}: give them different ports"

    def _target_is_not_itself(self, app: App) -> Iterator[str]:
        nearby = app.target.hostname in _LOOPBACK and self.listen.host in _EVERYWHERE | _LOOPBACK
        if self.listen.port and app.port == self.listen.port and nearby:
            name = variable(Settings, "target", app.name)
            yield f"{name}={app.target.geturl()}: that is ADAPTER_LISTEN itself; it must be the app's address"

    def _shared_paths(self) -> Iterator[str]:
        """All apps answer on one port. They share a route where their answers can be made one."""
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

    def _own_tls(self) -> Iterator[str]:
        for name, value in (("tls_key", self.tls_key), ("client_ca", self.client_ca)):
            if value and not self.tls_cert:
                yield f"{variable(Settings, name)} is set, but ADAPTER_TLS_CERT is not: set both"

    def _agent(self) -> Iterator[str]:
        modes = [(app, route, app.mode[route]) for app in self.apps.values() for route in app.routes]
        if self.agent_listen and not any(mode == "verdict" for *_, mode in modes):
            yield "ADAPTER_AGENT_LISTEN is set, but no route has a verdict to tell: set ADAPTER_MODE=verdict"
        for app, route, mode in modes:
            if not self.agent_listen and mode == "verdict" and app.format[route] == "haproxy-agent":
                name = variable(Settings, "format", app.name)
                yield f"{name}=haproxy-agent is answered over TCP: set ADAPTER_AGENT_LISTEN, such as :8082"
                return


def _no_verdict(app: App) -> str:
    if "verdict" in app.modes:
        return ""
    return f"no route has a verdict: set {variable(Settings, 'mode', app.name)}=verdict"


def _only_forwards(app: App) -> str:
    return f"every route is forwarded: set {variable(Settings, 'mode', app.name)}" if app.modes == {"forward"} else ""


_NEEDS: dict[str, unused_settings.WhyUnused[App]] = {
    "rules": _no_verdict,
    "format": _no_verdict,
    "select": _only_forwards,
    "status_values": _only_forwards,
    "valid_status_codes": _only_forwards,
    "source_format": _only_forwards,
}


def _routes_that_are_none(app: App) -> Iterator[str]:
    for name, value in (("mode", app.mode), ("format", app.format)):
        for route in value.exceptions:
            if route not in app.routes:
                where = variable(Settings, "routes", app.name)
                yield f"{variable(Settings, name, app.name)} has {route}, which is no route of {where}"


def _credentials(app: App) -> Iterator[str]:
    def named(field: str) -> str:
        return variable(Settings, field, app.name)

    for field in ("target_ca", "target_cert", "target_key"):
        if getattr(app, field) and not app.secure:
            yield f"{named(field)} is set, but {named('target')} is not https"
    if app.target_key and not app.target_cert:
        yield f"{named('target_key')} is set, but {named('target_cert')} is not: set both"
    if bool(app.target_username) != bool(app.target_password):
        yield f"{named('target_username')} and {named('target_password')} belong together: set both"
    if app.target_token and app.target_username:
        yield f"{named('target_token')} and {named('target_username')} are both set: keep one"
