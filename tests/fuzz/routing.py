"""Targets of the ambassador's routing: paths of the app, and addresses in responses."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from sidecars.ambassador.routing.address_map import AddressMap, common_path
from sidecars.ambassador.routing.path_reading import PathRefused, by_rfc, is_under
from sidecars.ambassador.routing.response_addresses import ALL, ResponseAddresses
from sidecars.ambassador.routing.route_rules import parse_rules
from sidecars.ambassador.routing.route_table import Route, RouteTable
from tests.fuzz.registry import target

_MAP = AddressMap(b"/api/v2", b"/orders", frozenset(ALL), frozenset())
_RULES = ("/orders", "/admin", "host=*.local header:a=1", "/")
_TABLE = RouteTable(
    Route(rule, owner, _MAP if text == "/orders" else None)
    for owner, text in enumerate(_RULES)
    for rule in parse_rules(text)
)


@target("ambassador.routing.path_reading", "ambassador.routing.route_table", "ambassador.routing.address_map", reach=60)
def routed_paths(data: bytes) -> None:
    """A path reaches the upstream whose it is for every reader, and none outside of its base."""
    path, _, host = data.partition(b" ")
    try:
        route = _TABLE.choose(host or None, b"/" + path.translate(None, b"?\r\n"), b"\r\na: 1\r\n")
    except PathRefused:
        return
    assert route is not None
    target = b"/" + path.translate(None, b"?\r\n")
    shared = common_path([target, b"/orders"])
    assert is_under(target, shared)
    assert is_under(b"/orders", shared)
    if route.rule.host:
        return
    assert is_under(by_rfc(target), route.rule.path)
    if route.addresses is not None:
        sent = route.addresses.outward(target)
        assert is_under(sent, b"/api/v2")
        assert not {b".", b".."} & set(re.split(rb"[/\\]", unquote_to_bytes(sent)))
        inward = route.addresses.inward(sent)
        assert inward is not None
        assert by_rfc(inward) == by_rfc(target)


@target("ambassador.routing.response_addresses", "ambassador.routing.address_map", reach=70)
def response_addresses(data: bytes) -> None:
    """An address stays as it is, or becomes one below the app's prefix: never another host, never a further line."""
    host, _, value = data.partition(b" ")
    value = value.translate(None, b"\r\n")
    editor = ResponseAddresses(_MAP, b"localhost:8500" if host else None, b"http", b"orders.shop:8080")
    for name in (b"location", b"refresh", b"set-cookie"):
        seen = editor.edit(name, value)
        assert b"\r" not in seen
        assert b"\n" not in seen
        if name == b"location" and seen != value:
            assert re.match(rb"(?:(?:http:)?//localhost:8500)?/orders(?:[/?#]|$)", seen)
