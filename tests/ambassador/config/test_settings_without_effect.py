"""Each setting has an effect alone, or its start is refused with what it needs."""

from __future__ import annotations

import pytest

from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.effective_settings import effective
from sidecars.chassis.config.settings import SettingsError, load, specs

HTTP = {"UPSTREAM": "http://10.0.0.1"}
TCP = {"UPSTREAM": "tcp://10.0.0.1:5432"}

# They have an effect with any upstream.
ALONE = (
    "LISTEN",
    "UPSTREAM",
    "RESOLV_CONF",
    "BALANCE",
    "HEALTH_INTERVAL",
    "EJECT_FOR",
    "MAX_EJECTED",
    "PANIC_THRESHOLD",
    "RETRIES",
    "RETRY_ON",
    "CONNECT_TIMEOUT",
    "TIMEOUT",
    "IDLE_TIMEOUT",
    "TUNNEL_IDLE_TIMEOUT",
    "TCP_KEEPALIVE",
    "MAX_CONNECTIONS",
    "MAX_PENDING",
    "ACCESS_LOG",
    "EJECT_FAILURE_RATE",
    "SLOW_START",
    "PROXY",
    "SEND_PROXY",
    "WORKERS",
    "BUFFER_MEMORY",
    "DRAIN_QUIET",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "CONFINEMENT",
    "ADMIN_LISTEN",
    "ADMIN_STATUS",
    "ADMIN_SIBLINGS",
    "DRAIN_TIMEOUT",
)

# They are for requests of HTTP, so they have an effect with `http://`, and none with `tcp://`.
OF_HTTP = {
    "PROTOCOL": "http1",
    "HEALTH_PATH": "/health",
    "EJECT_AFTER": "3",
    "RETRY_BUDGET": "10%",
    "RETRY_BUFFER": "1KiB",
    "TRY_TIMEOUT": "1s",
    "STREAM_IDLE_TIMEOUT": "1m",
    "TOTAL_TIMEOUT": "1m",
    "MAX_HEADER_SIZE": "16KiB",
    "MAX_HEADERS": "100",
    "HEADERS": "X-Team: shop",
    "HOST": "preserve",
    "ADAPTIVE_CONCURRENCY": "on",
    "MAX_REQUESTS": "10",
    "RATE_LIMIT": "10/s",
    "DEADLINE_HEADER": "x-timeout-ms",
    "HEDGE_AFTER": "p95",
    "TOKEN": "abc",
    "ROUTE": "/orders",
    "REWRITE_RESPONSES": "location",
    "TRACES": "context",
    "REQUEST_ID_HEADER": "x-request-id",
}

