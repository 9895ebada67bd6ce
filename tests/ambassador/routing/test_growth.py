"""What a peer sends is read for routing in linear time."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from sidecars.ambassador.routing.address_map import AddressMap
from sidecars.ambassador.routing.path_reading import PathRefused
from sidecars.ambassador.routing.response_addresses import ALL, ResponseAddresses
from sidecars.ambassador.routing.route_rules import parse_rules
from sidecars.ambassador.routing.route_table import Route, RouteTable
from tests.growth import Case, require_linear

pytestmark = pytest.mark.slow

ADDRESSES = AddressMap(b"/api", b"/orders", frozenset(ALL))
TABLE = RouteTable(
    Route(rule, owner, ADDRESSES) for owner, text in enumerate(("/orders", "header:a=1")) for rule in parse_rules(text)
)
PATHS: dict[str, Any] = {
    "segments": lambda n: b"/a" * n,
    "percent signs": lambda n: b"/orders/" + b"%25" * n,
    "nested percent signs": lambda n: b"/orders/%" + b"25" * n + b"zz",
    "encoded digits": lambda n: b"/orders/" + b"%2" * n + b"%65" * n,
    "digits within digits": lambda n: b"/orders/" + b"%2%6%35" * n,
    "overlong letters": lambda n: b"/orders/" + b"%c0%ae%c0" * n,
    "slashes": lambda n: b"/orders" + b"/" * n,
    "parameters": lambda n: b"/orders/a" + b";a" * n,
    "dots": lambda n: b"/orders/" + b"./" * n + b"..",
}
VALUES: dict[str, Any] = {
    "a path": lambda n: b"/api" + b"/a" * n,
    "an authority": lambda n: b"http://" + b"a." * n + b"/api",
    "colons": lambda n: b"a:" * n,
    "attributes": lambda n: b"a=b" + b"; Path=/api" * n,
    "blanks": lambda n: b"5" + b" " * n + b"; url" + b" " * n + b"= /api",
    "quotes": lambda n: b"5; url=" + b"'" * n,
}


@pytest.mark.parametrize("name", PATHS)
def test_a_path_is_routed_in_linear_time(name: str) -> None:
    def choose(path: bytes) -> None:
        with contextlib.suppress(PathRefused):
            if TABLE.choose(b"a", path, b""):
                ADDRESSES.outward(path)

    require_linear(Case(name, PATHS[name], choose))


def test_fields_are_searched_in_linear_time() -> None:
    require_linear(Case("fields", lambda n: b"\r\n" + b"a: 1\r\n" * n, lambda lines: TABLE.choose(b"a", b"/", lines)))


@pytest.mark.parametrize("name", VALUES)
def test_an_address_is_rewritten_in_linear_time(name: str) -> None:
    editor = ResponseAddresses(ADDRESSES, b"localhost", b"http", b"orders")

    def edit(value: bytes) -> None:
        for field in (b"location", b"refresh", b"set-cookie"):
            editor.edit(field, value)

    require_linear(Case(name, VALUES[name], edit))
