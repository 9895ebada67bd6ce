"""The settings of hedges and mirrors: their values, and what contradicts itself."""

from __future__ import annotations

import pytest

from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.settings import load
from tests.ambassador.refused_settings import problems

TWO = {
    "AMBASSADOR_ORDERS_UPSTREAM": "http://orders",
    "AMBASSADOR_SHADOW_UPSTREAM": "http://shadow",
    "AMBASSADOR_SHADOW_LISTEN": "127.0.0.1:8501",
}


@pytest.mark.parametrize(
    ("given", "share", "seconds", "shown"),
    [
        ("off", 0.0, 0.0, "off"),
        ("p95", 0.95, 0.0, "p95"),
        ("p50", 0.5, 0.0, "p50"),
        ("p99", 0.99, 0.0, "p99"),
        ("50ms", 0.0, 0.05, "50ms"),
        ("1.5s", 0.0, 1.5, "1.5s"),
    ],
)
def test_the_time_of_a_hedge_is_a_quantile_or_a_duration(given: str, share: float, seconds: float, shown: str) -> None:
    after = load(Settings, {**TWO, "AMBASSADOR_HEDGE_AFTER": given}).upstreams["orders"].hedge_after
    assert (after.share, after.seconds, str(after)) == (share, seconds, shown)
    assert bool(after) is (given != "off")


@pytest.mark.parametrize("value", ["p100", "p9", "p49", "95", "0", "on", "2h", "p95.5"])
def test_another_time_of_a_hedge_is_refused(value: str) -> None:
    (problem,) = problems(AMBASSADOR_UPSTREAM="http://orders", AMBASSADOR_HEDGE_AFTER=value)
    assert "expected off, a quantile from p50 to p99, or a duration" in problem


@pytest.mark.parametrize(("given", "percent"), [("shadow 10%", 10), ("Shadow", 100), ("shadow  100%", 100)])
def test_a_mirror_is_an_upstream_and_a_share(given: str, percent: int) -> None:
    target = load(Settings, {**TWO, "AMBASSADOR_ORDERS_MIRROR": given}).upstreams["orders"].mirror
    assert target is not None
    assert (target.name, target.percent, str(target)) == ("shadow", percent, f"shadow {percent}%")


@pytest.mark.parametrize(
    "value", ["10%", "shadow 0%", "shadow 101%", "shadow 10", "shadow, other", "http://shadow 10%"]
)
def test_another_form_of_a_mirror_is_refused(value: str) -> None:
    (problem,) = problems(**TWO, AMBASSADOR_ORDERS_MIRROR=value)
    assert "expected the name of another upstream and a share from 1% to 100%" in problem


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"AMBASSADOR_ORDERS_MIRROR": "shade"}, "there is no upstream shade; the others are: shadow"),
        ({"AMBASSADOR_ORDERS_MIRROR": "orders"}, "an upstream cannot be its own mirror"),
        (
            {"AMBASSADOR_ORDERS_MIRROR": "shadow", "AMBASSADOR_SHADOW_MIRROR": "orders"},
            "shadow has a mirror of its own",
        ),
        (
            {"AMBASSADOR_ORDERS_MIRROR": "shadow", "AMBASSADOR_SHADOW_UPSTREAM": "tcp://shadow:1"},
            "AMBASSADOR_SHADOW_UPSTREAM is not HTTP, so it takes no copies",
        ),
        (
            {"AMBASSADOR_ORDERS_MIRROR": "shadow", "AMBASSADOR_ORDERS_UPSTREAM": "tcp://orders:1"},
            "AMBASSADOR_ORDERS_MIRROR is set, but AMBASSADOR_ORDERS_UPSTREAM is not HTTP",
        ),
        (
            {"AMBASSADOR_ORDERS_HEDGE_AFTER": "p95", "AMBASSADOR_ORDERS_UPSTREAM": "tcp://orders:1"},
            "AMBASSADOR_ORDERS_HEDGE_AFTER is set, but AMBASSADOR_ORDERS_UPSTREAM is not HTTP",
        ),
        (
            {"AMBASSADOR_ORDERS_HEDGE_AFTER": "1s", "AMBASSADOR_ORDERS_TRY_TIMEOUT": "1s"},
            "is not less than AMBASSADOR_ORDERS_TRY_TIMEOUT",
        ),
        (
            {"AMBASSADOR_ORDERS_HEDGE_AFTER": "3s", "AMBASSADOR_ORDERS_TIMEOUT": "2s"},
            "is not less than AMBASSADOR_ORDERS_TIMEOUT",
        ),
    ],
)
def test_what_contradicts_itself_is_refused_in_words(more: dict[str, str], why: str) -> None:
    found = problems(**{**TWO, **more})
    assert any(why in problem for problem in found)


def test_a_mirror_without_any_other_upstream_is_refused() -> None:
    (problem,) = problems(AMBASSADOR_UPSTREAM="http://orders", AMBASSADOR_MIRROR="shadow 10%")
    assert problem == "AMBASSADOR_MIRROR=shadow 10%: there is no upstream shadow; the others are: none"
