"""The table of routes, and the requests that it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter.server.routes import METHODS, OTHER, Refusal, Route, Routes, routes_of
from sidecars.adapter.settings import Settings
from sidecars.chassis.config.settings import load


def routes(**environ: str) -> Routes:
    return routes_of(load(Settings, environ).apps.values())


def test_by_default_health_is_answered_from_metrics() -> None:
    found = routes().find("GET", "/health")

    assert isinstance(found, Route)
    assert found.app_requests[0].url == "http://127.0.0.1:8080/metrics"
    assert found.mode == "forward"


def test_routes_with_the_same_question_are_told_to_share_it() -> None:
    table = routes(ADAPTER_ROUTES="/health=/metrics,/live=/metrics,/info=/version")

    health, live, info = (table.find("GET", path) for path in ("/health", "/live", "/info"))

    assert isinstance(health, Route)
    assert isinstance(live, Route)
    assert isinstance(info, Route)
    assert health.app_requests == live.app_requests != info.app_requests


def test_each_of_several_apps_is_asked_for_its_own_paths() -> None:
    table = routes(
        ADAPTER_SHOP_TARGET="http://127.0.0.1:8001",
        ADAPTER_SHOP_ROUTES="/shop=/metrics",
        ADAPTER_CART_TARGET="http://[::1]:8002/",
        ADAPTER_CART_ROUTES="/cart=/metrics?all=1",
        ADAPTER_CART_TIMEOUT="2s",
    )

    shop, cart = table.find("GET", "/shop"), table.find("HEAD", "/cart")

    assert isinstance(shop, Route)
    assert isinstance(cart, Route)
    assert [(app_request.app, app_request.url, app_request.timeout) for app_request in shop.app_requests] == [
        (
            "shop",
            "http://127.0.0.1:8001/metrics",
            0.75,
        )
    ]
    assert [(app_request.app, app_request.url, app_request.timeout) for app_request in cart.app_requests] == [
        (
            "cart",
            "http://[::1]:8002/metrics?all=1",
            2,
        )
    ]


@pytest.mark.parametrize("path", ["/", "/health/", "/Health", "/healthz", "/metrics", "//health", "/../health", ""])
def test_a_path_that_is_not_a_route_is_told_the_routes(path: str) -> None:
    found = routes(ADAPTER_ROUTES="/health=/metrics,/live=/metrics").find("GET", path)

    assert isinstance(found, Refusal)
    assert found.label == OTHER
    assert found.response.status == 404
    assert found.response.body == b"not found: the routes are /health, /live\n"


@given(st.text(max_size=12).filter(lambda method: method not in METHODS))
def test_any_method_but_get_and_head_is_refused(method: str) -> None:
    found = routes().find(method, "/health")

    assert isinstance(found, Refusal)
    assert found.label == "/health"
    assert found.response.status == 405
    assert found.response.headers["Allow"] == "GET, HEAD"
