"""The part of `/status` about ports that have routes, and about these. Loaded only if there are any."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from sidecars.ambassador.proxy.http2_connection import Http2Connection
from sidecars.ambassador.routing.route_table import Route, RouteTable

if TYPE_CHECKING:
    from sidecars.ambassador.upstream.upstream import Upstream


def page(ports: Iterable[Upstream]) -> dict[str, Any]:
    """Return the members `ports` and `routes`. A port is named by its address."""
    routed = [port for port in ports if port.routes is not None]
    return {
        "ports": {str(port.settings.listen): _port(port) for port in routed if port not in port.members},
        "routes": [_route(port, position, route) for port in routed for position, route in _routes(port)],
    }


def _routes(port: Upstream) -> Iterable[tuple[int, Route]]:
    return enumerate(cast("RouteTable", port.routes).routes, 1)


def _port(port: Upstream) -> dict[str, Any]:
    clients, counters = port.clients, port.counters
    http2 = [connection for connection in clients.open if isinstance(connection, Http2Connection)]
    return {
        "upstreams": ", ".join(member.name for member in port.members),
        "connections": len(clients.open),
        "connections_limit": clients.max_connections,
        "connections_accepted": counters.accepted,
        "connections_shed": clients.shed,
        "http2_connections": len(http2),
        "delivered_bytes": counters.delivered,
        "unrouted": cast("RouteTable", port.routes).unrouted,
        "responses": {str(code): count for code, count in counters.codes},
        "defects": port.defects.count,
    }


def _route(port: Upstream, position: int, route: Route) -> dict[str, Any]:
    """Return one rule: `target` names it among all, `position` is its place in the order of the port.

    Two rules may differ in a value alone that is not shown. So such a rule is named by its position, too.
    """
    upstream, addresses = port.members[route.owner], route.addresses
    listen = str(port.settings.listen)
    path = route.rule.path.decode() or "/"
    base = (addresses.base.decode() if addresses is not None else "") or "/"
    is_stripped = addresses is not None and bool(addresses.prefix)
    sent = base if is_stripped else (base.removesuffix("/") + path if base != "/" else path)
    is_hidden = route.rule.shown != route.rule.text
    return {
        "target": f"{listen} {route.rule} {upstream.name}" + (f" {position}" if is_hidden else ""),
        "port": listen,
        "position": str(position),
        "route": str(route.rule),
        "upstream": upstream.name,
        "sent_as": sent,
        "rewrites": ", ".join(sorted(addresses.rewrites)) if addresses is not None else "",
        "requests": route.requests,
    }
