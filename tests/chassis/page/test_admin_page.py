"""The page of the admin server in this process: who gets HTML, who gets JSON, and who gets neither."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from sidecars.chassis import admin_server
from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.page.picture import Picture, Words
from sidecars.chassis.runtime.health import Health
from tests.chassis.programs import Settings
from tests.support import PATIENCE, free_port

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
PICTURE = Picture(Words("Mood", "mood"))


@pytest.fixture
async def admin() -> AsyncIterator[httpx.AsyncClient]:
    port = free_port()
    settings = Settings(admin_listen=Address("127.0.0.1", port))
    async with (
        admin_server.serve(
            settings, Health(), admin_server.registry(), lambda: {"mood": "fine"}, picture=lambda: PICTURE
        ),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("path", "accept", "expected"),
    [
        ("/", "*/*", "text/html"),
        ("/", BROWSER, "text/html"),
        ("/", "", "text/html"),
        ("/", "application/json", "application/json"),
        ("/", "text/html;q=0.5,application/json", "application/json"),
        ("/", "image/png", "text/html"),
        ("/status", "*/*", "application/json"),
        ("/status", "", "application/json"),
        ("/status", BROWSER, "text/html"),
        ("/status", "text/*, application/*;q=0.9", "text/html"),
        ("/status", "text/html;q=0.5, application/json;q=0.5", "application/json"),
        ("/status", "text/html;q=0.1, */*;q=0", "text/html"),
        ("/status", "text/html;q=0, */*", "application/json"),
        ("/status", "nonsense;;;,", "application/json"),
    ],
)
async def test_a_client_gets_what_it_prefers(admin: httpx.AsyncClient, path: str, accept: str, expected: str) -> None:
    response = await admin.get(path, headers={"Accept": accept})

    assert response.status_code == 200
    assert response.headers["Content-Type"] == f"{expected}; charset=utf-8"
    assert response.headers["Vary"] == "Accept"


async def test_the_members_of_status_come_in_the_order_in_which_a_person_asks(admin: httpx.AsyncClient) -> None:
    page: dict[str, Any] = (await admin.get("/status")).json()

    assert list(page)[:10] == [
        *("name", "version", "state", "since", "since_seconds", "reasons", "not_alive", "not_ready", "trouble", "mood")
    ]
    assert list(page)[10:] == ["uptime_seconds", "pid", "connections", "descriptors", "confinement", "settings"]


async def test_a_name_of_dns_is_refused_because_a_stranger_may_have_rebound_it(admin: httpx.AsyncClient) -> None:
    for path in ("/", "/status"):
        for accept in (BROWSER, "application/json"):
            response = await admin.get(path, headers={"Host": "rebound.example:9913", "Accept": accept})
            assert response.status_code == 403
            assert "DNS rebinding" in response.text
            assert response.text.count("\n") == 1
            assert "DEMO_ADMIN_STATUS=any" in response.text
    assert (await admin.get("/livez", headers={"Host": "rebound.example"})).status_code == 200
