"""The settings of the way to endpoints: unix sockets, proxies, the PROXY protocol, PostgreSQL."""

from __future__ import annotations

import pytest

from sidecars.ambassador.config.target_types import Target
from sidecars.ambassador.config.upstream_settings import UpstreamSettings
from sidecars.ambassador.discovery.dns_target import DnsTarget
from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.effective_settings import declared_roots
from sidecars.chassis.config.settings import load
from sidecars.chassis.isolation import roots
from tests.ambassador.refused_settings import problems_of

PROXY = "http://proxy.test:3128"


def only(**environ: str) -> UpstreamSettings:
    return load(Settings, {f"AMBASSADOR_{name}": value for name, value in environ.items()}).upstreams["default"]


@pytest.mark.parametrize("scheme", ["http", "h2c", "https", "tcp", "tls"])
def test_a_unix_socket_is_a_target_of_each_protocol_but_that_of_postgres(scheme: str) -> None:
    found = only(UPSTREAM=f"{scheme}+unix:///run/app.sock;weight=2")
    assert found.upstream.targets == (Target(scheme, "/run/app.sock", 0, 2, is_unix=True),)
    assert str(found.upstream) == f"{scheme}+unix:///run/app.sock;weight=2"
    assert found.needs_way
    target = DnsTarget(found.upstream.targets[0])
    assert not target.needs_lookup
    assert target.target.service == "localhost"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("unix:///run/app.sock", "unix:// does not say which protocol is spoken: http+unix, h2c+unix"),
        ("ftp+unix:///run/app.sock", "expected http+unix, h2c+unix"),
        ("tls+postgres+unix:///run/app.sock", "expected http+unix, h2c+unix"),
        ("http+unix://run/app.sock", "expected http+unix:///run/app.sock"),
        ("http+unix:///run/../app.sock", "without . and .. as names"),
        ("http+unix:///run/", "expected http+unix:///run/app.sock"),
        ("http+unix:///run/a b", "expected http+unix:///run/app.sock"),
        ("http+unix:///" + 107 * "a", "at most 107 bytes"),
        ("http+unix:///run/a,http+unix:///run/a", "expected each place once"),
        (
            "tls+postgres://db,tls://db:5432",
            "expected tls+postgres:// alone, or none, but there are tls and ",
        ),
    ],
)
def test_a_target_that_is_none_is_refused_in_words(value: str, why: str) -> None:
    (problem,) = problems_of(UPSTREAM=value)
    assert problem.startswith(("AMBASSADOR_UPSTREAM=***: ", f"AMBASSADOR_UPSTREAM={value}: "))
    assert why in problem


def test_postgres_has_its_usual_port_and_may_be_found_as_other_targets() -> None:
    assert only(UPSTREAM="tls+postgres://db").upstream.targets == (Target("tls+postgres", "db", 5432),)
    found = only(UPSTREAM="tls+postgres+k8s://db.shop:5432,tls+postgres+srv://_postgresql._tcp.db")
    assert str(found.upstream) == "tls+postgres+k8s://db.shop:5432,tls+postgres+srv://_postgresql._tcp.db"
    assert (found.upstream.protocol, found.upstream.tls, found.upstream.is_postgres) == ("tcp", True, True)


def test_an_ambassador_is_not_its_own_unix_socket() -> None:
    (problem,) = problems_of(UPSTREAM="http+unix:///run/app.sock", LISTEN="unix:/run/app.sock")
    assert "is this ambassador itself" in problem


def test_the_directory_of_a_unix_socket_is_a_root_in_which_nothing_may_be_read_or_written() -> None:
    settings = load(Settings, {"AMBASSADOR_UPSTREAM": "http://a,http+unix:///run/shop/app.sock"})
    (declared,) = [root for root in declared_roots(settings, {}) if root.path == "/run/shop/app.sock"]
    assert declared.access == roots.RESOLVE_UNIX


def test_credentials_may_go_to_a_unix_socket_without_a_warning() -> None:
    settings = load(Settings, {"AMBASSADOR_UPSTREAM": "http+unix:///run/app.sock", "AMBASSADOR_TOKEN": "t0kent0ken"})
    assert list(settings.warn()) == []


