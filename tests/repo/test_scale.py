"""The figures of docs/explanation/scale.md follow from the defaults of the settings."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from sidecars.chassis.config.settings import load
from tests.support import ROOT

PAGE = (ROOT / "docs/explanation/scale.md").read_text()
PODS = 10_000


def settings(name: str, **environ: str) -> Any:
    return load(import_module(f"sidecars.{name}.settings").Settings, environ)


def test_the_questions_to_name_servers() -> None:
    upstream = settings("ambassador", AMBASSADOR_UPSTREAM="http://orders").upstreams["default"]
    assert (upstream.dns_min_ttl, upstream.dns_max_ttl) == (1, 30)

    def questions(candidates: int, ttl: float, shortest: float) -> str:
        return f"| {candidates} | {round(PODS * 2 * candidates / max(shortest, min(upstream.dns_max_ttl, ttl))):,} |"

    assert questions(1, 5, upstream.dns_min_ttl) == "| 1 | 4,000 |"
    rows = [line for line in PAGE.splitlines() if line.startswith(("| `orders`", "| `api"))]
    expected = [questions(1, 5, 1), questions(4, 5, 1), questions(1, 5, 1), questions(1, 5, 30)]
    assert [row[-len(figures) :] for row, figures in zip(rows, expected, strict=True)] == expected


def test_the_retries() -> None:
    upstream = settings("ambassador", AMBASSADOR_UPSTREAM="http://orders").upstreams["default"]

    def retries(requests: float) -> float:
        return float(min(upstream.retries * requests, 10 + upstream.retry_budget * requests))

    assert retries(1) == 2
    assert f"{PODS * (1 + retries(1)):,.0f} requests a second" in PAGE.replace("\n", " ")
    assert retries(100) == 30
    assert "30 retries, 1.3 times the load" in PAGE


def test_the_health_checks() -> None:
    environ = {"AMBASSADOR_UPSTREAM": "http://orders", "AMBASSADOR_HEALTH_PATH": "/health"}
    interval = settings("ambassador", **environ).upstreams["default"].check_every
    assert f"{PODS / interval:,.0f} checks a second" in PAGE


def test_the_requests_to_a_log_storage_and_the_bytes_after_an_outage() -> None:
    environ = {"LOGSHIPPER_PATHS": "/logs/*.log", "LOGSHIPPER_SINK": "http://collector/"}
    (sink,) = settings("logshipper", **environ).sinks.values()
    assert f"{PODS / sink.batch_timeout:,.0f} | {PODS * sink.in_flight * sink.batch_size / 2**30:.1f} GiB |" in PAGE
    assert f"{PODS / 10:,.0f} | {PODS * sink.in_flight * (128 << 10) / 2**30:.1f} GiB |" in PAGE
    assert sink.retry_max == 30
