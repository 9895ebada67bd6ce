"""What the adapter can be told, and what it refuses to be told."""

from __future__ import annotations

import re

import pytest

from chassis.settings import SettingsError, effective, load
from sidecars.adapter.settings import Settings
from tests.support import ROOT


def problems(**environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(Settings, environ)
    return caught.value.problems


def test_without_any_setting_health_on_8081_is_answered_from_metrics_on_8080() -> None:
    shown = effective(load(Settings, {}))

    assert shown["ADAPTER_LISTEN"] == ":8081"
    assert shown["ADAPTER_ADMIN_LISTEN"] == ":9914"
    assert shown["ADAPTER_TARGET"] == "http://127.0.0.1:8080"
    assert shown["ADAPTER_ROUTES"] == "/health=/metrics"


def test_the_deadline_is_below_the_kubelets_one_second_by_default() -> None:
    assert 0 < load(Settings, {}).apps["default"].timeout < 1


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:8080",
        "http://",
        "http://127.0.0.1:0",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:8080/metrics",
        "http://127.0.0.1:8080?x",
        "http://127.0.0.1:8080/#x",
        "http://127.0.0.1:8080/?",
        "http://a b",
        "http://a\\b",
        "http://a%41",
        "http://[::1",
        "http://[fe80::1%25eth0]:80",
        "file:///etc/passwd",
    ],
)
def test_a_target_that_is_no_plain_http_address_is_refused(target: str) -> None:
    [problem] = problems(ADAPTER_TARGET=target)

    assert problem.startswith(f"ADAPTER_TARGET={target}: expected http://host[:port]")


def test_a_target_with_credentials_is_refused_without_repeating_them() -> None:
    [problem] = problems(ADAPTER_TARGET="http://joe:hunter2@127.0.0.1")

    assert "without credentials" in problem
    assert "hunter2" not in problem
    assert "joe" not in problem


@pytest.mark.parametrize(
    "target", ["http://app", "https://app", "http://app:80/", "http://[::1]:8080", "http://App.svc.local:65535"]
)
def test_a_target_is_a_host_with_or_without_a_port(target: str) -> None:
    assert effective(load(Settings, {"ADAPTER_TARGET": target}))["ADAPTER_TARGET"] == target


@pytest.mark.parametrize(
    "routes",
    [
        "/health",
        "health=/metrics",
        "/health=metrics",
        "/health=",
        "=/metrics",
        "/health=/metrics,",
        "/health=/metrics,/health=/info",
        "/hea lth=/metrics",
        "/health?x=/metrics",
        "/he%61lth=/metrics",
        "/health=/metr ics",
        "/health=/metrics#top",
        "/health=/m\r\nX: y",
        "/gesund\u00e4=/metrics",
        "/health=/m\u00e4trics",
        "/health=http://elsewhere/",
    ],
)
def test_routes_that_are_no_paths_are_refused(routes: str) -> None:
    [problem] = problems(ADAPTER_ROUTES=routes)

    assert problem.startswith("ADAPTER_ROUTES=")
    assert "expected" in problem


def test_the_apps_path_may_have_a_query() -> None:
    settings = load(Settings, {"ADAPTER_ROUTES": "/health=/metrics?name=up&all=1 , /live=/ping"})

    assert settings.apps["default"].routes == {"/health": "/metrics?name=up&all=1", "/live": "/ping"}


def test_two_apps_cannot_answer_the_same_path() -> None:
    [problem] = problems(ADAPTER_SHOP_TARGET="http://127.0.0.1:1", ADAPTER_CART_TARGET="http://127.0.0.1:2")

    assert problem == (
        "ADAPTER_CART_ROUTES and ADAPTER_SHOP_ROUTES both answer /health: give each app paths of its own, or let the"
        " mode be verdict or metrics"
    )


def test_settings_without_a_name_are_the_default_for_all_apps() -> None:
    settings = load(
        Settings,
        {
            "ADAPTER_TIMEOUT": "300ms",
            "ADAPTER_SHOP_TARGET": "http://127.0.0.1:1",
            "ADAPTER_CART_TARGET": "http://127.0.0.1:2",
            "ADAPTER_CART_ROUTES": "/cart=/metrics",
            "ADAPTER_CART_TIMEOUT": "2s",
        },
    )

    assert {app.name: app.timeout for app in settings.apps.values()} == {"shop": 0.3, "cart": 2}


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"ADAPTER_LISTEN": "off"}, "nothing to do"),
        ({"ADAPTER_LISTEN": ":9914"}, "different ports"),
        ({"ADAPTER_TARGET": "http://localhost:8081"}, "ADAPTER_LISTEN itself"),
        ({"ADAPTER_TARGET": "http://[::1]", "ADAPTER_LISTEN": "127.0.0.1:80"}, "ADAPTER_LISTEN itself"),
    ],
)
def test_settings_that_cannot_work_together_are_refused(environ: dict[str, str], words: str) -> None:
    [problem] = problems(**environ)

    assert words in problem


@pytest.mark.parametrize("timeout", ["0", "800", "-1s", "2h"])
def test_a_deadline_that_is_none_is_refused(timeout: str) -> None:
    [problem] = problems(ADAPTER_TIMEOUT=timeout)

    assert problem.startswith(f"ADAPTER_TIMEOUT={timeout}: expected a duration")


def test_a_misspelt_setting_is_told_the_nearest() -> None:
    [problem] = problems(ADAPTER_TIMOUT="1s")

    assert problem == "ADAPTER_TIMOUT is not a setting; did you mean ADAPTER_TIMEOUT?"


def test_the_readmes_example_of_several_apps_is_right() -> None:
    readme = (ROOT / "sidecars/adapter/README.md").read_text()
    block = readme.partition("```sh\n")[2].partition("```")[0]
    environ = dict(found.split("=", 1) for found in re.findall(r"ADAPTER_\S+", block))

    apps = load(Settings, environ).apps

    assert {name: app.routes for name, app in apps.items()} == {
        "shop": {"/shop/health": "/metrics"},
        "cart": {"/cart/health": "/metrics"},
    }
    assert apps["cart"].timeout == 0.5
    assert apps["cart"].max_body == apps["shop"].max_body == 2**20
