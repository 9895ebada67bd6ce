"""One response of the app for many probers, for the time of ADAPTER_CACHE_TTL and within a scraper's timeout."""

from __future__ import annotations

import asyncio
import threading

import httpx
import pytest

from tests.adapter.conftest import StartAdapter
from tests.adapter.support import App, hold_until, page, probe_together, send_raw
from tests.support import wait_until


@pytest.mark.parametrize("mode", ["verdict", "metrics"])
def test_a_thousand_probes_at_once_are_one_request_to_the_app(adapter: StartAdapter, mode: str) -> None:
    release = threading.Event()
    with App({"/metrics": hold_until(release, page())}) as app:
        running = adapter(app.url, "/health=/metrics,/live=/metrics", ADAPTER_MODE=mode, ADAPTER_TIMEOUT="5m")

        statuses = asyncio.run(probe_together(running.port, ["/health", "/live"] * 500, release.set))

        assert app.seen == {"/metrics": 1}
    assert statuses == [200] * 1000


@pytest.mark.parametrize("mode", ["forward", "verdict", "metrics"])
def test_what_an_app_has_answered_is_used_again_for_as_long_as_is_set(adapter: StartAdapter, mode: str) -> None:
    with App({"/metrics": page()}) as app:
        running = adapter(app.url, ADAPTER_MODE=mode, ADAPTER_CACHE_TTL="1h")

        assert {running.get("/health").status_code for _ in range(20)} == {200}
        assert app.seen == {"/metrics": 1}


def test_a_failure_is_kept_like_any_answer(adapter: StartAdapter) -> None:
    with App({"/metrics": send_raw()}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_CACHE_TTL="1h", ADAPTER_FAIL_AFTER="5")

        reported = {running.get("/health").text.partition(";")[0] for _ in range(20)}
        assert reported == {"warn: failed 1 of 5 times in a row"}
        assert app.connections == 1


def test_a_scrapers_own_timeout_shortens_the_deadline_and_spoils_nothing_for_others(adapter: StartAdapter) -> None:
    release = threading.Event()
    with App({"/metrics": hold_until(release, page())}) as app:
        running = adapter(app.url, "/metrics=/metrics", ADAPTER_MODE="metrics", ADAPTER_TIMEOUT="5m")
        unlimited: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: unlimited.append(running.get("/metrics")))
        thread.start()
        wait_until(lambda: app.seen["/metrics"], "the request without a limit to reach the app")

        limited = running.get("/metrics", X_Prometheus_Scrape_Timeout_Seconds="0.2")
        release.set()
        thread.join(60)

        assert app.seen == {"/metrics": 1}
    assert limited.status_code == 503
    assert "has not answered within the 180ms that the scrape timeout leaves" in limited.text
    assert unlimited[0].status_code == 200


@pytest.mark.parametrize("timeout", ["x", "", "-1", "0", "nan", "inf", "1e9"])
def test_a_timeout_that_is_none_changes_nothing(adapter: StartAdapter, timeout: str) -> None:
    with App({"/metrics": page()}) as app:
        assert adapter(app.url).get("/health", X_Prometheus_Scrape_Timeout_Seconds=timeout).status_code == 200
