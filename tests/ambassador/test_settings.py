from __future__ import annotations

import pytest

from chassis.settings import SettingsError, load
from sidecars.ambassador.kinds import Target
from sidecars.ambassador.settings import Settings


def problems(**environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(Settings, environ)
    return caught.value.problems


def test_one_upstream_without_a_name_listens_on_loopback() -> None:
    settings = load(Settings, {"AMBASSADOR_UPSTREAM": "http://orders.shop, http://[fd00::1]:8080"})
    only = settings.upstreams["default"]
    assert str(only.listen) == "127.0.0.1:8500"
    assert only.upstream.places == (Target("http", "orders.shop", 80), Target("http", "fd00::1", 8080))
    assert str(only.upstream) == "http://orders.shop:80,http://[fd00::1]:8080"


def test_several_upstreams_each_have_their_name() -> None:
    settings = load(
        Settings,
        {
            "AMBASSADOR_ORDERS_UPSTREAM": "http://orders",
            "AMBASSADOR_DB_UPSTREAM": "tcp://db:5432",
            "AMBASSADOR_DB_LISTEN": "127.0.0.1:5432",
            "AMBASSADOR_RETRIES": "1",
            "AMBASSADOR_DB_RETRIES": "0",
        },
    )
    assert {name: each.retries for name, each in settings.upstreams.items()} == {"orders": 1, "db": 0}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("orders", "expected http://host[:port]"),
        ("ftp://orders", "the scheme ftp is not one of them"),
        ("tls://orders", "it must be given"),
        ("http://", "expected http://host[:port]"),
        ("http://orders/api", "without a path or query"),
        ("http://orders?x=1", "without a path or query"),
        ("http://me:secret@orders", "without a user name or password"),
        ("tcp://orders", "it must be given"),
        ("http://orders:0", "with a port from 1"),
        ("http://orders:65536", "with a port from 1"),
        ("http://orders,tcp://db:1", "expected HTTP or TCP, but there are http and tcp"),
        ("http://orders,http://orders:80", "expected each place once"),
        ("http://orders,", "expected http://host[:port]"),
        ("http://[fd00::1::]", "[fd00::1::] is not an IPv6 address"),
        ("http://or ders", "expected http://host[:port]"),
    ],
)
def test_an_upstream_that_is_not_one_is_refused_in_words(value: str, why: str) -> None:
    (problem,) = problems(AMBASSADOR_UPSTREAM=value)
    assert problem.startswith("AMBASSADOR_UPSTREAM=")
    assert why in problem
    assert "secret" not in problem


def test_two_upstreams_cannot_listen_on_one_address() -> None:
    (problem,) = problems(AMBASSADOR_A_UPSTREAM="http://a", AMBASSADOR_B_UPSTREAM="http://b")
    assert "AMBASSADOR_B_LISTEN=127.0.0.1:8500: AMBASSADOR_A_LISTEN is 127.0.0.1:8500" in problem


def test_the_admin_port_is_not_taken_by_an_upstream() -> None:
    (problem,) = problems(AMBASSADOR_UPSTREAM="http://a", AMBASSADOR_LISTEN="127.0.0.1:9913")
    assert "AMBASSADOR_ADMIN_LISTEN" in problem


def test_an_upstream_that_is_the_ambassador_itself_is_refused() -> None:
    (problem,) = problems(AMBASSADOR_UPSTREAM="http://localhost:8500")
    assert "is this ambassador itself" in problem


def test_listening_nowhere_is_refused() -> None:
    (problem,) = problems(AMBASSADOR_UPSTREAM="http://a", AMBASSADOR_LISTEN="off")
    assert "expected an address" in problem


def test_every_problem_is_told_at_once() -> None:
    found = problems(AMBASSADOR_UPSTREAM="x", AMBASSADOR_TIMEOUT="5", AMBASSADOR_RETRIES="-1", AMBASSADOR_TIMEOUTS="5s")
    assert [problem.split("=")[0].split(" ")[0] for problem in sorted(found)] == [
        "AMBASSADOR_RETRIES",
        "AMBASSADOR_TIMEOUT",
        "AMBASSADOR_TIMEOUTS",
        "AMBASSADOR_UPSTREAM",
    ]
