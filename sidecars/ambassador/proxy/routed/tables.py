"""Make the routes of a port from the settings of its upstreams. Once, at the start."""

from __future__ import annotations

from collections.abc import Sequence

from sidecars.ambassador.config.target_types import PORTS, Target
from sidecars.ambassador.config.upstream_settings import UpstreamSettings
from sidecars.ambassador.routing.address_map import AddressMap, common_path, origin
from sidecars.ambassador.routing.route_rules import RouteRule
from sidecars.ambassador.routing.route_table import Route, RouteTable
from sidecars.ambassador.upstream.upstream import Upstream


def add_routes(port: Upstream, members: Sequence[Upstream]) -> None:
    """Let the routes of these upstreams decide about the requests of the port."""
    routes = []
    for position, upstream in enumerate(members):
        routes += _routes_of(upstream.settings, position)
    hosts = [route.rule.host.decode() for route in routes if route.rule.host]
    port.share(members, RouteTable(routes), hosts)


def _routes_of(settings: UpstreamSettings, position: int) -> list[Route]:
    maps: dict[bytes, AddressMap] = {}
    found = []
    scope = common_path([rule.path for rule in settings.route or (RouteRule(),)])
    for rule in settings.route or (RouteRule(),):
        prefix = rule.path if settings.strip_prefix else b""
        if prefix not in maps:
            maps[prefix] = _address_map(settings, prefix, scope)
        addresses = maps[prefix]
        is_used = bool(addresses.base or addresses.prefix or addresses.rewrites)
        found.append(Route(rule, position, addresses if is_used else None))
    return found


def _address_map(settings: UpstreamSettings, prefix: bytes, scope: bytes) -> AddressMap:
    base = settings.upstream.base
    origins = frozenset(each for target in settings.upstream.targets for each in _origins(target))
    return AddressMap(base.encode(), prefix, settings.rewrites(base), origins, prefix or scope)


def _origins(target: Target) -> list[bytes]:
    """Return the origins that a URL may have for this target."""
    scheme = "https" if target.tls else "http"
    port = target.port or PORTS[scheme]
    hosts = [f"[{host}]" if ":" in host else host for host in (target.host, target.service)]
    return [origin(scheme.encode(), f"{host}:{port}".encode()) for host in hosts]