# They have no effect with `http://` alone: the value, what the sentence names, and what helps.
NEEDING: dict[str, tuple[str, str, dict[str, str]]] = {
    "HEALTH_GRPC": ("on", "UPSTREAM", {"UPSTREAM": "h2c://10.0.0.1"}),
    "GRPC_RETRY_ON": ("unavailable", "UPSTREAM", {"UPSTREAM": "h2c://10.0.0.1"}),
    "GRPC_IDEMPOTENT": ("/a.B/Get", "UPSTREAM", {"UPSTREAM": "https://10.0.0.1"}),
    "MAX_STREAM_AGE": ("1h", "UPSTREAM", {"UPSTREAM": "h2c://10.0.0.1"}),
    "DNS_MIN_TTL": ("2s", "UPSTREAM", {"UPSTREAM": "http+srv://_http._tcp.orders"}),
    "DNS_MAX_TTL": ("5s", "UPSTREAM", {"UPSTREAM": "http://10.0.0.1,http://orders"}),
    "EJECT_VOLUME": ("20", "EJECT_FAILURE_RATE", {"EJECT_FAILURE_RATE": "10%"}),
    "MAX_QUEUED": ("5", "MAX_REQUESTS", {"MAX_REQUESTS": "10"}),
    "QUEUE_TIMEOUT": ("2s", "ADAPTIVE_CONCURRENCY", {"ADAPTIVE_CONCURRENCY": "on"}),
    "RATE_BURST": ("5", "RATE_LIMIT", {"RATE_LIMIT": "10/s"}),
    "MIRROR_LIMIT": ("5", "MIRROR", {"MIRROR": "shadow"}),
    "MIRROR_MARK": ("host", "MIRROR", {"MIRROR": "shadow"}),
    "PROXY_PASSWORD": ("secret", "PROXY", {"PROXY": "http://me@10.0.0.9:3128"}),
    "PROXY_CA": ("/ca.pem", "PROXY", {"PROXY": "https://10.0.0.9:3128"}),
    "NO_PROXY": ("example.org", "PROXY", {"PROXY": "http://10.0.0.9:3128"}),
    "TLS_CA": ("/ca.pem", "UPSTREAM", {"UPSTREAM": "https://10.0.0.1"}),
    "TLS_CERT": ("/cert.pem", "UPSTREAM", {"UPSTREAM": "tls://10.0.0.1:1"}),
    "TLS_KEY": ("/key.pem", "UPSTREAM", {"UPSTREAM": "https://10.0.0.1", "TLS_CERT": "/cert.pem"}),
    "TLS_SERVER_NAME": ("orders", "UPSTREAM", {"UPSTREAM": "https://10.0.0.1"}),
    "TLS_MIN_VERSION": ("1.3", "UPSTREAM", {"UPSTREAM": "http://10.0.0.1,https://10.0.0.1"}),
    "TLS_ALPN": ("postgresql", "UPSTREAM", {"UPSTREAM": "tls://10.0.0.1:5432"}),
    "TLS_NEGOTIATION": ("direct", "UPSTREAM", {"UPSTREAM": "tls+postgres://10.0.0.1"}),
    "STRIP_PREFIX": ("true", "ROUTE", {"ROUTE": "/orders"}),
    "TRACES_RATIO": ("5%", "TRACES", {"TRACES": "context"}),
    "TRACES_ERRORS": ("false", "TRACES", {"TRACES": "on", "TRACES_ENDPOINT": "http://127.0.0.1:4318"}),
    "TRACES_SLOW": ("1s", "TRACES", {"TRACES": "on", "TRACES_ENDPOINT": "http://127.0.0.1:4318"}),
    "TRACES_ENDPOINT": ("http://127.0.0.1:4318", "TRACES", {"TRACES": "on"}),
    "TRACES_HEADERS": ("X-A: b", "TRACES_ENDPOINT", {"TRACES": "on", "TRACES_ENDPOINT": "http://127.0.0.1:4318"}),
    "TRACES_CA": ("/ca.pem", "TRACES_ENDPOINT", {"TRACES": "on", "TRACES_ENDPOINT": "https://127.0.0.1:4318"}),
    "TRACES_SERVICE": ("shop", "TRACES_ENDPOINT", {"TRACES": "on", "TRACES_ENDPOINT": "http://127.0.0.1:4318"}),
    "ACCESS_LOG_FIELDS": ("path", "ACCESS_LOG", {"ACCESS_LOG": "all"}),
    "KUBERNETES_API": ("https://10.0.0.1", "UPSTREAM", {"UPSTREAM": "k8s://orders:80"}),
    "KUBERNETES_ACCOUNT": ("/account", "UPSTREAM", {"UPSTREAM": "k8s://orders:80"}),
    "KUBERNETES_FAMILY": ("ipv6", "UPSTREAM", {"UPSTREAM": "k8s://orders:80"}),
    "KUBERNETES_GRACE": ("1m", "UPSTREAM", {"UPSTREAM": "k8s://orders:80"}),
    "TOPOLOGY_ZONE": ("a", "UPSTREAM", {"UPSTREAM": "k8s://orders:80"}),
}

# With an upstream `shadow`, of which the app's one is `orders`.
MIRROR: dict[str, tuple[str, dict[str, str]]] = {"MIRROR": ("shadow", {})}

