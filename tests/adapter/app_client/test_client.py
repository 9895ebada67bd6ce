"""The app client: single flight, deadlines, and defects."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sidecars.adapter.app_client.client import AppClient
from sidecars.adapter.app_client.outcome import AppRequest, AppResponse, NoResponse
from sidecars.adapter.server.routes import routes_of
from sidecars.adapter.settings import Settings
from sidecars.adapter.statistics import Statistics
from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime.health import Health
from tests.adapter.support import App, app_url, hang, respond


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def app_client(health: Health, **environ: str) -> AppClient:
    apps = load(Settings, environ).apps.values()
    return AppClient(apps, Statistics(routes_of(apps)).apps, health)


async def test_a_request_that_outlives_its_deadline_by_far_is_told_by_livez() -> None:
    clock = Clock()
    health = Health(clock)
    with App({"/metrics": hang()}) as app:
        app_request = AppRequest("default", app_url(f"{app.url}/metrics"), timeout=0.05, max_body=10)
        async with app_client(health, ADAPTER_TARGET=app.url) as client:
            asking = asyncio.create_task(client.fetch(app_request))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            clock.now = 3600
            assert "request for" in health.not_alive()[0]
            outcome = await asking
            assert isinstance(outcome, NoResponse)
            assert not health.not_alive()


async def test_a_later_question_is_a_request_of_its_own() -> None:
    with App({"/metrics": respond(b"up 1\n")}) as app:
        app_request = AppRequest("default", app_url(f"{app.url}/metrics"), timeout=10, max_body=10)
        async with app_client(Health(), ADAPTER_TARGET=app.url) as client:
            for _ in range(3):
                assert isinstance(await client.fetch(app_request), AppResponse)
        assert app.seen["/metrics"] == 3


async def test_a_defect_of_our_own_is_an_outcome_too(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    async def broken(*_: object) -> AppResponse:
        raise KeyError("nobody thought of this")

    monkeypatch.setattr("sidecars.adapter.app_client.client.AppConnection.get", broken)
    async with app_client(Health()) as client:
        outcome = await client.fetch(
            AppRequest("default", app_url("http://127.0.0.1:1/metrics"), timeout=10, max_body=10)
        )

    assert isinstance(outcome, NoResponse)
    assert outcome.reason == "defect"
    assert "nobody thought of this" in caplog.text


async def test_the_largest_body_that_is_taken_is_taken() -> None:
    with App({"/metrics": respond(b"x" * 10)}) as app:
        async with app_client(Health(), ADAPTER_TARGET=app.url) as client:
            taken = await client.fetch(AppRequest("default", app_url(f"{app.url}/metrics"), timeout=10, max_body=10))
            refused = await client.fetch(AppRequest("default", app_url(f"{app.url}/metrics"), timeout=10, max_body=9))

    assert isinstance(taken, AppResponse)
    assert isinstance(refused, NoResponse)
    assert refused.reason == "too_large"
