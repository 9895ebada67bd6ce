"""The table of routes, and the requests that it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter.app_client.outcome import AppRequest
from sidecars.adapter.server.routes import METHODS, OTHER, Refusal, Route, Routes, routes_of
from sidecars.adapter.settings import Settings
from sidecars.chassis.config.settings import load


def routes(**environ: str) -> Routes:
    return routes_of(load(Settings, environ).apps.values())


def asked(app_request: AppRequest) -> tuple[str, str, str, float]:
    url = app_request.url
    return app_request.app, url.host_port, url.target.reveal(), app_request.timeout


def test_by_default_health_is_answered_from_metrics() -> None:
    found = routes().find("GET", "/health")

    assert isinstance(found, Route)
    assert str(found.app_requests[0].url) == "http://127.0.0.1:8080/metrics"
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
    assert [asked(one) for one in shop.app_requests] == [
        (
            "shop",
            "127.0.0.1:8001",
            "/metrics",
            0.75,
        )
    ]
    assert [asked(one) for one in cart.app_requests] == [
        (
            "cart",
            "[::1]:8002",
            "/metrics?all=1",
            2,
        )
    ]


@pytest.mark.parametrize(
    "path", ["/", "/health/", "/Health", "/healthz", "127.0.0.1:8001", "/metrics", "//health", "/../health", ""]
)
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
