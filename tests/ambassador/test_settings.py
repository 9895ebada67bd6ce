from __future__ import annotations

import pytest

from sidecars.ambassador.config.target_types import Target
from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.settings import load
from tests.ambassador.refused_settings import problems


def test_one_upstream_without_a_name_listens_on_loopback() -> None:
    settings = load(Settings, {"AMBASSADOR_UPSTREAM": "http://orders.shop, http://[fd00::1]:8080"})
    only = settings.upstreams["default"]
    assert str(only.listen) == "127.0.0.1:8500"
    assert only.upstream.targets == (Target("http", "orders.shop", 80), Target("http", "fd00::1", 8080))
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
        ("127.0.0.1:8080", "it has no scheme: write one of these before it"),
        ("ftp://orders", "the scheme is not one of them"),
        ("grpc://orders:1", "the scheme is not one of them: write h2c://, or https:// with TLS"),
        ("tls://orders", "it must be given"),
        ("http://", "expected http://host[:port]"),
        ("http://orders/api?x=1", "no query"),
        ("http://orders/../x", "no empty or dot segments"),
        ("http://orders//x", "no empty or dot segments"),
        ("http://orders/%41", "a path behind it has letters"),
        ("http://a/api,http://b", "expected the same path behind each host"),
        ("tcp://db:1/api", "only an upstream of HTTP has one"),
        ("http://orders?x=1", "no query"),
        ("http://me:secret@orders", "without a user name or password"),
        ("tcp://orders", "it must be given"),
        ("http://orders:0", "with a port from 1"),
        ("http://orders:65536", "with a port from 1"),
        ("http://orders,tcp://db:1", "expected HTTP or TCP, but there are http and tcp"),
        ("http://orders,http://orders:80", "expected each place once"),
        ("http://orders,", "URL 2: expected http://host[:port]"),
        ("http://a,http://b,secret://c", "URL 3: expected http://host[:port]"),
        ("http://[fd00::1::]", "between the brackets there is no IPv6 address"),
        ("http://or ders", "expected http://host[:port]"),
    ],
)
def test_an_upstream_that_is_not_one_is_refused_in_words(value: str, why: str) -> None:
    (problem,) = problems(AMBASSADOR_UPSTREAM=value)
    assert problem.startswith(("AMBASSADOR_UPSTREAM=***: ", f"AMBASSADOR_UPSTREAM={value}: "))
    assert why in problem
    assert "secret" not in problem


@pytest.mark.parametrize("other", ["[::1]:8500", "localhost:8500", ":8500"])
def test_two_upstreams_cannot_listen_on_one_port_of_loopback(other: str) -> None:
    """Both families are bound, whichever is named."""
    (problem,) = problems(AMBASSADOR_A_UPSTREAM="http://a", AMBASSADOR_B_UPSTREAM="http://b", AMBASSADOR_B_LISTEN=other)
    assert f"AMBASSADOR_B_LISTEN={other}: AMBASSADOR_A_LISTEN is 127.0.0.1:8500" in problem


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


