"""What the adapter can be told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import SplitResult

from chassis.frozen import dataclass
from chassis.kinds import Address, Kind, address, duration, pairs, size, url
from chassis.settings import ServiceSettings, group, setting, variable

_HTTP = url("http")
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9a-f:.]*:[0-9a-f:.]*")
_ROUTE = re.compile(r"/[A-Za-z0-9._~!$&'()*+;:@/-]*")  # a path without an escape: what is written is what is matched
_TARGET = re.compile(r"/[!\"$-~]*")  # all visible ASCII but `#`: it goes into the request line as it is
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})


def _parse_target(raw: str) -> SplitResult:
    parts = _HTTP.parse(raw)
    if "@" in parts.netloc:
        raise ValueError("expected http://host[:port] without credentials")
    if parts.path not in ("", "/") or "?" in raw or "#" in raw:
        raise ValueError("expected http://host[:port] alone: the path that the app is asked for belongs in ROUTES")
    if not _HOST.fullmatch(parts.hostname or ""):
        raise ValueError("expected http://host[:port] with a host name, an IPv4 address or an [IPv6 address]")
    return parts


def _parse_route(raw: str) -> str:
    if not _ROUTE.fullmatch(raw):
        raise ValueError(f"expected a path such as /health, without ? # or %, but it has {raw}")
    return raw


def _parse_route_target(raw: str) -> str:
    if not _TARGET.fullmatch(raw):
        raise ValueError(f"expected the app's path, such as /metrics, but it has {raw}")
    return raw


target_url = Kind("URL", _parse_target, _HTTP.show)
routes = pairs(Kind("path", _parse_route), Kind("app's path", _parse_route_target))


@dataclass(frozen=True, kw_only=True)
class App:
    """One app in the Pod, and the paths that are answered from it."""

    name: str
    target: SplitResult = setting(target_url, "the app: `http://host[:port]`", default="http://127.0.0.1:8080")
    routes: dict[str, str] = setting(
        routes, "which path is answered from which of the app's", default="/health=/metrics"
    )
    timeout: float = setting(
        duration("1ms", "1h"),
        "how long the app may take for its whole answer; keep it below the probe's own timeout (kubelet's is 1s)",
        default="800ms",
    )
    max_body: int = setting(size("1", "1GiB"), "the largest answer that is taken from the app", default="4MiB")


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    """The adapter's settings."""

    PREFIX: ClassVar[str] = "ADAPTER"

    listen: Address = setting(address, "where the routes are answered", default=":8081")
    apps: dict[str, App] = group(App, anchor="target")
    admin_listen: Address = setting(
        address, "where `/livez`, `/readyz`, `/metrics` and `/status` answer", default=":9914"
    )

    def check(self) -> Iterator[str]:
        if not self.listen:
            yield "ADAPTER_LISTEN=off: without it the adapter has nothing to do; give it an address"
        elif self.listen.port != 0 and self.listen == self.admin_listen:
            yield f"ADAPTER_LISTEN and ADAPTER_ADMIN_LISTEN are both {self.listen}: give them different ports"
        yield from self._targets_at_itself()
        yield from self._shared_paths()

    def _targets_at_itself(self) -> Iterator[str]:
        for app in self.apps.values():
            nearby = app.target.hostname in _LOOPBACK and self.listen.host in _EVERYWHERE | _LOOPBACK
            if self.listen.port and (app.target.port or 80) == self.listen.port and nearby:
                name = variable(Settings, "target", app.name)
                yield f"{name}={app.target.geturl()}: that is ADAPTER_LISTEN itself; it must be the app's address"

    def _shared_paths(self) -> Iterator[str]:
        """All apps answer on one port, so each path can belong to one of them only."""
        first: dict[str, str] = {}
        for app in self.apps.values():
            for path in app.routes:
                other = first.setdefault(path, app.name)
                if other != app.name:
                    names = [variable(Settings, "routes", name) for name in (other, app.name)]
                    yield f"{' and '.join(names)} both answer {path}: give each app paths of its own"
