"""The adapter as a process, with several apps."""

from __future__ import annotations

from tests.adapter.conftest import StartAdapter
from tests.adapter.support import JSON, RULES, App, hang, page, respond, samples, send_raw


def test_several_apps_are_answered_on_one_port(adapter: StartAdapter) -> None:
    with App({"/metrics": respond(b"shop")}) as shop, App({"/metrics": respond(b"cart")}) as cart:
        running = adapter(
            "",
            "",
            ADAPTER_SHOP_TARGET=shop.url,
            ADAPTER_SHOP_ROUTES="/shop=/metrics",
            ADAPTER_CART_TARGET=cart.url,
            ADAPTER_CART_ROUTES="/cart=/metrics",
        )

        assert running.get("/shop").content == b"shop"
        assert running.get("/cart").content == b"cart"


def test_several_apps_are_one_verdict(adapter: StartAdapter) -> None:
    with App({"/metrics": page()}) as shop, App({"/metrics": page(depth=50)}) as cart:
        running = adapter(
            "",
            "",
            ADAPTER_MODE="verdict",
            ADAPTER_RULES=RULES,
            ADAPTER_SHOP_TARGET=shop.url,
            ADAPTER_CART_TARGET=cart.url,
            ADAPTER_CART_RULES="queue: depth < 40 fail",
        )
        response = running.get("/health")

        assert response.status_code == 503
        assert response.text.startswith("fail: cart/queue: ")
        assert "\nshop/queue pass" in response.text
        assert running.status()["routes"]["/health"]["asks"] == {
            "cart": f"{cart.url}/metrics",
            "shop": f"{shop.url}/metrics",
        }


def test_several_apps_are_one_exposition_with_a_label_that_tells_which_failed(adapter: StartAdapter) -> None:
    health = respond(b'{"status": "UP"}', headers=JSON)
    with App({"/metrics": page()}) as shop, App({"/health": health}) as cart:
        running = adapter(
            "",
            "",
            ADAPTER_MODE="metrics",
            ADAPTER_SHOP_TARGET=shop.url,
            ADAPTER_SHOP_ROUTES="/metrics=/metrics",
            ADAPTER_CART_TARGET=cart.url,
            ADAPTER_CART_ROUTES="/metrics=/health",
        )
        whole = running.get("/metrics")
        cart.behaviours["/health"] = send_raw()
        half = running.get("/metrics")
        shop.behaviours["/metrics"] = send_raw()
        nothing = running.get("/metrics")

    found = samples(whole.text)
    assert found["up", (("app", "shop"),)] == found["health_up", (("app", "cart"),)] == 1
    assert found["adapter_app_up", (("app", "cart"),)] == found["adapter_app_up", (("app", "shop"),)] == 1
    found = samples(half.text)
    assert half.status_code == 200
    assert found["up", (("app", "shop"),)] == 1
    assert found["adapter_app_up", (("app", "cart"),)] == 0
    assert nothing.status_code == 503
    assert "it closed the connection" in nothing.text


def test_one_slow_app_does_not_keep_back_what_the_others_say(adapter: StartAdapter) -> None:
    with App({"/metrics": page()}) as shop, App({"/metrics": hang()}) as cart:
        running = adapter(
            "",
            "/metrics=/metrics",
            ADAPTER_MODE="metrics",
            ADAPTER_TIMEOUT="1m",
            ADAPTER_SHOP_TARGET=shop.url,
            ADAPTER_CART_TARGET=cart.url,
        )
        found = samples(running.get("/metrics", X_Prometheus_Scrape_Timeout_Seconds="5").text)

    assert found["up", (("app", "shop"),)] == 1
    assert found["adapter_app_up", (("app", "cart"),)] == 0