@pytest.mark.parametrize(
    ("upstream", "shown"),
    [
        ("http://a;weight=3,http://b:81", "http://a:80;weight=3,http://b:81"),
        ("HTTP+SRV://_http._tcp.orders".lower(), "http+srv://_http._tcp.orders"),
        ("tls+srv://_db._tcp.db;weight=2", "tls+srv://_db._tcp.db;weight=2"),
        ("https://[fd00::1], http://b", "https://[fd00::1]:443,http://b:80"),
    ],
)
def test_an_upstream_is_shown_as_it_could_be_given(upstream: str, shown: str) -> None:
    given = load(Settings, {"AMBASSADOR_UPSTREAM": upstream}).upstreams["default"].upstream
    assert str(given) == shown
    assert load(Settings, {"AMBASSADOR_UPSTREAM": shown}).upstreams["default"].upstream == given


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("UPSTREAM", "http://a;weight=0", "a whole number from 1 to 1000"),
        ("UPSTREAM", "http://a;weight=1001", "a whole number from 1 to 1000"),
        ("UPSTREAM", "http://a;color=red", "expected weight="),
        ("UPSTREAM", "http+srv://_http._tcp.a:80", "and no port"),
        ("BALANCE", "fastest", "expected one of ewma, least_request"),
        ("BALANCE", "hash:header:", "hash:header:<name>"),
        ("BALANCE", "hash:header:x y", "hash:header:<name>"),
        ("MAX_EJECTED", "0.5", "expected a share from 0% to 100%"),
        ("MAX_EJECTED", "101%", "expected a share from 0% to 100%"),
        ("RETRY_ON", "sometimes", "expected connect, reset, timeout"),
        ("RETRY_ON", "none,5xx", "or none"),
        ("RETRY_ON", "200", "statuses from 400"),
        ("HEALTH_PATH", "healthz", "begins with /"),
        ("HEALTH_PATH", "/a b", "without blanks"),
        ("HEALTH_GRPC", "true", "expected on, off, or the name of a service"),
        ("HEALTH_GRPC", "shop.v1/Orders", "expected on, off, or the name of a service"),
        ("GRPC_RETRY_ON", "unavailble", "expected none, or some of"),
        ("GRPC_IDEMPOTENT", "Orders/Get", "expected paths of methods between commas"),
        ("EJECT_AFTER", "0", "at least 1"),
        ("TRY_TIMEOUT", "5", "with its unit"),
        ("DNS_MIN_TTL", "10ms", "at least 100ms"),
        ("TLS_SERVER_NAME", "a..b", "a host name or an IP address"),
        ("TLS_SERVER_NAME", ".a", "a host name or an IP address"),
        ("TLS_SERVER_NAME", "a b", "a host name or an IP address"),
        ("TLS_SERVER_NAME", "x" * 64, "a host name or an IP address"),
    ],
)
def test_what_cannot_be_is_refused_in_words(name: str, value: str, why: str) -> None:
    (problem,) = problems(**{"AMBASSADOR_UPSTREAM": "http://a", f"AMBASSADOR_{name}": value})
    shown = "***" if name in ("UPSTREAM", "HEALTH_PATH") else value
    assert problem.startswith(f"AMBASSADOR_{name}={shown}: ")
    assert why in problem


@pytest.mark.parametrize("name", ["payments.example", "bücher.example", "10.0.0.1", "fd00::1", "a_b"])
def test_a_name_that_a_certificate_can_have_is_taken(name: str) -> None:
    settings = load(Settings, {"AMBASSADOR_UPSTREAM": "https://a", "AMBASSADOR_TLS_SERVER_NAME": name})
    assert settings.upstreams["default"].tls_server_name == name


def test_what_only_http_has_is_refused_for_tcp() -> None:
    found = problems(
        AMBASSADOR_UPSTREAM="tcp://a:1", AMBASSADOR_HEALTH_PATH="/healthz", AMBASSADOR_BALANCE="hash:cookie:user"
    )
    assert any("AMBASSADOR_HEALTH_PATH is set, but AMBASSADOR_UPSTREAM is not HTTP" in problem for problem in found)
    assert any("hash:source works" in problem for problem in found)


def test_what_only_http2_has_is_refused_for_an_upstream_that_never_speaks_it() -> None:
    found = problems(
        AMBASSADOR_UPSTREAM="http://a", AMBASSADOR_HEALTH_GRPC="on", AMBASSADOR_GRPC_RETRY_ON="unavailable"
    )
    assert [problem.partition(" ")[0] for problem in found] == ["AMBASSADOR_HEALTH_GRPC", "AMBASSADOR_GRPC_RETRY_ON"]


def test_a_check_is_of_grpc_or_of_a_path() -> None:
    (problem,) = problems(AMBASSADOR_UPSTREAM="h2c://a", AMBASSADOR_HEALTH_GRPC="on", AMBASSADOR_HEALTH_PATH="/healthz")
    assert problem.startswith("AMBASSADOR_HEALTH_GRPC and AMBASSADOR_HEALTH_PATH are set")


