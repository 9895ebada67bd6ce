"""A default for several upstreams that one of them cannot use, or that its own settings exclude."""

from __future__ import annotations

import pytest

from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.effective_settings import effective
from sidecars.chassis.config.settings import load
from tests.ambassador.config.test_settings_without_effect import environment, problems

THREE = {"A_UPSTREAM": "https://a", "B_UPSTREAM": "https://b", "B_LISTEN": "127.0.0.1:8501"}


@pytest.mark.parametrize(
    ("defaults", "of_b", "field", "of_a"),
    [
        ({"MIRROR": "b"}, {}, "mirror", "b 100%"),
        ({"AUTH": "gcp"}, {"UPSTREAM": "http://b"}, "auth", "gcp"),
        ({"AUTH": "gcp"}, {"UPSTREAM": "tcp://b:1"}, "auth", "gcp"),
        ({"AUTH": "gcp"}, {"TOKEN": "abc"}, "auth", "gcp"),
        ({"AUTH": "gcp"}, {"HEADERS": "Authorization: abc"}, "auth", "gcp"),
        ({"TOKEN": "abc"}, {"AUTH": "gcp"}, "token", "***"),
        ({"HEALTH_PATH": "/healthz"}, {"HEALTH_GRPC": "on"}, "health_path", "/healthz"),
        ({"HEALTH_GRPC": "on"}, {"HEALTH_PATH": "/healthz"}, "health_grpc", "on"),
        ({"HEDGE_AFTER": "2s"}, {"TRY_TIMEOUT": "1s"}, "hedge_after", "2s"),
        (
            {"PROXY": "http://user@proxy:80", "PROXY_PASSWORD": "abc"},
            {"PROXY": "http://other:80"},
            "proxy_password",
            "***",
        ),
    ],
)
def test_a_default_that_one_upstream_cannot_use_is_in_force_for_the_others(
    defaults: dict[str, str], of_b: dict[str, str], field: str, of_a: str
) -> None:
    settings = load(
        Settings, environment(**{**THREE, **defaults, **{f"B_{name}": each for name, each in of_b.items()}})
    )
    shown = effective(settings)
    assert shown[f"AMBASSADOR_A_{field.upper()}"] == of_a
    assert shown[f"AMBASSADOR_B_{field.upper()}"] in ("", "off")
    if of_a != "***":
        again = {name: value for name, value in shown.items() if value != "***"}
        assert effective(load(Settings, {**again, **secrets(of_b)})) == shown


def secrets(of_b: dict[str, str]) -> dict[str, str]:
    """Return the variables of the second upstream whose values are not shown."""
    return {f"AMBASSADOR_B_{name}": each for name, each in of_b.items() if name in ("TOKEN", "HEADERS")}


@pytest.mark.parametrize(
    ("both", "told"),
    [
        ({"AUTH": "gcp", "TOKEN": "abc"}, "a request has one Authorization"),
        ({"HEALTH_PATH": "/healthz", "A_HEALTH_GRPC": "on", "A_HEALTH_PATH": "/a"}, "a check is one request"),
        ({"HEALTH_PATH": "/healthz", "HEALTH_GRPC": "on"}, "a check is one request"),
    ],
)
def test_two_settings_that_exclude_each_other_and_are_set_in_the_same_way_are_refused(
    both: dict[str, str], told: str
) -> None:
    assert told in problems(**THREE, **both)
