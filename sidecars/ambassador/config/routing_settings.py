"""The settings of routing: which requests of a port are for an upstream, and whether addresses are rewritten.

The path in UPSTREAM, the *base*, belongs to this family, too. Nothing of `routing` is loaded if none of these is set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecars.ambassador.config.setting_types import HTTP
from sidecars.chassis.config.declared_fields import that
from sidecars.chassis.config.setting_types import SettingType, boolean
from sidecars.chassis.config.settings import setting
from sidecars.chassis.runtime.light_dataclasses import dataclass

if TYPE_CHECKING:
    from sidecars.ambassador.routing.route_rules import RouteRule

AUTO, OFF = "auto", "off"
WITH_PATHS = ("location", "cookies")  # what `auto` rewrites if the paths of the two sides differ
_WORDS = (*WITH_PATHS, "domains")


def _parse_route(raw: str) -> tuple[RouteRule, ...]:
    from sidecars.ambassador.routing.route_rules import parse_rules  # noqa: PLC0415 - loaded only if it is used

    return parse_rules(raw)


def _parse_rewrites(raw: str) -> str:
    words = [word.strip() for word in raw.split(",")]
    if words in ([AUTO], [OFF]):
        return words[0]
    if not set(words) <= set(_WORDS) or len(set(words)) < len(words):
        raise ValueError(f"expected {AUTO}, {OFF}, or some of {', '.join(_WORDS)}")
    return ",".join(words)


route = SettingType("rules", _parse_route, lambda rules: ", ".join(map(str, rules)), sensitive=True)
rewrites = SettingType("parts", _parse_rewrites)
_PATH = that(lambda upstream: any(rule.path for rule in upstream.route or ()), "{route} has no path: set one")


@dataclass(frozen=True, kw_only=True)
class RoutingSettings:
    """The part of the settings of one upstream that is about routing."""

    route: tuple[RouteRule, ...] | None = setting(
        route,
        "the requests of the port `LISTEN` that are for this upstream: a path prefix (`/orders`), `host=orders.local`, "
        "`host=*.local`, `header:x-tenant=blue`, several conditions with blanks between them, alternatives with "
        "commas; upstreams with equal `LISTEN` share the port, and one of them without `ROUTE` gets the rest; unset: "
        "all requests; the value of a field whose name may be a secret's, such as `x-api-key`, is shown as `***`",
        default="",
        needs=(HTTP,),
        heading="Routes",
    )
    strip_prefix: bool = setting(
        boolean,
        "true: the path prefix of the `ROUTE` is removed from the path that is sent",
        default="false",
        needs=(HTTP, _PATH),
    )
    rewrite_responses: str = setting(
        rewrites,
        "the addresses in responses that are rewritten to those that the app uses: `location` (`Location`, "
        "`Content-Location` and `Refresh`), `cookies` (the `Path` of `Set-Cookie`), `domains` (its `Domain` is "
        "removed), several with commas, or `off`; `auto` is `location,cookies` with a path in `UPSTREAM` or "
        "`STRIP_PREFIX`, and `off` without",
        default=AUTO,
        needs=(HTTP,),
    )

    def rewrites(self, base: str) -> frozenset[str]:
        """Return the kinds of addresses that are rewritten in responses; `base` is the path in UPSTREAM."""
        if self.rewrite_responses == AUTO:
            return frozenset(WITH_PATHS if base or self.strip_prefix else ())
        return frozenset(() if self.rewrite_responses == OFF else self.rewrite_responses.split(","))

    def is_routed(self, base: str) -> bool:
        """Return True if a request is examined for a route or an address before it is sent."""
        return bool(self.route or self.strip_prefix or base or self.rewrites(base))