def test_the_least_time_of_an_answer_is_not_more_than_the_longest() -> None:
    (problem,) = problems(AMBASSADOR_UPSTREAM="http://a", AMBASSADOR_DNS_MIN_TTL="1m")
    assert problem == "AMBASSADOR_DNS_MIN_TTL is more than AMBASSADOR_DNS_MAX_TTL: set it to at most that"


@pytest.mark.parametrize(
    ("given", "shown"),
    [("5xx,connect", "connect,5xx"), ("503, 429 ,reset", "reset,429,503"), ("none", "none"), ("5xx,404", "5xx,404")],
)
def test_what_is_retried_is_shown_as_it_could_be_given(given: str, shown: str) -> None:
    settings = load(Settings, {"AMBASSADOR_UPSTREAM": "http://a", "AMBASSADOR_RETRY_ON": given})
    assert str(settings.upstreams["default"].retry_on) == shown


def test_active_checks_are_made_where_they_are_asked_for() -> None:
    def every(**environ: str) -> float | None:
        return load(Settings, {"AMBASSADOR_UPSTREAM": "http://a", **environ}).upstreams["default"].check_every

    assert every() is None
    assert every(AMBASSADOR_HEALTH_PATH="/") == 5.0
    assert every(AMBASSADOR_HEALTH_INTERVAL="2s") == 2.0


def test_defaults_for_all_need_not_mean_something_to_each() -> None:
    settings = load(
        Settings,
        {
            "AMBASSADOR_HEADERS": "X-Team: shop",
            "AMBASSADOR_TOKEN": "abc",
            "AMBASSADOR_TLS_ALPN": "h2",
            "AMBASSADOR_ORDERS_UPSTREAM": "http://orders",
            "AMBASSADOR_DB_UPSTREAM": "tls://db:5432",
            "AMBASSADOR_DB_LISTEN": "127.0.0.1:5432",
        },
    )
    assert set(settings.upstreams) == {"orders", "db"}


# -- secrets without encryption ---------------------------------------------------------------------------------------

CREDENTIALS = [("TOKEN", "abc"), ("HEADERS", "X-Other: 1\nX-Api-Key: abc"), ("HEADERS", "+Cookie: abc")]


@pytest.mark.parametrize(("name", "value"), CREDENTIALS)
def test_a_credential_for_targets_with_and_without_tls_is_refused(name: str, value: str) -> None:
    environ = {"AMBASSADOR_UPSTREAM": "https://a,http://b", f"AMBASSADOR_{name}": value}
    (problem,) = problems(**environ)
    assert problem.startswith(f"AMBASSADOR_{name} would be sent to the http:// targets of AMBASSADOR_UPSTREAM without")


@pytest.mark.parametrize(("name", "value"), CREDENTIALS)
def test_a_credential_for_a_target_without_tls_is_warned_of_beyond_loopback(name: str, value: str) -> None:
    def warnings(upstream: str) -> list[str]:
        return list(load(Settings, {"AMBASSADOR_UPSTREAM": upstream, f"AMBASSADOR_{name}": value}).warn())

    assert warnings("http://a,http://127.0.0.1:8080") == [
        f"AMBASSADOR_{name} is sent to a:80 without encryption: use https://"
    ]
    assert warnings("https://a") == []
    assert warnings("http://localhost,http://[::1]:81") == []


@pytest.mark.parametrize("headers", ["X-Shop: 1", "-Authorization", "-Cookie"])
def test_other_edits_may_go_to_targets_with_and_without_tls(headers: str) -> None:
    loaded = load(Settings, {"AMBASSADOR_UPSTREAM": "https://a,http://b", "AMBASSADOR_HEADERS": headers})
    assert list(loaded.warn()) == []


