"""Upstreams that share a port: what is refused, and what the port has."""

from __future__ import annotations

import pytest

from sidecars.ambassador.config.shared_ports import settings_of_port
from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.settings import load
from tests.ambassador.refused_settings import problems

TWO = {"AMBASSADOR_ORDERS_UPSTREAM": "http://orders", "AMBASSADOR_USERS_UPSTREAM": "http://users"}


def test_two_upstreams_of_one_address_without_a_route_are_refused_as_ever() -> None:
    assert problems(**TWO) == [
        (
            "AMBASSADOR_USERS_LISTEN=127.0.0.1:8500: AMBASSADOR_ORDERS_LISTEN is 127.0.0.1:8500: give each its own "
            "address, or set AMBASSADOR_USERS_ROUTE"
        )
    ]


def test_one_without_a_route_gets_the_rest() -> None:
    settings = load(Settings, {**TWO, "AMBASSADOR_ORDERS_ROUTE": "/orders, host=orders.local"})
    assert {name: [each.name for each in group] for name, group in settings.ports.items()} == {
        "127.0.0.1:8500": ["orders", "users"]
    }
    assert settings.summary() == (
        "127.0.0.1:8500 (/orders, host=orders.local) -> http://orders:80, 127.0.0.1:8500 -> http://users:80"
    )


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (
            {"AMBASSADOR_ORDERS_ROUTE": "/x, /a header:b=1", "AMBASSADOR_USERS_ROUTE": "header:B=1 /a/"},
            "AMBASSADOR_ORDERS_ROUTE and AMBASSADOR_USERS_ROUTE both take `/a header:b=1`",
        ),
        (
            {"AMBASSADOR_ORDERS_ROUTE": "/"},
            "AMBASSADOR_ORDERS_ROUTE and AMBASSADOR_USERS_UPSTREAM without AMBASSADOR_USERS_ROUTE both take `/`",
        ),
        (
            {"AMBASSADOR_ORDERS_ROUTE": "/a", "AMBASSADOR_ORDERS_IDLE_TIMEOUT": "5s"},
            "AMBASSADOR_USERS_IDLE_TIMEOUT and AMBASSADOR_ORDERS_IDLE_TIMEOUT differ, but both share the port",
        ),
        (
            {"AMBASSADOR_ORDERS_ROUTE": "/a", "AMBASSADOR_USERS_MAX_CONNECTIONS": "5"},
            "AMBASSADOR_USERS_MAX_CONNECTIONS and AMBASSADOR_ORDERS_MAX_CONNECTIONS differ",
        ),
        (
            {"AMBASSADOR_ORDERS_ROUTE": "/a", "AMBASSADOR_USERS_UPSTREAM": "tcp://users:1"},
            "USERS_LISTEN=127.0.0.1:8500: AMBASSADOR_ORDERS_LISTEN is 127.0.0.1:8500: give each its own address",
        ),
        (
            {"AMBASSADOR_ORDERS_ROUTE": "host=a", "AMBASSADOR_ORDERS_STRIP_PREFIX": "true"},
            "AMBASSADOR_ORDERS_STRIP_PREFIX is set, but AMBASSADOR_ORDERS_ROUTE has no path",
        ),
        (
            {"AMBASSADOR_ORDERS_ROUTE": "/a", "AMBASSADOR_USERS_LISTEN": "localhost:8500"},
            "USERS_LISTEN=localhost:8500: AMBASSADOR_ORDERS_LISTEN is 127.0.0.1:8500: give each its own address",
        ),
        (
            {"AMBASSADOR_ORDERS_ROUTE": "/a", "AMBASSADOR_ADMIN_LISTEN": "127.0.0.1:8500"},
            "AMBASSADOR_ORDERS_LISTEN=127.0.0.1:8500: AMBASSADOR_ADMIN_LISTEN is 127.0.0.1:8500: give each its own",
        ),
    ],
)
def test_contradictions_name_both_variables(more: dict[str, str], why: str) -> None:
    assert why in problems(**{**TWO, **more})[0]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"ROUTE": "/a"}, "AMBASSADOR_ROUTE is set, but AMBASSADOR_UPSTREAM is not HTTP"),
        ({"STRIP_PREFIX": "true"}, "AMBASSADOR_STRIP_PREFIX is set, but AMBASSADOR_UPSTREAM is not HTTP"),
        ({"REWRITE_RESPONSES": "location"}, "AMBASSADOR_REWRITE_RESPONSES is set, but AMBASSADOR_UPSTREAM is not HTTP"),
        ({"REWRITE_RESPONSES": "path"}, "expected auto, off, or some of location, cookies, domains"),
        ({"ROUTE": "a"}, "AMBASSADOR_ROUTE=***: rule 1: expected /path"),
    ],
)
def test_routes_are_for_http(more: dict[str, str], why: str) -> None:
    named = {f"AMBASSADOR_{name}": value for name, value in more.items()}
    assert why in problems(AMBASSADOR_UPSTREAM="tcp://db:1", **named)[0]


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, set()),
        ({"UPSTREAM": "http://a/api"}, {"location", "cookies"}),
        ({"ROUTE": "/a", "STRIP_PREFIX": "true"}, {"location", "cookies"}),
        ({"ROUTE": "/a"}, set()),
        ({"UPSTREAM": "http://a/api", "REWRITE_RESPONSES": "off"}, set()),
        ({"REWRITE_RESPONSES": "domains, location"}, {"domains", "location"}),
    ],
)
def test_addresses_are_rewritten_where_the_paths_of_the_two_sides_differ(
    environ: dict[str, str], found: set[str]
) -> None:
    named = {f"AMBASSADOR_{name}": value for name, value in {"UPSTREAM": "http://a", **environ}.items()}
    only = load(Settings, named).upstreams["default"]
    assert only.rewrites(only.upstream.base) == found
    assert only.is_routed(only.upstream.base) is bool(environ)  # or else `/a/../b` would leave it


