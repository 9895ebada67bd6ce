"""Settings of the adapter: defaults, and checks across several variables."""

from __future__ import annotations

import pytest

from sidecars.adapter.settings import Settings
from sidecars.chassis.config.effective_settings import effective
from sidecars.chassis.config.settings import SettingsError, load


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
    "environ", [{"ADAPTER_STATUS_VALUES": "a=1"}, {"ADAPTER_VALID_STATUS_CODES": "200"}, {"ADAPTER_SELECT": "a=$.a"}]
)
def test_what_is_about_answers_that_are_read_is_of_no_use_where_all_are_forwarded(environ: dict[str, str]) -> None:
    [problem] = problems(**environ)

    assert "every route is forwarded" in problem


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
        (
            {"ADAPTER_LISTEN": "127.0.0.1:9914"},
            ":9914 and 127.0.0.1:9914, which are one address: give them",
        ),
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


TWO = {"ADAPTER_SHOP_TARGET": "http://127.0.0.1:1", "ADAPTER_CART_TARGET": "http://127.0.0.1:2"}
HTTPS = {"ADAPTER_TARGET": "https://127.0.0.1"}


def test_a_mode_is_for_all_routes_with_exceptions_by_path() -> None:
    app = load(
        Settings, {"ADAPTER_ROUTES": "/health=/a,/metrics=/b", "ADAPTER_MODE": "verdict, /metrics=metrics"}
    ).apps["default"]

    assert (app.mode["/health"], app.mode["/metrics"]) == ("verdict", "metrics")
    alone = load(Settings, {"ADAPTER_ROUTES": "/health=/a,/metrics=/b", "ADAPTER_MODE": "/metrics=metrics"}).apps[
        "default"
    ]
    assert (alone.mode["/health"], alone.mode["/metrics"]) == ("forward", "metrics")


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("judge", "expected one of forward, verdict, metrics"),
        ("verdict,metrics", "expected one value for all routes"),
        ("/health=verdict,/health=metrics", "/health stands twice"),
        ("health=verdict", "expected a path such as /health"),
        ("/nowhere=verdict", "has /nowhere, which is no route of ADAPTER_ROUTES"),
    ],
)
def test_a_mode_that_is_none_is_refused(mode: str, words: str) -> None:
    [problem] = problems(ADAPTER_MODE=mode)

    assert problem.startswith("ADAPTER_MODE")
    assert words in problem


def test_apps_share_a_path_where_their_answers_can_be_made_one() -> None:
    for mode in ("verdict", "metrics"):
        assert set(load(Settings, {**TWO, "ADAPTER_MODE": mode}).apps) == {"shop", "cart"}


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({**TWO, "ADAPTER_MODE": "verdict", "ADAPTER_CART_MODE": "metrics"}, "with another mode or format"),
        ({**TWO, "ADAPTER_MODE": "verdict", "ADAPTER_CART_FORMAT": "consul"}, "with another mode or format"),
        (
            {"ADAPTER_RULES": "db: up == 1"},
            "ADAPTER_RULES is set, but no route has a verdict: set ADAPTER_MODE",
        ),
        ({"ADAPTER_FORMAT": "consul"}, "ADAPTER_FORMAT is set, but no route has a verdict"),
        ({"ADAPTER_SELECT": "a=$.a"}, "ADAPTER_SELECT is set, but every route is forwarded"),
        ({"ADAPTER_AGENT_LISTEN": ":8082"}, "no route has the mode verdict"),
        ({"ADAPTER_MODE": "verdict", "ADAPTER_FORMAT": "haproxy-agent"}, "set ADAPTER_AGENT_LISTEN"),
        (
            {"ADAPTER_MODE": "verdict", "ADAPTER_AGENT_LISTEN": ":8081"},
            "ADAPTER_AGENT_LISTEN and ADAPTER_LISTEN are",
        ),
        ({"ADAPTER_TLS_KEY": "/key"}, "ADAPTER_TLS_KEY is set, but ADAPTER_TLS_CERT is not"),
        ({"ADAPTER_CLIENT_CA": "/ca"}, "ADAPTER_CLIENT_CA is set, but ADAPTER_TLS_CERT is not"),
        ({"ADAPTER_TARGET_CA": "/ca"}, "ADAPTER_TARGET_CA is set, but ADAPTER_TARGET is not https"),
        ({**HTTPS, "ADAPTER_TARGET_KEY": "/key"}, "ADAPTER_TARGET_KEY is set, but ADAPTER_TARGET_CERT is not"),
        ({"ADAPTER_TARGET_USERNAME": "joe"}, "ADAPTER_TARGET_USERNAME and ADAPTER_TARGET_PASSWORD belong together"),
        (
            {"ADAPTER_TARGET_USERNAME": "joe", "ADAPTER_TARGET_PASSWORD": "x", "ADAPTER_TARGET_TOKEN": "y"},
            "ADAPTER_TARGET_TOKEN and ADAPTER_TARGET_USERNAME are both set",
        ),
    ],
)
def test_settings_that_make_no_sense_together_are_refused(environ: dict[str, str], words: str) -> None:
    [problem] = problems(**environ)

    assert words in problem


def test_rules_for_all_apps_are_right_where_one_of_them_has_no_verdict() -> None:
    routes = {"ADAPTER_CART_ROUTES": "/metrics=/health", "ADAPTER_CART_MODE": "metrics", "ADAPTER_MODE": "verdict"}

    assert load(Settings, {**TWO, **routes, "ADAPTER_RULES": "db: up == 1", "ADAPTER_FORMAT": "consul"})
    for shop in ({}, {"ADAPTER_SHOP_RULES": "db: up == 1"}):  # the other app has the same value
        [problem] = problems(**TWO, **routes, **shop, ADAPTER_CART_RULES="db: up == 1")
    assert problem == "ADAPTER_CART_RULES is set, but no route has a verdict: set ADAPTER_CART_MODE=verdict"


def test_a_secret_for_an_app_beyond_this_host_is_warned_of_without_tls() -> None:
    def warnings(**environ: str) -> list[str]:
        return list(load(Settings, environ).warn())

    assert warnings(ADAPTER_TARGET="http://app:8080", ADAPTER_TARGET_TOKEN="abc") == [
        "ADAPTER_TARGET_TOKEN is sent to ADAPTER_TARGET=http://app:8080 without encryption: use https://"
    ]
    basic = {"ADAPTER_TARGET_USERNAME": "joe", "ADAPTER_TARGET_PASSWORD": "abc"}
    assert len(warnings(ADAPTER_TARGET="http://app", **basic)) == 1
    assert warnings(ADAPTER_TARGET="https://app", **basic) == []
    assert warnings(ADAPTER_TARGET_TOKEN="abc") == []