# -- Kubernetes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "scheme", "host", "port", "name", "service"),
    [
        ("k8s://orders.shop:8080", "http", "orders.shop", 8080, "", "orders.shop.svc"),
        ("k8s://orders.shop:http", "http", "orders.shop", 0, "http", "orders.shop.svc"),
        ("https+k8s://orders:https-1", "https", "orders", 0, "https-1", "orders"),
        ("h2c+k8s://orders.shop:9090", "h2c", "orders.shop", 9090, "", "orders.shop.svc"),
        ("tcp+k8s://db.shop:5432", "tcp", "db.shop", 5432, "", "db.shop.svc"),
        ("tls+k8s://db.shop:7z", "tls", "db.shop", 0, "7z", "db.shop.svc"),
    ],
)
def test_a_service_of_kubernetes_has_a_namespace_and_a_port_by_number_or_name(
    value: str, scheme: str, host: str, port: int, name: str, service: str
) -> None:
    targets = load(Settings, {"AMBASSADOR_UPSTREAM": value}).upstreams["default"].upstream
    (target,) = targets.targets
    assert target == Target(scheme, host, port, is_kubernetes=True, port_name=name)
    assert target.service == service
    assert not target.is_srv
    assert str(targets) == value
    assert targets.needs_kubernetes


@pytest.mark.parametrize(
    "value",
    [
        "k8s://orders.shop",
        "k8s://orders.shop.svc:8080",
        "k8s://Orders.shop:8080",
        "k8s://orders.shop:",
        "k8s://orders.shop:a-name-that-is-too-long",
        "k8s://orders.shop:http/../path",
        "k8s://10.0.0.1:80",
        "k8s://[fd00::1]:80",
        "k8s://-orders:80",
        "k8s://orders.shop:99-9",
        "ftp+k8s://orders.shop:80",
    ],
)
def test_what_is_no_service_of_kubernetes_is_refused_with_the_form(value: str) -> None:
    (problem,) = problems(AMBASSADOR_UPSTREAM=value)
    assert "expected k8s://service.namespace:port, with the number or the name of a port" in problem


def test_a_port_that_is_too_high_and_another_spelling_are_refused() -> None:
    assert "a port from 1 to 65535" in problems(AMBASSADOR_UPSTREAM="k8s://orders.shop:65536")[0]
    assert "k8s://service.namespace:port" in problems(AMBASSADOR_UPSTREAM="k8s+https://orders.shop:443")[0]


def test_the_token_is_sent_over_tls_or_to_loopback() -> None:
    given = {"AMBASSADOR_UPSTREAM": "k8s://orders.shop:80"}
    (problem,) = problems(**given, AMBASSADOR_KUBERNETES_API="http://10.96.0.1:443")
    assert "AMBASSADOR_KUBERNETES_API=http://10.96.0.1:443: the token would be sent without encryption" in problem
    assert "without a path" in problems(**given, AMBASSADOR_KUBERNETES_API="https://api/k8s")[0]
    for url in ("http://127.0.0.1:8001", "https://10.96.0.1", "https://[fd00::1]:6443/"):
        assert load(Settings, {**given, "AMBASSADOR_KUBERNETES_API": url}).kubernetes_api is not None


def test_only_an_upstream_in_kubernetes_may_read_the_token() -> None:
    def roots(upstream: str) -> list[str]:
        return [each.path for each in load(Settings, {"AMBASSADOR_UPSTREAM": upstream}).further_roots()]

    assert roots("k8s://orders.shop:80") == ["/var/run/secrets/kubernetes.io/serviceaccount"]
    assert roots("http://orders.shop") == []


def test_a_zone_is_the_value_of_a_label() -> None:
    given = {"AMBASSADOR_UPSTREAM": "k8s://orders.shop:80", "AMBASSADOR_TOPOLOGY_ZONE": "eu-west-1a"}
    assert load(Settings, given).topology_zone == "eu-west-1a"
    assert "topology.kubernetes.io/zone" in problems(**{**given, "AMBASSADOR_TOPOLOGY_ZONE": "a b"})[0]