def test_a_base_belongs_to_all_targets_and_is_shown() -> None:
    given = "http://a/api/v2/, http://b:81/api/v2;weight=2, k8s://c.d:http/api/v2"
    only = load(Settings, {"AMBASSADOR_UPSTREAM": given}).upstreams["default"].upstream
    assert only.base == "/api/v2"
    assert str(only) == "http://a:80/api/v2,http://b:81/api/v2;weight=2,k8s://c.d:http/api/v2"


def test_the_port_looks_as_often_as_its_most_impatient_upstream_asks() -> None:
    environ = {**TWO, "AMBASSADOR_ORDERS_ROUTE": "/o", "AMBASSADOR_ORDERS_TIMEOUT": "1s", "AMBASSADOR_TOKEN": "t"}
    environ |= {"AMBASSADOR_USERS_TOTAL_TIMEOUT": "2s", "AMBASSADOR_USERS_ACCESS_LOG": "errors"}
    settings = load(Settings, environ)
    ((name, group),) = settings.ports.items()
    port = settings_of_port(name, group)
    assert (port.timeout, port.total_timeout, port.try_timeout, port.access_log) == (1.0, 2.0, None, "errors")
    assert (port.name, port.token, port.route, port.upstream.targets) == ("127.0.0.1:8500", None, None, ())


def test_the_port_looks_for_deadlines_as_often_as_a_port_of_its_own_would() -> None:
    environ = {**TWO, "AMBASSADOR_ORDERS_ROUTE": "/o", "AMBASSADOR_ORDERS_DEADLINE_HEADER": "X-Deadline"}
    ((name, group),) = load(Settings, environ).ports.items()
    port = settings_of_port(name, group)
    assert port.try_timeout == 1.0  # a fifth of it is the time between two looks
    assert port.deadline_header is None  # it takes no field away from the other upstreams


def test_addresses_with_port_0_are_never_shared() -> None:
    settings = load(Settings, {**TWO, "AMBASSADOR_LISTEN": "127.0.0.1:0", "AMBASSADOR_ORDERS_ROUTE": "/o"})
    assert list(settings.ports) == ["127.0.0.1:0 of orders", "users"]
