"""No bytes of an app or a prober raise an exception: any response has a verdict, in every dialect."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter.app_client.outcome import AppRequest, AppResponse
from sidecars.adapter.rendering.negotiation import negotiate_format
from sidecars.adapter.server.probe_handler import scrape_timeout_of
from sidecars.adapter.setting_types import DIALECT_NAMES, DialectName
from sidecars.adapter.settings import Settings
from sidecars.adapter.verdict.dialect_negotiation import choose_dialect
from sidecars.adapter.verdict.dialects import agent_line, render_verdict
from sidecars.adapter.verdict.judge import Judge
from sidecars.adapter.verdict.rule_file import ReloadingRules
from sidecars.adapter.verdict.verdict import STATUSES
from sidecars.chassis.config.settings import load
from sidecars.chassis.http.accept_header import media_ranges
from tests.adapter.support import app_url

APP_REQUEST = AppRequest("default", app_url("http://127.0.0.1:8080/metrics"), 0.8, 1 << 20)
RULES = (
    "a: health_up == 1; b: age(u) < 60s; c: u * 1e300 ^ 3 % 7 < 5; d: sum(u) / count(v) < bool 5; e: rate(u[1m]) < 1"
)
APPS = [
    {},
    {"ADAPTER_RULES": RULES},
    {"ADAPTER_SELECT": "u=$.status; v=$.*.*; w=$[*].name"},
    {"ADAPTER_SELECT": "u=$.*; v=$[*]", "ADAPTER_RULES": RULES, "ADAPTER_STATUS_VALUES": "up=0.5,7=1"},
]

TEXTS = st.text(max_size=6) | st.sampled_from(
    [
        "UP",
        "down",
        "\ud800",
        "\x1b[2J",
        "\x00",
        "\n",
        "x" * 300,
        "٣",
        "1e999",
        "\uff19",
        "#",
        '"',
        "\\",
        "|",
        "'",
        "\u2028",
    ]
)
NUMBERS = (
    st.integers() | st.floats(allow_nan=False) | st.sampled_from([10**400, -(10**4000), 1e308, -0.0, 2**63, 1e-320])
)
KEYS = TEXTS | st.sampled_from(
    ["status", "Status", "checks", "components", "entries", "details", "name", "data", "healthy"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
LINES = st.lists(
    st.sampled_from(["[+]a ok", "[-]a failed", "[!]", " [+]b ok", "u 1", "u NaN", "# EOF", "v 1e999", "\x0b", "ok"])
    | TEXTS,
    max_size=5,
).map("\n".join)  # fmt: skip
BODIES = (
    VALUES.map(lambda value: json.dumps(value).encode())
    | LINES.map(lambda text: text.encode(errors="replace"))
    | st.binary(max_size=60)
)
HEADERS = st.sampled_from(
    ["application/json", "text/plain", "", "application/openmetrics-text", ";;=\xff", "a/+json"]
) | st.text(alphabet=st.characters(max_codepoint=255), max_size=30)  # fmt: skip


@pytest.mark.parametrize("environ", APPS)
@given(BODIES, HEADERS, st.integers(100, 999))
def test_any_answer_of_an_app_has_a_verdict_in_every_dialect(
    environ: dict[str, str], body: bytes, content_type: str, status: int
) -> None:
    app = load(Settings, {"ADAPTER_MODE": "verdict", **environ}).apps["default"]
    judge = Judge(app, APP_REQUEST, ReloadingRules(app.rules, "ADAPTER_RULES") if app.rules else None, lambda: 1e9)

    verdict = judge.judge(AppResponse(status, {"content-type": content_type}, body))

    assert verdict.status in STATUSES
    assert verdict.status == "pass" or verdict.reason
    for form in DIALECT_NAMES:
        response = render_verdict(verdict, form)
        assert len(response.body) <= 4000
        response.body.decode()
    assert agent_line(verdict).isascii()


@given(
    st.text(alphabet=st.characters(max_codepoint=255), max_size=60),
    st.text(max_size=20),
    st.sampled_from([*DIALECT_NAMES]),
)
def test_no_header_or_query_of_a_prober_raises(header: str, query: str, form: DialectName) -> None:
    app = load(Settings, {"ADAPTER_MODE": "verdict"}).apps["default"]
    verdict = Judge(app, APP_REQUEST, None).judge(AppResponse(200, {}, b"up 1\n"))

    list(media_ranges(header))
    assert choose_dialect("auto", "/health", header) in DIALECT_NAMES
    assert negotiate_format(header).content_type
    assert scrape_timeout_of({"x-prometheus-scrape-timeout-seconds": header}) is None or header
    assert render_verdict(verdict, form, "/" + query, f"verbose&exclude={query}&{query}%ff").status


@pytest.mark.parametrize("raw", ["1e999", "nan", "-1", "0", "", "1_0", "٣", "9" * 5000, "0x10", " 5 ", "1e-320"])
def test_a_scrapers_timeout_is_a_time_that_can_be_waited_or_none(raw: str) -> None:
    found = scrape_timeout_of({"x-prometheus-scrape-timeout-seconds": raw})

    assert found is None or 0 < found < 1e308
