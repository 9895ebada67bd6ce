"""The routes of one port, and the choice among them for a request. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sidecars.ambassador.routing.address_map import AddressMap
from sidecars.ambassador.routing.path_reading import PathRefused, by_rfc, is_plain, is_under, leniently
from sidecars.ambassador.routing.route_rules import RouteRule

_BRACKET: Final = b"["[0]
_TWO_READINGS: Final = "the path can be read in two ways, which lead to different upstreams of this port"
_TWO_SLASHES: Final = "the path has two slashes behind the prefix, and the upstream could take what follows for a host"


class Route:
    """One rule, and where the requests go for which it decides. The table owns it.

    - `owner`: the position of the upstream among those of the port.
    - `addresses`: None if the upstream sees the addresses that the app sees.
    """

    __slots__ = ("addresses", "owner", "requests", "rule")

    def __init__(self, rule: RouteRule, owner: int, addresses: AddressMap | None = None) -> None:
        self.rule = rule
        self.owner = owner
        self.addresses = addresses
        self.requests: int = 0  # exchanges that were for it

    def leads_where(self, other: Route) -> bool:
        """Return True if a request gets the same treatment by both."""
        return self is other or (self.owner == other.owner and self.addresses is other.addresses)


class RouteTable:
    """The routes of a port, the most specific first; of equally specific ones the first by alphabet."""

    def __init__(self, routes: Iterable[Route]) -> None:
        by_text = sorted(routes, key=_text)
        self.routes: list[Route] = sorted(by_text, key=_rank, reverse=True)
        self.unrouted: int = 0  # exchanges for which there was no route, or whose path was refused
        self.needs_fields: bool = any(route.rule.headers for route in self.routes)
        self._needs_host: bool = any(route.rule.host for route in self.routes)
        # A path is examined if anything depends on it. Else it passes as it is.
        self._needs_path: bool = any(route.rule.path or route.addresses is not None for route in self.routes)

    def choose(self, host: bytes | None, target: bytes, lines: bytes) -> Route | None:
        """Return the route of a request; None if there is none. Raises PathRefused.

        - `host`: Host or `:authority`, perhaps with a port; None without one.
        - `target`: the path with its query, or `*`.
        - `lines`: the fields, each with a CR LF before and behind it; b"" will do unless `needs_fields`.
        """
        name = host_name(host) if self._needs_host and host is not None else b""
        found: Route | None
        if not self._needs_path:
            found = self._first(name, b"", lines)
        else:
            path = target.partition(b"?")[0]
            found = self._first(name, path, lines) if is_plain(path) else self._examined(name, path, lines)
        return found

    def _examined(self, name: bytes, path: bytes, lines: bytes) -> Route | None:
        """Return the route by the RFC, if no other reading of the path leads elsewhere."""
        other = self._first(name, leniently(path), lines)
        found = self._first(name, by_rfc(path), lines)
        if found is None and other is None:
            return None
        if found is None or other is None or not found.leads_where(other):
            raise PathRefused(_TWO_READINGS)
        if found.addresses is not None and found.addresses.leaves_two_slashes(path):
            raise PathRefused(_TWO_SLASHES)
        return found

    def _first(self, name: bytes, path: bytes, lines: bytes) -> Route | None:
        for route in self.routes:
            rule = route.rule
            if rule.path and not is_under(path, rule.path):
                continue
            if rule.host and not rule.takes_host(name):
                continue
            if rule.headers and not _have_all(rule, lines):
                continue
            return route
        return None


def _have_all(rule: RouteRule, lines: bytes) -> bool:
    return all(header.holds(lines) for header in rule.headers)


def _rank(route: Route) -> tuple[int, int, int, int, int]:
    return route.rule.rank


def _text(route: Route) -> str:
    return route.rule.text


def host_name(authority: bytes) -> bytes:
    """Return the name in an authority: in lower case, without the port, and without the dot of a complete name."""
    name = authority.lower()
    if name and name[0] == _BRACKET:
        return name.partition(b"]")[0] + b"]"
    return name.partition(b":")[0].removesuffix(b".")
