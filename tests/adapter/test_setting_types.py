"""Types of settings: the values that each accepts, refuses and shows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter import setting_types
from sidecars.adapter.settings import Settings
from sidecars.chassis.config.effective_settings import effective
from sidecars.chassis.config.setting_types import SettingType
from sidecars.chassis.config.settings import SettingsError, load


def problems(**environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(Settings, environ)
    return caught.value.problems


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

    assert problem.startswith(("ADAPTER_TARGET=***: expected http:", f"ADAPTER_TARGET={target}: expected http:"))


def test_a_target_without_a_scheme_is_shown_and_told_what_it_lacks() -> None:
    [problem] = problems(ADAPTER_TARGET="127.0.0.1:1")

    assert problem.startswith("ADAPTER_TARGET=127.0.0.1:1: expected http://host[:port] or https://host[:port]; ")
    assert problem.endswith("; it has no scheme: write one of these before it")


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

    routes = settings.apps["default"].routes
    assert {path: target.reveal() for path, target in routes.items()} == {
        "/health": "/metrics?name=up&all=1",
        "/live": "/ping",
    }
    assert effective(settings)["ADAPTER_ROUTES"] == "/health=/metrics?***,/live=/ping"


@pytest.mark.parametrize(
    "routes",
    [
        "/health=/metrics,/hunter2",
        "/health=/metrics,/hunter2?x=/y",
        "/health=/metrics,/x=hunter2",
        "/health=/metrics,/health=/hunter2",
    ],
)
def test_a_wrong_route_is_told_by_its_position_and_not_by_its_text(routes: str) -> None:
    [problem] = problems(ADAPTER_ROUTES=routes)

    assert problem.startswith("ADAPTER_ROUTES=***: pair 2: expected ")
    assert "hunter2" not in problem


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
