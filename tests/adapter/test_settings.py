"""What the adapter can be told, and what it refuses to be told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter import setting_types
from sidecars.adapter.settings import Settings
from sidecars.chassis.config.setting_types import SettingType
from sidecars.chassis.config.settings import SettingsError, effective, load


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


@pytest.mark.parametrize("value", ["200-399", "200-299,503", "200"])
def test_valid_statuses_are_ranges_of_them(value: str) -> None:
    settings = load(Settings, {"ADAPTER_MODE": "verdict", "ADAPTER_VALID_STATUS_CODES": value})

    assert effective(settings)["ADAPTER_VALID_STATUS_CODES"] == value
    codes = settings.apps["default"].valid_status_codes
    assert codes is not None
    assert 200 in codes
    assert 404 not in codes


@pytest.mark.parametrize("value", ["2xx", "299-200", "100", "20", "200-", "-299", "200;503", "\u0662\u0660\u0660"])
def test_what_is_no_range_of_statuses_is_refused(value: str) -> None:
    [problem] = problems(ADAPTER_MODE="verdict", ADAPTER_VALID_STATUS_CODES=value)

    assert "expected HTTP statuses such as 200 or 200-399" in problem


def test_status_words_have_numbers_whatever_their_case() -> None:
    settings = load(
        Settings, {"ADAPTER_MODE": "verdict", "ADAPTER_STATUS_VALUES": "Success=1, UP WITH CAUTION=0.5,x=-1"}
    )

    assert settings.apps["default"].status_values == {"success": 1, "up_with_caution": 0.5, "x": -1}
    assert effective(settings)["ADAPTER_STATUS_VALUES"] == "success=1,up_with_caution=0.5,x=-1"


@pytest.mark.parametrize("value", ["up", "up=", "up=yes", "=1", "up=nan", "up=1e5", "up=1,UP=0", f"{'x' * 65}=1"])
def test_what_gives_no_word_a_number_is_refused(value: str) -> None:
    [problem] = problems(ADAPTER_MODE="verdict", ADAPTER_STATUS_VALUES=value)

    assert problem.startswith("ADAPTER_STATUS_VALUES=")
    assert "expected" in problem


@pytest.mark.parametrize(
    "environ", [{"ADAPTER_STATUS_VALUES": "a=1"}, {"ADAPTER_VALID_STATUS_CODES": "200"}, {"ADAPTER_SELECT": "a=$.a"}]
)
def test_what_is_about_answers_that_are_read_is_of_no_use_where_all_are_forwarded(environ: dict[str, str]) -> None:
    [problem] = problems(**environ)

    assert "every route is forwarded" in problem


KINDS = [
    setting_types.target_url, setting_types.path, setting_types.routes, setting_types.rules, setting_types.json_paths,
    setting_types.status_values, setting_types.status_codes, setting_types.by_route(setting_types.path, "/a"),
]  # fmt: skip
PIECES = st.sampled_from(
    ["http://", "//", "[", "]", "::1", ":", "@", "/", "/a", "=", ",", "-", "%", "x=$.", "[*]", "[?(@.a==", "1)]", "up"]
) | st.sampled_from(["9" * 5000, "\u0663", "\0", "\n", "\u2100", "\\U99999999", '"', "^" * 300, "200", "\udcff"])


@given(st.sampled_from(KINDS), st.lists(PIECES | st.text(max_size=3), max_size=10).map("".join))
def test_any_text_is_a_value_of_its_kind_or_one_mistake_and_what_is_shown_is_the_same_value(
    kind: SettingType[Any], text: str
) -> None:
    try:
        value = kind.parse(text)
    except ValueError:
        return
    assert kind.parse(kind.show(value)) == value


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


def test_what_is_shown_is_what_was_given() -> None:
    given = {
        "ADAPTER_ROUTES": "/health=/a,/metrics=/b",
        "ADAPTER_MODE": "verdict,/metrics=metrics",
        "ADAPTER_FORMAT": "auto,/health=consul",
        "ADAPTER_RULES": "db: up == 1; queue: depth < 10 warn",
        "ADAPTER_SELECT": "depth=$.queue.depth; up=$.db['state']",
    }

    shown = effective(load(Settings, given))

    assert {name: shown[name] for name in given} == given
    assert effective(load(Settings, {name: value for name, value in shown.items() if value})) == shown


def test_rules_of_several_lines_are_shown_on_one() -> None:
    shown = effective(load(Settings, {"ADAPTER_MODE": "verdict", "ADAPTER_RULES": "\n  a: up == 1\n  b: up == 1\n"}))

    assert shown["ADAPTER_RULES"] == "a: up == 1; b: up == 1"


def test_no_secret_is_shown() -> None:
    secrets = {
        "ADAPTER_TOKEN": "hunter2",
        "ADAPTER_BASIC_AUTH": "a:hunter2",
        "ADAPTER_TARGET_USERNAME": "joe",
        "ADAPTER_TARGET_PASSWORD": "hunter2",
    }

    shown = effective(load(Settings, secrets))

    assert "hunter2" not in str(shown)
    assert shown["ADAPTER_TOKEN"] == "***"


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
        ({"ADAPTER_AGENT_LISTEN": ":8082"}, "no route has a verdict to tell"),
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
    for shop in ({}, {"ADAPTER_SHOP_RULES": "db: up == 1"}):  # the same value for the other app makes no difference
        [problem] = problems(**TWO, **routes, **shop, ADAPTER_CART_RULES="db: up == 1")
    assert problem == "ADAPTER_CART_RULES is set, but no route has a verdict: set ADAPTER_CART_MODE=verdict"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ADAPTER_MAX_SERIES", "0"),
        ("ADAPTER_FAIL_AFTER", "0"),
        ("ADAPTER_PASS_AFTER", "1001"),
        ("ADAPTER_GRACE", "25h"),
        ("ADAPTER_CACHE_TTL", "5"),
        ("ADAPTER_MAX_BODY", "2GiB"),
        ("ADAPTER_MAX_CONNECTIONS", "0"),
        ("ADAPTER_FORMAT", "xml"),
        ("ADAPTER_SELECT", "x"),
    ],
)
def test_a_value_outside_its_limits_is_told_with_what_is_expected(name: str, value: str) -> None:
    [problem] = problems(**{name: value})

    assert problem.startswith(f"{name}={value}: ")
    assert "expected" in problem
