"""The choice of the upstream for a request."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.routing.address_map import AddressMap
from sidecars.ambassador.routing.path_reading import PathRefused
from sidecars.ambassador.routing.route_rules import parse_rules
from sidecars.ambassador.routing.route_table import Route, RouteTable, host_name
from tests.ambassador.routing.test_path_reading import DOT_SEGMENTS

RULES = [
    "/orders",
    "/orders/archive",
    "host=users.local",
    "host=*.local",
    "host=*.eu.local",
    "/orders host=users.local",
    "/orders header:x-tenant=blue",
    "/orders header:x-tenant",
    "/shop.v1.Orders/",
    "/",
]


def table(*rules: str) -> RouteTable:
    return RouteTable([Route(rule, owner) for owner, raw in enumerate(rules) for rule in parse_rules(raw)])


def chosen(routes: RouteTable, target: bytes, host: bytes | None = b"127.0.0.1:8500", lines: bytes = b"\r\n") -> str:
    found = routes.choose(host, target, lines)
    return "" if found is None else str(found.rule)


@pytest.mark.parametrize(
    ("target", "host", "lines", "rule"),
    [
        (b"/orders", b"a", b"", "/orders"),
        (b"/orders/7?x=/orders/archive", b"a", b"", "/orders"),
        (b"/orders?x", b"a", b"", "/orders"),
        (b"/orders/archive/7", b"a", b"", "/orders/archive"),
        (b"/orders2", b"a", b"", "/"),
        (b"/Orders", b"a", b"", "/"),
        (b"*", b"a", b"", "/"),
        (b"/%6frders/7", b"a", b"", "/orders"),
        (b"/orders/a%2Fb//c;v=1", b"a", b"", "/orders"),
        (b"/shop.v1.Orders/Get", b"a", b"", "/shop.v1.Orders"),
        (b"/x", b"Users.Local.:8500", b"", "host=users.local"),
        (b"/x", b"a.local", b"", "host=*.local"),
        (b"/x", b"b.a.eu.local", b"", "host=*.eu.local"),
        (b"/x", b"local", b"", "/"),
        (b"/x", b".local", b"", "/"),
        (b"/x", None, b"", "/"),
        (b"/orders/7", b"users.local", b"", "/orders host=users.local"),
        (b"/orders/7", b"a.local", b"", "host=*.local"),  # a host decides before a path
        (b"/orders", b"a", b"X-Tenant: blue\r\n", "/orders header:x-tenant=blue"),
        (b"/orders", b"a", b"x-tenant: red\r\n", "/orders header:x-tenant"),
        (b"/orders", b"a", b"x-tenant: blue\r\nx-tenant: red\r\n", "/orders header:x-tenant"),
        (b"/orders", b"a", b"y: x-tenant: blue\r\n", "/orders"),
        (b"/orders", b"a", b"x-tenant2: blue\r\n", "/orders"),
    ],
)
def test_the_most_specific_rule_decides(target: bytes, host: bytes | None, lines: bytes, rule: str) -> None:
    for order in (RULES, RULES[::-1]):
        assert chosen(table(*order), target, host, b"\r\n" + lines) == rule


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_settings_decides_nothing(chance: random.Random) -> None:
    rules = ["header:a=1", "header:b=2", *RULES]
    expected = [str(route.rule) for route in table(*rules).routes]
    chance.shuffle(rules)
    assert [str(route.rule) for route in table(*rules).routes] == expected


@pytest.mark.parametrize("path", DOT_SEGMENTS)
def test_no_dot_segment_reaches_an_upstream_by_its_path(path: bytes) -> None:
    routes = table("/orders", "/admin", "/")
    with pytest.raises(PathRefused):
        routes.choose(b"a", path, b"")


@pytest.mark.parametrize(
    "path",
    [
        b"//admin",
        b"/admin;x",
        b"/admin%2fx",
        b"/admin%252fx",
        b"/x%2f..",
        b"/%61dmin%2f",
        b"\\admin",
        b"/;/admin",
        b"/admin\\x",
    ],
)
def test_a_path_with_two_readings_is_refused_if_they_lead_to_different_upstreams(path: bytes) -> None:
    with pytest.raises(PathRefused):
        table("/admin", "/").choose(b"a", path, b"")
    with pytest.raises(PathRefused):
        table("/admin").choose(b"a", path, b"")


def test_a_path_with_two_readings_passes_if_both_lead_to_the_same_upstream() -> None:
    assert chosen(table("/files", "/"), b"/files/a%2Fb//c") == "/files"
    assert chosen(table("/a, /"), b"//a") == "/"  # one upstream for both, and the path is sent as it came


@pytest.mark.parametrize("path", [b"/orders//evil.example/x", b"/orders/\\evil.example", b"/%6frders//evil.example"])
def test_no_path_begins_with_two_slashes_because_its_prefix_is_stripped(path: bytes) -> None:
    (rule,) = parse_rules("/orders")
    for base, prefix, refused in ((b"", b"/orders", True), (b"/api", b"/orders", False), (b"", b"", False)):
        routes = RouteTable([Route(rule, 0, AddressMap(base, prefix, frozenset()))])
        if refused:
            with pytest.raises(PathRefused, match="two slashes"):
                routes.choose(None, path, b"")
        else:
            assert routes.choose(None, path, b"") is not None


def test_a_port_that_routes_by_host_alone_does_not_look_at_paths() -> None:
    assert chosen(table("host=a", "host=b"), b"/x/../y", b"a") == "host=a"


def test_a_path_may_have_no_route() -> None:
    routes = table("/orders", "/users")
    assert [chosen(routes, b"/orders"), chosen(routes, b"/"), chosen(routes, b"*")] == ["/orders", "", ""]


@given(
    st.lists(st.sampled_from(RULES), min_size=1, max_size=6, unique=True),
    st.sampled_from([b"/", b"/orders", b"/orders/7", b"/orders/archive/1", b"/shop.v1.Orders/Get", b"/x"]),
    st.sampled_from([b"a", b"users.local", b"b.eu.local:1", None]),
    st.sampled_from([b"", b"x-tenant: blue\r\n", b"x-tenant: red\r\n"]),
)
def test_the_choice_is_the_most_specific_of_all_rules_that_hold(
    rules: list[str], target: bytes, host: bytes | None, lines: bytes
) -> None:
    """Each rule alone says whether it holds; of those that do the one with the highest rank decides."""
    holding = [rule for rule in rules if chosen(table(rule), target, host, b"\r\n" + lines)]
    ranks = {str(parse_rules(rule)[0]): parse_rules(rule)[0].rank for rule in holding}
    expected = max(ranks, key=lambda text: ranks[text]) if ranks else ""
    for order in itertools.islice(itertools.permutations(rules), 6):
        assert chosen(table(*order), target, host, b"\r\n" + lines) == expected


def test_the_name_of_a_host_has_one_form() -> None:
    assert [host_name(each) for each in (b"A.b:80", b"a.b.", b"[FD00::1]:80", b"[::1]", b"a:", b"")] == [
        b"a.b",
        b"a.b",
        b"[fd00::1]",
        b"[::1]",
        b"a",
        b"",
    ]
