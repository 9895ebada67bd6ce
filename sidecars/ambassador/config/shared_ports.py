"""Upstreams that share a port: which ones do, the rules for them, and the settings of the port itself.

Upstreams share a port if their LISTEN is the same. A connection of the app belongs to the port, and an exchange to its
upstream. So the settings of the port must be the same for all of them (`OF_THE_PORT`), in any order; all other settings
are those of the upstream to which a request goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sidecars.ambassador.config.target_types import Targets
from sidecars.ambassador.config.upstream_settings import UpstreamSettings
from sidecars.chassis.runtime.light_dataclasses import fields

# The settings that a connection has before its first request, and between two of them.
OF_THE_PORT = ("max_connections", "max_header_size", "max_headers", "idle_timeout", "tcp_keepalive")

# The name of the variable of a setting, for an upstream's name.
Variable = Callable[[str, str], str]


def ports(upstreams: Mapping[str, UpstreamSettings]) -> dict[str, list[UpstreamSettings]]:
    """Return the upstreams of each port, by the port's name: that of its upstream, or its address if there are routes.

    A port with routes has a name of its own, since it counts events that concern no upstream.
    """
    found: dict[str, list[UpstreamSettings]] = {}
    for upstream in upstreams.values():
        found.setdefault(_address(upstream), []).append(upstream)
    return {address if len(group) > 1 or group[0].route else group[0].name: group for address, group in found.items()}


def _address(upstream: UpstreamSettings) -> str:
    listen = upstream.listen
    if not listen.path and not listen.port:  # with port 0 the system gives each its own
        return f"{listen} of {upstream.name}"
    return str(listen)


def problems(upstreams: Mapping[str, UpstreamSettings], variable: Variable) -> Iterator[str]:
    """Yield a sentence for each problem of upstreams that share a port, and of routes."""
    for upstream in upstreams.values():
        mirror = upstreams.get(upstream.mirror.name) if upstream.mirror is not None else None
        if mirror is not None and mirror.upstream.base not in ("", upstream.upstream.base):
            yield (
                f"{variable('upstream', mirror.name)} has the path {mirror.upstream.base}, but it gets copies of what "
                f"is sent to {upstream.name}, with that path: leave it out"
            )
    for group in ports(upstreams).values():
        if any(each.upstream.protocol != "http" or not each.route for each in group):
            yield from _of_addresses(group, variable)
        yield from _of_rules(group, variable)
        yield from _of_the_port(group, variable)


def _of_addresses(group: Sequence[UpstreamSettings], variable: Variable) -> Iterator[str]:
    """Refuse a second upstream without ROUTE at one address, and a port that is shared with another protocol."""
    taken: UpstreamSettings | None = None
    for each in group:
        if each.route and each.upstream.protocol == "http":
            continue
        alone = each.upstream.protocol != "http"
        other = taken or (next((one for one in group if one is not each), None) if alone else None)
        if other is not None:
            listen = variable("listen", each.name)
            yield (
                f"{listen}={each.listen}: {variable('listen', other.name)} is {other.listen}: give each its own address"
                + ("" if alone else f", or set {variable('route', each.name)}")
            )
            return
        taken = each


def _of_rules(group: Sequence[UpstreamSettings], variable: Variable) -> Iterator[str]:
    """Refuse two upstreams of a port with the same rule."""
    owners: dict[str, UpstreamSettings] = {}
    for each in group:
        for text, shown in [(rule.text, rule.shown) for rule in each.route] if each.route else [("/", "/")]:
            other = owners.setdefault(text, each)
            if other is not each and (other.route or each.route):
                one, another = (_source(owner, variable) for owner in (other, each))
                yield f"{one} and {another} both take `{shown}`: a request needs one upstream"


def _source(upstream: UpstreamSettings, variable: Variable) -> str:
    named = variable("route", upstream.name)
    return named if upstream.route else f"{variable('upstream', upstream.name)} without {named}"


def _of_the_port(group: Sequence[UpstreamSettings], variable: Variable) -> Iterator[str]:
    first = group[0]
    for field in OF_THE_PORT if len(group) > 1 else ():
        for each in group[1:]:
            if getattr(each, field) != getattr(first, field):
                yield (
                    f"{variable(field, each.name)} and {variable(field, first.name)} differ, but both share the port "
                    f"{first.listen}, which has one: give both the same value"
                )


_SEEN = (
    "access_log",
    "access_log_fields",
    "request_id_header",
    "traces",
    "traces_ratio",
    "traces_errors",
    "traces_slow",
)


def seen_alike(group: Sequence[UpstreamSettings]) -> bool:
    """Return True if all upstreams of a port log and trace alike: then the port does so, too, for its own requests."""
    return all(getattr(each, field) == getattr(group[0], field) for each in group for field in _SEEN)


def settings_of_port(name: str, group: Sequence[UpstreamSettings]) -> UpstreamSettings:
    """Return the settings of a port with routes: those that its upstreams have in common, no targets, and defaults."""
    logs = {each.access_log for each in group}
    own: dict[str, Any] = {
        "name": name,
        "listen": group[0].listen,
        "upstream": Targets(()),
        "access_log": "all" if "all" in logs else "errors" if "errors" in logs else "off",
        "access_log_fields": group[0].access_log_fields if seen_alike(group) else None,
        # A port looks at its connections as often as the shortest time-out of its upstreams asks for.
        "timeout": min(each.timeout for each in group),
        "stream_idle_timeout": min(each.stream_idle_timeout for each in group),
        # It makes no attempts itself: for deadlines a port looks as for a time-out of a second.
        "try_timeout": _least(
            [*(each.try_timeout for each in group), *(1.0 for each in group if each.deadline_header)]
        ),
        "total_timeout": _least(each.total_timeout for each in group),
        "tunnel_idle_timeout": _least(each.tunnel_idle_timeout for each in group),
    }
    own |= {field: getattr(group[0], field) for field in OF_THE_PORT}
    return UpstreamSettings(**{**_defaults(), **own})


def _defaults() -> dict[str, Any]:
    """Return the default of every setting that has one."""
    declared = [item for item in fields(UpstreamSettings) if item.metadata]
    return {
        item.name: item.metadata["setting_type"].parse(item.metadata["default"]) if item.metadata["default"] else None
        for item in declared
    }


def _least(values: Iterable[float | None]) -> Any:
    return min((value for value in values if value is not None), default=None)