# They complete AUTH, each with some of its values (`identity/test_auth_checks`).
OF_AUTH = {
    "AUTH_AWS_SERVICE": "s3",
    "AUTH_AWS_REGION": "eu-west-1",
    "AUTH_AWS_PAYLOAD": "signed",
    "AUTH_USERNAME": "me",
    "AUTH_PASSWORD": "secret",
    "AUTH_SESSION_TOKEN": "secret",
    "AUTH_AUDIENCE": "https://orders",
    "AUTH_OAUTH_SCOPE": "orders",
    "AUTH_OAUTH_TOKEN_URL": "https://login/token",
    "AUTH_OAUTH_CLIENT": "post",
    "AUTH_OAUTH_PARAMS": "resource=orders",
    "AUTH_OAUTH_CA": "/ca.pem",
    "AUTH_OAUTH_KEY": "/key.pem",
    "AUTH_OAUTH_KEY_ID": "one",
    "AUTH_OAUTH_KEY_AUDIENCE": "https://login",
}

# They lose their effect by the value of another setting.
DEFEATED = [
    ("BALANCE", "hash:header:x", TCP, "UPSTREAM is not HTTP: there only hash:source works"),
    ("EJECT_AFTER", "3", {"MAX_EJECTED": "0%"}, "MAX_EJECTED is 0: set both"),
    ("EJECT_FOR", "3s", {"MAX_EJECTED": "0%"}, "MAX_EJECTED is 0"),
    ("EJECT_FAILURE_RATE", "10%", {"MAX_EJECTED": "0%"}, "MAX_EJECTED is 0"),
    ("SLOW_START", "10s", {"BALANCE": "hash:source"}, "BALANCE is a hash, which has no slow start"),
    ("RETRY_ON", "5xx", {"RETRIES": "0"}, "neither AMBASSADOR_RETRIES nor AMBASSADOR_HEDGE_AFTER is"),
    ("RETRY_BUDGET", "5%", {"RETRIES": "0"}, "neither AMBASSADOR_RETRIES nor AMBASSADOR_HEDGE_AFTER is"),
    ("TRY_TIMEOUT", "1s", {"RETRIES": "0"}, "RETRIES is 0"),
    ("TRY_TIMEOUT", "1s", {"RETRY_ON": "connect"}, "RETRY_ON has no timeout"),
    ("QUEUE_TIMEOUT", "2s", {"MAX_REQUESTS": "1", "MAX_QUEUED": "0"}, "MAX_QUEUED is 0"),
    ("PROXY_CA", "/ca.pem", {"PROXY": "http://10.0.0.9:3128"}, "PROXY is without TLS"),
    (
        "TRACES_CA",
        "/ca.pem",
        {"TRACES": "on", "TRACES_ENDPOINT": "http://127.0.0.1:4318"},
        "TRACES_ENDPOINT is without TLS",
    ),
    ("ADMIN_STATUS", "any", {"ADMIN_LISTEN": "off"}, "ADMIN_LISTEN"),
    ("ADMIN_SIBLINGS", "logshipper=1", {"ADMIN_LISTEN": "off"}, "ADMIN_LISTEN"),
]


def environment(**settings: str) -> dict[str, str]:
    return {f"AMBASSADOR_{name}": value for name, value in settings.items()}