# -- proxies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"PROXY": "proxy.test:3128"}, "AMBASSADOR_PROXY=proxy.test:3128: expected http://[user@]host:port"),
        (
            {"PROXY": "socks5://proxy.test:1080"},
            "AMBASSADOR_PROXY=socks5://proxy.test:1080: SOCKS is not spoken here: expected the URL of",
        ),
        ({"PROXY": f"{PROXY}/path"}, "AMBASSADOR_PROXY=***: expected http://[user@]host:port or https://"),
        ({"PROXY_PASSWORD": "s3cretpass"}, "AMBASSADOR_PROXY_PASSWORD is set, but AMBASSADOR_PROXY is not: set both"),
        (
            {"PROXY": PROXY, "PROXY_PASSWORD": "s3cretpass"},
            "AMBASSADOR_PROXY_PASSWORD is set, but AMBASSADOR_PROXY must have a user and no password: http://",
        ),
        (
            {"PROXY": "http://shop:other@proxy.test:3128", "PROXY_PASSWORD": "s3cretpass"},
            "AMBASSADOR_PROXY_PASSWORD is set, but AMBASSADOR_PROXY must have a user and no password: http://",
        ),
        (
            {"PROXY": PROXY, "PROXY_CA": "/ca.pem"},
            "AMBASSADOR_PROXY_CA is set, but AMBASSADOR_PROXY is without TLS: write https://",
        ),
        (
            {"PROXY": PROXY, "NO_PROXY": "10.0.0.0/99"},
            "AMBASSADOR_NO_PROXY has 10.0.0.0/99, which covers no host: expected host, .domain, address, network or *",
        ),
        ({"SEND_PROXY": "v1"}, "AMBASSADOR_SEND_PROXY=v1: expected one of off, v2"),
    ],
)
def test_a_wrong_way_is_one_clear_sentence(environ: dict[str, str], problem: str) -> None:
    (found,) = problems_of(UPSTREAM="http://orders.shop", **environ)
    assert found.startswith(problem)
    assert "s3cretpass" not in found


def test_no_variable_of_the_environment_is_a_proxy() -> None:
    environ = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"), PROXY)
    found = load(Settings, {"AMBASSADOR_UPSTREAM": "https://orders.shop", **environ}).upstreams["default"]
    assert found.proxy is None
    assert not found.needs_way


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        ("https://orders.example.org", True),
        ("tcp://db.example.org:5432", True),
        ("http://203.0.113.7", True),
        ("http://orders.shop.svc", False),
        ("http://orders.direct.test:8080", False),
        ("http://orders.direct.test:9090", True),
        ("http://10.1.2.3", False),
        ("http://localhost:1", False),
        ("http://127.0.0.1:1", False),
        ("http://169.254.169.254", False),
        ("http+unix:///run/app.sock", False),
        ("http+srv://_http._tcp.orders.example.org", False),
        ("k8s://orders.shop:8080", False),
    ],
)
def test_the_proxy_gets_the_name_of_a_target_that_no_proxy_does_not_cover(target: str, *, sent: bool) -> None:
    found = only(UPSTREAM=target, PROXY=PROXY, NO_PROXY=".svc, direct.test:8080, 10.0.0.0/8")
    assert found.is_sent_as_name(found.upstream.targets[0]) is sent


def test_a_star_sends_nothing_to_the_proxy() -> None:
    found = only(UPSTREAM="https://orders.example.org", PROXY=PROXY, NO_PROXY="*")
    assert not found.is_proxied("203.0.113.7", 443)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"PROXY": "http://user:p4ss@proxy.test"}, ["AMBASSADOR_PROXY has credentials, which are sent to the proxy"]),
        (
            {"PROXY": "http://user@proxy.test", "PROXY_PASSWORD": "p4ss"},
            ["AMBASSADOR_PROXY_PASSWORD is sent to the proxy proxy.test:80 without encryption: use https://"],
        ),
        ({"PROXY": "https://user:p4ss@proxy.test"}, []),
        ({"PROXY": "http://user:p4ss@127.0.0.1:3128"}, []),
        ({"PROXY": PROXY}, []),
    ],
)
def test_credentials_for_a_proxy_without_tls_are_warned_of_beyond_loopback(
    environ: dict[str, str], expected: list[str]
) -> None:
    settings = load(
        Settings, {f"AMBASSADOR_{name}": value for name, value in {"UPSTREAM": "https://a", **environ}.items()}
    )
    warnings = list(settings.warn())
    assert [warning[: len(start)] for warning, start in zip(warnings, expected, strict=True)] == expected
    assert "p4ss" not in "".join(warnings)
