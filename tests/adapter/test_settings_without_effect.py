"""Each setting has an effect alone, or its start is refused with what it needs."""

from __future__ import annotations

import pytest

from sidecars.adapter.settings import Settings
from sidecars.chassis.config.effective_settings import effective
from sidecars.chassis.config.settings import SettingsError, load, specs

VERDICT = {"MODE": "verdict"}
HTTPS = {"TARGET": "https://127.0.0.1"}

# They have an effect with any app.
ALONE = (
    "LISTEN",
    "TARGET",
    "ROUTES",
    "MODE",
    "TIMEOUT",
    "CACHE_TTL",
    "MAX_BODY",
    "TARGET_TOKEN",
    "TLS_CERT",
    "BASIC_AUTH",
    "TOKEN",
    "MAX_CONNECTIONS",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "CONFINEMENT",
    "ADMIN_LISTEN",
    "DRAIN_TIMEOUT",
)

# One without the other is a mistake of each, whichever is set (`test_settings`).
PAIRS = ("TARGET_USERNAME", "TARGET_PASSWORD")

# They have no effect alone: the value, the end of the sentence, and what helps.
NEEDING: dict[str, tuple[str, str, dict[str, str]]] = {
    "RULES": ("db: up == 1", "no route has a verdict: set ADAPTER_MODE=verdict", VERDICT),
    "FORMAT": ("consul", "no route has a verdict: set ADAPTER_MODE=verdict", VERDICT),
    "FAIL_AFTER": ("3", "no route has a verdict: set ADAPTER_MODE=verdict", VERDICT),
    "PASS_AFTER": ("10s", "no route has a verdict: set ADAPTER_MODE=verdict", VERDICT),
    "GRACE": ("10s", "no route has a verdict: set ADAPTER_MODE=verdict", {"MODE": "metrics,/health=verdict"}),
    "SELECT": ("a=$.a", "every route is forwarded: set ADAPTER_MODE to verdict or metrics", VERDICT),
    "STATUS_VALUES": ("a=1", "every route is forwarded: set ADAPTER_MODE to verdict or metrics", VERDICT),
    "VALID_STATUS_CODES": ("200", "every route is forwarded: set ADAPTER_MODE to verdict or metrics", VERDICT),
    "SOURCE_FORMAT": ("json", "every route is forwarded: set ADAPTER_MODE to verdict or metrics", {"MODE": "metrics"}),
    "MAX_SERIES": ("10", "every route is forwarded: set ADAPTER_MODE to verdict or metrics", {"MODE": "metrics"}),
    "TARGET_CA": ("/ca.pem", "ADAPTER_TARGET is not https: unset it, or write https://", HTTPS),
    "TARGET_CERT": ("/cert.pem", "ADAPTER_TARGET is not https: unset it, or write https://", HTTPS),
    "TARGET_KEY": (
        "/key.pem",
        "ADAPTER_TARGET is not https: unset it, or write https://",
        {**HTTPS, "TARGET_CERT": "/cert.pem"},
    ),
    "AGENT_LISTEN": (":8082", "no route has the mode verdict: set ADAPTER_MODE=verdict", VERDICT),
    "TLS_KEY": ("/key.pem", "ADAPTER_TLS_CERT is not: set both", {"TLS_CERT": "/cert.pem"}),
    "CLIENT_CA": ("/ca.pem", "ADAPTER_TLS_CERT is not: set both", {"TLS_CERT": "/cert.pem"}),
}

# They lose their effect by the value of another setting.
DEFEATED = [
    ("TARGET_KEY", "/key.pem", HTTPS, "ADAPTER_TARGET_CERT is not: set both"),
    ("ADMIN_STATUS", "any", {"ADMIN_LISTEN": "off"}, "ADAPTER_ADMIN_LISTEN is off: set both"),
    ("ADMIN_SIBLINGS", "logshipper=1", {"ADMIN_LISTEN": "off"}, "ADAPTER_ADMIN_LISTEN is off: set both"),
]


def environment(**settings: str) -> dict[str, str]:
    return {f"ADAPTER_{name}": value for name, value in settings.items()}


def problems(**settings: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(Settings, environment(**settings))
    return caught.value.problems


def test_each_setting_is_in_one_of_the_tables() -> None:
    declared = [spec.variable.removeprefix("ADAPTER_") for spec in specs(Settings) if spec.variable[:4] == "ADAP"]
    tables = [*ALONE, *PAIRS, *NEEDING, *(name for name, *_ in DEFEATED if name not in NEEDING)]
    assert sorted(tables) == sorted(declared)


def test_each_setting_that_declares_a_need_is_in_a_table_that_has_a_case_for_it() -> None:
    declared = {spec.variable.removeprefix("ADAPTER_") for spec in specs(Settings) if spec.needs}
    assert declared == {*NEEDING, *(name for name, *_ in DEFEATED)}


@pytest.mark.parametrize(("name", "value", "why", "cure"), [(name, *rest) for name, rest in NEEDING.items()])
def test_a_setting_without_what_it_needs_is_refused_and_the_sentence_names_that(
    name: str, value: str, why: str, cure: dict[str, str]
) -> None:
    assert problems(**{name: value}) == [f"ADAPTER_{name} is set, but {why}"]
    load(Settings, environment(**cure, **{name: value}))


@pytest.mark.parametrize(("name", "value", "others", "why"), DEFEATED)
def test_a_setting_that_another_one_defeats_is_refused(name: str, value: str, others: dict[str, str], why: str) -> None:
    assert problems(**others, **{name: value}) == [f"ADAPTER_{name} is set, but {why}"]


def test_a_default_for_all_apps_is_in_force_where_it_has_an_effect_and_nowhere_else() -> None:
    environ = environment(
        SHOP_TARGET="https://127.0.0.1:1",
        SHOP_MODE="verdict",
        CART_TARGET="http://127.0.0.1:2",
        CART_ROUTES="/cart=/health",
        RULES="db: up == 1",
        GRACE="10s",
        TARGET_CA="/ca.pem",
    )
    settings = load(Settings, environ)
    shop, cart = settings.apps["shop"], settings.apps["cart"]
    assert (shop.grace, cart.grace, cart.rules, cart.target_ca) == (10.0, 0.0, None, None)
    assert shop.rules is not None
    assert load(Settings, effective(settings)).apps["shop"].grace == shop.grace


def test_a_default_for_all_apps_that_helps_none_is_refused() -> None:
    two = {"SHOP_TARGET": "http://127.0.0.1:1", "CART_TARGET": "http://127.0.0.1:2", "CART_ROUTES": "/cart=/a"}
    (told,) = problems(**two, GRACE="10s")
    assert told == (
        "ADAPTER_GRACE is set, but no route has a verdict: set ADAPTER_CART_MODE=verdict; "
        "no route has a verdict: set ADAPTER_SHOP_MODE=verdict"
    )


def test_the_defaults_are_no_mistake_because_check_prints_them() -> None:
    load(Settings, effective(load(Settings, {})))