def problems(**settings: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(Settings, environment(**settings))
    return "\n".join(caught.value.problems)


def test_each_setting_is_in_one_of_the_tables() -> None:
    declared = [spec.variable.removeprefix("AMBASSADOR_") for spec in specs(Settings) if spec.variable[:4] == "AMBA"]
    tables = [*ALONE, *OF_HTTP, *NEEDING, *MIRROR, *OF_AUTH, "AUTH"]
    assert sorted(tables) == sorted(declared)


def test_each_setting_that_declares_a_need_is_in_a_table_that_has_a_case_for_it() -> None:
    declared = {spec.variable.removeprefix("AMBASSADOR_") for spec in specs(Settings) if spec.needs}
    assert declared == {*OF_HTTP, *NEEDING, *MIRROR, *OF_AUTH, "AUTH", *(name for name, *_ in DEFEATED)}


@pytest.mark.parametrize(("name", "value"), OF_HTTP.items())
def test_a_setting_of_requests_is_refused_where_there_are_none(name: str, value: str) -> None:
    load(Settings, environment(**HTTP, **{name: value}))
    assert problems(**TCP, **{name: value}).startswith(
        f"AMBASSADOR_{name} is set, but AMBASSADOR_UPSTREAM is not HTTP: leave it unset"
    )


@pytest.mark.parametrize(("name", "value", "needed", "cure"), [(name, *rest) for name, rest in NEEDING.items()])
def test_a_setting_without_what_it_needs_is_refused_and_the_sentence_names_that(
    name: str, value: str, needed: str, cure: dict[str, str]
) -> None:
    told = problems(**HTTP, **{name: value})
    assert told.startswith(f"AMBASSADOR_{name} is set, but ")
    assert f"AMBASSADOR_{needed}" in told
    helped = {**HTTP, **cure, name: value}
    if "MIRROR" in cure:
        helped = {f"ORDERS_{each}": text for each, text in helped.items()}
        helped |= {"SHADOW_UPSTREAM": "http://10.0.0.2", "SHADOW_LISTEN": "127.0.0.1:8501"}
    load(Settings, environment(**helped))


@pytest.mark.parametrize(("name", "value"), OF_AUTH.items())
def test_a_setting_of_an_identity_needs_auth(name: str, value: str) -> None:
    told = problems(**HTTP, **{name: value})
    assert f"AMBASSADOR_{name} is set, but AMBASSADOR_AUTH=off has no use for it" in told


def test_auth_needs_requests() -> None:
    told = problems(**TCP, AUTH="gcp")
    assert told.startswith("AMBASSADOR_AUTH is set, but AMBASSADOR_UPSTREAM is not HTTP: leave it unset")


def test_where_a_default_is_not_in_force_all_that_needs_it_is_not_either() -> None:
    environ = environment(
        ORDERS_UPSTREAM="https://10.0.0.1",
        DB_UPSTREAM="tcp://10.0.0.2:5432",
        DB_LISTEN="127.0.0.1:5432",
        AUTH="aws",
        AUTH_AWS_SERVICE="s3",
        AUTH_AWS_REGION="eu-west-1",
        MAX_REQUESTS="10",
        MAX_QUEUED="5",
    )
    settings = load(Settings, environ)
    db = settings.upstreams["db"]
    assert (db.auth, db.auth_aws_service, db.max_requests) == ("off", None, None)
    shown = effective(settings)
    assert effective(load(Settings, shown)) == shown


def test_a_mirror_needs_requests() -> None:
    told = problems(
        ORDERS_UPSTREAM="tcp://10.0.0.1:1",
        ORDERS_MIRROR="shadow",
        SHADOW_UPSTREAM="http://10.0.0.2",
        SHADOW_LISTEN="127.0.0.1:8501",
    )
    assert told == "AMBASSADOR_ORDERS_MIRROR is set, but AMBASSADOR_ORDERS_UPSTREAM is not HTTP: leave it unset"


@pytest.mark.parametrize(("name", "value", "others", "why"), DEFEATED)
def test_a_setting_that_another_one_defeats_is_refused(name: str, value: str, others: dict[str, str], why: str) -> None:
    told = problems(**{**HTTP, **others, name: value})
    assert f"AMBASSADOR_{name} is set, but " in told
    assert why in told


def test_a_default_for_all_upstreams_is_in_force_where_it_has_an_effect_and_nowhere_else() -> None:
    environ = environment(
        ORDERS_UPSTREAM="http://10.0.0.1",
        DB_UPSTREAM="tcp://10.0.0.2:5432",
        DB_LISTEN="127.0.0.1:5432",
        HEADERS="X-Team: shop",
        TOKEN="abc",
        TOTAL_TIMEOUT="1m",
        TRACES="context",
    )
    settings = load(Settings, environ)
    orders, db = settings.upstreams["orders"], settings.upstreams["db"]
    assert (orders.total_timeout, db.total_timeout, db.headers, db.token, db.traces) == (60.0, None, None, None, "off")
    shown = effective(settings)
    assert shown["AMBASSADOR_ORDERS_TRACES"] == "context"
    del shown["AMBASSADOR_ORDERS_TOKEN"]
    again = load(Settings, shown)
    assert again.upstreams["db"].total_timeout is None


def test_a_default_that_needs_another_default_is_in_force_where_that_one_is() -> None:
    environ = environment(
        ORDERS_UPSTREAM="http://10.0.0.1",
        DB_UPSTREAM="tcp://10.0.0.2:5432",
        DB_LISTEN="127.0.0.1:5432",
        RATE_LIMIT="10/s",
        RATE_BURST="20",
        MAX_REQUESTS="5",
        MAX_QUEUED="3",
        QUEUE_TIMEOUT="2s",
    )
    settings = load(Settings, environ)
    orders, db = settings.upstreams["orders"], settings.upstreams["db"]
    assert (orders.rate_burst, db.rate_burst, orders.max_queued, db.max_queued) == (20, None, 3, None)
    assert effective(load(Settings, effective(settings))) == effective(settings)


def test_a_default_that_is_not_in_force_for_an_upstream_is_not_enough_for_its_other_settings() -> None:
    assert problems(
        ORDERS_UPSTREAM="http://10.0.0.1",
        DB_UPSTREAM="tcp://10.0.0.2:5432",
        DB_LISTEN="127.0.0.1:5432",
        RATE_LIMIT="10/s",
        DB_RATE_BURST="20",
    ) == ("AMBASSADOR_DB_RATE_BURST is set, but AMBASSADOR_DB_RATE_LIMIT is not: set both")


def test_defaults_that_fit_one_kind_of_upstream_are_not_in_force_for_the_others() -> None:
    environ = environment(
        WEB_UPSTREAM="https://10.0.0.1",
        PLAIN_UPSTREAM="http://10.0.0.2",
        PLAIN_LISTEN="127.0.0.1:8501",
        DB_UPSTREAM="tcp://10.0.0.3:5432",
        DB_LISTEN="127.0.0.1:5432",
        PROTOCOL="http2",
        BALANCE="hash:header:x-user",
        SLOW_START="10s",
    )
    found = {
        name: (each.protocol, each.balance, each.slow_start) for name, each in load(Settings, environ).upstreams.items()
    }
    assert found == {
        "web": ("http2", "hash:header:x-user", 0.0),
        "plain": ("auto", "hash:header:x-user", 0.0),
        "db": ("auto", "ewma", 10.0),
    }


def test_a_hedge_is_enough_for_the_statuses_of_calls_that_are_tried_again() -> None:
    load(Settings, environment(UPSTREAM="h2c://10.0.0.1", GRPC_RETRY_ON="unavailable", RETRIES="0", HEDGE_AFTER="p95"))


def test_a_default_for_all_upstreams_that_helps_none_is_refused() -> None:
    assert problems(
        A_UPSTREAM="tcp://10.0.0.1:1", B_UPSTREAM="tcp://10.0.0.2:1", B_LISTEN="127.0.0.1:5432", TOTAL_TIMEOUT="1m"
    ) == (
        "AMBASSADOR_TOTAL_TIMEOUT is set, but AMBASSADOR_A_UPSTREAM is not HTTP: leave it unset; "
        "AMBASSADOR_B_UPSTREAM is not HTTP: leave it unset"
    )


def test_who_turns_a_thing_off_that_would_have_no_effect_makes_no_mistake() -> None:
    load(Settings, environment(**HTTP, RETRIES="0", RETRY_ON="none", GRPC_RETRY_ON="none"))


def test_the_default_itself_is_no_mistake_because_check_prints_it() -> None:
    load(Settings, environment(**TCP, STREAM_IDLE_TIMEOUT="5m", HOST="upstream", MIRROR_LIMIT="128"))
